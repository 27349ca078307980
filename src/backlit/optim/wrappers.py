"""Wrappers: what may stand around any rule. `wrapper(rule)` is a rule again, so they can be put around each other.

    rule = SAM(0.05)(Accumulate(4)(Adam(0.001)))

In an experiment their order is no question: `wrapped` puts them where each one belongs.
The wrappers: gradients.py, averages.py, accumulation.py, sharpness.py, constraints.py.
"""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from backlit.engine import tree
from backlit.optim.rules import Transform, applied
from backlit.optim.schedules import lengthened
from backlit.protocol import Array, Tree
from backlit.settings import Settings

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class Wrapper(Settings):
    """Base: settings, and what `init` and `update` of the wrapped rule do; the rule is an argument.

    place: how far outside it belongs. A gradient is changed (1) before the rule sees it, a parameter (2) after; copies of
    the parameters (3, 4) follow those; several batches are one update (5); and a gradient is taken elsewhere (6) first of all.
    """

    abstract: ClassVar[bool] = True
    place: ClassVar[int] = 0

    def __call__(self, rule: Transform) -> "Wrapped":
        """The rule with this around it."""
        return Wrapped(self, rule)

    def init(self, rule: Transform, params: Tree) -> Tree:
        """The state before the first update."""
        return rule.init(params)

    @abstractmethod
    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        """What to add to the parameters, and the new state."""

    def kept(self, rule: Transform, params: Tree, state: Any) -> Tree:
        """The parameters to validate and to keep."""
        return rule.kept(params, self.inner(state))

    def inner(self, state: Any) -> Tree:
        """The rule's own state within that of both."""
        return state

    def clock(self, state: Any, step: Array) -> Array:
        """The rule's own step."""
        return step

    def over(self, steps: int) -> "Wrapper":
        """The same with the length of the training filled in where it was left open."""
        return replace(self, **lengthened(self, steps))

    def updates(self, steps: int) -> int:
        """How many updates the rule makes in so many steps."""
        return steps


@dataclass(frozen=True)
class Wrapped(Transform):
    """A rule with a wrapper around it: what `wrapper(rule)` gives."""

    asks: ClassVar[bool] = True
    wrapper: Wrapper
    rule: Transform

    def init(self, params: Tree) -> Tree:
        return self.wrapper.init(self.rule, params)

    def update(
        self, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None" = None
    ) -> tuple[Tree, Tree]:
        return self.wrapper.update(self.rule, grads, state, params, step, objective)

    def kept(self, params: Tree, state: Tree) -> Tree:
        return self.wrapper.kept(self.rule, params, state)

    def rate(self, state: Tree, step: Array) -> Array:
        return self.rule.rate(self.wrapper.inner(state), self.wrapper.clock(state, step))

    def rescaled(self, factor: Array) -> "Wrapped":
        return Wrapped(self.wrapper, self.rule.rescaled(factor))

    def over(self, steps: int) -> "Wrapped":
        wrapper = self.wrapper.over(steps)
        return Wrapped(wrapper, self.rule.over(wrapper.updates(steps)))


@dataclass(frozen=True)
class OfGradients(Wrapper):
    """Base of the wrappers that only change the gradient."""

    abstract: ClassVar[bool] = True
    place: ClassVar[int] = 1

    @abstractmethod
    def changed(self, grads: Tree, params: Tree, step: Array) -> Tree:
        """The gradient that the rule is to see."""

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        return applied(rule, self.changed(grads, params, step), state, params, step, objective)


def wrapped(rule: Transform, wrappers: Iterable[Wrapper]) -> Transform:
    """The rule with all of them around it, each in its place."""
    for wrapper in sorted(wrappers, key=lambda w: w.place):
        rule = wrapper(rule)
    return rule


def moved(params: Tree, updates: Tree) -> Tree:
    """params + updates."""
    return tree.map(lambda w, u: w + u, params, updates)
