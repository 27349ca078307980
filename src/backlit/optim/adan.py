"""Adan: Adam that also sees how the gradient changes."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit.engine import tree
from backlit.optim.adaptive import sqrt
from backlit.optim.rules import Rule, decayed, zeros_like
from backlit.optim.schedules import at, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegativeNumber, PositiveNumber


class Changes(NamedTuple):
    """Running means of the gradient (m), of its change (c) and of the square (v); the gradient before."""

    m: Tree
    c: Tree
    v: Tree
    before: Tree


@dataclass(frozen=True)
class Adan(Rule):
    """With the change d = g - g_before (0 at first), and all means corrected as Adam's:
    m <- b1 m + (1 - b1) g;   c <- b2 c + (1 - b2) d;   v <- b3 v + (1 - b3) (g + (1 - b2) d)^2;
    w <- w - lr ((m^ + (1 - b2) c^) / (sqrt(v^) + epsilon) + weight_decay w).

    Four arrays of state. Decay leaves biases and normalisation scales alone.
    Source: Xie et al. 2022, https://arxiv.org/abs/2208.06677. Others: the paper calls 1 - b what is b here, and divides
    by 1 + lr weight_decay instead of subtracting.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Adan(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.1
    """

    lr: PositiveNumber = 0.001
    b1: FractionNumber = 0.98
    b2: FractionNumber = 0.92
    b3: FractionNumber = 0.99
    epsilon: PositiveNumber = 1e-8
    weight_decay: NonNegativeNumber = 0.0

    def init(self, params: Tree) -> Tree:
        return Changes(*(zeros_like(params) for _ in range(4)))

    def update(self, grads: Tree, state: Changes, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, b1, b2, b3 = (at(a, step) for a in (self.lr, self.b1, self.b2, self.b3))
        t = plain_number(step) + 1.0
        later = (t > 1.0) * 1.0  # 0 at the first update, which has no gradient before it
        d = tree.map(lambda g, before: later * (g - before), grads, state.before)
        m = tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.m, grads)
        c = tree.map(lambda c, d: b2 * c + (1.0 - b2) * d, state.c, d)
        v = tree.map(lambda v, g, d: b3 * v + (1.0 - b3) * (g + (1.0 - b2) * d) ** 2, state.v, grads, d)
        root = (1.0 - b3**t) ** 0.5
        size, epsilon = lr * root, at(self.epsilon, step) * root
        of_m, of_c = 1.0 / (1.0 - b1**t), (1.0 - b2) / (1.0 - b2**t)
        updates = tree.map(lambda m, c, v: -size * (of_m * m + of_c * c) / (sqrt(v) + epsilon), m, c, v)
        return decayed(updates, params, lr * at(self.weight_decay, step)), Changes(m, c, v, grads)
