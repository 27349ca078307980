"""L-BFGS: the inverse Hessian from the last few steps, never written down."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit import engine
from backlit.engine import tree
from backlit.optim.flat import ravel
from backlit.optim.schedules import at
from backlit.optim.second_order.base import Flat, Point, SecondOrder, dot, length, scalar
from backlit.optim.second_order.line_search import Wolfe, downward
from backlit.protocol import Array, Tree
from backlit.settings import Count


class Pairs(NamedTuple):
    """The last steps s and changes of the gradient y as rows (memory, n), the newest last; rho = 1 / s.y, 0 where there is
    no pair; scale = s.y / y.y of the newest."""

    s: Array
    y: Array
    rho: Array
    scale: Array


@dataclass(frozen=True)
class LBFGS(SecondOrder):
    """w <- w - a H g. H is BFGS's inverse Hessian of the last `memory` pairs, from scale I; a by a strong Wolfe search.

        q = g;    for the pairs from the newest:  alpha_i = rho_i s_i.q,  q <- q - alpha_i y_i
        r = scale q;    from the oldest:          r <- r + s_i (alpha_i - rho_i y_i.r);    H g = r

    For smooth problems and full batches, or batches so large that their noise is small; s and y are of one batch. The first
    trial of the search is lr, in the first step lr min(1, 1 / |g|). A pair with s.y <= 0 is not kept; when the search fails
    all pairs are forgotten. State: 2 memory n numbers.

    Source: Nocedal 1980, https://doi.org/10.1090/S0025-5718-1980-0572855-7; Liu, Nocedal 1989,
    https://doi.org/10.1007/BF01589116. Others: torch's has no line search unless told; Optax' scales by the newest pair too.

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim import LBFGS, Objective, minimize
    >>> bowl = Objective(lambda p: (float(p["w"] @ (A * p["w"])) / 2, {"w": A * p["w"]}))
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> found = minimize(bowl, {"w": np.ones(3)}, LBFGS(), tolerance=1e-8)
    >>> bool(found.converged), bool(abs(found.params["w"]).max() < 1e-8)
    (True, True)
    """

    memory: Count = 10
    search: Wolfe = Wolfe()

    def init(self, params: Tree) -> Pairs:
        x, n = ravel(params)[0], tree.size(params)
        xp = x.__array_namespace__()
        s, y = (xp.zeros((self.memory, n), dtype=x.dtype) for _ in range(2))
        return Pairs(s, y, xp.zeros(self.memory, dtype=x.dtype), xp.ones((), dtype=x.dtype))

    def move(self, loss: Flat, point: Point, state: Pairs, step: Array) -> tuple[Point, Pairs]:
        xp, g = point.x.__array_namespace__(), point.gradient
        p, down = downward(-product(state, g), g)
        fresh = ~(xp.any(state.rho > 0) & down)
        first = at(self.lr, step) * xp.where(fresh, shortened(g), scalar(1.0, g))
        reached, trial = self.search.search(loss, point, p, first)
        return reached, remembered(state, reached.x - point.x, reached.gradient - g, trial.step > 0)


def product(pairs: Pairs, g: Array) -> Array:
    """H g."""
    home, rows = engine.of(g), (pairs.s, pairs.y, pairs.rho)

    def newest_first(q: Array, row: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        s, y, rho = row
        alpha = rho * dot(s, q)
        return q - alpha * y, alpha

    def oldest_first(r: Array, row: tuple[tuple[Array, Array, Array], Array]) -> tuple[Array, Array]:
        (s, y, rho), alpha = row
        return r + s * (alpha - rho * dot(y, r)), alpha

    q, alphas = home.scan(newest_first, g, rows, reverse=True)
    r: Array = home.scan(oldest_first, pairs.scale * q, (rows, alphas))[0]
    return r


def remembered(pairs: Pairs, s: Array, y: Array, moved: Array) -> Pairs:
    """With one pair more, the oldest forgotten; all forgotten where the search did not move."""
    xp = s.__array_namespace__()
    bend, size = dot(s, y), dot(y, y)
    good = bend > xp.finfo(s.dtype).eps * size
    one = xp.ones_like(bend)
    rho = xp.where(good, one / xp.where(good, bend, one), 0.0 * one)  # a row with rho 0 is no pair
    rhos = xp.concat([pairs.rho[1:], xp.reshape(rho, (1,))])
    scale = xp.where(good, bend / xp.where(good, size, one), pairs.scale)
    return Pairs(
        xp.concat([pairs.s[1:], s[None, :]]),
        xp.concat([pairs.y[1:], y[None, :]]),
        xp.where(moved, rhos, xp.zeros_like(rhos)),
        xp.where(moved, scale, one),
    )


def shortened(g: Array) -> Array:
    """min(1, 1 / |g|): the first trial of a search along -g."""
    xp, size = g.__array_namespace__(), length(g)
    return 1.0 / xp.maximum(size, xp.ones_like(size))
