"""Rows of the convolutions: all forms that the engines compute them in."""

import backlit as bl
from rows.base import LayerRow, O

LAYERS = [
    LayerRow(bl.Conv(2), (5, 4, 1)),
    LayerRow(bl.Conv(2, (3, 2), stride=(1, 2), padding="valid"), (4, 5, 1)),
    LayerRow(bl.Conv(2, 2, padding=1, b=None), (2, 3, 2, 1), note="volume"),
    LayerRow(bl.Conv(2, 2, padding=((2, 0), (0, 1)), dilation=2, groups=2), (3, 4, 4)),
    LayerRow(bl.Conv(O, 1, stride=2, W="Xavier"), (5, 3, 4)),
    LayerRow(bl.Conv(20, 3, stride=2), (7, 18), note="many products"),
    LayerRow(bl.Conv(8, 3, stride=2), (4, 5, 9), note="many products"),
    LayerRow(bl.Conv(7, (2, 2, 3), stride=(2, 1, 1)), (3, 4, 3, 6), note="many products"),
    LayerRow(bl.Conv(4, (2,), padding=((2, 0),), dilation=2, groups=2), (6, 2), steps=True),
    LayerRow(bl.DepthwiseConv(2, multiplier=2, stride=2, dilation=(2, 1)), (5, 4, 3)),
    LayerRow(bl.DepthwiseConv(3, padding=((2, 0),), b=None), (6, 2), steps=True),
    LayerRow(bl.ConvTranspose(2, 4, stride=2), (3, 5)),
    LayerRow(bl.ConvTranspose(1, 3, stride=2, padding=1, output_padding=(1, 0)), (3, 2, 2)),
    LayerRow(bl.ConvTranspose(4, 2, stride=3, padding="valid", output_padding=2, dilation=2, groups=2), (4, 6)),
    LayerRow(bl.ConvTranspose(2, (1, 2, 2), stride=(1, 2, 2), padding=((0, 0), (1, 0), (0, 1))), (2, 2, 3, 4)),
]
