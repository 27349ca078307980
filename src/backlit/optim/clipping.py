"""Clipping: a bound on gradients, so that one bad batch cannot throw the parameters far off."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.engine import tree
from backlit.optim.rules import Transform
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import Positive, PositiveNumber


@dataclass(frozen=True)
class Clip(Transform):
    """Base: no state, and a limit."""

    abstract: ClassVar[bool] = True
    usual: ClassVar[str] = "ClipByNorm"
    limit: PositiveNumber = 1.0

    def init(self, params: Tree) -> Tree:
        return {}


@dataclass(frozen=True)
class ClipByNorm(Clip):
    """g <- g min(1, limit / ||g||), ||g|| over all parameters together: direction kept, length bounded.

    Source: Pascanu, Mikolov, Bengio 2013, https://arxiv.org/abs/1211.5063

    >>> import backlit as bl, numpy as np
    >>> bl.ClipByNorm(1.0).update({"w": np.array([3.0, 4.0])}, {}, {}, 0)[0]["w"].round(3).tolist()
    [0.6, 0.8]
    """

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        scale = shrink(norm(grads), at(self.limit, step))
        return tree.map(lambda g: g * g.__array_namespace__().astype(scale, g.dtype), grads), state


@dataclass(frozen=True)
class ClipEach(Clip):
    """g <- g min(1, limit / ||g||) for each array by itself: one layer's outburst leaves the others as they are.

    >>> import backlit as bl, numpy as np
    >>> grads = {"a": np.array([3.0, 4.0]), "b": np.array([0.5])}
    >>> {k: g.round(3).tolist() for k, g in bl.optim.ClipEach(1.0).update(grads, {}, {}, 0)[0].items()}
    {'a': [0.6, 0.8], 'b': [0.5]}
    """

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        limit = at(self.limit, step)
        return tree.map(lambda g: g * shrink(norm(g), limit), grads), state


@dataclass(frozen=True)
class ClipByValue(Clip):
    """g <- min(max(g, -limit), limit), number by number: the direction changes.

    >>> import backlit as bl, numpy as np
    >>> bl.optim.ClipByValue(1.0).update({"w": np.array([3.0, -0.5])}, {}, {}, 0)[0]["w"].tolist()
    [1.0, -0.5]
    """

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        limit = at(self.limit, step)

        def bounded(g: Array) -> Array:
            xp = g.__array_namespace__()
            top = xp.zeros_like(g) + limit
            return xp.minimum(xp.maximum(g, -top), top)

        return tree.map(bounded, grads), state


@dataclass(frozen=True)
class AdaptiveClip(Clip):
    """g_u <- g_u min(1, limit max(||w_u||, least) / ||g_u||) for each unit u: what a unit may move depends on its size.

    A unit is one output: a column of W, the kernel of a channel; a vector is one unit. Also: AGC.
    Source: Brock et al. 2021, https://arxiv.org/abs/2102.06171 (they leave the last layer out; limit 0.01 to 0.16)

    >>> import backlit as bl, numpy as np
    >>> clip, W = bl.optim.AdaptiveClip(0.5), {"W": np.array([[3.0, 0.1], [4.0, 0.0]])}
    >>> clip.update({"W": np.full((2, 2), 10.0)}, {}, W, 0)[0]["W"].round(4).tolist()
    [[1.7678, 0.0354], [1.7678, 0.0354]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("AGC",)
    limit: PositiveNumber = 0.01
    least: Positive = 1e-3

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        limit = at(self.limit, step)

        def clipped(g: Array, w: Array) -> Array:
            xp, size = g.__array_namespace__(), units(w)
            return g * shrink(units(g), limit * xp.maximum(size, xp.zeros_like(size) + self.least))

        return tree.map(clipped, grads, params), state


def units(a: Array) -> Array:
    """The norm of each unit, as it is repeated to the array."""
    xp = a.__array_namespace__()
    axes = tuple(range(a.ndim - 1)) if a.ndim > 1 else None
    return xp.sqrt(xp.sum(a * a, axis=axes, keepdims=True))


def shrink(size: Array, limit: Array) -> Array:
    """min(1, limit / size)."""
    xp = size.__array_namespace__()
    return limit / xp.maximum(size, limit + 0.0 * size)


def norm(grads: Tree) -> Array:
    """Euclidean norm over all leaves together."""
    squares = [g.__array_namespace__().sum(g * g) for g in tree.leaves(grads)]
    total = sum(squares[1:], squares[0])
    return total.__array_namespace__().sqrt(total) if hasattr(total, "__array_namespace__") else total**0.5
