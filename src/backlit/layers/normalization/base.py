"""What the normalisations of a row share: a mean over some of its numbers, and all that follows from it."""

import math
from abc import abstractmethod
from typing import ClassVar, NamedTuple

from backlit import engine
from backlit.engine import random
from backlit.initializers import Initializer
from backlit.protocol import Array, Context, Layer, Shape, Tree


class Normal(NamedTuple):
    """What backward needs: x, its mean and 1 / sqrt(variance + epsilon), and how much each number counts."""

    x: Array
    mean: Array
    slope: Array
    share: Array | None


class Normalization(Layer):
    """Base: y = gamma x̂ + beta,   x̂ = (x - M x) slope,   slope = 1 / sqrt(M (x - M x)^2 + epsilon).

    M is the mean over a set of numbers of one row, in the place of each of them. With u = gamma dL/dy
        dL/dx = slope (u - M u - x̂ M(u x̂)),   dL/dgamma = sum dL/dy x̂,   dL/dbeta = sum dL/dy.
    Its fields stand in the final classes, in their order.
    """

    abstract: ClassVar[bool] = True
    epsilon: float
    gamma: Initializer | None
    beta: Initializer | None

    @abstractmethod
    def mean(self, x: Array) -> Array:
        """M x, with 1 for the axes over which it is the same."""

    @abstractmethod
    def rank(self, shape: Shape) -> int:
        """How many axes gamma and beta have, the last ones of a row; ShapeError when the layer cannot take such rows."""

    def share(self, mask: Array | None, x: Array) -> Array | None:
        """How much each number counts in M, as it is repeated to x; None when all count alike."""
        return None

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        size = tuple(shape[len(shape) - self.rank(shape) :])
        rules = {"gamma": self.gamma, "beta": self.beta}
        params = {name: rule.draw(random.fold(key, name), size) for name, rule in rules.items() if rule is not None}
        return shape, params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Normal]:
        share = self.share(ctx.mask, x)
        mean = self.mean(times(share, x))
        centred = x - mean  # as x
        variance = self.mean(times(share, centred * centred))
        slope = 1.0 / x.__array_namespace__().sqrt(variance + self.epsilon)
        y = times(params.get("gamma"), centred * slope)  # as x
        return y + params["beta"] if self.beta else y, state, Normal(x, mean, slope, share)

    def backward(self, params: Tree, cache: Normal, dy: Array) -> tuple[Array, Tree, Tree]:
        x, mean, slope, share = cache
        x_hat = (x - mean) * slope  # as x
        u = times(params.get("gamma"), dy)  # as x
        dx = slope * (u - times(share, self.mean(u) + x_hat * self.mean(u * x_hat)))
        grads = {"gamma": dy * x_hat, "beta": dy}
        return dx, {name: rows_sum(grads[name], params[name].shape) for name in params}, {}


def rows_sum(a: Array, shape: Shape) -> Array:
    """The sum over the leading axes that leaves `shape`."""
    xp = a.__array_namespace__()
    return xp.reshape(engine.of(a).column_sum(xp.reshape(a, (-1, math.prod(shape)))), shape)


def times(factor: Array | None, a: Array) -> Array:
    """a, or factor a."""
    return a if factor is None else factor * a
