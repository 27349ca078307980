"""Attention, positions, and the blocks of a Transformer."""

from backlit.layers.attention.additive import AdditiveAttention
from backlit.layers.attention.cross import CrossAttention
from backlit.layers.attention.dot_product import DotProductAttention
from backlit.layers.attention.feed_forward import FeedForward
from backlit.layers.attention.multihead import MultiHeadAttention
from backlit.layers.attention.positions import LearnedPositions, SinusoidalPositions
from backlit.layers.attention.rotary import RotaryPositions
from backlit.layers.attention.transformer import TransformerDecoderBlock, TransformerEncoderBlock

__all__ = [
    "AdditiveAttention",
    "CrossAttention",
    "DotProductAttention",
    "FeedForward",
    "LearnedPositions",
    "MultiHeadAttention",
    "RotaryPositions",
    "SinusoidalPositions",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
]
