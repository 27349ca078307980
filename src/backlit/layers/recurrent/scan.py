"""A cell of your own, run over time."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from backlit import engine
from backlit.engine import tree
from backlit.errors import ShapeError
from backlit.layers.recurrent.steps import real_steps, swapped, where, zeroed
from backlit.protocol import Array, Context, Layer, Shape, Tree, need


@dataclass(frozen=True)
class Cell(Layer):
    """Base of a cell, a layer on pairs: what comes in at this step, and the state h, an array or a tree of them.

        init    (key, shape)                    -> shape of y_t, params, state     shape is that of x_t alone
        start   (params, rows)                  -> h_0
        forward (params, state, (x_t, h), ctx)  -> (y_t, h'), state, cache         x_t (B, ...)
        backward(params, cache, (dy_t, dh'))    -> (dx_t, dh), grads, deltas       of this one step

    `Scan` runs it over a sequence and backwards through it.
    """

    abstract: ClassVar[bool] = True

    @abstractmethod
    def start(self, params: Tree, rows: int) -> Tree:
        """The state before the first step, for `rows` sequences; no gradient flows into it."""


@dataclass(frozen=True)
class Scan(Layer):
    """(y_t, h_t) = cell(x_t, h_{t-1}) for t = 1 .. T; y holds all y_t.

    Backwards from t = T:  (dL/dx_t, dL/dh_{t-1}) = cell.backward(dL/dy_t, dL/dh_t), its gradients summed over time.

    At a padded step (Context.mask) h stays as it was and y_t is 0; the cell's own Context.mask says which rows are real.
    A cell that draws, draws anew at every step. LSTM, GRU and RNN are faster than the same as a cell: they form the
    product with x before the loop and all gradients of parameters after it.

    Shapes: x (B, T, ...), y (B, T, ...).
    Errors: ShapeError when a row has no time axis, for T = 0, and for a mask of another shape.
    Others: keras.layers.RNN(cell), flax.linen.RNN, jax.lax.scan

    A leaky integrator, y_t = h_t = a h_{t-1} + (1 - a) x_t:

    >>> import numpy as np, backlit as bl
    >>> __name__ = "example"  # the module of the class below
    >>> class Leaky(bl.Cell):
    ...     def init(self, key, shape):
    ...         return shape, {"a": np.full(shape, 0.5, "f")}, {}
    ...     def start(self, params, rows):
    ...         a = params["a"]
    ...         return a.__array_namespace__().zeros((rows, *a.shape), dtype=a.dtype)
    ...     def forward(self, params, state, x, ctx):
    ...         (x, h), a = x, params["a"]
    ...         y = a * h + (1 - a) * x
    ...         return (y, y), state, h - x
    ...     def backward(self, params, cache, dy):
    ...         a, d = params["a"], dy[0] + dy[1]
    ...         return ((1 - a) * d, a * d), {"a": d.__array_namespace__().sum(d * cache, axis=0)}, {}
    >>> layer, ones = bl.Scan(Leaky()), np.ones((1, 3, 1), "f")
    >>> _, params, state = layer.init(bl.random.key(0), (3, 1))
    >>> layer.forward(params, state, ones, bl.Context())[0].ravel().tolist()
    [0.5, 0.75, 0.875]
    >>> bl.check_gradients(layer, bl.SquaredError(), ones, np.zeros((1, 3, 1))).passed
    True
    """

    cell: Cell

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = isinstance(shape, tuple) and len(shape) >= 1 and isinstance(shape[0], int) and shape[0] >= 1
        need(fits, f"Scan expected rows (T, ...), a sequence of T >= 1 steps, got {shape}")
        try:
            out, params, state = self.cell.init(key, shape[1:])
        except ShapeError as error:
            raise error.under("cell") from None
        return (shape[0], *out), params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        real = real_steps(ctx, x, "Scan")  # (T, B)
        mask = None if real is None else ctx.mask.T

        def step(carry: tuple[Tree, Tree], now: tuple[Any, ...]) -> tuple[tuple[Tree, Tree], tuple[Array, Tree]]:
            (h, state), (x, real, mask, t) = carry, now
            own = ctx.at(t) if mask is None else replace(ctx.at(t), mask=mask)
            (y, after), state, cache = self.cell.forward(params, state, (x, h), own)
            return (where(real, after, h), state), (y, cache)

        start = (self.cell.start(params, x.shape[0]), state)
        times = xp.arange(x.shape[1])
        (_, state), (y, cache) = engine.of(x).scan(step, start, (zeroed(real, swapped(x)), real, mask, times))
        return swapped(zeroed(real, y)), state, (real, cache)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, (real, cache) = dy.__array_namespace__(), cache

        def step(carry: tuple[Tree, Tree], now: tuple[Any, ...]) -> tuple[tuple[Tree, Tree], Array]:
            (dh, grads), (dy, real, cache) = carry, now
            zeros = tree.map(xp.zeros_like, dh)
            (dx, earlier), more, _ = self.cell.backward(params, cache, (dy, where(real, dh, zeros)))
            if real is not None:
                earlier = tree.map(lambda a, b: a + b, earlier, where(real, zeros, dh))
            return (earlier, tree.map(lambda a, b: a + b, grads, more)), dx

        start = tree.map(xp.zeros_like, (self.cell.start(params, dy.shape[0]), params))
        xs = (zeroed(real, swapped(dy)), real, cache)
        (_, grads), dx = engine.of(dy).scan(step, start, xs, reverse=True)
        return swapped(dx), grads, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return self.cell.start(params, rows)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        (y, memory), _, _ = self.cell.forward(params, state, (x[:, 0, ...], memory), ctx)
        return y[:, None, ...], memory
