"""x weighted by what a net thinks of it."""

from dataclasses import dataclass
from functools import cache

from backlit.layers.activation import ReLU, Sigmoid
from backlit.layers.compose import (
    Composite,
    Named,
    backward_in_order,
    forward_in_order,
    init_in_order,
    step_in_order,
)
from backlit.layers.dense import Dense
from backlit.layers.global_pooling import GlobalAveragePool
from backlit.layers.route import WHOLE
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count


@dataclass(frozen=True, init=False)
class Gate(Composite):
    """y = x s with s = f(x), several layers chained.

    x has a part in both factors:   dL/ds = x dy, summed over the axes along which s was repeated,
    dL/dx = s dy + f.backward(dL/ds).

    Shapes: x and y (B, ..., C), s as x, or (B, C) for all places of a row, or with 1 for any axis.
    Errors: ShapeError when s does not fit x.

    >>> import backlit as bl
    >>> bl.Gate(bl.Dense(1), bl.Sigmoid()).init(bl.random.key(0), (4, 3))[0]  # a weight for each step
    (4, 3)
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        out, params, state = init_in_order(self.layers, key, shape)
        fits = 0 < len(out) <= len(shape) and all(a in (1, b) for a, b in zip(out[::-1], shape[::-1], strict=False))
        need(fits and bool(self.layers), f"Gate multiplies its input, expected layers that give {shape}, got {out}")
        return shape, params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        s, after, inside = forward_in_order(self.layers, params, state, x, ctx)
        return x * wide(s, x), after, {**inside, WHOLE: x}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        x, s = cache[WHOLE], cache[self.layers[-1][0]].here
        dx, grads, deltas = backward_in_order(self.layers, params, cache, narrow(x * dy, s))
        return wide(s, x) * dy + dx, grads, deltas

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        s, memory = step_in_order(self.layers, params, state, memory, x, ctx)
        return x * wide(s, x), memory


@dataclass(frozen=True)
class SqueezeExcite(Layer):
    """y = x s: each channel times a number in (0, 1) that depends on all channels of the row.

    s = sigmoid(W_2 relu(W_1 q + b_1) + b_2), q the mean of x over all places (B, C): a Gate. The hidden layer has C / ratio
    units, at least one.

    Shapes: x and y (B, ..., C); squeeze.W (C, C / ratio), excite.W (C / ratio, C), and their b.
    Errors: ShapeError for rows that pooling does not take.
    Source: Hu et al. 2018, https://arxiv.org/abs/1709.01507

    >>> import backlit as bl
    >>> shape, params, _ = bl.SqueezeExcite(ratio=4).init(bl.random.key(0), (6, 6, 8))
    >>> shape, params["squeeze"]["W"].shape
    ((6, 6, 8), (8, 2))
    """

    ratio: Count = 16

    def children(self) -> Named:
        return excitation(self.ratio, self.ratio).layers  # only x tells the channels: here one hidden unit

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return excitation(shape[-1], self.ratio).init(key, shape)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return excitation(x.shape[-1], self.ratio).forward(params, state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return excitation(dy.shape[-1], self.ratio).backward(params, cache, dy)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return excitation(self.ratio, self.ratio).memory(params, rows, length)


@cache
def excitation(channels: int, ratio: int) -> Gate:
    """The gate over `channels` channels."""
    hidden = max(1, channels // ratio)
    return Gate(pool=GlobalAveragePool(), squeeze=Dense(hidden), relu=ReLU(), excite=Dense(channels), sigmoid=Sigmoid())


def wide(s: Array, x: Array) -> Array:
    """s (B, C) as (B, 1, ..., C), which multiplies x (B, ..., C)."""
    ones = [1] * (x.ndim - s.ndim)
    return s.__array_namespace__().reshape(s, (s.shape[0], *ones, *s.shape[1:]))


def narrow(a: Array, s: Array) -> Array:
    """`a` summed over the axes along which s was repeated, shaped like s."""
    xp = a.__array_namespace__()
    repeated = tuple(i for i, n in enumerate(wide(s, a).shape) if n == 1 and i > 0)
    return xp.reshape(xp.sum(a, axis=repeated), s.shape) if repeated else a
