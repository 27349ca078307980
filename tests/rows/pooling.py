"""Rows of the pools."""

import numpy as np

import backlit as bl
from rows.base import B, LayerRow, lengths


def apart(*shape: int):
    """Different numbers, at least 0.05 from each other: no two are the maximum together."""

    def draw(rng: np.random.Generator):
        size = int(np.prod(shape))
        return (rng.permutation(size) / size * 0.1 * size).reshape(shape) - 0.04 * size

    return draw


LAYERS = [
    LayerRow(bl.MaxPool(), (4, 5, 3), x=apart(B, 4, 5, 3)),
    LayerRow(bl.MaxPool(3, stride=2, padding="same"), (5, 4, 2), x=apart(B, 5, 4, 2)),
    LayerRow(bl.MaxPool((1, 2, 2), 1, ((0, 0), (1, 0), (0, 1)), dilation=2), (2, 4, 3, 2), x=apart(B, 2, 4, 3, 2)),
    LayerRow(bl.MaxPool(2, 3, ceil=True), (6, 2), x=apart(B, 6, 2)),
    LayerRow(bl.AveragePool(), (4, 6, 3)),
    LayerRow(bl.AveragePool((3, 2), 1, padding=1, count_padding=True), (5, 4, 2)),
    LayerRow(bl.AveragePool((1, 2, 3), (1, 2, 1), "same", ceil=True), (2, 5, 3, 2)),
    LayerRow(bl.GlobalAveragePool(), (3, 4, 2)),
    LayerRow(bl.GlobalAveragePool(), (5, 3), mask=lengths(5, 2, 0, longest=5), note="masked"),
    LayerRow(bl.GlobalMaxPool(), (3, 4, 2), x=apart(B, 3, 4, 2)),
    LayerRow(bl.GlobalMaxPool(), (5, 3), x=apart(B, 5, 3), mask=lengths(5, 2, 0, longest=5), note="masked"),
    LayerRow(bl.AdaptiveAveragePool((2, 3)), (5, 4, 2)),
    LayerRow(bl.AdaptiveAveragePool(5), (3, 2), note="larger"),
]
