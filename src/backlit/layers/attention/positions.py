"""Attention does not know the order of its steps: positions are added to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit.engine import random
from backlit.initializers import Initializer, Normal
from backlit.layers.activation import Activation
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, Positive


@dataclass(frozen=True)
class SinusoidalPositions(Activation):
    """y_t = x_t + P_t,   P_t,2i = sin(t / base^(2i/D)),   P_t,2i+1 = cos(t / base^(2i/D)); dL/dx = dL/dy.

    Nothing is learned, and no sequence is too long. P_t+k is a rotation of P_t by an angle that depends on k alone.

    Shapes: x and y (B, T, D), D even.
    Errors: ShapeError when rows are not a sequence of an even number of features.
    Source: Vaswani et al. 2017, section 3.5, https://arxiv.org/abs/1706.03762
    Others: tensor2tensor puts all sines before all cosines; many scale x by sqrt(D) before.

    >>> import numpy as np, backlit as bl
    >>> bl.SinusoidalPositions().forward({}, {}, np.zeros((1, 2, 2)), bl.Context())[0].round(2).tolist()
    [[[0.0, 1.0], [0.84, 0.54]]]
    """

    base: Positive = 10000.0

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = len(shape) == 2 and shape[-1] % 2 == 0
        need(fits, f"SinusoidalPositions expected rows (T, D) with D even, got {shape}")
        return shape, {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x + self._table(x, x.__array_namespace__().arange(x.shape[1])), state, ()

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy, {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return first()

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        at = position(memory, x)
        return x + self._table(x, at), {"at": at[0] + 1}

    def _table(self, x: Array, at: Array) -> Array:
        xp = x.__array_namespace__()
        turned = angles(at, x.shape[-1], self.base, x.dtype)  # (T, D/2)
        both = xp.stack([xp.sin(turned), xp.cos(turned)], axis=-1)  # (T, D/2, 2)
        return xp.reshape(both, (at.shape[0], x.shape[-1]))


@dataclass(frozen=True)
class LearnedPositions(Layer):
    """y_t = x_t + W_t, a learned row for each position.   dL/dW_t = sum over rows of dL/dy_t,   dL/dx = dL/dy.

    Shapes: x and y (B, T, D) with T at most `length`, W (length, D).
    Errors: ShapeError when rows are no sequence of features, or a longer one.
    Source: Gehring et al. 2017, https://arxiv.org/abs/1705.03122; Devlin et al. 2018, https://arxiv.org/abs/1810.04805

    >>> import numpy as np, backlit as bl
    >>> layer = bl.LearnedPositions(5)
    >>> shape, params, state = layer.init(bl.random.key(0), (3, 2))
    >>> y = layer.forward(params, state, np.zeros((1, 3, 2)), bl.Context())[0]
    >>> np.array_equal(y[0], params["W"][:3])
    True
    """

    length: Count
    W: Initializer = Normal(0.02)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) == 2, f"LearnedPositions expected rows (T, D), got {shape}")
        self._fits(shape[0])
        return shape, {"W": self.W.draw(random.fold(key, "W"), (self.length, shape[-1]))}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        self._fits(x.shape[1])
        return x + params["W"][: x.shape[1], :], state, ()  # (B, T, D) + (T, D)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, (_, steps, features) = dy.__array_namespace__(), dy.shape
        beyond = xp.zeros((self.length - steps, features), dtype=dy.dtype)
        return dy, {"W": xp.concat([xp.sum(dy, axis=0), beyond])}, {}  # (length, D)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        self._fits(length)
        return first()

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        at = position(memory, x)
        return x + x.__array_namespace__().take(params["W"], at, axis=0), {"at": at[0] + 1}

    def _fits(self, steps: int) -> None:
        text = f"LearnedPositions expected at most {self.length} steps, got {steps}; shorten them or raise `length`"
        need(steps <= self.length, text)


def angles(at: Array, features: int, base: float, dtype: Any) -> Array:
    """t / base^(2i/features) for the positions t in `at` (T,) and i = 0 .. features/2 - 1: (T, features/2)."""
    xp = at.__array_namespace__()
    speeds = xp.asarray([base ** (-2 * i / features) for i in range(features // 2)], dtype=dtype)
    return xp.astype(at, dtype)[:, None] * speeds


def first() -> Tree:
    """The memory of a layer that counts: the position of the next step."""
    return {"at": np.asarray(0, dtype=np.int32)}


def position(memory: Tree, x: Array) -> Array:
    """The position of this step, (1,), among the arrays of `x`."""
    xp = x.__array_namespace__()
    return xp.reshape(xp.asarray(memory["at"]), (1,))
