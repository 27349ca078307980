"""Gauss-Newton and Levenberg-Marquardt: the curvature of the loss as if the net were linear."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from backlit import engine
from backlit.optim.flat import ravel
from backlit.optim.schedules import at
from backlit.optim.second_order.base import Dense, Flat, Point, Solved, dot, length, scalar
from backlit.optim.second_order.line_search import Wolfe, rounding
from backlit.optim.second_order.newton import solved, stepped
from backlit.protocol import Array, Tree
from backlit.settings import Count, Positive


@dataclass(frozen=True)
class GaussNewton(Solved):
    """(G + damping I) p = -g, G = J^T H_L J;   w <- w + lr p, or w + a p with `search`.

    J is the Jacobian of the outputs, H_L the loss' Hessian in them: G is never indefinite where the loss is convex, so p
    leads down. Near a minimum with small residuals as fast as Newton. Where G is singular (more parameters than
    outputs) it needs damping: see LevenbergMarquardt, which chooses it.

    The objective must know the outputs: Objective.of or Objective.composed. Errors: SettingError for more than `limit`
    parameters, BacklitError for a plain function.
    Source: Nocedal, Wright 2006, section 10.3; for any convex loss: Schraudolph 2002,
    https://doi.org/10.1162/08997660260028683

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import GaussNewton, Objective
    >>> net, x, t = bl.Dense(1), np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])
    >>> w = {"W": np.zeros((1, 1)), "b": np.zeros(1)}
    >>> line = Objective.of(net, bl.SquaredError(), {}, x, t)
    >>> {k: u.round(6).tolist() for k, u in GaussNewton().update({}, {}, w, 0, line)[0].items()}  # t = 2 x + 1
    {'W': [[2.0]], 'b': [1.0]}
    """

    search: Wolfe | None = None

    def move(self, loss: Flat, point: Point, state: Tree, step: Array) -> tuple[Point, Tree]:
        G = loss.objective.gauss_newton_matrix(loss.back(point.x))
        p = solved(G, -point.gradient, at(self.damping, step))
        return stepped(loss, point, p, at(self.lr, step), self.search), state


class Damping(NamedTuple):
    """mu, how fast it grows, whether it has been set, and the largest diagonal of G so far."""

    mu: Array
    growth: Array
    known: Array
    diagonal: Array


class Attempt(NamedTuple):
    """The point reached, and the damping after it."""

    point: Point
    damping: Damping


@dataclass(frozen=True)
class LevenbergMarquardt(Dense):
    """(G + mu D) p = -g;   w <- w + lr p where that lowers the loss.

    D is the identity (Levenberg), or the diagonal of G (`scaling="diagonal"`, Marquardt: the largest so far;
    steps then do not depend on the units of the parameters). The gain ratio tells how far the model is right:

        r = (f(w) - f(w + p)) / (p.(mu D p - g) / 2)
        r > 0     the step is taken;   mu <- mu max(1/3, 1 - (2 r - 1)^3),  growth <- 2
        else      mu <- mu growth,  growth <- 2 growth,  and another p is tried, up to `attempts` in one update

    mu begins at `damping` max diag(G). Where f does not change but for rounding, the gradient's length decides.
    Least squares is its field; with any convex loss it works as well. The objective must know the outputs. Errors: as
    GaussNewton. Source: Marquardt 1963, https://doi.org/10.1137/0111030; the changes of mu: Nielsen 1999, and Madsen,
    Nielsen, Tingleff 2004, http://www2.imm.dtu.dk/pubdb/pubs/3215-full.html

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import LevenbergMarquardt, Objective, minimize
    >>> def residuals(p):  # Rosenbrock's valley
    ...     a, b = p["w"]
    ...     return np.array([10.0 * (b - a * a), 1.0 - a]), {}
    >>> def back(p, cache, dr):
    ...     return {"w": np.array([-20.0 * p["w"][0] * dr[0] - dr[1], 10.0 * dr[0]])}
    >>> valley, start = Objective.composed(residuals, back), {"w": np.array([-1.2, 1.0])}
    >>> minimize(valley, start, LevenbergMarquardt(), tolerance=1e-8).params["w"].round(6).tolist()
    [1.0, 1.0]
    """

    damping: Positive = 1e-3
    scaling: Literal["none", "diagonal"] = "none"
    attempts: Count = 20
    limit: Count = 5000

    def init(self, params: Tree) -> Damping:
        self.matrix_fits(params, self.limit)
        x = ravel(params)[0]
        xp = x.__array_namespace__()
        one = xp.ones((), dtype=x.dtype)
        return Damping(one, 2.0 * one, xp.asarray(False), xp.zeros_like(x))

    def move(self, loss: Flat, point: Point, state: Damping, step: Array) -> tuple[Point, Damping]:
        xp, g, lr = point.x.__array_namespace__(), point.gradient, at(self.lr, step)
        G = loss.objective.gauss_newton_matrix(loss.back(point.x))
        diagonal = xp.maximum(xp.sum(G * xp.eye(g.shape[0], dtype=g.dtype), axis=0), state.diagonal)
        largest = xp.max(diagonal)
        # A parameter that moves nothing has no curvature: a little of the largest keeps the matrix regular.
        D = xp.ones_like(g) if self.scaling == "none" else xp.maximum(diagonal, 1e-6 * largest + 0.0 * diagonal)
        unit = largest if self.scaling == "none" else xp.ones_like(largest)
        mu = xp.where(state.known, state.mu, self.damping * unit)
        begun = Damping(mu, state.growth, xp.ones_like(state.known), diagonal)
        count = scalar(1, g, xp.int32)

        def attempt(_: Array, at: Attempt) -> Attempt:
            here, (mu, growth, _, _) = at
            p = lr * solved(G + xp.eye(g.shape[0], dtype=g.dtype) * (mu * D), -g, 0.0)
            value, gradient = loss(point.x + p)
            expected = -(dot(g, p) + 0.5 * dot(p, G @ p))
            r = (point.value - value) / xp.where(expected > 0, expected, xp.ones_like(expected))
            same = xp.abs(point.value - value) <= rounding(point.value)
            r = xp.where(same, xp.where(length(gradient) < length(g), xp.ones_like(r), -xp.ones_like(r)), r)
            good = (r > 0) & (expected > 0) & xp.isfinite(value)
            shrunk = mu * xp.clip(1.0 - (2.0 * xp.where(good, r, xp.ones_like(r)) - 1.0) ** 3, 1.0 / 3.0, 2.0)
            faster = xp.where(good, 2.0 * xp.ones_like(growth), 2.0 * growth)
            damping = begun._replace(mu=xp.where(good, shrunk, mu * growth), growth=faster)
            x, value, gradient = (
                xp.where(good, new, old) for new, old in ((point.x + p, point.x), (value, point.value), (gradient, g))
            )
            return Attempt(here.reached(x, value, gradient, count, good), damping)

        first = Attempt(point._replace(failures=point.failures + 1), begun)
        last: Attempt = engine.of(g).repeat(self.attempts, attempt, first, until=lambda at: at.point.failures > 0)
        failed = last.point.failures > 0
        failures = xp.where(failed, point.failures + 1, xp.zeros_like(point.failures))
        return last.point._replace(failures=failures), last.damping
