"""Layer normalisation: each row, or time step, has mean 0 and variance 1 over its features."""

import math
from dataclasses import dataclass
from typing import ClassVar

from backlit import engine
from backlit.errors import BacklitError
from backlit.initializers import Constant, Initializer, Zeros
from backlit.layers.normalization.base import Normalization
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Count, Positive


@dataclass(frozen=True)
class LayerNorm(Normalization):
    """y = gamma x̂ + beta,   x̂ = (x - mean) slope,   slope = 1 / sqrt(variance + epsilon), over the last `axes` axes.

    Rows do not meet, so training and evaluation, and batches of any size, are the same. With u = gamma dL/dy
        dL/dx = slope (u - mean(u) - x̂ mean(u x̂)),   dL/dgamma = sum over rows of dL/dy x̂,   dL/dbeta = sum of dL/dy

    Shapes: x and y (..., *D), gamma and beta (*D) with `axes` axes. gamma=None or beta=None leaves it out.
    Errors: ShapeError for rows with fewer axes; BacklitError in `step` when the time axis is one of them.
    Source: Ba, Kiros, Hinton 2016, https://arxiv.org/abs/1607.06450. Derivation: docs/derivations/normalization.md
    Others: Keras' and Flax' epsilon is 1e-3 and 1e-6; ONNX counts `axis` from the first axis of x: rank - axes.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.LayerNorm()
    >>> _, params, state = layer.init(bl.random.key(0), (2,))
    >>> layer.forward(params, state, np.array([[1.0, 3.0], [10.0, 30.0]]), bl.Context())[0].round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("LayerNormalization",)
    epsilon: Positive = 1e-5
    gamma: Initializer | None = Constant(1.0)
    beta: Initializer | None = Zeros()
    axes: Count = 1

    def rank(self, shape: Shape) -> int:
        fits = len(shape) >= self.axes and math.prod(shape[-self.axes :]) >= 2
        text = f"LayerNorm with axes={self.axes} expected rows with at least 2 numbers along as many axes, got {shape}"
        need(fits, f"{text}; one number has no variance")
        return self.axes

    def mean(self, x: Array) -> Array:
        xp, lead = x.__array_namespace__(), x.shape[: x.ndim - self.axes]
        return xp.reshape(engine.of(x).row_mean(xp.reshape(x, (*lead, -1))), (*lead, *(1,) * self.axes))

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        if self.axes >= x.ndim - 1:
            text = f"LayerNorm with axes={self.axes} averages over all time steps, so it cannot go step by step"
            raise BacklitError(f"{text}; use axes={max(1, x.ndim - 2)}")
        return super().step(params, state, memory, x, ctx)
