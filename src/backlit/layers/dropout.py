"""Dropout: train many thinned networks at once."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from backlit.engine import random
from backlit.layers.activation import Activation
from backlit.protocol import Array, Context, Tree
from backlit.settings import Fraction


class Dropped(NamedTuple):
    """What backward needs after a pass that dropped: the key draws the same mask again, cheaper than keeping it."""

    key: Array


class Kept(NamedTuple):
    """A pass that kept everything (evaluation)."""


@dataclass(frozen=True)
class Dropout(Activation):
    """y = m x / (1 - rate) with m ~ Bernoulli(1 - rate) while training, y = x in evaluation (inverted dropout).

    form="classic" drops without scaling while training and multiplies by (1 - rate) in evaluation: the same mean.
    dL/dx = m dy / (1 - rate): the same mask. `rate` is the probability of dropping.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> import numpy as np, backlit as bl
    >>> ctx = bl.Context(train=True, root=bl.random.key(0))
    >>> y = bl.Dropout(0.5).forward({}, {}, np.ones((2, 50), "f"), ctx)[0]
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]
    """

    rate: Fraction = 0.5
    form: Literal["inverted", "classic"] = "inverted"

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        cache = Dropped(ctx.key) if ctx.train and self.rate > 0 else Kept()
        return self._apply(cache, x), state, cache

    def backward(self, params: Tree, cache: Dropped | Kept, dy: Array) -> tuple[Array, Tree, Tree]:
        return self._apply(cache, dy), {}, {}

    def _apply(self, cache: Dropped | Kept, x: Array) -> Array:
        match cache:
            case Kept():
                return x * (1.0 - self.rate) if self.form == "classic" else x
            case Dropped(key):
                xp = x.__array_namespace__()
                keep = random.uniform(xp.asarray(key), x.shape) >= self.rate
                return xp.where(keep, x / (1.0 - self.rate) if self.form == "inverted" else x, xp.zeros_like(x))
