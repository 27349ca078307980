"""Gradients taken elsewhere than where the parameters are: at the worst point near by, or at random ones."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from backlit.engine import tree
from backlit.errors import BacklitError
from backlit.optim.clipping import norm
from backlit.optim.gradients import noisy
from backlit.optim.rules import Transform, applied
from backlit.optim.schedules import at
from backlit.optim.wrappers import Wrapper
from backlit.protocol import Array, Tree
from backlit.settings import PositiveNumber

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class Elsewhere(Wrapper):
    """Base: the rule gets the gradient of the same batch at another point."""

    abstract: ClassVar[bool] = True
    place: ClassVar[int] = 6

    @abstractmethod
    def point(self, grads: Tree, params: Tree, step: Array) -> Tree:
        """Where the gradient is taken."""

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        if objective is None:
            text = "takes gradients elsewhere: expected update(grads, state, params, step, objective), got none"
            raise BacklitError(f"{type(self).__name__} {text}; backlit.train gives it")
        _, grads = objective(self.point(grads, params, step))
        return applied(rule, grads, state, params, step, objective)


@dataclass(frozen=True)
class SAM(Elsewhere):
    """Sharpness-aware minimisation: the gradient at w + e, where the loss is about the largest within `radius`.

    e = radius g / ||g||, the norm over all parameters; adaptive=True: e = radius w^2 g / ||w g||, in terms of each
    number's own size. It looks for flat minima and costs a second gradient.
    Source: Foret et al. 2021, https://arxiv.org/abs/2010.01412; adaptive: Kwon et al. 2021, https://arxiv.org/abs/2102.11600

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim.objective import Objective
    >>> bowl = Objective(lambda p: (0.5 * float(p["w"] @ p["w"]), p))
    >>> rule, w = bl.optim.SAM(radius=0.5)(bl.SGD(lr=1.0)), {"w": np.array([3.0, 4.0])}
    >>> rule.update(w, {}, w, 0, bowl)[0]["w"].round(6).tolist()
    [-3.3, -4.4]
    """

    radius: PositiveNumber = 0.05
    adaptive: bool = False

    def point(self, grads: Tree, params: Tree, step: Array) -> Tree:
        by = tree.map(lambda g, w: g * abs(w), grads, params) if self.adaptive else grads
        length = norm(by)
        xp = length.__array_namespace__()
        share = at(self.radius, step) / xp.maximum(length, xp.asarray(1e-12, dtype=length.dtype))
        e = tree.map(lambda g, w: g * abs(w), by, params) if self.adaptive else by
        return tree.map(lambda w, e: w + share * e, params, e)


@dataclass(frozen=True)
class WeightNoise(Elsewhere):
    """The gradient at w + std n, n normal, anew for each batch: minima must bear it.

    Source: Graves 2011, "Practical variational inference for neural networks" (its simplest form)

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim.objective import Objective
    >>> bowl = Objective(lambda p: (0.5 * float(p["w"] @ p["w"]), p))
    >>> rule, w = bl.optim.WeightNoise(std=0.1, seed=0)(bl.SGD(lr=1.0)), {"w": np.zeros(10000)}
    >>> round(float(rule.update(w, {}, w, 0, bowl)[0]["w"].std()), 2)
    0.1
    """

    std: PositiveNumber = 0.01
    seed: int | None = None

    def point(self, grads: Tree, params: Tree, step: Array) -> Tree:
        return noisy(params, at(self.std, step), self.seed, step, "weights")
