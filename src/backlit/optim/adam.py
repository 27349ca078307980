"""Adam and its family: a running mean of the gradient over the root of a running mean of its square.

Of two numbers, b1 and b2, the older gradients fade; t = step + 1 counts updates from 1. Both means begin at 0, so they are too
small at first: m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) are not.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from backlit.engine import tree
from backlit.optim.adaptive import sqrt, used
from backlit.optim.rules import Rule, decayed, zeros_like
from backlit.optim.schedules import at, plain_number
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegativeNumber, PositiveNumber


class Moments(NamedTuple):
    """Running means of the gradient (m) and of its square (v)."""

    m: Tree
    v: Tree


@dataclass(frozen=True)
class AdamLike(Rule):
    """Base of the family: two means."""

    abstract: ClassVar[bool] = True
    lr: PositiveNumber = 0.001
    b1: FractionNumber = 0.9
    b2: FractionNumber = 0.999
    epsilon: PositiveNumber = 1e-8

    def init(self, params: Tree) -> Tree:
        return Moments(zeros_like(params), zeros_like(params))

    def means(self, grads: Tree, state: Any, step: Array) -> tuple[Tree, Tree]:
        """m and v with this gradient."""
        b1, b2 = at(self.b1, step), at(self.b2, step)
        m = tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.m, grads)
        v = tree.map(lambda v, g: b2 * v + (1.0 - b2) * (g * g), state.v, grads)
        return m, v

    def corrections(self, step: Array, ahead: float = 0.0) -> tuple[Array, Array]:
        """1 - b1^(t + ahead) and 1 - b2^t."""
        t = plain_number(step) + 1.0
        return 1.0 - at(self.b1, step) ** (t + ahead), 1.0 - at(self.b2, step) ** t


@dataclass(frozen=True)
class Adam(AdamLike):
    """m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2;   w <- w - lr m^ / (sqrt(v^) + epsilon).

    epsilon stands outside the root, epsilon_root inside: sqrt(v^ + epsilon_root). corrected=False is the plain form, with m
    and v in place of m^ and v^: its first steps are (1 - b1) / sqrt(1 - b2) = 3.2 times as long.
    Source: Kingma, Ba 2015, https://arxiv.org/abs/1412.6980

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.Adam(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.1
    """

    epsilon_root: NonNegativeNumber = 0.0
    corrected: bool = True

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        first, second = self.corrections(step) if self.corrected else (1.0, 1.0)
        return ratio(at(self.lr, step) / first, m, v, second, self, step, at(self.epsilon_root, step)), Moments(m, v)


@dataclass(frozen=True)
class AdamW(AdamLike):
    """Adam with decoupled weight decay: w <- w - lr (m^ / (sqrt(v^) + epsilon) + weight_decay w).

    Decay leaves biases and normalisation scales alone. Source: Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101

    >>> import backlit as bl, numpy as np
    >>> rule, params = bl.AdamW(lr=0.1, weight_decay=0.5), {"W": np.ones(1)}
    >>> round(float(rule.update({"W": np.zeros(1)}, rule.init(params), params, 0)[0]["W"][0]), 6)
    -0.05
    """

    weight_decay: NonNegativeNumber = 0.01

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        lr, (first, second) = at(self.lr, step), self.corrections(step)
        updates = ratio(lr / first, m, v, second, self, step)
        return decayed(updates, params, lr * at(self.weight_decay, step)), Moments(m, v)


@dataclass(frozen=True)
class NAdam(AdamLike):
    """Adam with Nesterov's look ahead: w <- w - lr n / (sqrt(v^) + epsilon),
    n = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t).

    Source: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, with a constant b1. Others: torch lets b1
    rise during the training.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.NAdam(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 4)
    -0.1474
    """

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        b1, (first, second), ahead = at(self.b1, step), self.corrections(step), self.corrections(step, 1.0)[0]
        n = tree.map(lambda m, g: b1 / ahead * m + (1.0 - b1) / first * g, m, grads)
        return ratio(at(self.lr, step), n, v, second, self, step), Moments(m, v)


@dataclass(frozen=True)
class RAdam(AdamLike):
    """Adam that waits for its second mean: with r_inf = 2 / (1 - b2) - 1 and r = r_inf - 2 t b2^t / (1 - b2^t),
    while r < 5    w <- w - lr m^                                          (v is known too badly)
    then           w <- w - lr q m^ / (sqrt(v^) + epsilon),   q^2 = (r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r).

    It does without a warm-up. Source: Liu et al. 2020, https://arxiv.org/abs/1908.03265

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.RAdam(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.full(1, 3.0)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.3
    """

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        lr, b2, (first, second) = at(self.lr, step), at(self.b2, step), self.corrections(step)
        t = plain_number(step) + 1.0
        longest = 2.0 / (1.0 - b2) - 1.0
        r = longest - 2.0 * t * b2**t / second
        known = (r >= 5.0) * 1.0  # 0 or 1
        # Before r reaches 5 it may make the root's argument negative or divide by 0: q is 0 there.
        below = known * (longest - 4.0) * (longest - 2.0) * r + (1.0 - known)
        q = (known * (r - 4.0) * (r - 2.0) * longest / below) ** 0.5
        rectified = ratio(lr * q / first, m, v, second, self, step)
        plain = lr * (1.0 - known) / first
        return tree.map(lambda u, m: u - plain * m, rectified, m), Moments(m, v)


class Largest(NamedTuple):
    """Both running means, and the largest v^ so far."""

    m: Tree
    v: Tree
    top: Tree


@dataclass(frozen=True)
class AMSGrad(AdamLike):
    """top <- max(top, v^);   w <- w - lr m^ / (sqrt(top) + epsilon): steps never grow again after rare large gradients.

    Source: Reddi, Kale, Kumar 2018, https://arxiv.org/abs/1904.09237 (without the corrections). Others: torch takes the
    maximum of v and corrects it afterwards.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.AMSGrad(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.1
    """

    def init(self, params: Tree) -> Tree:
        return Largest(*(zeros_like(params) for _ in range(3)))

    def update(self, grads: Tree, state: Largest, params: Tree, step: Array) -> tuple[Tree, Tree]:
        m, v = self.means(grads, state, step)
        first, second = self.corrections(step)
        top = tree.map(lambda top, v: v.__array_namespace__().maximum(top, v / second), state.top, v)
        return ratio(at(self.lr, step) / first, m, top, 1.0, self, step), Largest(m, v, top)


@dataclass(frozen=True)
class AdaMax(AdamLike):
    """m as Adam;   u <- max(b2 u, |g| + epsilon);   w <- w - lr m^ / u: the largest gradient in place of the mean square.

    Source: Kingma, Ba 2015, section 7.1, https://arxiv.org/abs/1412.6980

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.AdaMax(lr=0.1), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.full(1, -2.0)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    0.1
    """

    lr: PositiveNumber = 0.002

    def update(self, grads: Tree, state: Moments, params: Tree, step: Array) -> tuple[Tree, Tree]:
        b1, b2, epsilon = at(self.b1, step), at(self.b2, step), at(self.epsilon, step)
        size = at(self.lr, step) / self.corrections(step)[0]
        m = tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.m, grads)
        u = tree.map(lambda u, g: _larger(b2 * u, g, epsilon), state.v, grads)
        return tree.map(lambda m, u: -size * m / u, m, u), Moments(m, u)


def _larger(u: Array, g: Array, epsilon: Any) -> Array:
    xp = g.__array_namespace__()
    return xp.maximum(u, xp.abs(g) + epsilon)


def ratio(
    size: Array, m: Tree, v: Tree, correction: Array, rule: AdamLike, step: Array, epsilon_root: Array = 0.0
) -> Tree:
    """-size m / (sqrt(v / correction + epsilon_root) + epsilon).

    The correction is one number: as a scale of the step and of epsilon it divides no array.
    """
    root = correction**0.5
    size, epsilon = size * root, at(rule.epsilon, step) * root
    if not used(epsilon_root):
        return tree.map(lambda m, v: -size * m / (sqrt(v) + epsilon), m, v)
    inside = epsilon_root * correction
    return tree.map(lambda m, v: -size * m / (sqrt(v + inside) + epsilon), m, v)
