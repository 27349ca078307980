"""Rows of the layers that take tokens."""

import backlit as bl
from rows.base import B, I, LayerRow, O, integers, lengths

V, T = 9, 4

LAYERS = [
    LayerRow(bl.Embedding(V, O), (T,), x=integers(V, B, T), steps=True),
    LayerRow(bl.Embedding(V, O), (), x=integers(V, B), note="one a row"),
    LayerRow(bl.Embedding(V, O, W="Xavier", padding=2, scale=1.5), (T, 2), x=integers(V, B, T, 2)),
    LayerRow(bl.WordWindow(), (T, I)),
    LayerRow(bl.WordWindow(1, padding=2), (T,), note="numbers"),
    LayerRow(bl.WordWindow(1), (T, I), mask=lengths(4, 2, 3, longest=T), note="masked"),
    LayerRow(
        bl.Chain(bl.WordWindow(2), bl.Embedding(V, 2, padding=0), bl.Reshape((T, 10)), bl.Dense(O)),
        (T,),
        x=integers(V, B, T),
        mask=lengths(4, 2, 3, longest=T),
        note="tokens",
    ),
]
