"""Activations with an exponential on the side of the negative numbers."""

from dataclasses import dataclass

from backlit.layers.activation.base import Activation, negative, sigmoid, softplus
from backlit.protocol import Array, Context, Tree
from backlit.settings import NonNegative, Positive


@dataclass(frozen=True)
class ELU(Activation):
    """a = z where z > 0, else alpha (exp(z) - 1);   da/dz = 1, or a + alpha.

    Source: Clevert, Unterthiner, Hochreiter 2016, https://arxiv.org/abs/1511.07289

    >>> import numpy as np, backlit as bl
    >>> bl.ELU().forward({}, {}, np.array([2.0]), bl.Context())[0].tolist()
    [2.0]
    """

    alpha: NonNegative = 1.0

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        a = xp.where(x > 0, x, self.alpha * xp.expm1(negative(x)))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy.__array_namespace__().where(cache > 0, dy, dy * (cache + self.alpha)), {}, {}


@dataclass(frozen=True)
class SELU(Activation):
    """a = scale z where z > 0, else scale alpha (exp(z) - 1);   da/dz = scale, or a + scale alpha.

    With these two constants a deep stack of Dense(W="LeCun") and SELU keeps mean 0 and variance 1 by itself.
    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515

    >>> import numpy as np, backlit as bl
    >>> bl.SELU().forward({}, {}, np.array([1.0]), bl.Context())[0].round(4).tolist()
    [1.0507]
    """

    alpha: NonNegative = 1.6732632423543772
    scale: Positive = 1.0507009873554805

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        a = xp.where(x > 0, self.scale * x, self.scale * self.alpha * xp.expm1(negative(x)))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where(cache > 0, self.scale * dy, dy * (cache + self.scale * self.alpha)), {}, {}


@dataclass(frozen=True)
class CELU(Activation):
    """a = z where z > 0, else alpha (exp(z / alpha) - 1);   da/dz = 1, or a / alpha + 1: no kink for any alpha.

    Source: Barron 2017, https://arxiv.org/abs/1704.07483

    >>> import numpy as np, backlit as bl
    >>> bl.CELU(0.5).forward({}, {}, np.array([-100.0, 2.0]), bl.Context())[0].tolist()
    [-0.5, 2.0]
    """

    alpha: Positive = 1.0

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        a = xp.where(x > 0, x, self.alpha * xp.expm1(negative(x) / self.alpha))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy.__array_namespace__().where(cache > 0, dy, dy * (cache / self.alpha + 1.0)), {}, {}


@dataclass(frozen=True)
class Softplus(Activation):
    """a = ln(1 + exp(z)),   da/dz = sigmoid(z). Computed as max(z, 0) + log1p(exp(-|z|)), which overflows for no z.

    >>> import numpy as np, backlit as bl
    >>> bl.Softplus().forward({}, {}, np.array([1000.0]), bl.Context())[0].tolist()
    [1000.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return softplus(x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy * sigmoid(cache), {}, {}


@dataclass(frozen=True)
class LogSigmoid(Activation):
    """a = ln sigmoid(z) = -ln(1 + exp(-z)),   da/dz = 1 - sigmoid(z) = sigmoid(-z).

    For training use BinaryCrossEntropy on the logits instead.

    >>> import numpy as np, backlit as bl
    >>> bl.LogSigmoid().forward({}, {}, np.array([-1000.0]), bl.Context())[0].tolist()
    [-1000.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return -softplus(-x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy * sigmoid(-cache), {}, {}
