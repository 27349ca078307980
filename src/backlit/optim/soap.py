"""SOAP: Adam along the directions in which the rows and the columns of a matrix vary."""

from dataclasses import dataclass
from typing import Any

from backlit import engine
from backlit.engine import tree
from backlit.optim import matrices
from backlit.optim.adam import AdamLike
from backlit.optim.adaptive import sqrt
from backlit.optim.matrices import Sides, between, flat, turned
from backlit.optim.rules import decayed, zeros_like
from backlit.optim.schedules import at, plain_number
from backlit.optim.shampoo import Preconditioned
from backlit.protocol import Array, Tree
from backlit.settings import Count, FractionNumber, NonNegativeNumber, PositiveNumber


@dataclass(frozen=True)
class SOAP(AdamLike):
    """For a matrix, with P and Q the eigenvectors of Shampoo's L <- b2 L + (1 - b2) G G' and R <- b2 R + (1 - b2) G' G:
    m <- b1 m + (1 - b1) G;   v <- b2 v + (1 - b2) (P' G Q)^2;   U = P (P' m^ Q / (sqrt(v^) + epsilon)) Q';
    w <- w - lr (U + weight_decay w).

    The first update moves no matrix: it only begins L and R, with the eigenvectors of the first gradient, so that no
    gradient is seen through a basis of its own; t of m^ and v^ counts from the second. In every later one whose number
    `every` divides, after the move, P becomes the orthogonal factor (QR) of L P, one step of power iteration, with its
    columns in the order of P' L P, largest first, and v's rows ordered alike; Q likewise. An axis longer than `largest`
    keeps its own directions. A matrix is a parameter (..., O) as (rest, O), of a kernel (H W I, O). All other parameters
    take AdamW, from the first update on. State: 2 (n^2 + p^2) numbers beside m and v. Decay leaves biases and scales alone.
    Where Adam leaves a weight whose gradient is always 0 as it is, it moves a little here, until the bases are known well.

    Errors: SettingError for parameters without a matrix.
    Source: Vyas et al. 2024, https://arxiv.org/abs/2409.11321; first update and order: the authors' program. Others: there
    the first update moves nothing at all, biases included.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.SOAP(lr=0.1, weight_decay=0.0), {"W": np.zeros((2, 2))}
    >>> G, state = {"W": np.array([[3.0, 4.0], [-8.0, 6.0]])}, rule.init(w)
    >>> none, state = rule.update(G, state, w, 0)
    >>> updates, state = rule.update(G, state, w, 1)
    >>> none["W"].tolist(), updates["W"].round(4).tolist()
    ([[0.0, 0.0], [0.0, 0.0]], [[-0.06, -0.08], [0.08, -0.06]])
    """

    lr: PositiveNumber = 0.003
    b1: FractionNumber = 0.95
    b2: FractionNumber = 0.95
    weight_decay: NonNegativeNumber = 0.01
    every: Count = 10
    largest: Count = 2048

    def init(self, params: Tree) -> Tree:
        sides = matrices.only_matrices(params, "SOAP", lambda _, w: matrices.sides(w, self.largest), self._fits)
        return Preconditioned(zeros_like(params), zeros_like(params), sides)

    def update(self, grads: Tree, state: Preconditioned, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, b1, b2, epsilon = (at(a, step) for a in (self.lr, self.b1, self.b2, self.epsilon))
        number = plain_number(step)
        later = (number > 0) * 1.0  # 0 in the first update, which moves no matrix

        def means(g: Array, m: Array, v: Array, s: Sides | None) -> tuple[Array, Array]:
            weight = 1.0 if s is None else later
            p = g if s is None else _into(s, g)
            return b1 * m + weight * (1.0 - b1) * g, b2 * v + weight * (1.0 - b2) * (p * p)

        def move(g: Array, m: Array, v: Array, s: Sides | None) -> Array:
            t = number + 1.0 if s is None else number + (1.0 - later)
            root = (1.0 - b2**t) ** 0.5
            size = lr * root / (1.0 - b1**t)
            if s is None:
                return -size * m / (sqrt(v) + epsilon * root)
            return _back(s, -later * size * _into(s, m) / (sqrt(v) + epsilon * root))

        both = tree.map(means, grads, state.m, state.v, state.sides)
        m, v = (tree.map(lambda _, pair, i=i: pair[i], grads, both) for i in range(2))
        updates = decayed(tree.map(move, grads, m, v, state.sides), params, lr * at(self.weight_decay, step))
        sides = tree.map(lambda g, s: s and matrices.seen(s, flat(g), b2, 1.0 - b2), grads, state.sides)
        v, sides = self._bases(v, sides, step, engine.of(tree.leaves(grads)[0]))
        return updates, Preconditioned(m, v, sides)

    def _fits(self, path: str, w: Array) -> bool:
        return min(matrices.flat_shape(w.shape)) <= self.largest

    def _bases(self, v: Tree, sides: Tree, step: Array, home: Any) -> tuple[Tree, Tree]:
        """v and the sides with the bases of this update; nothing is computed in those that keep theirs."""

        def begun(given: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
            return given[0], tree.map(lambda _, s: s and _first(s), *given)

        def refreshed(given: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
            made = tree.map(lambda v, s: (v, s) if s is None else _next(v, s), *given)
            v, sides = (tree.map(lambda _, pair, i=i: pair[i], given[0], made) for i in range(2))
            return v, sides

        def kept_or_refreshed(given: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
            found: tuple[Tree, Tree] = home.branch(step % self.every == 0, refreshed, lambda a: a, given)
            return found

        found: tuple[Tree, Tree] = home.branch(step == 0, begun, kept_or_refreshed, (v, sides))
        return found


def _into(s: Sides, x: Array) -> Array:
    """P' x Q, in the shape of x."""
    return matrices.shaped(between(turned(s.left), flat(x), s.right), x)


def _back(s: Sides, x: Array) -> Array:
    """P x Q', in the shape of x."""
    return matrices.shaped(between(s.left, flat(x), turned(s.right)), x)


def _first(s: Sides) -> Sides:
    """All eigenvectors, those of the largest eigenvalues first."""
    left, right = (None if A is None else _reversed(matrices.eigen(A)[1]) for A in (s.rows, s.columns))
    return s._replace(left=left, right=right)


def _reversed(Q: Array) -> Array:
    return Q.__array_namespace__().flip(Q, axis=1)


def _next(v: Array, s: Sides) -> tuple[Array, Sides]:
    """One step of power iteration; v follows the order of the columns."""
    xp, V = v.__array_namespace__(), flat(v)
    left, right = s.left, s.right
    if s.rows is not None:
        left, order = _turn(s.rows, s.left)
        V = xp.take(V, order, axis=0)
    if s.columns is not None:
        right, order = _turn(s.columns, s.right)
        V = xp.take(V, order, axis=1)
    return matrices.shaped(V, v), s._replace(left=left, right=right)


def _turn(A: Array, Q: Array) -> tuple[Array, Array]:
    """The orthogonal factor of A Q, with its columns by Q' A Q, largest first, and that order."""
    xp = A.__array_namespace__()
    moved = A @ Q
    order = xp.argsort(-xp.sum(Q * moved, axis=0), stable=True)
    return matrices.signed(xp.linalg.qr(xp.take(moved, order, axis=1))[0]), order
