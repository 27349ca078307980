"""Newton's method: the minimum of the quadratic that has the loss' gradient and Hessian here."""

from dataclasses import dataclass

import numpy as np

from backlit.optim.schedules import at
from backlit.optim.second_order.base import Flat, Point, Solved, scalar
from backlit.optim.second_order.line_search import Wolfe, downward
from backlit.protocol import Array, Tree


@dataclass(frozen=True)
class Newton(Solved):
    """(H + damping I) p = -g;   w <- w + lr p, or w + a p with `search`, a by a strong Wolfe search from lr on.

    damping = 0 is the plain method: a quadratic in one step, near a minimum twice as many right digits in each. Where H is
    indefinite it goes to the nearest stationary point, which may be a saddle or a maximum, and p may lead uphill.
    damping above -(the smallest eigenvalue) makes p lead down. saddle_free: |H| in place of H, its eigenvalues made
    absolute, so p always leads down, and away from saddles as fast as it comes to minima.
    With `search`, and where H + damping I is singular, -g takes the place of a p that does not lead down.

    H is dense and exact (on NumPy a difference of gradients): n products and n^3 / 3 operations a step, for up to some
    thousand parameters. Errors: SettingError for more than `limit` parameters.
    Source: Nocedal, Wright 2006, section 3.3; saddle-free: Dauphin et al. 2014, https://arxiv.org/abs/1406.2572

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import Newton, Objective
    >>> saddle = Objective(lambda p: (p["w"][0] ** 2 - p["w"][1] ** 2, {"w": 2.0 * p["w"] * np.array([1.0, -1.0])}))
    >>> w = {"w": np.array([1.0, 0.1])}
    >>> Newton().update({}, {}, w, 0, saddle)[0]["w"].round(6).tolist()  # to the saddle
    [-1.0, -0.1]
    >>> Newton(saddle_free=True).update({}, {}, w, 0, saddle)[0]["w"].round(6).tolist()  # away from it
    [-1.0, 0.1]
    """

    saddle_free: bool = False
    search: Wolfe | None = None

    def move(self, loss: Flat, point: Point, state: Tree, step: Array) -> tuple[Point, Tree]:
        H = loss.objective.hessian(loss.back(point.x))
        damping = at(self.damping, step)
        p = away(H, point.gradient, damping) if self.saddle_free else solved(H, -point.gradient, damping)
        return stepped(loss, point, p, at(self.lr, step), self.search), state


def solved(A: Array, b: Array, damping: Array) -> Array:
    """(A + damping I)^-1 b; NaN or infinity where that is singular."""
    xp = A.__array_namespace__()
    try:
        found: Array = xp.linalg.solve(A + damping * xp.eye(b.shape[0], dtype=b.dtype), b)
    except np.linalg.LinAlgError:  # only NumPy notices
        return xp.nan * b
    return found


def away(H: Array, g: Array, damping: Array) -> Array:
    """-(|H| + damping I)^-1 g; an eigenvalue of 0 counts as the rounding of the largest."""
    xp = H.__array_namespace__()
    values, vectors = xp.linalg.eigh(H)
    size = xp.abs(values)
    least = float(xp.finfo(H.dtype).eps) * H.shape[0] * xp.max(size)
    return -(vectors @ ((vectors.T @ g) / (xp.maximum(size, least + 0.0 * size) + damping)))


def stepped(loss: Flat, point: Point, p: Array, lr: Array, search: Wolfe | None) -> Point:
    """Along p by lr, or as far as the search says."""
    xp = p.__array_namespace__()
    if search is not None:
        return search.search(loss, point, downward(p, point.gradient)[0], lr)[0]
    p = xp.where(xp.all(xp.isfinite(p)), p, -point.gradient)
    x = point.x + lr * p
    value, gradient = loss(x)
    return point.reached(x, value, gradient, scalar(1, p, xp.int32), scalar(True, p, xp.bool))
