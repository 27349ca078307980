"""Batch normalisation: each channel has mean 0 and variance 1 over the rows of a batch."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Interval

from backlit import engine
from backlit.engine import random
from backlit.errors import ShapeError
from backlit.initializers import Constant, Initializer, Zeros
from backlit.layers.normalization.base import rows_sum
from backlit.layers.normalization.shares import share_of_rows
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Positive


class Batch(NamedTuple):
    """What backward needs after a pass that used the statistics of its own batch."""

    x: Array
    mean: Array
    variance: Array
    share: Array | None


class Running(NamedTuple):
    """What backward needs after a pass that used the running statistics: constants."""

    x: Array
    mean: Array
    variance: Array


@dataclass(frozen=True)
class BatchNorm(Layer):
    """y = gamma x̂ + beta,   x̂ = (x - mean) / sqrt(variance + epsilon), one mean and variance a channel (the last axis).

    While training they are those of the batch, over all axes but the last, and
    running = momentum running + (1 - momentum) batch; in evaluation the running ones serve. With delta = dL/dy, sums over
    the n rows (and places), and s = gamma / sqrt(variance + epsilon):
        dL/dgamma = sum delta x̂,   dL/dbeta = sum delta
        training     dL/dx = s (delta - dL/dbeta / n - x̂ dL/dgamma / n)
        evaluation   dL/dx = s delta

    With Context.mask padded rows and steps do not count in mean and variance; they are normalised like the others.
    On several devices the statistics are those of the whole batch. A bias before this layer has no effect: b=None.
    Shapes: x and y (B, ..., C), gamma, beta and the state `mean`, `variance` (C,). gamma=None or beta=None leaves it out.
    Errors: ShapeError for rows without a channel axis, and for a training batch with one value a channel.
    Source: Ioffe, Szegedy 2015, https://arxiv.org/abs/1502.03167. Derivation: docs/derivations/normalization.md
    Others: torch's momentum is 1 - momentum. The running variance is the mean square, as in Keras, Flax and ONNX; torch and
    the paper multiply it by n / (n - 1).

    >>> import numpy as np, backlit as bl
    >>> layer = bl.BatchNorm()
    >>> _, params, state = layer.init(bl.random.key(0), (2,))
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> y, state, _ = layer.forward(params, state, x, bl.Context(train=True))
    >>> y.round(3).tolist(), state["mean"].round(3).tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [0.2, 2.0])
    """

    aliases: ClassVar[tuple[str, ...]] = ("BatchNormalization", "BatchNorm1D", "BatchNorm2D", "BatchNorm3D")
    momentum: Annotated[float, Interval(ge=0, le=1)] = 0.9
    epsilon: Positive = 1e-5
    gamma: Initializer | None = Constant(1.0)
    beta: Initializer | None = Zeros()

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 1, "BatchNorm expected rows with a channel axis, got scalars; use Reshape((1,)) first")
        xp, size = key.__array_namespace__(), (shape[-1],)
        rules = {"gamma": self.gamma, "beta": self.beta}
        params = {name: rule.draw(random.fold(key, name), size) for name, rule in rules.items() if rule is not None}
        state = {"mean": xp.zeros(size, dtype=xp.float32), "variance": xp.ones(size, dtype=xp.float32)}
        return shape, params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        if not ctx.train:
            return self._by_running(params, state, x)
        n = math.prod(x.shape[:-1])
        if n < 2:
            text = f"BatchNorm expected at least 2 rows while training, got x of shape {tuple(x.shape)}"
            raise ShapeError(f"{text}: one value a channel has no variance; use LayerNorm or a larger batch")
        gamma, beta = self._affine(params, x)
        share = share_of_rows(ctx.mask, x)
        y, mean, variance = engine.of(x).batch_norm(x, gamma, beta, share, self.epsilon)  # (..., C), (C,), (C,)
        seen, m = {"mean": mean, "variance": variance}, self.momentum
        return y, {name: m * state[name] + (1.0 - m) * seen[name] for name in state}, Batch(x, mean, variance, share)

    def _by_running(self, params: Tree, state: Tree, x: Array) -> tuple[Array, Tree, Running]:
        gamma, beta = self._affine(params, x)
        xp, mean, variance = x.__array_namespace__(), state["mean"], state["variance"]
        y = (x - mean) * (gamma / xp.sqrt(variance + self.epsilon)) + beta  # (..., C)
        return y, state, Running(x, mean, variance)

    def backward(self, params: Tree, cache: Batch | Running, dy: Array) -> tuple[Array, Tree, Tree]:
        gamma, _ = self._affine(params, dy)
        match cache:
            case Batch(x, mean, variance, share):
                back = engine.of(dy).batch_norm_backward
                dx, dgamma, dbeta = back(x, mean, variance, gamma, share, dy, self.epsilon)  # (..., C), (C,), (C,)
            case Running(x, mean, variance):
                slope = 1.0 / dy.__array_namespace__().sqrt(variance + self.epsilon)  # (C,)
                dgamma, dbeta = rows_sum(dy * ((x - mean) * slope), mean.shape), rows_sum(dy, mean.shape)  # (C,)
                dx = dy * (gamma * slope)  # (..., C)
        grads = {"gamma": dgamma, "beta": dbeta}
        return dx, {name: grads[name] for name in params}, {}

    def _affine(self, params: Tree, x: Array) -> tuple[Array, Array]:
        """gamma and beta; 1 and 0 where they are left out."""
        xp, size = x.__array_namespace__(), (x.shape[-1],)
        gamma = params["gamma"] if self.gamma else xp.ones(size, dtype=x.dtype)
        return gamma, params["beta"] if self.beta else xp.zeros(size, dtype=x.dtype)
