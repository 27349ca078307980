"""Rows of the layers that move numbers."""

import backlit as bl
from rows.base import I, LayerRow

LAYERS = [
    LayerRow(bl.Transpose((3, 1, 2)), (4, 2, 3)),
    LayerRow(bl.Transpose((1, 3, 2)), (4, 2, 3), steps=True),
    LayerRow(bl.Pad(((2, 1),)), (4, I)),
    LayerRow(bl.Pad(((0, 0), (1, 0), (0, 2)), value=0.5), (4, 2, 3), steps=True),
    LayerRow(bl.Crop(((1, 2),)), (4, I)),
    LayerRow(bl.Crop(((0, 0), (1, 3))), (4, I), steps=True),
    LayerRow(bl.UpSample(), (4, I)),
    LayerRow(bl.UpSample(3), (2, 3, 4)),
]
