"""Update rules: what they share, and those that follow the gradient with one step size for all numbers.

    init(params) -> state           update(grads, state, params, step) -> updates, state          params += updates

A rule sees the whole tree at once; its numbers may be schedules or traced arrays. `step` counts updates from 0.
The others: adaptive.py, adam.py, sign.py, large_batch.py, factored.py, schedule_free.py, sophia.py, second_order.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from backlit import engine
from backlit.engine import tree
from backlit.errors import BacklitError, SettingError
from backlit.optim.schedules import Product, Schedule, at, lengthened
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, PositiveNumber, Settings

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class Transform(Settings):
    """Base of everything that turns gradients into updates."""

    abstract: ClassVar[bool] = True
    asks: ClassVar[bool] = False
    """Whether `update` takes the objective too, to ask for the loss elsewhere or for its curvature."""

    @abstractmethod
    def init(self, params: Tree) -> Tree:
        """The state before the first update."""

    @abstractmethod
    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        """What to add to the parameters, and the new state."""

    def kept(self, params: Tree, state: Tree) -> Tree:
        """The parameters to validate and to keep: these, but for a rule that takes its gradients elsewhere."""
        return params

    def rate(self, state: Tree, step: Array) -> Array:
        """The learning rate of update number `step`; NaN for what has none."""
        return float("nan")

    def rescaled(self, factor: Array) -> Any:
        """The same with every learning rate times `factor`, which may be traced."""
        return self

    def over(self, steps: int) -> Any:
        """The same with every open schedule set to the length of the training."""
        return replace(self, **lengthened(self, steps))


@dataclass(frozen=True)
class Rule(Transform):
    """Base of the update rules: each has a learning rate `lr`, a number > 0 or a schedule."""

    abstract: ClassVar[bool] = True
    lr: PositiveNumber = 0.01

    def over(self, steps: int) -> Any:
        rule = super().over(steps)
        last = (max(steps - 2, 0), steps - 1)  # a triangle may touch 0 once
        if isinstance(rule.lr, Schedule) and all(float(rule.lr(step)) == 0.0 for step in last):
            text = f"expected a schedule for all {steps} updates of the training, got one that is 0 before its end"
            raise SettingError([("lr", f"{text}; leave out its own number of steps, or give it an end above 0")])
        return rule

    def rate(self, state: Tree, step: Array) -> Array:
        return at(self.lr, step)

    def rescaled(self, factor: Array) -> Any:
        product: Any = Product(self.lr, factor)
        return replace(self, lr=product)


@dataclass(frozen=True)
class Asking(Rule):
    """Base of the rules that ask for the loss at other points, or for its curvature: second order, Sophia."""

    abstract: ClassVar[bool] = True
    asks: ClassVar[bool] = True

    @abstractmethod
    def update(
        self, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None" = None
    ) -> tuple[Tree, Tree]:
        """What to add to the parameters, and the new state; `objective` gives loss and curvature of this batch."""

    def given(self, objective: "Objective | None") -> "Objective":
        """The objective, or BacklitError where there is none."""
        if objective is None:
            text = "asks for the loss at other points: expected update(grads, state, params, step, objective), got none"
            raise BacklitError(f"{type(self).__name__} {text}; backlit.train and optim.minimize give it")
        return objective


def applied(
    rule: Transform, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None"
) -> tuple[Tree, Tree]:
    """rule.update, with the objective where the rule asks."""
    if rule.asks:
        asking: Any = rule
        found: tuple[Tree, Tree] = asking.update(grads, state, params, step, objective)
        return found
    return rule.update(grads, state, params, step)


def stepped(
    rule: Transform, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None"
) -> tuple[Tree, Tree]:
    """The new parameters and the new state; what a rule does number by number, in one pass over memory where possible."""

    def once(old: tuple[Tree, Tree], grads: Tree, step: Array) -> tuple[Tree, Tree]:
        updates, after = applied(rule, grads, old[1], old[0], step, objective)
        return tree.map(lambda w, u: w + u, old[0], updates), after

    found = tree.leaves(params)
    if not found:
        return once((params, state), grads, step)
    made: tuple[Tree, Tree] = engine.of(found[0]).renewed(once, (params, state), grads, step)
    return made


@dataclass(frozen=True)
class SGD(Rule):
    """w <- w - lr g. Batch, stochastic or mini-batch gradient descent by the batch it is given.

    Source: Robbins, Monro 1951, https://doi.org/10.1214/aoms/1177729586

    >>> import backlit as bl, numpy as np
    >>> bl.SGD(lr=0.5).update({"w": np.ones(1)}, {}, {"w": np.zeros(1)}, 0)[0]["w"].tolist()
    [-0.5]
    """

    def init(self, params: Tree) -> Tree:
        return {}

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr = at(self.lr, step)
        return tree.map(lambda g: -lr * g, grads), state


@dataclass(frozen=True)
class Momentum(Rule):
    """v <- momentum v + g;   w <- w - lr v.

    Source: Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5. Others: CS231n folds lr into v
    (v <- mu v - lr g), which is the same for a constant lr.

    >>> import backlit as bl, numpy as np
    >>> rule = bl.Momentum(lr=1.0, momentum=0.5)
    >>> updates, v = rule.update({"w": np.ones(1)}, {"w": np.ones(1)}, {"w": np.zeros(1)}, 0)
    >>> updates["w"].tolist()
    [-1.5]
    """

    momentum: FractionNumber = 0.9

    def init(self, params: Tree) -> Tree:
        return zeros_like(params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, mu = at(self.lr, step), at(self.momentum, step)
        v = tree.map(lambda v, g: mu * v + g, state, grads)
        return tree.map(lambda v: -lr * v, v), v


@dataclass(frozen=True)
class Nesterov(Rule):
    """v <- momentum v + g;   w <- w - lr (g + momentum v): the gradient as if taken after the step that v will make.

    Source: Nesterov 1983; in this form Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html

    >>> import backlit as bl, numpy as np
    >>> rule = bl.Nesterov(lr=1.0, momentum=0.5)
    >>> rule.update({"w": np.ones(1)}, {"w": np.zeros(1)}, {"w": np.zeros(1)}, 0)[0]["w"].tolist()
    [-1.5]
    """

    momentum: FractionNumber = 0.9

    def init(self, params: Tree) -> Tree:
        return zeros_like(params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, mu = at(self.lr, step), at(self.momentum, step)
        v = tree.map(lambda v, g: mu * v + g, state, grads)
        return tree.map(lambda g, v: -lr * (g + mu * v), grads, v), v


def decays(path: str) -> bool:
    """Whether weight decay and penalties apply to this parameter: not to biases and normalisation scales."""
    return path.rsplit(".", 1)[-1] not in ("b", "beta", "gamma", "slope")


def decayed(updates: Tree, params: Tree, shrink: Array) -> Tree:
    """The updates with decoupled weight decay, w <- (1 - shrink) w, of all but biases and normalisation scales."""
    return tree.map_with_path(lambda p, u, w: u - shrink * w if decays(p) else u, updates, params)


def zeros_like(params: Tree) -> Tree:
    """A tree of zeros shaped like `params`."""
    return tree.map(lambda w: w.__array_namespace__().zeros_like(w), params)


def copied(params: Tree) -> Tree:
    """The same numbers in memory of their own."""
    return tree.map(lambda w: w + 0.0, params)
