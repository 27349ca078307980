"""Shampoo: a matrix divided by the roots of the second moments of its rows and of its columns."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Interval

from backlit import engine
from backlit.engine import tree
from backlit.optim import matrices
from backlit.optim.adaptive import sqrt
from backlit.optim.clipping import norm
from backlit.optim.matrices import Sides
from backlit.optim.rules import Rule, decayed, zeros_like
from backlit.optim.schedules import at, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import Count, FractionNumber, NonNegativeNumber, Positive, PositiveNumber, Scheduled

Memory = Annotated[float, Interval(ge=0, le=1), Scheduled()]
"""How much of the past is kept; 1: all of it, as a sum."""


class Preconditioned(NamedTuple):
    """Running means of the gradient (m) and of its square (v), and what belongs to a matrix; None where there is none."""

    m: Tree
    v: Tree
    sides: Tree


@dataclass(frozen=True)
class Shampoo(Rule):
    """For a matrix (n, p), corrected as Adam's means are:
    m <- b1 m + (1 - b1) G;   L <- b2 L + (1 - b2) G G';   R <- b2 R + (1 - b2) G' G;
    U = L^(-1/4) m R^(-1/4);   w <- w - lr (||d|| / ||U|| U + weight_decay w).

    ||d|| is the length of the step that Adam would take ("adam"), of m ("sgd"), or ||U|| ("none"): Shampoo chooses the
    direction, `graft` the length. b2=1 keeps sums, L <- L + G G', as the paper does; Adam's part is then AdaGrad.

    The roots are computed anew in every update whose number `every` divides, from eigenvalues s as
    (s + damping s_max)^(-1/4), and kept for the others. An axis longer than `largest` has no root; the other one then has
    the power -1/2. A matrix is a parameter (..., p) with n = its other axes together, so (H W I, O) of a kernel. Vectors,
    and arrays with both axes too long, take Adam's step. State: 2 (n^2 + p^2) numbers beside m and v.
    Decay leaves biases and scales alone.

    Errors: SettingError for parameters without a matrix.
    Source: Gupta, Koren, Singer 2018, https://arxiv.org/abs/1802.09568; graft and damping: Anil et al. 2020,
    https://arxiv.org/abs/2002.09018. Others: the paper begins with L = damping I in place of the damping of each root.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Shampoo(lr=0.1, b1=0.0, graft="none"), {"W": np.zeros((2, 2))}
    >>> rule.update({"W": np.array([[3.0, 4.0], [-4.0, 3.0]])}, rule.init(w), w, 0)[0]["W"].round(4).tolist()
    [[-0.06, -0.08], [0.08, -0.06]]
    """

    lr: PositiveNumber = 0.001
    b1: FractionNumber = 0.9
    b2: Memory = 0.999
    epsilon: PositiveNumber = 1e-8
    weight_decay: NonNegativeNumber = 0.0
    graft: Literal["adam", "sgd", "none"] = "adam"
    every: Count = 10
    largest: Count = 2048
    damping: Positive = 1e-5

    def init(self, params: Tree) -> Tree:
        sides = matrices.only_matrices(params, "Shampoo", lambda _, w: matrices.sides(w, self.largest), self._fits)
        alone = tree.map(lambda w, s: s is None or self.graft == "adam", params, sides)
        v = tree.map(lambda w, kept: zeros_like(w) if kept else None, params, alone)
        return Preconditioned(zeros_like(params), v, sides)

    def update(self, grads: Tree, state: Preconditioned, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, b1, b2 = (at(a, step) for a in (self.lr, self.b1, self.b2))
        t, fresh = plain_number(step) + 1.0, _fresh(b2)
        first, second = 1.0 - b1**t, _weight(b2, t)
        m = tree.map(lambda g, m: b1 * m + (1.0 - b1) * g, grads, state.m)
        v = tree.map(lambda g, v: None if v is None else b2 * v + fresh * (g * g), grads, state.v)
        sides = tree.map(lambda g, s: s and matrices.seen(s, matrices.flat(g), b2, fresh), grads, state.sides)
        home = engine.of(tree.leaves(grads)[0])
        sides = home.branch(step % self.every == 0, lambda s: self._rooted(s, grads, second), lambda s: s, sides)

        def move(g: Array, m: Array, v: Array | None, s: Sides | None) -> Array:
            m = m / first
            d = m if v is None else m / (sqrt(v / second) + at(self.epsilon, step))
            if s is None:
                return -lr * d
            u = matrices.shaped(matrices.between(s.left, matrices.flat(m), s.right), g)
            return -lr * (u if self.graft == "none" else _long(u, norm(d)))

        updates = tree.map(move, grads, m, v, sides)
        return decayed(updates, params, lr * at(self.weight_decay, step)), Preconditioned(m, v, sides)

    def _fits(self, path: str, w: Array) -> bool:
        return min(matrices.flat_shape(w.shape)) <= self.largest

    def _rooted(self, sides: Tree, like: Tree, second: Array) -> Tree:
        """The sides with the roots of their second moments."""

        def both(_: Array, s: Sides | None) -> Sides | None:
            if s is None:
                return None
            power = -0.5 / sum(side is not None for side in (s.rows, s.columns))
            left, right = (None if A is None else self._power(A / second, power) for A in (s.rows, s.columns))
            return s._replace(left=left, right=right)

        return tree.map(both, like, sides)

    def _power(self, A: Array, power: float) -> Array:
        """A^power, damped."""
        values, Q = matrices.eigen(A)
        xp = A.__array_namespace__()
        values = xp.maximum(values, xp.zeros_like(values))  # rounding may make a small one negative
        damped = values + (self.damping * values[-1] + 1e-30)
        return (Q * damped**power) @ Q.T


def _fresh(b2: Array) -> Array:
    """The weight of what is new: 1 - b2, and 1 in a sum."""
    if isinstance(b2, int | float):
        return 1.0 - b2 if b2 < 1 else 1.0
    xp = b2.__array_namespace__()
    return xp.where(b2 < 1, 1.0 - b2, xp.ones_like(b2))


def _weight(b2: Array, t: Array) -> Array:
    """The sum of all weights so far, 1 - b2^t; a sum is left as it is."""
    if isinstance(b2, int | float):
        return 1.0 - b2**t if b2 < 1 else 1.0
    xp = b2.__array_namespace__()
    return xp.where(b2 < 1, 1.0 - b2**t, xp.ones_like(b2))


def _long(u: Array, length: Array) -> Array:
    """u with this length; 0 where it has none."""
    xp, own = u.__array_namespace__(), norm(u)
    known: Any = own > 0
    return u * xp.where(known, length / xp.where(known, own, xp.ones_like(own)), xp.zeros_like(own))
