"""Adafactor: the mean square of a matrix kept as the product of one column and one row."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from backlit.engine import tree
from backlit.optim.adaptive import sqrt
from backlit.optim.rules import Rule, decayed
from backlit.optim.schedules import at, plain_number
from backlit.protocol import Array, Shape, Tree
from backlit.settings import Count, NonNegativeNumber, Positive, PositiveNumber


class Factors(NamedTuple):
    """Running means of g^2 over the longest axis (`others`), and over the second longest (`longest`)."""

    others: Array
    longest: Array


@dataclass(frozen=True)
class Adafactor(Rule):
    """For a matrix, with b = 1 - t^-decay and means over the last axis (r) and the first (c):
    r <- b r + (1 - b) mean g^2;   c <- b c + (1 - b) mean g^2;   v = r c / mean r;   u = g / sqrt(v);
    u <- u / max(1, rms(u) / clip);   w <- w - lr max(rms(w), least_scale) u - weight_decay w.

    So the state of a matrix (M, N) is M + N numbers. The two longest axes are factored if both have at least `least`
    numbers; other arrays keep all of v. scaled=False leaves rms(w) out. rms is the root of the mean square of an array.
    Source: Shazeer, Stern 2018, https://arxiv.org/abs/1804.04235, without momentum. Others: the paper's lr is
    min(0.01, 1 / sqrt(t)), which a schedule can be.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Adafactor(lr=0.1, least=2), {"W": np.ones((3, 4))}
    >>> rule.init(w)["W"].others.shape, rule.init(w)["W"].longest.shape
    ((3,), (4,))
    """

    decay: Positive = 0.8
    clip: PositiveNumber = 1.0
    weight_decay: NonNegativeNumber = 0.0
    scaled: bool = True
    least: Count = 128
    least_scale: Positive = 1e-3
    epsilon: Positive = 1e-30

    def init(self, params: Tree) -> Tree:
        return tree.map(self._empty, params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        lr, clip = at(self.lr, step), at(self.clip, step)
        b = 1.0 - (plain_number(step) + 1.0) ** -self.decay
        state = tree.map(lambda g, s: self._seen(s, g * g + self.epsilon, b), grads, state)

        def move(g: Array, s: Any, w: Array) -> Array:
            xp, u = g.__array_namespace__(), self._divided(g, s)
            u = u / xp.maximum(rms(u) / clip, xp.ones_like(rms(u)))
            scale = xp.maximum(rms(w), 0 * rms(w) + self.least_scale) if self.scaled else 1.0
            return -lr * scale * u

        updates = tree.map(move, grads, state, params)
        return decayed(updates, params, at(self.weight_decay, step)), state

    def _empty(self, w: Array) -> Any:
        xp, axes = w.__array_namespace__(), self._axes(w.shape)
        if axes is None:
            return xp.zeros_like(w)
        return Factors(*(xp.zeros_like(xp.mean(w, axis=axis)) for axis in reversed(axes)))

    def _axes(self, shape: Shape) -> tuple[int, int] | None:
        """The second longest and the longest axis; None for an array that is not factored."""
        order = sorted(range(len(shape)), key=lambda axis: shape[axis])
        return (order[-2], order[-1]) if len(shape) > 1 and shape[order[-2]] >= self.least else None

    def _seen(self, old: Any, squares: Array, b: Array) -> Any:
        axes = self._axes(squares.shape)
        if axes is None:
            return b * old + (1.0 - b) * squares
        xp = squares.__array_namespace__()
        means = (xp.mean(squares, axis=axis) for axis in reversed(axes))
        return Factors(*(b * a + (1.0 - b) * mean for a, mean in zip(old, means, strict=True)))

    def _divided(self, g: Array, s: Any) -> Array:
        """g / sqrt(v)."""
        axes = self._axes(g.shape)
        if axes is None:
            return g / sqrt(s)
        xp, (second, longest) = g.__array_namespace__(), axes
        rows = xp.expand_dims(s.others, axis=longest)  # the longest axis is 1
        columns = xp.expand_dims(s.longest, axis=second)  # the second longest is 1
        return g / (sqrt(rows / xp.mean(rows, axis=second, keepdims=True)) * sqrt(columns))


def rms(x: Array) -> Array:
    """The root of the mean square."""
    xp = x.__array_namespace__()
    return xp.sqrt(xp.mean(x * x))
