"""Each word among its neighbours."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit.layers.reshape import Rearranging
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Count


class Windowed(NamedTuple):
    """x, of which only shape and dtype are used, and where it is real (B, T, 1), None for everywhere."""

    x: Array
    real: Array | None


@dataclass(frozen=True)
class WordWindow(Rearranging):
    """y_t = x_{t-size}, ..., x_t, ..., x_{t+size} side by side: a word is classified by its context.

    Beyond the ends, and where the mask says padding, stands `padding`: a token, or a number for vectors.
    x_t appears in 2 size + 1 windows:   dL/dx_t = sum over k of the part of dL/dy_{t-k} that x_t stands in.

    Shapes: x (B, T) tokens or (B, T, D) vectors, y (B, T, 2 size + 1) or (B, T, (2 size + 1) D).
    Errors: ShapeError for rows of other shapes; BacklitError step by step, because a window looks ahead.
    Source: Collobert et al. 2011, https://jmlr.org/papers/v12/collobert11a.html, section 3.3.1

    >>> import numpy as np, backlit as bl
    >>> bl.WordWindow(1).forward({}, {}, np.array([[4, 5, 6]]), bl.Context())[0].tolist()
    [[[0, 4, 5], [4, 5, 6], [5, 6, 0]]]
    """

    size: Count = 2
    padding: int = 0

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) in (1, 2), f"WordWindow expected rows of shape (T,) or (T, D), got {shape}")
        return (shape[0], (2 * self.size + 1) * (shape[1] if len(shape) == 2 else 1)), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        steps, width = x.shape[1], x.shape[2] if x.ndim == 3 else 1
        words = xp.reshape(x, (x.shape[0], steps, width))  # (B, T, D)
        real = None
        if ctx.mask is not None and ctx.mask.ndim == 2:
            real = (ctx.mask > 0)[:, :, None]  # (B, T, 1)
            words = xp.where(real, words, xp.full_like(words, self.padding))  # (B, T, D)
        end = xp.full((x.shape[0], self.size, width), self.padding, dtype=x.dtype)  # (B, size, D)
        wide = xp.concat([end, words, end], axis=1)  # (B, size + T + size, D)
        y = xp.concat([wide[:, k : k + steps, :] for k in range(2 * self.size + 1)], axis=2)
        return y, state, Windowed(x, real)  # y (B, T, (2 size + 1) D)

    def backward(self, params: Tree, cache: Windowed, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        x, real = cache
        steps, count = x.shape[1], 2 * self.size + 1
        width = dy.shape[2] // count
        if xp.isdtype(x.dtype, "integral"):
            return xp.zeros(x.shape, dtype=dy.dtype), {}, {}
        end = xp.zeros((x.shape[0], self.size, dy.shape[2]), dtype=dy.dtype)  # (B, size, count D)
        wide = xp.concat([end, dy, end], axis=1)  # (B, size + T + size, count D)
        # x_t is part k of the window of word t + size - k.
        first = range(2 * self.size, -1, -1)
        parts = [wide[:, t : t + steps, k * width : (k + 1) * width] for k, t in enumerate(first)]
        dx = sum(parts[1:], parts[0])  # (B, T, D)
        if real is not None:
            dx = xp.where(real, dx, xp.zeros_like(dx))
        return xp.reshape(dx, x.shape), {}, {}
