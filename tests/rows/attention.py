"""Rows of attention, positions and Transformer blocks. One of seven sequences sees no key at all."""

import backlit as bl
from rows.base import I, LayerRow, lengths

THREE = {"query": (4, 6), "key": (I, 6), "value": (I, 2)}
TWO = {"x": (4, 6), "memory": (I, 3)}
BOTH = {"x": (2, 4), "memory": (3, 6)}
ragged = lengths(5, 3, 1, 0, 4, longest=I)


def both(rng):
    return {"x": lengths(2, 1, longest=2)(rng), "memory": lengths(3, 1, 2, 0, longest=3)(rng)}


LAYERS = [
    LayerRow(bl.DotProductAttention(), THREE, mask=ragged),
    LayerRow(bl.DotProductAttention(scaled=False, causal=True), THREE),
    LayerRow(bl.DotProductAttention(2, causal=True, dropout=0.3), THREE, train=True, mask=ragged, note="masked"),
    LayerRow(bl.DotProductAttention(6, kv_heads=2), {"query": (4, 6), "key": (I, 2), "value": (I, 4)}),
    LayerRow(bl.AdditiveAttention(8), {"query": (4, 6), "key": (I, 3), "value": (I, 2)}, mask=ragged),
    LayerRow(bl.AdditiveAttention(2), THREE, note="narrow"),
    LayerRow(bl.MultiHeadAttention(3), (I, 6), mask=ragged),
    LayerRow(bl.MultiHeadAttention(2, width=8, dropout=0.2, b=None), (I, 3), train=True, mask=ragged),
    LayerRow(bl.MultiHeadAttention(3, causal=True), (I, 6), steps=True),
    LayerRow(bl.MultiHeadAttention(4, width=8, kv_heads=2, causal=True, rotary=bl.RotaryPositions()), (I, 6), steps=True),
    LayerRow(bl.CrossAttention(2), TWO, mask=ragged),
    LayerRow(bl.CrossAttention(4, width=8, kv_heads=2, dropout=0.2, b=None), TWO, train=True),
    LayerRow(bl.SinusoidalPositions(), (I, 6), steps=True),
    LayerRow(bl.LearnedPositions(8), (I, 6), steps=True),
    LayerRow(bl.RotaryPositions(), (I, 6), steps=True),
    LayerRow(bl.RotaryPositions(2, base=100.0, form="interleaved"), (I, 8), steps=True),
    LayerRow(bl.FeedForward(), (3,)),
    LayerRow(bl.FeedForward(4, activation=bl.GLU("SiLU"), dropout=0.2), (I, 3), train=True),
    LayerRow(bl.TransformerEncoderBlock(3, hidden=4), (4, 6), mask=lengths(4, 2, 3, longest=4)),
    LayerRow(bl.TransformerEncoderBlock(2, norm="after", dropout=0.2, activation="Tanh"), (2, 4), train=True),
    LayerRow(bl.TransformerEncoderBlock(2, hidden=3, causal=True, rotary=bl.RotaryPositions()), (3, 4), steps=True),
    LayerRow(bl.TransformerDecoderBlock(2, hidden=3), BOTH, mask=both),
    LayerRow(bl.TransformerDecoderBlock(1, hidden=3, norm="after", rotary=bl.RotaryPositions()), BOTH),
]  # fmt: skip
