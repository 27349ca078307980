"""Bounds on the weights themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from backlit.engine import tree
from backlit.optim.clipping import shrink, units
from backlit.optim.rules import Transform, applied, decays
from backlit.optim.schedules import at
from backlit.optim.wrappers import Wrapper
from backlit.protocol import Array, Tree
from backlit.settings import PositiveNumber

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class MaxNorm(Wrapper):
    """After each update w_u <- w_u min(1, limit / ||w_u||) for the incoming weights w_u of each unit u; vectors stay.

    A unit is one output: a column of W, the kernel of a channel. Often with dropout and a large learning rate, limit 3 to 4.
    Source: Hinton et al. 2012, https://arxiv.org/abs/1207.0580

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.MaxNorm(limit=1.0)(bl.SGD(lr=1.0)), {"W": np.array([[3.0], [4.0]])}
    >>> updates, _ = rule.update({"W": np.zeros((2, 1))}, {}, w, 0)
    >>> (w["W"] + updates["W"]).ravel().round(6).tolist()
    [0.6, 0.8]
    """

    place: ClassVar[int] = 2
    limit: PositiveNumber = 3.0

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        updates, state = applied(rule, grads, state, params, step, objective)
        limit = at(self.limit, step)

        def bounded(path: str, w: Array, u: Array) -> Array:
            if w.ndim < 2 or not decays(path):
                return u
            after = w + u
            return after * shrink(units(after), limit) - w

        return tree.map_with_path(bounded, params, updates), state
