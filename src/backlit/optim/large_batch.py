"""Rules for large batches: each weight array moves in proportion to its own length, however long its gradient is."""

from dataclasses import dataclass

from backlit.engine import tree
from backlit.optim.adam import AdamLike, Moments, ratio
from backlit.optim.clipping import norm
from backlit.optim.rules import Rule, decays, zeros_like
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegativeNumber, PositiveNumber


@dataclass(frozen=True)
class LARS(Rule):
    """d = g + weight_decay w;   v <- momentum v + lr trust ||w|| / ||d|| d;   w <- w - v, the norms those of one array.

    Biases and normalisation scales: no decay, and 1 in place of trust ||w|| / ||d||. So it is also where a norm is 0.
    Source: You, Gitman, Ginsburg 2017, https://arxiv.org/abs/1708.03888

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.LARS(lr=1.0, trust=0.1), {"W": np.array([3.0, 4.0])}
    >>> rule.update({"W": np.array([1.2, 1.6])}, rule.init(w), w, 0)[0]["W"].round(6).tolist()
    [-0.3, -0.4]
    """

    lr: PositiveNumber = 1.0
    momentum: FractionNumber = 0.9
    weight_decay: NonNegativeNumber = 0.0
    trust: PositiveNumber = 0.001

    def init(self, params: Tree) -> Tree:
        return zeros_like(params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, mu, decay, trust = (at(a, step) for a in (self.lr, self.momentum, self.weight_decay, self.trust))
        d = tree.map_with_path(lambda p, g, w: g + decay * w if decays(p) else g, grads, params)
        d = tree.map_with_path(lambda p, d, w: _trusted(trust, w, d) * d if decays(p) else d, d, params)
        v = tree.map(lambda v, d: mu * v + lr * d, state, d)
        return tree.map(lambda v: -v, v), v


@dataclass(frozen=True)
class LAMB(AdamLike):
    """d = m^ / (sqrt(v^) + epsilon) + weight_decay w;   w <- w - lr ||w|| / ||d|| d, the norms those of one array.

    Biases and normalisation scales: no decay, and 1 in place of ||w|| / ||d||. So it is also where a norm is 0.
    Source: You et al. 2020, https://arxiv.org/abs/1904.00962

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.LAMB(lr=0.1), {"W": np.array([3.0, 4.0])}
    >>> rule.update({"W": np.array([1.2, 1.6])}, rule.init(w), w, 0)[0]["W"].round(4).tolist()
    [-0.3536, -0.3536]
    """

    epsilon: PositiveNumber = 1e-6
    weight_decay: NonNegativeNumber = 0.0

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        lr, decay, (first, second) = at(self.lr, step), at(self.weight_decay, step), self.corrections(step)
        d = ratio(-1.0 / first, m, v, second, self, step)
        d = tree.map_with_path(lambda p, d, w: d + decay * w if decays(p) else d, d, params)
        updates = tree.map_with_path(lambda p, d, w: -lr * _trusted(1.0, w, d) * d if decays(p) else -lr * d, d, params)
        return updates, Moments(m, v)


def _trusted(trust: Array, w: Array, d: Array) -> Array:
    """trust ||w|| / ||d||, and 1 where one of them is 0."""
    xp = w.__array_namespace__()
    length, of_step = norm(w), norm(d)
    one = xp.ones_like(length)
    known = (length > 0) & (of_step > 0)
    return xp.where(known, trust * length / xp.where(known, of_step, one), one)
