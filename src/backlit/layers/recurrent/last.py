"""The end of a sequence."""

from dataclasses import dataclass

from backlit.layers.recurrent.steps import real_steps, spread
from backlit.protocol import Array, Context, Layer, Shape, Tree, need


@dataclass(frozen=True)
class LastStep(Layer):
    """y = x_t at the last real step t of each sequence; 0 for a sequence without real steps.

    dL/dx_t = dL/dy at that step, 0 at all others.
    Step by step (`step`), y is the step itself: the last so far.
    Shapes: x (B, T, ...), y (B, ...).
    Errors: ShapeError when a row has no time axis, for T = 0, and for a mask of another shape.

    >>> import numpy as np, backlit as bl
    >>> x, mask = np.array([[[1.0], [2.0], [3.0]]]), np.array([[1.0, 1.0, 0.0]])
    >>> bl.LastStep().forward({}, {}, x, bl.Context(mask=mask))[0].tolist()
    [[2.0]]
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = len(shape) >= 1 and shape[0] >= 1
        need(fits, f"LastStep expected rows (T, ...), a sequence of T >= 1 steps, got {tuple(shape)}")
        return shape[1:], {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Array]:
        xp, real = x.__array_namespace__(), real_steps(ctx, x, "LastStep")
        number = xp.arange(x.shape[1])[None, :] + 1  # (1, T)
        if real is None:
            return x[:, -1, ...], state, number == x.shape[1]
        last = xp.max(xp.where(real.T, number, xp.zeros_like(number)), axis=1, keepdims=True)  # (B, 1), 0 for none
        chosen = number == last  # (B, T)
        return xp.sum(xp.where(spread(chosen, x), x, xp.zeros_like(x)), axis=1, dtype=x.dtype), state, chosen

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, rest = dy.__array_namespace__(), dy.shape[1:]
        dy = xp.broadcast_to(dy[:, None, ...], (dy.shape[0], cache.shape[1], *rest))  # (B, T, ...)
        return xp.where(spread(cache, dy), dy, xp.zeros_like(dy)), {}, {}
