"""Schedule-free rules: an average in place of a learning rate that falls, so that no length of the training is needed."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.adaptive import sqrt
from backlit.optim.rules import Rule, copied, decays, zeros_like
from backlit.optim.schedules import Schedule, at, maximum, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegative, NonNegativeNumber, PositiveNumber


class Between(NamedTuple):
    """The rule's own path (z), the mean square of the gradient (or {}), the largest lr so far, the sum of the weights."""

    z: Tree
    v: Tree
    top: Array
    weights: Array


@dataclass(frozen=True)
class ScheduleFree(Rule):
    """Base. The parameters are y = (1 - b1) z + b1 x, where gradients are taken; x, the average of z, is validated and kept:
    z <- z - lr d;   c = k / sum k,  k = (largest lr so far)^power;   x <- (1 - c) x + c z.

    The learning rate is constant, after a warm-up if need be; x comes from y and z, so it takes no memory.
    """

    abstract: ClassVar[bool] = True
    b1: FractionNumber = 0.9
    weight_decay: NonNegativeNumber = 0.0
    power: NonNegative = 2.0

    def direction(self, grads: Tree, v: Tree, step: Array) -> tuple[Tree, Tree]:
        """d without decay, and the new mean square."""
        return grads, v

    def squares(self, params: Tree) -> Tree:
        """The mean square before the first update."""
        return {}

    def init(self, params: Tree) -> Tree:
        first = tree.leaves(params)[0]
        xp = first.__array_namespace__()
        none = (xp.zeros((), dtype=first.dtype) for _ in range(2))
        return Between(copied(params), self.squares(params), *none)

    def update(self, grads: Tree, state: Between, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, b1, decay = (at(a, step) for a in (self.lr, self.b1, self.weight_decay))
        d, v = self.direction(grads, state.v, step)
        d = tree.map_with_path(lambda p, d, y: d + decay * y if decays(p) else d, d, params)
        top = maximum(state.top, lr)
        k = top**self.power
        weights = state.weights + k
        c = k / weights

        def move(y: Array, z: Array, d: Array) -> Array:
            # y' - y with x' = (1 - c) x + c z', z' = z - lr d and b1 x = y - (1 - b1) z, so that nothing is divided by b1.
            return c * (z - y) + lr * ((b1 * (1.0 - c) - 1.0) * d)

        updates = tree.map(move, params, state.z, d)
        return updates, Between(tree.map(lambda z, d: z - lr * d, state.z, d), v, top, weights)

    def kept(self, params: Tree, state: Between) -> Tree:
        b1 = plain_number(self.b1)
        return tree.map(lambda y, z: (y - (1.0 - b1) * z) / b1, params, state.z)

    def check(self) -> None:
        if isinstance(self.b1, Schedule) or (isinstance(self.b1, float) and self.b1 == 0.0):
            text = "expected a number greater than 0, the same all through (the average is found with it)"
            raise SettingError([("b1", f"{text}, got {self.b1}")])


@dataclass(frozen=True)
class ScheduleFreeSGD(ScheduleFree):
    """d = g + weight_decay y: descent without momentum at z, averaged.

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.ScheduleFreeSGD(lr=1.0, b1=0.5), {"w": np.zeros(1)}
    >>> updates, state = rule.update({"w": np.ones(1)}, rule.init(w), w, 0)
    >>> updates["w"].tolist(), state.z["w"].tolist()
    ([-1.0], [-1.0])
    """

    lr: PositiveNumber = 1.0


@dataclass(frozen=True)
class ScheduleFreeAdamW(ScheduleFree):
    """d = g / (sqrt(v^) + epsilon) + weight_decay y, v^ as Adam's; b1 does what momentum does elsewhere.

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.ScheduleFreeAdamW(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.full(1, 3.0)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.1
    """

    lr: PositiveNumber = 0.0025
    b2: FractionNumber = 0.999
    epsilon: PositiveNumber = 1e-8

    def squares(self, params: Tree) -> Tree:
        return zeros_like(params)

    def direction(self, grads: Tree, v: Tree, step: Array) -> tuple[Tree, Tree]:
        b2, epsilon = at(self.b2, step), at(self.epsilon, step)
        v = tree.map(lambda v, g: b2 * v + (1.0 - b2) * (g * g), v, grads)
        second = 1.0 - b2 ** (plain_number(step) + 1.0)
        return tree.map(lambda g, v: g / (sqrt(v / second) + epsilon), grads, v), v
