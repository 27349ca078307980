"""Activations whose values stay within an interval."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.layers.activation.base import Activation, sigmoid
from backlit.protocol import Array, Context, Tree
from backlit.settings import Positive


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
        a = sigmoid(x)
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
class HardSigmoid(Activation):
    """a = min(1, max(0, slope z + offset)),   da/dz = slope where 0 < a < 1, else 0 (also at the two kinks).

    A sigmoid without exp. Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244 (slope 1/6, as torch and Keras 3)
    Others: ONNX' default slope is 0.2, that of Courbariaux et al. 2015, https://arxiv.org/abs/1511.00363, is 1/2.

    >>> import numpy as np, backlit as bl
    >>> bl.HardSigmoid().forward({}, {}, np.array([-3.0, 0.0, 4.0]), bl.Context())[0].tolist()
    [0.0, 0.5, 1.0]
    """

    slope: Positive = 1 / 6
    offset: float = 0.5

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = x.__array_namespace__().clip(self.slope * x + self.offset, 0.0, 1.0)
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where((cache > 0) & (cache < 1), self.slope * dy, xp.zeros_like(dy)), {}, {}


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
