"""Activations: each a function of one number, its slope below it; softmax, a function of a row, with its Jacobian.

An activation is a layer of its own, so the error signal at its input is delta = dL/da * f'(z): always differentiate
at the pre-activation z. Where the slope can be told from the output alone, the output is what the cache keeps.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from backlit import engine
from backlit.protocol import Array, Context, Layer, Shape, Tree
from backlit.settings import NonNegative


@dataclass(frozen=True)
class Activation(Layer):
    """Base of layers that keep the shape and have no parameters."""

    abstract: ClassVar[bool] = True

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return shape, {}, {}


@dataclass(frozen=True)
class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)),   da/dz = a (1 - a) <= 1/4: deep stacks of it make the gradient vanish.

    Computed as (1 + tanh(z/2)) / 2, which overflows for no z. Also: logistic.

    >>> import numpy as np, backlit as bl
    >>> bl.Sigmoid().forward({}, {}, np.array([0.0]), bl.Context())[0].tolist()
    [0.5]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Logistic",)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = 0.5 * (1.0 + x.__array_namespace__().tanh(0.5 * x))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy * cache * (1.0 - cache), {}, {}


@dataclass(frozen=True)
class Tanh(Activation):
    """a = tanh(z),   da/dz = 1 - a^2.

    >>> import numpy as np, backlit as bl
    >>> bl.Tanh().forward({}, {}, np.array([0.0]), bl.Context())[0].tolist()
    [0.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = x.__array_namespace__().tanh(x)
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy * (1.0 - cache * cache), {}, {}


@dataclass(frozen=True)
class HardTanh(Activation):
    """a = min(1, max(-1, z)),   da/dz = 1 inside (-1, 1), 0 outside and at the two kinks.

    >>> import numpy as np, backlit as bl
    >>> bl.HardTanh().forward({}, {}, np.array([-3.0, 0.5]), bl.Context())[0].tolist()
    [-1.0, 0.5]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = x.__array_namespace__().clip(x, -1.0, 1.0)
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where(xp.abs(cache) < 1.0, dy, xp.zeros_like(dy)), {}, {}


@dataclass(frozen=True)
class SoftSign(Activation):
    """a = z / (1 + |z|),   da/dz = 1 / (1 + |z|)^2 = (1 - |a|)^2: a tanh with slower tails.

    >>> import numpy as np, backlit as bl
    >>> bl.SoftSign().forward({}, {}, np.array([1.0]), bl.Context())[0].tolist()
    [0.5]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = x / (1.0 + x.__array_namespace__().abs(x))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        slope = 1.0 - dy.__array_namespace__().abs(cache)
        return dy * slope * slope, {}, {}


@dataclass(frozen=True)
class ReLU(Activation):
    """a = max(0, z),   da/dz = 1 where z > 0, else 0 (also at the kink z = 0).

    Source: Nair, Hinton 2010, https://www.cs.toronto.edu/~hinton/absps/reluICML.pdf

    >>> import numpy as np, backlit as bl
    >>> bl.ReLU().forward({}, {}, np.array([-1.0, 2.0]), bl.Context())[0].tolist()
    [0.0, 2.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        a = xp.maximum(x, xp.zeros_like(x))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where(cache > 0, dy, xp.zeros_like(dy)), {}, {}


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """a = z where z > 0, else slope z;   da/dz = 1 or slope: a unit that is off still learns.

    Source: Maas, Hannun, Ng 2013. Others: torch's default slope is 0.01, Keras' 0.3.

    >>> import numpy as np, backlit as bl
    >>> bl.LeakyReLU(0.1).forward({}, {}, np.array([-1.0, 2.0]), bl.Context())[0].tolist()
    [-0.1, 2.0]
    """

    slope: NonNegative = 0.01

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x.__array_namespace__().where(x > 0, x, self.slope * x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy.__array_namespace__().where(cache > 0, dy, self.slope * dy), {}, {}


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
        # exp only of what is negative: the branch that is not taken must not overflow.
        a = xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, xp.zeros_like(x))))
        return a, state, (x, a)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        x, a = cache
        return dy.__array_namespace__().where(x > 0, dy, dy * (a + self.alpha)), {}, {}


@dataclass(frozen=True)
class GELU(Activation):
    """a = z Phi(z), Phi the standard normal distribution function;   da/dz = Phi(z) + z phi(z).

    form="tanh" replaces Phi(z) by (1 + tanh(u)) / 2 with u = sqrt(2/pi) (z + 0.044715 z^3), as GPT-2 does.
    Source: Hendrycks, Gimpel 2016, https://arxiv.org/abs/1606.08415. Others: JAX's default is the tanh form.

    >>> import numpy as np, backlit as bl
    >>> bl.GELU().forward({}, {}, np.array([0.0]), bl.Context())[0].tolist()
    [0.0]
    """

    form: Literal["exact", "tanh"] = "exact"

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x * self._phi(x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, x = dy.__array_namespace__(), cache
        if self.form == "exact":
            density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
            return dy * (self._phi(x) + x * density), {}, {}
        t = 2.0 * self._phi(x) - 1.0
        du = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * x * x)
        return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du), {}, {}

    def _phi(self, x: Array) -> Array:
        if self.form == "exact":
            return 0.5 * (1.0 + engine.of(x).erf(x / math.sqrt(2)))
        u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * (1.0 + x.__array_namespace__().tanh(u))


@dataclass(frozen=True)
class SiLU(Activation):
    """a = z s(z) with s the sigmoid;   da/dz = s + z s (1 - s). Also: Swish.

    Source: Elfwing, Uchibe, Doya 2017, https://arxiv.org/abs/1702.03118

    >>> import numpy as np, backlit as bl
    >>> bl.SiLU().forward({}, {}, np.array([0.0]), bl.Context())[0].tolist()
    [0.0]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Swish",)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        s = 0.5 * (1.0 + x.__array_namespace__().tanh(0.5 * x))
        return x * s, state, (x, s)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        x, s = cache
        return dy * s * (1.0 + x * (1.0 - s)), {}, {}


@dataclass(frozen=True)
class Softplus(Activation):
    """a = ln(1 + exp(z)),   da/dz = sigmoid(z). Computed as max(z, 0) + log1p(exp(-|z|)), which overflows for no z.

    >>> import numpy as np, backlit as bl
    >>> bl.Softplus().forward({}, {}, np.array([1000.0]), bl.Context())[0].tolist()
    [1000.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x))), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy * 0.5 * (1.0 + dy.__array_namespace__().tanh(0.5 * cache)), {}, {}


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
