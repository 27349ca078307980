"""Rules with a step size for each number, from the squares of its gradients: AdaGrad, RMSProp, AdaDelta."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from backlit.engine import tree
from backlit.optim.rules import Rule, zeros_like
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import FractionNumber, NonNegative, PositiveNumber


@dataclass(frozen=True)
class AdaGrad(Rule):
    """s <- s + g^2;   w <- w - lr g / (sqrt(s) + epsilon): numbers with large gradients so far take small steps.

    s begins at `initial` and only grows, so steps only shrink: good where gradients are rare, slow to the end elsewhere.
    Source: Duchi, Hazan, Singer 2011, https://jmlr.org/papers/v12/duchi11a.html. Others: Optax begins at 0.1 and has
    epsilon inside the root; Keras begins at 0.1; torch at 0.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.AdaGrad(lr=0.5), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.full(1, 3.0)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.5
    """

    initial: NonNegative = 0.0
    epsilon: PositiveNumber = 1e-8

    def init(self, params: Tree) -> Tree:
        return tree.map(lambda w: w.__array_namespace__().full_like(w, self.initial), params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, epsilon = at(self.lr, step), at(self.epsilon, step)
        s = tree.map(lambda s, g: s + g * g, state, grads)
        return tree.map(lambda g, s: -lr * g / (sqrt(s) + epsilon), grads, s), s


class Running(NamedTuple):
    """Running means of the square (s) and of the gradient (mean), and the velocity; {} for what a rule does without."""

    s: Tree
    mean: Tree
    velocity: Tree


@dataclass(frozen=True)
class RMSProp(Rule):
    """s <- decay s + (1 - decay) g^2;   u = g / (sqrt(s) + epsilon);   w <- w - lr u.

    centred    s minus the square of the running mean of g stands under the root: the variance in place of the square
    momentum   v <- momentum v + u;   w <- w - lr v

    Source: Tieleman, Hinton 2012, Coursera "Neural networks for machine learning", lecture 6e; centred: Graves 2013,
    https://arxiv.org/abs/1308.0850. Others: torch's decay is 0.99; Optax has epsilon inside the root unless told otherwise.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.RMSProp(lr=0.1, decay=0.75), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 6)
    -0.2
    """

    lr: PositiveNumber = 0.001
    decay: FractionNumber = 0.9
    epsilon: PositiveNumber = 1e-8
    centred: bool = False
    momentum: FractionNumber = 0.0

    def init(self, params: Tree) -> Tree:
        return Running(
            zeros_like(params),
            zeros_like(params) if self.centred else {},
            zeros_like(params) if used(self.momentum) else {},
        )

    def update(self, grads: Tree, state: Running, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, rho, epsilon, mu = (at(a, step) for a in (self.lr, self.decay, self.epsilon, self.momentum))
        s = tree.map(lambda s, g: rho * s + (1.0 - rho) * (g * g), state.s, grads)
        mean, spread = state.mean, s
        if self.centred:
            mean = tree.map(lambda m, g: rho * m + (1.0 - rho) * g, state.mean, grads)
            spread = tree.map(lambda s, m: positive(s - m * m), s, mean)
        u = tree.map(lambda g, s: g / (sqrt(s) + epsilon), grads, spread)
        v = tree.map(lambda v, u: mu * v + u, state.velocity, u) if used(self.momentum) else {}
        return tree.map(lambda u: -lr * u, v or u), Running(s, mean, v)


class Deltas(NamedTuple):
    """Running means of the square of the gradient (s) and of the square of the step (d)."""

    s: Tree
    d: Tree


@dataclass(frozen=True)
class AdaDelta(Rule):
    """s <- decay s + (1 - decay) g^2;   u = sqrt(d + epsilon) / sqrt(s + epsilon) g;   d <- decay d + (1 - decay) u^2;
    w <- w - lr u: steps in the units of the parameters, so lr is 1. It begins with steps of about sqrt(epsilon).

    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701. Others: Keras' lr is 0.001, far too small for it.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.AdaDelta(decay=0.75, epsilon=0.01), {"w": np.zeros(1)}
    >>> round(float(rule.update({"w": np.ones(1)}, rule.init(w), w, 0)[0]["w"][0]), 4)
    -0.1961
    """

    lr: PositiveNumber = 1.0
    decay: FractionNumber = 0.9
    epsilon: PositiveNumber = 1e-6

    def init(self, params: Tree) -> Tree:
        return Deltas(zeros_like(params), zeros_like(params))

    def update(self, grads: Tree, state: Deltas, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, rho, epsilon = (at(a, step) for a in (self.lr, self.decay, self.epsilon))
        s = tree.map(lambda s, g: rho * s + (1.0 - rho) * (g * g), state.s, grads)
        u = tree.map(lambda g, s, d: sqrt(d + epsilon) / sqrt(s + epsilon) * g, grads, s, state.d)
        d = tree.map(lambda d, u: rho * d + (1.0 - rho) * (u * u), state.d, u)
        return tree.map(lambda u: -lr * u, u), Deltas(s, d)


def used(setting: Any) -> bool:
    """Whether a number is not simply 0: then it has no state either."""
    return not (isinstance(setting, int | float) and setting == 0)


def sqrt(x: Array) -> Array:
    return x.__array_namespace__().sqrt(x)


def positive(x: Array) -> Array:
    """max(x, 0): rounding may make a variance negative."""
    xp = x.__array_namespace__()
    return xp.maximum(x, xp.zeros_like(x))
