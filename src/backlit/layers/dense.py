"""The fully connected layer."""

from dataclasses import dataclass

from backlit import engine
from backlit.engine import random
from backlit.initializers import He, Initializer, Zeros
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count


@dataclass(frozen=True)
class Dense(Layer):
    """z = x W + b.

    With delta = dL/dz:   dL/dW = x^T delta,   dL/db = sum over rows of delta,   dL/dx = delta W^T.

    Shapes: x (..., I), W (I, units), b (units,), z (..., units). `b=None` leaves the bias out.
    Errors: ShapeError when rows have no axis.
    Source: Rumelhart, Hinton, Williams 1986, https://doi.org/10.1038/323533a0
    Others: torch keeps W transposed, (units, I).

    >>> import numpy as np, backlit as bl
    >>> layer = bl.Dense(3)
    >>> shape, params, state = layer.init(bl.random.key(0), (2,))
    >>> z, _, cache = layer.forward(params, state, np.ones((4, 2), "f"), bl.Context())
    >>> dx, grads, _ = layer.backward(params, cache, np.ones_like(z))
    >>> z.shape, dx.shape, grads["W"].shape, grads["b"].shape
    ((4, 3), (4, 2), (2, 3), (3,))
    """

    units: Count
    W: Initializer = He()
    b: Initializer | None = Zeros()

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(
            len(shape) >= 1, "Dense expected rows with at least one feature axis, got scalars; use Reshape((1,)) first"
        )
        params = {"W": self.W.draw(random.fold(key, "W"), (shape[-1], self.units))}
        if self.b is not None:
            params["b"] = self.b.draw(random.fold(key, "b"), (self.units,))
        return (*shape[:-1], self.units), params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        z = x @ params["W"]  # (..., I) @ (I, units) -> (..., units)
        if self.b is not None:
            z = z + params["b"]
        return z, state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        x = xp.reshape(cache, (-1, cache.shape[-1]))  # (rows, I)
        delta = xp.reshape(dy, (-1, self.units))  # (rows, units)
        grads = {"W": x.T @ delta}  # (I, rows) @ (rows, units) -> (I, units)
        if self.b is not None:
            # XLA would sum the rows of a sequence over its own axes, which is slower: column_sum keeps it from that.
            grads["b"] = xp.sum(delta, axis=0) if dy.ndim <= 2 else engine.of(dy).column_sum(delta)  # (units,)
        return dy @ params["W"].T, grads, {}  # (..., units) @ (units, I) -> (..., I)
