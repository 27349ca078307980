"""Rows of the variants of dropout; Dropout itself: basic.py."""

import backlit as bl
from rows.base import I, LayerRow

LAYERS = [
    LayerRow(bl.SpatialDropout(0.4), shape=(4, 2, I), train=True),
    LayerRow(bl.SpatialDropout(0.4), shape=(4, I), train=True, note="sequence"),
    LayerRow(bl.SpatialDropout(0.4), shape=(4, I), steps=True),
    LayerRow(bl.SpatialDropout(0.0), shape=(4, I), train=True),
    LayerRow(bl.VariationalDropout(0.4), shape=(4, I), train=True),
    LayerRow(bl.VariationalDropout(0.4), shape=(4, 2, 3, I), train=True, note="images"),
    LayerRow(bl.VariationalDropout(0.4), shape=(4, I), steps=True),
]
