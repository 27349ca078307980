"""Lion: only the sign of a mixture of gradients counts."""

from dataclasses import dataclass

from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.rules import Rule, decayed, zeros_like
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegativeNumber, PositiveNumber


@dataclass(frozen=True)
class Lion(Rule):
    """u = sign(b1 m + (1 - b1) g);   m <- b2 m + (1 - b2) g;   w <- w - lr (u + weight_decay w).

    Every number moves by lr, so lr is some 3 to 10 times smaller than Adam's and weight_decay as much larger. One array
    of state. Decay leaves biases and normalisation scales alone.
    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Lion(lr=0.1), {"b": np.zeros(2)}
    >>> rule.update({"b": np.array([5.0, -0.1])}, rule.init(w), w, 0)[0]["b"].tolist()
    [-0.1, 0.1]
    """

    lr: PositiveNumber = 0.0001
    b1: FractionNumber = 0.9
    b2: FractionNumber = 0.99
    weight_decay: NonNegativeNumber = 0.0

    def check(self) -> None:
        if isinstance(self.b2, float) and self.b2 == 0.0:
            raise SettingError(
                [("b2", "expected a number greater than 0, got 0.0; for the sign of g alone set b1 to 0")]
            )

    def init(self, params: Tree) -> Tree:
        return zeros_like(params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, b1, b2 = at(self.lr, step), at(self.b1, step), at(self.b2, step)
        m = tree.map(lambda m, g: b2 * m + (1.0 - b2) * g, state, grads)
        # b2 (b1 m_old + (1 - b1) g) in terms of the new m: so the old one need not outlive it, which would cost a copy.
        updates = tree.map(lambda m, g: -lr * _sign(b1 * m + (b2 - b1) * g), m, grads)
        return decayed(updates, params, lr * at(self.weight_decay, step)), m


def _sign(x: Array) -> Array:
    return x.__array_namespace__().sign(x)
