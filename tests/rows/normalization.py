"""Rows of the layers that normalise, and of the wrappers of weights."""

import numpy as np

import backlit as bl
from rows.base import B, I, LayerRow, O, integers, lengths

STEPS = lengths(4, 2, 3, longest=4)


def real_rows(rng: np.random.Generator) -> np.ndarray:
    """The last two rows are padding."""
    return (np.arange(B) < B - 2).astype(float)


LAYERS = [
    LayerRow(bl.BatchNorm(), train=True),
    LayerRow(bl.BatchNorm()),
    LayerRow(bl.BatchNorm(momentum=0.5, epsilon=0.1, gamma=None), train=True),
    LayerRow(bl.BatchNorm(beta=None), train=True, mask=real_rows, note="rows"),
    LayerRow(bl.BatchNorm(gamma=None, beta=None)),
    LayerRow(bl.BatchNorm(), shape=(4, 2, O), train=True, note="image"),
    LayerRow(bl.BatchNorm(), shape=(4, 2, O), train=True, mask=real_rows, note="image-rows"),
    LayerRow(bl.BatchNorm(), shape=(4, I), train=True, mask=STEPS, note="steps"),
    LayerRow(bl.BatchNorm(), shape=(4, 16, O), train=True, mask=STEPS, note="images-steps"),
    LayerRow(bl.BatchNorm(), shape=(I,), train=True, mask=STEPS, note="steps-gone"),
    LayerRow(bl.BatchNorm(), shape=(4, I), note="sequence", steps=True),
    LayerRow(bl.LayerNorm()),
    LayerRow(bl.LayerNorm(gamma=None, epsilon=0.1), shape=(4, I), note="sequence", mask=STEPS, steps=True),
    LayerRow(bl.LayerNorm(beta=None, axes=2), shape=(4, 2, I)),
    LayerRow(bl.LayerNorm(gamma=None, beta=None, axes=3), shape=(4, 2, I)),
    LayerRow(bl.LayerNorm(), shape=(64,), note="wide"),
    LayerRow(bl.GroupNorm(2), shape=(6,)),
    LayerRow(bl.GroupNorm(2, gamma=None), shape=(3, 2, 6), train=True, note="image"),
    LayerRow(bl.GroupNorm(1, beta=None, epsilon=0.1), shape=(4, I), mask=STEPS, note="steps"),
    LayerRow(bl.GroupNorm(3), shape=(16, 6), note="wide"),
    LayerRow(bl.InstanceNorm(), shape=(4, 2, O), train=True),
    LayerRow(bl.InstanceNorm(beta=None), shape=(4, 2, I), mask=STEPS, note="steps"),
    LayerRow(bl.RMSNorm()),
    LayerRow(bl.RMSNorm(epsilon=0.1), shape=(4, I), mask=STEPS, steps=True),
    LayerRow(bl.RMSNorm(gamma=None), shape=(64,), note="wide"),
    LayerRow(bl.LocalResponseNorm(), shape=(2, 7)),
    LayerRow(bl.LocalResponseNorm(size=3, alpha=0.5, k=2.0), shape=(4, I), steps=True),
    LayerRow(bl.LocalResponseNorm(size=4, alpha=2.0, beta=0.5), shape=(7,)),
    LayerRow(bl.LocalResponseNorm(size=9, alpha=0.5), shape=(I,)),
    LayerRow(bl.WeightNorm(bl.Dense(O)), shape=(4, I), note="sequence", steps=True),
    LayerRow(bl.WeightNorm(bl.Dense(O, b=None)), note="no bias"),
    LayerRow(bl.WeightNorm(bl.LSTM(O), names=("W", "U")), shape=(4, I), mask=STEPS, steps=True),
    LayerRow(bl.Chain(bl.WeightNorm(bl.Embedding(9, O)), bl.BatchNorm()), (4,), True, integers(9, B, 4)),
    LayerRow(bl.DropConnect(bl.Dense(O), 0.4), train=True),
    LayerRow(bl.DropConnect(bl.Dense(O), 0.4), shape=(4, I), steps=True),
    LayerRow(bl.DropConnect(bl.Dense(O), 0.0), train=True),
    LayerRow(bl.DropConnect(bl.GRU(O), 0.3, names=("U", "W")), shape=(4, I), train=True, mask=STEPS),
    LayerRow(bl.Chain(bl.Dense(4), bl.BatchNorm(), bl.Tanh(), bl.DropConnect(bl.Dense(O))), train=True),
]  # fmt: skip
