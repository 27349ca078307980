"""Images and sequences made larger."""

from dataclasses import dataclass

from backlit.layers.reshape import Rearranging
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Count


@dataclass(frozen=True)
class UpSample(Rearranging):
    """Every step or pixel `factor` times along each axis but the channels;   dL/dx sums over the copies of dL/dy.

    Shapes: x (B, T, C), (B, H, W, C) or (B, D, H, W, C), each of T, D, H, W becomes `factor` times as long.
    Errors: ShapeError for rows without such an axis; BacklitError step by step.
    Others: this is the nearest-neighbour form; torch and Keras also have smooth ones.

    >>> import numpy as np, backlit as bl
    >>> bl.UpSample(2).forward({}, {}, np.array([[[1.0], [2.0]]]), bl.Context())[0].tolist()
    [[[1.0], [1.0], [2.0], [2.0]]]
    """

    factor: Count = 2

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 2, f"UpSample expected rows such as (T, C) or (H, W, C), got {shape}")
        return (*(n * self.factor for n in shape[:-1]), shape[-1]), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        rows, *sizes, channels = x.shape
        thin = [n for size in sizes for n in (size, 1)]
        wide = [n for size in sizes for n in (size, self.factor)]
        copies = xp.broadcast_to(xp.reshape(x, (rows, *thin, channels)), (rows, *wide, channels))
        return xp.reshape(copies, (rows, *(n * self.factor for n in sizes), channels)), state, {}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        rows, *sizes, channels = dy.shape
        wide = [n for size in sizes for n in (size // self.factor, self.factor)]
        copies = xp.reshape(dy, (rows, *wide, channels))  # (B, H, factor, W, factor, C)
        return xp.sum(copies, axis=tuple(range(2, copies.ndim, 2))), {}, {}
