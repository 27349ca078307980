"""Nonlinear conjugate gradients."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from backlit.engine import tree
from backlit.optim.flat import ravel
from backlit.optim.schedules import at
from backlit.optim.second_order.base import Flat, Point, SecondOrder, dot, scalar
from backlit.optim.second_order.lbfgs import shortened
from backlit.optim.second_order.line_search import Wolfe, downward
from backlit.protocol import Array, Tree


class Previous(NamedTuple):
    """The last direction and gradient, the last step times the slope that it began with, and how many steps ago the
    direction was the gradient's; 0 before the first."""

    p: Array
    g: Array
    fall: Array
    age: Array


@dataclass(frozen=True)
class NonlinearCG(SecondOrder):
    """p <- -g + beta p;   w <- w + a p,  a by a strong Wolfe search (with curvature 0.1).

        polak_ribiere    beta = max(0, g.(g - g') / g'.g')     g': the gradient before; it restarts by itself
        fletcher_reeves  beta = g.g / g'.g'

    Every n steps, and when p does not lead down, p = -g. The first trial promises as much as the last step did,
    a = lr a' g'.p' / g.p. On a quadratic with exact searches it is the linear method. State: 2 n numbers.

    Source: Fletcher, Reeves 1964, https://doi.org/10.1093/comjnl/7.2.149; Polak, Ribiere 1969,
    http://www.numdam.org/item/M2AN_1969__3_1_35_0; Nocedal, Wright 2006, section 5.2.

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import NonlinearCG, Objective, minimize
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> bowl = Objective(lambda p: (float(p["w"] @ (A * p["w"])) / 2, {"w": A * p["w"]}))
    >>> bool(minimize(bowl, {"w": np.ones(3)}, NonlinearCG(), tolerance=1e-8).converged)
    True
    """

    beta: Literal["polak_ribiere", "fletcher_reeves"] = "polak_ribiere"
    search: Wolfe = Wolfe(curvature=0.1)

    def init(self, params: Tree) -> Previous:
        x = ravel(params)[0]
        xp = x.__array_namespace__()
        zeros = xp.zeros_like(x)
        return Previous(zeros, zeros, xp.zeros((), dtype=x.dtype), xp.asarray(0, dtype=xp.int32))

    def move(self, loss: Flat, point: Point, state: Previous, step: Array) -> tuple[Point, Previous]:
        xp, g = point.x.__array_namespace__(), point.gradient
        old = dot(state.g, state.g)
        change = g - state.g if self.beta == "polak_ribiere" else g
        beta = dot(g, change) / xp.where(old > 0, old, xp.ones_like(old))
        known = (state.age > 0) & (state.age < tree.size(point.x))
        beta = xp.where(known & (beta > 0), beta, xp.zeros_like(beta))
        p, down = downward(beta * state.p - g, g)
        slope = dot(p, g)
        guess = state.fall / xp.where(slope < 0, slope, -xp.ones_like(slope))
        first = at(self.lr, step) * xp.where((state.age > 0) & (guess > 0), guess, shortened(g))
        reached, trial = self.search.search(loss, point, p, scalar(first, g))
        moved = trial.step > 0
        age = xp.where(moved, xp.where(known & down, state.age + 1, xp.ones_like(state.age)), xp.zeros_like(state.age))
        return reached, Previous(p, g, trial.step * slope, age)
