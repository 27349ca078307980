"""What stands around a rule: composition, penalties."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from backlit.engine import tree
from backlit.optim.rules import Transform, applied, decays
from backlit.protocol import Array, Tree
from backlit.settings import NonNegativeNumber, Settings

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class Sequence(Transform):
    """Transforms one after another; the output of one is the gradient of the next. Build it with `chain`."""

    asks: ClassVar[bool] = True
    transforms: tuple[Transform, ...] = ()

    def init(self, params: Tree) -> Tree:
        return tuple(t.init(params) for t in self.transforms)

    def update(
        self, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None" = None
    ) -> tuple[Tree, Tree]:
        after = []
        for transform, before in zip(self.transforms, state, strict=True):
            grads, new = applied(transform, grads, before, params, step, objective)
            after.append(new)
        return grads, tuple(after)

    def kept(self, params: Tree, state: Tree) -> Tree:
        return self.transforms[-1].kept(params, state[-1])

    def rate(self, state: Tree, step: Array) -> Array:
        return self.transforms[-1].rate(state[-1], step)

    def rescaled(self, factor: Array) -> "Sequence":
        return Sequence(tuple(t.rescaled(factor) for t in self.transforms))

    def over(self, steps: int) -> "Sequence":
        return Sequence(tuple(t.over(steps) for t in self.transforms))


def chain(*transforms: Transform) -> Sequence:
    """Transforms one after another: `chain(ClipByNorm(1.0), Adam())` clips, then steps."""
    return Sequence(transforms)


@dataclass(frozen=True)
class L1L2(Settings):
    """A penalty in the loss: l1 sum |w| + l2/2 sum w^2, gradient l1 sign(w) + l2 w; biases and scales are left alone.

    >>> import backlit as bl, numpy as np
    >>> value, grads = bl.L1L2(l1=0.1, l2=1.0)({"W": np.array([2.0, -1.0])})
    >>> round(float(value), 6), grads["W"].round(6).tolist()
    (2.8, [2.1, -1.1])
    """

    abstract: ClassVar[bool] = False
    l1: NonNegativeNumber = 0.0
    l2: NonNegativeNumber = 0.0

    def __call__(self, params: Tree) -> tuple[Array, Tree]:
        """The value and its gradient, shaped like `params`."""
        value = 0.0
        for path, w in tree.flatten(params).items():
            if decays(path):
                xp = w.__array_namespace__()
                value = value + self.l1 * xp.sum(xp.abs(w)) + 0.5 * self.l2 * xp.sum(w * w)
        return value, tree.map_with_path(self._slope, params)

    def _slope(self, path: str, w: Array) -> Array:
        xp = w.__array_namespace__()
        return self.l1 * xp.sign(w) + self.l2 * w if decays(path) else xp.zeros_like(w)
