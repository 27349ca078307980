"""Activations of a whole row of channels."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from backlit.layers.activation.base import Activation
from backlit.protocol import Array, Context, Layer, Shape, Tree, need


@dataclass(frozen=True)
class Softmax(Activation):
    """a_i = exp(z_i) / sum_j exp(z_j) along the last axis: a distribution over K classes.

    Its Jacobian is da_i/dz_j = a_i (1[i=j] - a_j), so dL/dz = a (dy - sum_j dy_j a_j).
    For training use SoftmaxCrossEntropy on the logits instead: softmax before a loss on logits applies it twice.

    >>> import numpy as np, backlit as bl
    >>> bl.Softmax().forward({}, {}, np.array([[1.0, 1.0]]), bl.Context())[0].tolist()
    [[0.5, 0.5]]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))  # (..., K); the largest exponent is 0
        a = e / xp.sum(e, axis=-1, keepdims=True)  # (..., K)
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        mean = xp.sum(dy * cache, axis=-1, keepdims=True)  # (..., 1): dy averaged under a
        return cache * (dy - mean), {}, {}


@dataclass(frozen=True)
class LogSoftmax(Activation):
    """a_i = z_i - ln sum_j exp(z_j) along the last axis: the logarithms of a distribution over K classes.

    Its Jacobian is da_i/dz_j = 1[i=j] - p_j with p = exp(a), so dL/dz = dy - p sum_i dy_i.
    Its loss is NegativeLogLikelihood; the two together are SoftmaxCrossEntropy.

    >>> import numpy as np, backlit as bl
    >>> bl.LogSoftmax().forward({}, {}, np.array([[0.0, -1000.0]]), bl.Context())[0].tolist()
    [[0.0, -1000.0]]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        shifted = x - xp.max(x, axis=-1, keepdims=True)  # (..., K); the largest is 0
        a = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))  # (..., K)
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return dy - xp.exp(cache) * xp.sum(dy, axis=-1, keepdims=True), {}, {}


@dataclass(frozen=True)
class Maxout(Layer):
    """a_u = the largest of `pieces` neighbouring channels z_{u,1} .. z_{u,pieces}: a learned convex function of x.

    dL/dz = dL/da at the largest (of equal ones the first), else 0. After Dense(units * pieces) or a convolution.

    Shapes: x (..., U pieces), a (..., U).
    Errors: ShapeError when the channels do not divide into groups of `pieces`.
    Source: Goodfellow et al. 2013, https://arxiv.org/abs/1302.4389

    >>> import numpy as np, backlit as bl
    >>> bl.Maxout(2).forward({}, {}, np.array([[1.0, 3.0, 5.0, 4.0]]), bl.Context())[0].tolist()
    [[3.0, 5.0]]
    """

    pieces: Annotated[int, Ge(2)] = 2

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = len(shape) >= 1 and shape[-1] % self.pieces == 0
        need(fits, f"Maxout expected rows whose channels divide into groups of {self.pieces}, got the shape {shape}")
        return (*shape[:-1], shape[-1] // self.pieces), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        groups = xp.reshape(x, (*x.shape[:-1], x.shape[-1] // self.pieces, self.pieces))  # (..., U, pieces)
        return xp.max(groups, axis=-1), state, xp.argmax(groups, axis=-1)  # (..., U) both

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        won = xp.expand_dims(cache, axis=-1) == xp.arange(self.pieces, dtype=cache.dtype)  # (..., U, pieces)
        dz = xp.where(won, xp.expand_dims(dy, axis=-1), xp.zeros_like(won, dtype=dy.dtype))  # (..., U, pieces)
        return xp.reshape(dz, (*dy.shape[:-1], dy.shape[-1] * self.pieces)), {}, {}
