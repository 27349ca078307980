"""The whole loop: from a start to a minimum."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from backlit import engine
from backlit.optim.flat import ravel
from backlit.optim.objective import Objective
from backlit.optim.rules import Transform, applied
from backlit.optim.second_order.base import Flat, Point, SecondOrder
from backlit.protocol import Array, Tree


class Minimum(NamedTuple):
    """What `minimize` found: parameters, the value and the gradient's largest number there, steps made, evaluations of
    value and gradient, and whether the gradient is below the tolerance."""

    params: Tree
    value: Array
    gradient: Array
    steps: Array
    evaluations: Array
    converged: Array


class Walk(NamedTuple):
    """Where the loop stands."""

    point: Point
    state: Tree
    steps: Array


def minimize(objective: Objective, params: Tree, rule: Transform, steps: int = 200, tolerance: float = 1e-5) -> Minimum:
    """Steps of `rule` from `params` until the largest number of the gradient is below `tolerance`, or until nothing helps.

    It ends early when the value is not finite, or when two moves on end led nowhere (the loss cannot be told apart from
    lower ones in this precision). Works with every rule; evaluations count calls of the objective by second-order rules (not
    products with the curvature), and one a step of others. On XLA the loop is one program; where problems of one shape are
    solved again and again, compile it once: run = engine.compile(lambda x, y: minimize(Objective.of(..., x, y), ...)).

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import Newton, Objective, minimize
    >>> bowl = Objective(lambda p: (float(p["w"] @ p["w"]) / 2, {"w": p["w"]}))
    >>> found = minimize(bowl, {"w": np.ones(3)}, Newton())
    >>> bool(found.converged), int(found.steps)
    (True, 1)
    """
    loss = Flat(objective, params)
    mover: Any = rule if isinstance(rule, SecondOrder) else _Mover(rule)
    xp, home = loss.start.__array_namespace__(), engine.of(loss.start)

    def move(i: Array, walk: Walk) -> Walk:
        point, state = mover.move(loss, walk.point, walk.state, walk.steps)
        return Walk(point, state, walk.steps + 1)

    def goes_on(walk: Walk) -> Array:
        point = walk.point
        return (steepest(point) >= tolerance) & xp.isfinite(point.value) & (point.failures < 2)

    first = Walk(loss.first(), mover.init(params), xp.asarray(0, dtype=xp.int32))
    last: Walk = home.repeat(steps, move, first, until=goes_on)
    found = last.point
    size = steepest(found)
    return Minimum(loss.back(found.x), found.value, size, last.steps, found.evaluations, size < tolerance)


def steepest(point: Point) -> Array:
    """The gradient's largest number."""
    xp = point.gradient.__array_namespace__()
    return xp.max(xp.abs(point.gradient))


@dataclass(frozen=True)
class _Mover:
    """A rule that needs no more than gradients, moving as second-order rules do."""

    rule: Transform

    def init(self, params: Tree) -> Tree:
        return self.rule.init(params)

    def move(self, loss: Flat, point: Point, state: Tree, step: Array) -> tuple[Point, Tree]:
        params, grads = loss.back(point.x), loss.back(point.gradient)
        updates, state = applied(self.rule, grads, state, params, step, loss.objective)
        x = point.x + ravel(updates)[0]
        value, gradient = loss(x)
        return point.reached(x, value, gradient, 1, value == value), state
