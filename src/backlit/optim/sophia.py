"""Sophia: steps divided by the curvature, measured now and then, and never longer than a bound."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from backlit import engine
from backlit.engine import random, tree
from backlit.optim.rules import Asking, decayed, zeros_like
from backlit.optim.schedules import at, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import Count, FractionNumber, NonNegativeNumber, PositiveNumber

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


class Curved(NamedTuple):
    """Running means of the gradient (m) and of the diagonal of the Hessian (h)."""

    m: Tree
    h: Tree


@dataclass(frozen=True)
class Sophia(Asking):
    """m <- b1 m + (1 - b1) g;   every `every` updates h <- b2 h + (1 - b2) e;
    w <- w - lr (clip(m^ / max(gamma h, epsilon), -1, 1) + weight_decay w).

    e = u * Hu, u of random signs, is an estimate of the diagonal of the Hessian H (Hutchinson's): the Sophia-H of the paper.
    Hu is exact (forward mode over the hand-written gradient on XLA). Where curvature is negative or unknown the step
    is lr times a sign. m^ = m / (1 - b1^t). Also: SophiaH.
    Source: Liu et al. 2024, https://arxiv.org/abs/2305.14342. Others: the paper draws u from a normal distribution and does not
    correct m.

    >>> import backlit as bl, numpy as np
    >>> from backlit.optim.objective import Objective
    >>> steep = np.array([100.0, 1.0])
    >>> bowl = Objective(lambda p: (0.5 * float(steep @ p["w"] ** 2), {"w": steep * p["w"]}))
    >>> rule, w = bl.optim.Sophia(lr=0.1, b2=0.0, gamma=1.0, seed=0), {"w": np.array([0.5, 0.5])}
    >>> rule.update(bowl(w)[1], rule.init(w), w, 0, bowl)[0]["w"].round(4).tolist()  # as Newton, along each axis
    [-0.05, -0.05]
    """

    aliases = ("SophiaH",)
    lr: PositiveNumber = 0.001
    b1: FractionNumber = 0.965
    b2: FractionNumber = 0.99
    gamma: PositiveNumber = 0.01
    epsilon: PositiveNumber = 1e-8
    weight_decay: NonNegativeNumber = 0.0
    every: Count = 10
    seed: int | None = None

    def init(self, params: Tree) -> Tree:
        return Curved(zeros_like(params), zeros_like(params))

    def update(
        self, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None" = None
    ) -> tuple[Tree, Tree]:
        asked = self.given(objective)
        lr, b1, b2, gamma, epsilon = (at(a, step) for a in (self.lr, self.b1, self.b2, self.gamma, self.epsilon))
        m = tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.m, grads)

        def measured(h: Tree) -> Tree:
            u = self._signs(params, step)
            e = tree.map(lambda u, c: u * c, u, asked.hvp(params, u))
            return tree.map(lambda h, e: b2 * h + (1.0 - b2) * e, h, e)

        branch = engine.of(tree.leaves(params)[0]).branch
        h = branch(step % self.every == 0, measured, lambda h: h, state.h)
        first = 1.0 - b1 ** (plain_number(step) + 1.0)

        def move(m: Array, h: Array) -> Array:
            xp = m.__array_namespace__()
            size = xp.maximum(gamma * h, xp.zeros_like(h) + epsilon)
            one = xp.ones_like(m)
            return -lr * xp.minimum(xp.maximum(m / first / size, -one), one)

        return decayed(tree.map(move, m, h), params, lr * at(self.weight_decay, step)), Curved(m, h)

    def _signs(self, params: Tree, step: Array) -> Tree:
        """1 or -1 for each number."""
        first = tree.leaves(params)[0]
        key = random.fold(random.key(self.seed or 0), "curvature")
        key = random.fold(first.__array_namespace__().asarray(key), step)

        def drawn(path: str, w: Array) -> Array:
            xp = w.__array_namespace__()
            return xp.astype(random.uniform(random.fold(key, path), w.shape) < 0.5, w.dtype) * 2.0 - 1.0

        return tree.map_with_path(drawn, params)
