"""Recurrent layers: RNN, LSTM, GRU, cells of your own, both directions."""

from backlit.layers.recurrent.base import Recurrent
from backlit.layers.recurrent.bidirectional import Bidirectional
from backlit.layers.recurrent.gru import GRU
from backlit.layers.recurrent.last import LastStep
from backlit.layers.recurrent.lstm import LSTM
from backlit.layers.recurrent.rnn import RNN
from backlit.layers.recurrent.scan import Cell, Scan

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "Cell", "LastStep", "Recurrent", "Scan"]
