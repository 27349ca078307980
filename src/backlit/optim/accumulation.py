"""Several batches for one update: batches larger than memory, or that grow while training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from annotated_types import Ge

from backlit import engine
from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.rules import Transform, applied, zeros_like
from backlit.optim.schedules import Schedule, at
from backlit.optim.wrappers import Wrapper
from backlit.protocol import Array, Tree
from backlit.settings import Scheduled

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


class Gathered(NamedTuple):
    """The rule's state, the sum of the gradients, how many they are, and how many updates there were."""

    rule: Tree
    total: Tree
    seen: Array
    count: Array


@dataclass(frozen=True)
class Accumulate(Wrapper):
    """The rule sees the mean gradient of `every` batches and steps once for them; in between nothing moves.

    With batches of B rows each update has B every rows, and no more memory. `every` may be a schedule over the updates, its
    value rounded: a batch that grows where a learning rate would fall (Smith et al. 2018, https://arxiv.org/abs/1711.00489).
    The schedules of the rule count updates, not batches. Batches left over at the end of the training are not used.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Accumulate(2)(bl.SGD(lr=1.0)), {"w": np.zeros(1)}
    >>> updates, state = rule.update({"w": np.full(1, 1.0)}, rule.init(w), w, 0)
    >>> updates["w"].tolist(), rule.update({"w": np.full(1, 3.0)}, state, w, 1)[0]["w"].tolist()
    ([0.0], [-2.0])
    """

    place: ClassVar[int] = 5
    every: Annotated[int, Ge(1), Scheduled()] = 4

    def init(self, rule: Transform, params: Tree) -> Tree:
        xp = tree.leaves(params)[0].__array_namespace__()
        none = (xp.asarray(0, dtype=xp.int32) for _ in range(2))
        return Gathered(rule.init(params), zeros_like(params), *none)

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        xp = state.seen.__array_namespace__()
        total, seen = tree.map(lambda a, g: a + g, state.total, grads), state.seen + 1
        wanted = xp.astype(xp.round(xp.asarray(at(self.every, state.count)) * 1.0), xp.int32)

        def step_now(now: Gathered) -> tuple[Tree, Gathered]:
            mean = tree.map(lambda a: a / xp.astype(seen, a.dtype), now.total)
            updates, inner = applied(rule, mean, now.rule, params, now.count, objective)
            return updates, Gathered(inner, zeros_like(params), 0 * seen, now.count + 1)

        branch = engine.of(tree.leaves(params)[0]).branch
        found: tuple[Tree, Tree] = branch(
            seen >= wanted,
            step_now,
            lambda now: (zeros_like(params), now),
            Gathered(state.rule, total, seen, state.count),
        )
        return found

    def inner(self, state: Any) -> Tree:
        return state.rule

    def clock(self, state: Any, step: Array) -> Array:
        xp = state.count.__array_namespace__()
        return xp.maximum(state.count - 1, 0 * state.count)

    def over(self, steps: int) -> "Accumulate":
        every: Any = self.every
        if not isinstance(every, Schedule) and every > steps:
            text = f"expected at most the {steps} batches of the training, got {every}; use fewer, or train longer"
            raise SettingError([("every", text)])
        return self

    def updates(self, steps: int) -> int:
        updates, seen = 0, 0
        while seen + (size := max(1, round(float(at(self.every, updates))))) <= steps:
            updates, seen = updates + 1, seen + size
        return max(updates, 1)
