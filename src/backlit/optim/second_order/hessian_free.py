"""Hessian-free optimisation: Newton's equation by conjugate gradients, from products with the curvature alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from backlit import engine
from backlit.optim.flat import ravel
from backlit.optim.schedules import at
from backlit.optim.second_order.base import Flat, Point, SecondOrder, dot, scalar
from backlit.optim.second_order.line_search import Wolfe, downward, rounding
from backlit.protocol import Array, Tree
from backlit.settings import Count, Fraction, NonNegative, Positive


class Kept(NamedTuple):
    """The last direction, where the next solution begins, and the damping."""

    p: Array
    damping: Array


@dataclass(frozen=True)
class HessianFree(SecondOrder):
    """(B + damping I) p = -g, solved so far by at most `iterations` conjugate gradients;   w <- w + a p,

    a by a strong Wolfe search from lr on. B is the Gauss-Newton matrix, or the Hessian (`curvature="hessian"`, which also
    plain functions have); only products B v are needed, so n may be large. The solution begins at `keep` times the last p
    and ends where B turns out not to be positive, or at iteration i, when q(p) = g.p + p.(B + damping I) p / 2 has fallen
    by less than k `progress` of itself in the last k = max(10, i / 10). Martens' heuristic for the damping, with
    r = (f(w + a p) - f(w)) / q(a p):

        r < 1/4   damping <- 3/2 damping         r > 3/4   damping <- 2/3 damping

    For deep nets and long products without a learning rate; batches as large as can be. Not in it: his preconditioner, and
    going back along the iterates. State: n + 1 numbers.
    Source: Martens 2010, https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import HessianFree, Objective, minimize
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> bowl = Objective(lambda p: (float(p["w"] @ (A * p["w"])) / 2, {"w": A * p["w"]}))
    >>> bool(minimize(bowl, {"w": np.ones(3)}, HessianFree(curvature="hessian")).converged)
    True
    """

    curvature: Literal["gauss_newton", "hessian"] = "gauss_newton"
    damping: Positive = 1.0
    iterations: Count = 100
    progress: NonNegative = 5e-4
    keep: Fraction = 0.95
    search: Wolfe = Wolfe()

    def init(self, params: Tree) -> Kept:
        x = ravel(params)[0]
        xp = x.__array_namespace__()
        return Kept(xp.zeros_like(x), self.damping * xp.ones((), dtype=x.dtype))

    def move(self, loss: Flat, point: Point, state: Kept, step: Array) -> tuple[Point, Kept]:
        xp, g = point.x.__array_namespace__(), point.gradient
        B = loss.curvature(point.x, self.curvature)
        solution = conjugate_gradients(
            lambda v: B(v) + state.damping * v, -g, self.keep * state.p, self.iterations, self.progress
        )
        p, down = downward(solution.p, g)
        reached, trial = self.search.search(loss, point, p, at(self.lr, step))
        a = trial.step
        bend = dot(solution.p, -g - solution.r)  # p.(B + damping I) p
        q = a * dot(p, g) + 0.5 * a * a * bend
        change = reached.value - point.value
        known = down & (q < 0) & (xp.abs(change) > rounding(point.value))
        r = xp.where(known, change / xp.where(q < 0, q, -xp.ones_like(q)), 0.5 * xp.ones_like(q))
        r = xp.where(a > 0, r, xp.zeros_like(r))
        factor = xp.where(
            r < 0.25, 1.5 * xp.ones_like(r), xp.where(r > 0.75, 2.0 / 3.0 * xp.ones_like(r), xp.ones_like(r))
        )
        return reached, Kept(xp.where(a > 0, solution.p, xp.zeros_like(p)), state.damping * factor)


class Solution(NamedTuple):
    """The solution p so far, its residual r = b - A p, the direction d, q(p) of all iterations, their number, and whether
    it is done."""

    p: Array
    r: Array
    d: Array
    q: Array
    i: Array
    done: Array


def conjugate_gradients(
    product: Callable[[Array], Array], b: Array, start: Array, iterations: int, progress: float
) -> Solution:
    """A p = b from products A v, begun at `start`; ends early where A is not positive or q(p) = p.A p / 2 - b.p stands still.

    Source: Hestenes, Stiefel 1952, https://doi.org/10.6028/jres.049.044; the end: Martens 2010, section 4.4
    """
    xp = b.__array_namespace__()
    places = xp.arange(iterations + 1, dtype=xp.int32)

    def noted(q: Array, i: Array, p: Array, r: Array) -> Array:
        return xp.where(places == i, -0.5 * dot(p, r + b), q)

    def iterate(_: Array, at: Solution) -> Solution:
        Ad = product(at.d)
        bend, old = dot(at.d, Ad), dot(at.r, at.r)
        good = bend > 0
        alpha = xp.where(good, old / xp.where(good, bend, xp.ones_like(bend)), xp.zeros_like(bend))
        p, r, i = at.p + alpha * at.d, at.r - alpha * Ad, at.i + 1
        new = dot(r, r)
        q = noted(at.q, i, p, r)
        k = xp.maximum(10 + 0 * i, i // 10)
        here, before = q[i], q[xp.maximum(i - k, 0 * i)]
        still = (i > k) & (here < 0) & (here - before > k * progress * here)
        d = r + (new / xp.where(old > 0, old, xp.ones_like(old))) * at.d
        return Solution(p, r, d, q, i, ~good | still | (new == 0))

    r = b - product(start)
    zero = scalar(0, b, xp.int32)
    q = noted(xp.zeros(iterations + 1, dtype=b.dtype), zero, start, r)
    first = Solution(start, r, r, q, zero, dot(r, r) == 0)
    last: Solution = engine.of(b).repeat(iterations, iterate, first, until=lambda at: ~at.done)
    return last
