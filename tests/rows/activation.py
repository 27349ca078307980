"""Rows of the activations beyond those of basic.py."""

import numpy as np

import backlit as bl
from rows.base import B, I, LayerRow, smooth


def apart(*shape: int):
    """As `smooth`, and no two neighbouring channels are equal, where a maximum has its kink."""
    return lambda rng: smooth(*shape)(rng) + 0.05 * np.arange(shape[-1])


LAYERS = [
    LayerRow(bl.SELU()),
    LayerRow(bl.SELU(alpha=2.0, scale=3.0)),
    LayerRow(bl.CELU()),
    LayerRow(bl.CELU(0.4), shape=(4, I)),
    LayerRow(bl.HardSigmoid()),
    LayerRow(bl.HardSigmoid(slope=0.2, offset=0.4)),
    LayerRow(bl.HardSwish()),
    LayerRow(bl.Mish()),
    LayerRow(bl.SiLU(1.702)),
    LayerRow(bl.LogSigmoid()),
    LayerRow(bl.ThresholdedReLU()),
    LayerRow(bl.ThresholdedReLU(0.5)),
    LayerRow(bl.Shrink(0.3)),
    LayerRow(bl.Shrink(0.3, form="hard")),
    LayerRow(bl.PReLU()),
    LayerRow(bl.PReLU({"type": "Normal", "std": 0.5}), shape=(3, 2, I), note="image"),
    LayerRow(bl.PReLU(per="layer"), shape=(4, I), steps=True),
    LayerRow(bl.GLU(), shape=(6,)),
    LayerRow(bl.GLU(gate=bl.SiLU()), shape=(4, 6), steps=True),
    LayerRow(bl.LogSoftmax()),
    LayerRow(bl.LogSoftmax(), shape=(4, I), note="sequence", steps=True),
    LayerRow(bl.Maxout(), shape=(6,), x=apart(B, 6)),
    LayerRow(bl.Maxout(3), shape=(2, 4, 6), x=apart(B, 2, 4, 6)),
]
