"""BFGS: the inverse Hessian learned from steps and changes of the gradient."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit.optim.flat import ravel
from backlit.optim.schedules import at
from backlit.optim.second_order.base import Dense, Flat, Point, dot, scalar
from backlit.optim.second_order.lbfgs import shortened
from backlit.optim.second_order.line_search import Wolfe, downward
from backlit.protocol import Array, Tree
from backlit.settings import Count


class Inverse(NamedTuple):
    """The inverse Hessian (n, n) as far as it is known, and whether it is still the identity."""

    H: Array
    fresh: Array


@dataclass(frozen=True)
class BFGS(Dense):
    """w <- w - a H g,  a by a strong Wolfe search;   H <- (I - rho s y^T) H (I - rho y s^T) + rho s s^T,

    with s the step, y the change of the gradient and rho = 1 / s.y; s.y <= 0 changes nothing. H begins at the identity and
    is scaled by s.y / y.y before its first change. When a search fails it begins anew. It stays positive definite, and near
    a minimum the steps converge faster than any linear rate. State: n^2 numbers: for up to some thousand parameters.

    Errors: SettingError for more than `limit` parameters. Source: Nocedal, Wright 2006, Numerical Optimization, algorithm
    6.1, https://doi.org/10.1007/978-0-387-40065-5. Others: SciPy does not scale H.

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import BFGS, Objective, minimize
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> bowl = Objective(lambda p: (float(p["w"] @ (A * p["w"])) / 2, {"w": A * p["w"]}))
    >>> bool(minimize(bowl, {"w": np.ones(3)}, BFGS(), tolerance=1e-8).converged)
    True
    """

    limit: Count = 5000
    search: Wolfe = Wolfe()

    def init(self, params: Tree) -> Inverse:
        n, x = self.matrix_fits(params, self.limit), ravel(params)[0]
        xp = x.__array_namespace__()
        return Inverse(xp.eye(n, dtype=x.dtype), xp.asarray(True))

    def move(self, loss: Flat, point: Point, state: Inverse, step: Array) -> tuple[Point, Inverse]:
        xp, g = point.x.__array_namespace__(), point.gradient
        p, down = downward(-(state.H @ g), g)
        first = at(self.lr, step) * xp.where(state.fresh | ~down, shortened(g), scalar(1.0, g))
        reached, trial = self.search.search(loss, point, p, first)
        return reached, learned(state, reached.x - point.x, reached.gradient - g, trial.step > 0)


def learned(state: Inverse, s: Array, y: Array, moved: Array) -> Inverse:
    """H with one step more, or the identity where the search did not move."""
    xp = s.__array_namespace__()
    bend, size = dot(s, y), dot(y, y)
    good = bend > xp.finfo(s.dtype).eps * size
    one = xp.ones_like(bend)
    rho = xp.where(good, one / xp.where(good, bend, one), 0.0 * one)  # 0: H stays
    scale = xp.where(state.fresh & good, bend / xp.where(good, size, one), one)
    H = scale * state.H
    Hy = H @ y
    # The product written out: H - rho (s Hy^T + Hy s^T) + (rho^2 y.Hy + rho) s s^T, with two outer products.
    half = 0.5 * (rho * rho * dot(y, Hy) + rho) * s - rho * Hy
    H = H + (half[:, None] * s[None, :] + s[:, None] * half[None, :])
    eye = xp.eye(s.shape[0], dtype=s.dtype)
    return Inverse(xp.where(moved, H, eye), xp.where(moved, state.fresh & ~good, xp.ones_like(good)))
