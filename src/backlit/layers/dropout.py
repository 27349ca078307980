"""Dropout: train many thinned networks at once. The kinds differ in which numbers share one draw.

Dropout                each number has its own     as the first layer, it is dropout on the inputs
SpatialDropout         a channel, in all places
VariationalDropout     a feature, at all time steps
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from backlit.engine import random
from backlit.layers.activation import Activation
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Fraction


class Dropped(NamedTuple):
    """What backward needs after a pass that dropped: the key draws the same mask again, cheaper than keeping it."""

    key: Array


class Kept(NamedTuple):
    """A pass that kept everything (evaluation)."""


@dataclass(frozen=True)
class Dropping(Activation):
    """Base: y = m x / (1 - rate), m ~ Bernoulli(1 - rate) while training, y = x in evaluation (inverted dropout).

    dL/dx = m dL/dy / (1 - rate): the same mask. `rate` is the probability of dropping.
    """

    abstract: ClassVar[bool] = True
    rate: Fraction = 0.5

    @abstractmethod
    def draws(self, shape: Shape) -> Shape:
        """The shape of m for x of `shape`."""

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        cache = Dropped(ctx.key) if ctx.train and self.rate > 0 else Kept()
        return self.apply(cache, x), state, cache

    def backward(self, params: Tree, cache: Dropped | Kept, dy: Array) -> tuple[Array, Tree, Tree]:
        return self.apply(cache, dy), {}, {}

    def apply(self, cache: Dropped | Kept, x: Array) -> Array:
        """x, or m x / (1 - rate)."""
        match cache:
            case Kept():
                return x
            case Dropped(key):
                xp = x.__array_namespace__()
                keep = random.uniform(xp.asarray(key), self.draws(x.shape)) >= self.rate
                return xp.where(keep, x / (1.0 - self.rate), xp.zeros_like(x))


@dataclass(frozen=True)
class Dropout(Dropping):
    """y = m x / (1 - rate) with m ~ Bernoulli(1 - rate) while training, y = x in evaluation (inverted dropout).

    form="classic" drops without scaling while training and multiplies by (1 - rate) in evaluation: the same mean.
    dL/dx = m dy / (1 - rate): the same mask. `rate` is the probability of dropping. As the first layer of a net it drops
    inputs.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> import numpy as np, backlit as bl
    >>> ctx = bl.Context(train=True, root=bl.random.key(0))
    >>> y = bl.Dropout(0.5).forward({}, {}, np.ones((2, 50), "f"), ctx)[0]
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    form: Literal["inverted", "classic"] = "inverted"

    def draws(self, shape: Shape) -> Shape:
        return shape

    def apply(self, cache: Dropped | Kept, x: Array) -> Array:
        return super().apply(cache, x * (1.0 - self.rate) if self.form == "classic" else x)


@dataclass(frozen=True)
class SpatialDropout(Dropping):
    """Dropout of whole channels: m (B, 1, ..., 1, C) is the same in all places of a row.

    Neighbouring places of a channel say much the same, so a number dropped alone is made up for by those around it. On
    sequences (B, T, D) this is VariationalDropout.
    Errors: ShapeError for rows without places.
    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280, section 3.2
    Others: torch's Dropout1d to Dropout3d with channels first, Keras' SpatialDropout1D to 3D.

    >>> import numpy as np, backlit as bl
    >>> ctx = bl.Context(train=True, root=bl.random.key(0))
    >>> y = bl.SpatialDropout(0.5).forward({}, {}, np.ones((2, 3, 3, 4), "f"), ctx)[0]
    >>> bool((y == y[:, :1, :1]).all()), sorted(set(y.ravel().tolist()))
    (True, [0.0, 2.0])
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(
            len(shape) >= 2, f"SpatialDropout expected rows (*S, C) with places and channels, got {shape}; use Dropout"
        )
        return super().init(key, shape)

    def draws(self, shape: Shape) -> Shape:
        return (shape[0], *(1,) * (len(shape) - 2), shape[-1])


@dataclass(frozen=True)
class VariationalDropout(Dropping):
    """Dropout with one mask for all time steps: m (B, 1, ...) for x (B, T, ...).

    As the sequence goes on, nothing is dropped anew, so a recurrent net keeps its memory. It acts on what goes into a
    layer; within one, recurrent_dropout of RNN, LSTM and GRU does the same to the state. On sequences (B, T, D) this is
    SpatialDropout; on sequences of images, (B, T, H, W, C), each place has its own draw here.
    Errors: ShapeError for rows without a time axis.
    Source: Gal, Ghahramani 2016, https://arxiv.org/abs/1512.05287

    >>> import numpy as np, backlit as bl
    >>> ctx = bl.Context(train=True, root=bl.random.key(0))
    >>> y = bl.VariationalDropout(0.5).forward({}, {}, np.ones((2, 7, 4), "f"), ctx)[0]
    >>> bool((y == y[:, :1]).all()), sorted(set(y.ravel().tolist()))
    (True, [0.0, 2.0])
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 2, f"VariationalDropout expected rows (T, ...), sequences, got {shape}; use Dropout")
        return super().init(key, shape)

    def draws(self, shape: Shape) -> Shape:
        return (shape[0], 1, *shape[2:])
