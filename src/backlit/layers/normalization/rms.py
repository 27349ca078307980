"""Root mean square normalisation: LayerNorm without its mean."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit import engine
from backlit.engine import random
from backlit.initializers import Constant, Initializer
from backlit.layers.normalization.base import rows_sum
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Positive


class Scaled(NamedTuple):
    """What backward needs: x and 1 / sqrt(mean square + epsilon)."""

    x: Array
    slope: Array


@dataclass(frozen=True)
class RMSNorm(Layer):
    """y = gamma x̂,   x̂ = x slope,   slope = 1 / sqrt(mean(x^2) + epsilon), over the last axis.

    Nothing is subtracted: one mean less to compute, and it trains as well. With u = gamma dL/dy
        dL/dx = slope (u - x̂ mean(u x̂)),   dL/dgamma = sum over rows of dL/dy x̂

    Shapes: x and y (..., D), gamma (D,). gamma=None leaves it out.
    Errors: ShapeError for rows without an axis.
    Source: Zhang, Sennrich 2019, https://arxiv.org/abs/1910.07467
    Others: Keras and Flax have the same epsilon, ONNX 1e-5, torch the smallest that its dtype can add to 1.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.RMSNorm()
    >>> _, params, state = layer.init(bl.random.key(0), (2,))
    >>> layer.forward(params, state, np.array([[1.0, 7.0]]), bl.Context())[0].round(3).tolist()  # rms 5
    [[0.2, 1.4]]
    """

    epsilon: Positive = 1e-6
    gamma: Initializer | None = Constant(1.0)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 1, "RMSNorm expected rows with a feature axis, got scalars; use Reshape((1,)) first")
        gamma = {} if self.gamma is None else {"gamma": self.gamma.draw(random.fold(key, "gamma"), (shape[-1],))}
        return shape, gamma, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Scaled]:
        square = engine.of(x).row_mean(x * x)  # (..., 1)
        slope = 1.0 / x.__array_namespace__().sqrt(square + self.epsilon)  # (..., 1)
        y = x * slope  # (..., D)
        return y if self.gamma is None else params["gamma"] * y, state, Scaled(x, slope)

    def backward(self, params: Tree, cache: Scaled, dy: Array) -> tuple[Array, Tree, Tree]:
        x_hat = cache.x * cache.slope  # (..., D)
        u = dy if self.gamma is None else params["gamma"] * dy  # (..., D)
        dx = cache.slope * (u - x_hat * engine.of(dy).row_mean(u * x_hat))
        return dx, {name: rows_sum(dy * x_hat, params[name].shape) for name in params}, {}
