"""Activations of straight pieces that let large values pass."""

from dataclasses import dataclass
from typing import Literal

from backlit.engine import random
from backlit.initializers import Constant, Initializer
from backlit.layers.activation.base import Activation, positive
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import NonNegative


@dataclass(frozen=True)
class ReLU(Activation):
    """a = max(0, z),   da/dz = 1 where z > 0, else 0 (also at the kink z = 0).

    Source: Nair, Hinton 2010, https://www.cs.toronto.edu/~hinton/absps/reluICML.pdf

    >>> import numpy as np, backlit as bl
    >>> bl.ReLU().forward({}, {}, np.array([-1.0, 2.0]), bl.Context())[0].tolist()
    [0.0, 2.0]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        a = positive(x)
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
class PReLU(Layer):
    """a = z where z > 0, else slope z, the slope learned: one for each channel, or one for the layer.

    da/dz = 1 or slope;   dL/dslope = sum over rows and places of min(0, z) dL/da.

    Shapes: x (..., D), slope (D,), or (1,) with per="layer".
    Errors: ShapeError when rows have no channel axis.
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852, which starts at 0.25 and does not decay the slope
    Others: torch has one slope for the layer by default; Keras has one for every place of a row.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.PReLU()
    >>> _, params, state = layer.init(bl.random.key(0), (2,))
    >>> layer.forward(params, state, np.array([[-1.0, 2.0]]), bl.Context())[0].tolist()
    [[-0.25, 2.0]]
    """

    slope: Initializer = Constant(0.25)
    per: Literal["channel", "layer"] = "channel"

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 1, "PReLU expected rows with a channel axis, got scalars; use Reshape((1,)) first")
        channels = shape[-1] if self.per == "channel" else 1
        return shape, {"slope": self.slope.draw(random.fold(key, "slope"), (channels,))}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x.__array_namespace__().where(x > 0, x, params["slope"] * x), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, slope = dy.__array_namespace__(), params["slope"]
        off = xp.where(cache > 0, xp.zeros_like(dy), dy * cache)  # (..., D)
        grad = xp.sum(xp.reshape(off, (-1, slope.shape[0])), axis=0)  # (D,) or (1,)
        return xp.where(cache > 0, dy, slope * dy), {"slope": grad}, {}


@dataclass(frozen=True)
class ThresholdedReLU(Activation):
    """a = z where z > threshold, else 0;   da/dz = 1 or 0. The value jumps at the threshold, unlike that of a bias.

    Source: Konda, Memisevic, Krueger 2015, https://arxiv.org/abs/1402.3337

    >>> import numpy as np, backlit as bl
    >>> bl.ThresholdedReLU().forward({}, {}, np.array([1.0, 2.0]), bl.Context())[0].tolist()
    [0.0, 2.0]
    """

    threshold: NonNegative = 1.0

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        a = xp.where(x > self.threshold, x, xp.zeros_like(x))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where(cache > 0, dy, xp.zeros_like(dy)), {}, {}


@dataclass(frozen=True)
class Shrink(Activation):
    """a = 0 where |z| <= threshold, else z with form="hard", z - sign(z) threshold with form="soft";   da/dz = 0 or 1.

    Source: Donoho, Johnstone 1994, https://doi.org/10.1093/biomet/81.3.425. Others: torch: Softshrink and Hardshrink.

    >>> import numpy as np, backlit as bl
    >>> bl.Shrink(0.5).forward({}, {}, np.array([-2.0, 0.25, 1.0]), bl.Context())[0].tolist()
    [-1.5, 0.0, 0.5]
    """

    threshold: NonNegative = 0.5
    form: Literal["soft", "hard"] = "soft"

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp = x.__array_namespace__()
        moved = x - self.threshold * xp.sign(x) if self.form == "soft" else x
        a = xp.where(xp.abs(x) > self.threshold, moved, xp.zeros_like(x))
        return a, state, a

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        return xp.where(cache != 0, dy, xp.zeros_like(dy)), {}, {}
