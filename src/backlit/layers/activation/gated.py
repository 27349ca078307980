"""Activations that multiply a value by a gate: a function of the value itself, or of another one."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from backlit import engine
from backlit.layers.activation.base import Activation, sigmoid, softplus
from backlit.layers.activation.bounded import Sigmoid
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Positive


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
    """a = z s with s = sigmoid(beta z);   da/dz = s + beta z s (1 - s). Also: Swish.

    Source: Elfwing, Uchibe, Doya 2017, https://arxiv.org/abs/1702.03118; beta: Ramachandran, Zoph, Le 2017,
    https://arxiv.org/abs/1710.05941. beta = 1.702 is near to GELU.

    >>> import numpy as np, backlit as bl
    >>> bl.SiLU().forward({}, {}, np.array([0.0]), bl.Context())[0].tolist()
    [0.0]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Swish",)
    beta: Positive = 1.0

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        s = sigmoid(self.beta * x)
        return x * s, state, (x, s)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        x, s = cache
        return dy * s * (1.0 + self.beta * x * (1.0 - s)), {}, {}


@dataclass(frozen=True)
class HardSwish(Activation):
    """a = z h with h = min(1, max(0, z/6 + 1/2));   da/dz = h, and z/6 more where |z| < 3.

    A SiLU without exp. Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244

    >>> import numpy as np, backlit as bl
    >>> bl.HardSwish().forward({}, {}, np.array([0.0, 4.0]), bl.Context())[0].tolist()
    [0.0, 4.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x * self._gate(x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        more = xp.where(xp.abs(cache) < 3.0, cache / 6.0, xp.zeros_like(cache))
        return dy * (self._gate(cache) + more), {}, {}

    def _gate(self, x: Array) -> Array:
        return x.__array_namespace__().clip(x / 6.0 + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Mish(Activation):
    """a = z t with t = tanh(ln(1 + exp(z)));   da/dz = t + z (1 - t^2) sigmoid(z).

    Source: Misra 2019, https://arxiv.org/abs/1908.08681

    >>> import numpy as np, backlit as bl
    >>> bl.Mish().forward({}, {}, np.array([0.0, 50.0]), bl.Context())[0].tolist()
    [0.0, 50.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        t = x.__array_namespace__().tanh(softplus(x))
        return x * t, state, (x, t)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        x, t = cache
        return dy * (t + x * (1.0 - t * t) * sigmoid(x)), {}, {}


class Gated(NamedTuple):
    """What the product needs to go back: both factors, and what the gate kept."""

    value: Array
    gate: Array
    inside: Tree


@dataclass(frozen=True)
class GLU(Activation):
    """a = u gate(v) with u the first and v the second half of the channels: the gated linear unit.

    dL/du = gate(v) dL/da,   dL/dv = gate'(v) u dL/da. With gate=SiLU() it is SwiGLU, with GELU() GEGLU.

    Shapes: x (..., 2 D), a (..., D).
    Errors: ShapeError when the number of channels is odd, or the gate no function of one number.
    Source: Dauphin et al. 2017, https://arxiv.org/abs/1612.08083; other gates: Shazeer 2020, https://arxiv.org/abs/2002.05202

    >>> import numpy as np, backlit as bl
    >>> bl.GLU().forward({}, {}, np.array([[3.0, 5.0, 0.0, 0.0]]), bl.Context())[0].tolist()
    [[1.5, 2.5]]
    """

    gate: Activation = Sigmoid()

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        even = len(shape) >= 1 and shape[-1] % 2 == 0
        need(even, f"GLU expected rows with an even number of channels, a half for the gate, got the shape {shape}")
        half = (*shape[:-1], shape[-1] // 2)
        need(
            self.gate.init(key, half) == (half, {}, {}),
            f"GLU expected a gate that works number by number, got {self.gate}",
        )
        return half, {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        half = x.shape[-1] // 2
        value = x[..., :half]  # (..., D)
        gate, _, inside = self.gate.forward({}, {}, x[..., half:], ctx)  # (..., D)
        return value * gate, state, Gated(value, gate, inside)

    def backward(self, params: Tree, cache: Gated, dy: Array) -> tuple[Array, Tree, Tree]:
        dgate, _, _ = self.gate.backward({}, cache.inside, dy * cache.value)  # (..., D)
        return dy.__array_namespace__().concat([dy * cache.gate, dgate], axis=-1), {}, {}  # (..., 2 D)
