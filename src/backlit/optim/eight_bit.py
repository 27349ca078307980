"""Adam with a quarter of its memory: both running means in 8 bits a number."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from backlit.engine import tree
from backlit.optim import blockwise
from backlit.optim.adam import AdamLike, Moments, ratio
from backlit.optim.blockwise import Blocks
from backlit.optim.rules import decayed
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import Count, NonNegativeNumber


@dataclass(frozen=True)
class EightBit(AdamLike):
    """Base: arrays of at least `least` numbers keep m and v as codes of 8 bits, the others as they are."""

    abstract: ClassVar[bool] = True
    least: Count = 4096

    def init(self, params: Tree) -> Tree:
        return tree.map(self._empty, params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        updates = self.moves(m, v, params, step)
        updates = tree.map(lambda u, w: w.__array_namespace__().astype(u, w.dtype), updates, params)
        return updates, tree.map(lambda g, s, m, v: self._kept(s, g, m, v, step), grads, state, m, v)

    @abstractmethod
    def moves(self, m: Tree, v: Tree, params: Tree, step: Array) -> Tree:
        """The updates."""

    def means(self, grads: Tree, state: Tree, step: Array) -> tuple[Tree, Tree]:
        b1, b2 = at(self.b1, step), at(self.b2, step)

        def seen(g: Array, s: Any) -> tuple[Array, Array]:
            if self._small(g):
                return b1 * s.m + (1.0 - b1) * g, b2 * s.v + (1.0 - b2) * (g * g)
            g = single(g)
            return b1 * blockwise.mean(s) + (1.0 - b1) * g, b2 * blockwise.mean_square(s) + (1.0 - b2) * (g * g)

        both = tree.map(seen, grads, state)
        return tree.map(lambda _, pair: pair[0], grads, both), tree.map(lambda _, pair: pair[1], grads, both)

    def _small(self, w: Array) -> bool:
        return bool(w.ndim == 0 or w.size < self.least)

    def _empty(self, w: Array) -> Any:
        xp = w.__array_namespace__()
        return Moments(xp.zeros_like(w), xp.zeros_like(w)) if self._small(w) else blockwise.empty(w)

    def _kept(self, s: Any, g: Array, m: Array, v: Array, step: Array) -> Moments | Blocks:
        if self._small(g):
            return Moments(m, v)
        return blockwise.packed(s, single(g), m, v, at(self.b1, step), at(self.b2, step), step)


@dataclass(frozen=True)
class Adam8bit(EightBit):
    """Adam whose m and v are kept in 8 bits a number, 2.1 bytes a parameter in place of 8.

    The update is computed in float32 from the old means and the gradient; only what is kept for the next one is rounded, m
    and v each to 1/8 of a number at most, down to 2^-16 and 2^-32 of the scale of its block (optim/blockwise.py has the
    code). The rounding goes up or down so that its mean is 0, and a mean over 1 / (1 - b) updates forgets it as it forgets
    a gradient: with the defaults m is right to about 8 %, sqrt(v) to 10 %, and so are the steps of single numbers, around
    Adam's and not to one side. A block is a row (the last axis); where rows have less than 64 numbers, what stands at one
    place of all rows. Arrays with fewer than `least` numbers, biases and scales, keep both means in full.

    Source: Dettmers, Lewis, Shleifer, Zettlemoyer 2022, https://arxiv.org/abs/2110.02861
    Others: the paper's code is a table of 256 numbers that is searched, with blocks of 2048, their largest number as scale,
    and the nearest code; bitsandbytes' blocks have 256. To the nearest, single numbers of v stand still for b2 near 1.

    >>> import backlit as bl, numpy as np
    >>> rule, params = bl.optim.Adam8bit(lr=0.1), {"W": np.zeros((64, 100), "f"), "b": np.zeros(100, "f")}
    >>> state = rule.init(params)
    >>> sum(a.nbytes for a in bl.tree.leaves(state["W"])), sum(a.nbytes for a in bl.tree.leaves(state["b"]))
    (13312, 800)
    >>> updates, state = rule.update({"W": np.ones((64, 100), "f"), "b": np.ones(100, "f")}, state, params, 0)
    >>> round(float(updates["W"][0, 0]), 6)
    -0.1
    """

    def moves(self, m: Tree, v: Tree, params: Tree, step: Array) -> Tree:
        first, second = self.corrections(step)
        return ratio(at(self.lr, step) / first, m, v, second, self, step)


@dataclass(frozen=True)
class AdamW8bit(EightBit):
    """AdamW whose m and v are kept as Adam8bit's: w <- w - lr (m^ / (sqrt(v^) + epsilon) + weight_decay w).

    Decay leaves biases and normalisation scales alone. Sources: those of Adam8bit and AdamW.

    >>> import backlit as bl, numpy as np
    >>> rule, params = bl.optim.AdamW8bit(lr=0.1, weight_decay=0.5), {"W": np.ones((64, 64), "f")}
    >>> updates, _ = rule.update({"W": np.zeros((64, 64), "f")}, rule.init(params), params, 0)
    >>> round(float(updates["W"][0, 0]), 6)
    -0.05
    """

    weight_decay: NonNegativeNumber = 0.01

    def moves(self, m: Tree, v: Tree, params: Tree, step: Array) -> Tree:
        lr, (first, second) = at(self.lr, step), self.corrections(step)
        updates = ratio(lr / first, m, v, second, self, step)
        return decayed(updates, params, lr * at(self.weight_decay, step))


def single(g: Array) -> Array:
    """g in float32, in which the codes are computed."""
    xp = g.__array_namespace__()
    return xp.astype(g, xp.float32)
