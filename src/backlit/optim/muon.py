"""Muon: the momentum of a matrix, with all its directions made equally long."""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from backlit.engine import tree
from backlit.optim.adaptive import sqrt
from backlit.optim.matrices import flat, flat_shape, only_matrices, shaped
from backlit.optim.partition import named
from backlit.optim.rules import Rule, decayed
from backlit.optim.schedules import Product, at, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import Count, FractionNumber, NonNegativeNumber, Positive, PositiveNumber


class Velocities(NamedTuple):
    """The momentum of the matrices, and Adam's two means of all else; None where a parameter has none."""

    momentum: Tree
    m: Tree
    v: Tree


@dataclass(frozen=True)
class Muon(Rule):
    """For a matrix (n, p), with the Newton-Schulz iteration NS that brings its singular values near 1:
    B <- momentum B + (1 - momentum) G;   U = NS((1 - momentum) G + momentum B);   w <- w - lr (s U + weight_decay w).

    NS: X = B / ||B||, then `steps` times, with coefficients a, b, c:   A = X X',   X <- a X + (b A + c A A) X. With the
    default coefficients the singular values end between 0.7 and 1.2, not at 1, and small ones grow fastest. The wide one of
    X and its transpose is iterated, so that A is small. nesterov=False: NS(B).

    scale="width"  s = sqrt(max(1, p / n)), as in the original
    scale="adam"   s = 0.2 sqrt(max(n, p)): steps as long as AdamW's, whose learning rate and decay then fit

    A matrix is a parameter (..., p) with n = its other axes together, so (H W I, O) of a kernel. Biases, scales and what
    `others` names ("embedding_1", "dense_3.W", "block_*") take AdamW with adam_lr, adam_b1, adam_b2 and adam_epsilon.
    Embeddings are left to it by the name of their layer; often the first and the last layer are too. Decay leaves biases
    and scales alone.

    Errors: SettingError for parameters without a matrix.
    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; scale="adam": Liu et al. 2025,
    https://arxiv.org/abs/2502.16982. Others: theirs are (p, n), so rows and columns change places in s; Optax divides G
    and B by corrections, which changes the direction with nesterov.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Muon(lr=0.1, nesterov=False), {"W": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> grads = {"W": np.array([[3.0, 4.0], [-4.0, 3.0]]), "b": np.ones(2)}
    >>> updates, _ = rule.update(grads, rule.init(w), w, 0)
    >>> (updates["W"] / updates["W"][0, 0] * 3).round(6).tolist(), updates["b"].round(6).tolist()
    ([[3.0, 4.0], [-4.0, 3.0]], [-0.0003, -0.0003])
    """

    lr: PositiveNumber = 0.02
    momentum: FractionNumber = 0.95
    nesterov: bool = True
    scale: Literal["width", "adam"] = "width"
    weight_decay: NonNegativeNumber = 0.0
    others: tuple[str, ...] = ("embedding*", "*.embedding*")
    adam_lr: PositiveNumber = 0.0003
    adam_b1: FractionNumber = 0.9
    adam_b2: FractionNumber = 0.999
    adam_epsilon: PositiveNumber = 1e-8
    steps: Count = 5
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    epsilon: Positive = 1e-7

    def init(self, params: Tree) -> Tree:
        def zeros(path: str, w: Array) -> Array:
            return w.__array_namespace__().zeros_like(w)

        momentum = only_matrices(params, "Muon", zeros, lambda path, _: not any(named(p, path) for p in self.others))
        m, v = (tree.map(lambda w, B: zeros("", w) if B is None else None, params, momentum) for _ in range(2))
        return Velocities(momentum, m, v)

    def update(self, grads: Tree, state: Velocities, params: Tree, step: Array) -> tuple[Tree, Tree]:
        mu, b1, b2 = (at(a, step) for a in (self.momentum, self.adam_b1, self.adam_b2))
        B = _means(grads, state.momentum, mu)
        m, v = _means(grads, state.m, b1), _means(tree.map(lambda g: g * g, grads), state.v, b2)
        ahead = _means(grads, B, mu) if self.nesterov else B
        lr, (size, epsilon) = at(self.lr, step), self._adam(step)
        decay = at(self.weight_decay, step)
        first = tree.map(lambda g, B: None if B is None else -lr * self._direction(B), grads, ahead)
        second = tree.map(lambda g, m, v: None if m is None else -size * m / (sqrt(v) + epsilon), grads, m, v)
        first = decayed(first, params, lr * decay)
        second = decayed(second, params, at(self.adam_lr, step) * decay)
        updates = tree.map(lambda g, a, b: b if a is None else a, grads, first, second)
        return updates, Velocities(B, m, v)

    def rescaled(self, factor: Array) -> "Muon":
        rates: dict[str, Any] = {name: Product(getattr(self, name), factor) for name in ("lr", "adam_lr")}
        return replace(self, **rates)

    def _direction(self, B: Array) -> Array:
        """s NS(B)."""
        rows, columns = flat_shape(B.shape)
        scale = (max(1.0, columns / rows)) ** 0.5 if self.scale == "width" else 0.2 * max(rows, columns) ** 0.5
        return shaped(scale * orthogonal(flat(B), self.steps, self.coefficients, self.epsilon), B)

    def _adam(self, step: Array) -> tuple[Array, Array]:
        """AdamW's step size and epsilon, with both corrections in them."""
        t = plain_number(step) + 1.0
        root = (1.0 - at(self.adam_b2, step) ** t) ** 0.5
        size = at(self.adam_lr, step) / (1.0 - at(self.adam_b1, step) ** t)
        return size * root, at(self.adam_epsilon, step) * root


def orthogonal(X: Array, steps: int, coefficients: tuple[float, float, float], epsilon: float) -> Array:
    """X with singular values near 1, by products of matrices alone; X (n, p)."""
    xp, tall = X.__array_namespace__(), X.shape[0] > X.shape[1]
    a, b, c = coefficients
    X = X.T if tall else X
    X = X / (xp.sqrt(xp.sum(X * X)) + epsilon)
    for _ in range(steps):
        A = X @ X.T  # (n, n), the smaller of n and p
        X = a * X + (b * A + c * (A @ A)) @ X
    return X.T if tall else X


def _means(grads: Tree, old: Tree, b: Array) -> Tree:
    """b old + (1 - b) grads, where there is something old."""
    return tree.map(lambda g, m: None if m is None else b * m + (1.0 - b) * g, grads, old)
