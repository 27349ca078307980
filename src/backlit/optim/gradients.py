"""Wrappers that change a gradient before the rule sees it."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.engine import random, tree
from backlit.optim.rules import decays
from backlit.optim.schedules import at, plain_number
from backlit.optim.wrappers import OfGradients
from backlit.protocol import Array, Tree
from backlit.settings import NonNegative, NonNegativeNumber, PositiveNumber


@dataclass(frozen=True)
class Centralize(OfGradients):
    """g_u <- g_u - mean(g_u) for each unit u: the gradient of its weights gets mean 0. Vectors stay as they are.

    A unit is one output: a column of W, the kernel of a channel. Source: Yong et al. 2020, https://arxiv.org/abs/2004.01461

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Centralize()(bl.SGD(lr=1.0)), {"W": np.zeros((2, 1))}
    >>> rule.update({"W": np.array([[1.0], [3.0]])}, {}, w, 0)[0]["W"].ravel().tolist()
    [1.0, -1.0]
    """

    def changed(self, grads: Tree, params: Tree, step: Array) -> Tree:
        return tree.map(_centred, grads)


def _centred(g: Array) -> Array:
    if g.ndim < 2:
        return g
    return g - g.__array_namespace__().mean(g, axis=tuple(range(g.ndim - 1)), keepdims=True)


@dataclass(frozen=True)
class GradientNoise(OfGradients):
    """g <- g + s n, n normal, s^2 = variance / (1 + t)^fade: large early, when it helps to leave bad regions, small later.

    Source: Neelakantan et al. 2015, https://arxiv.org/abs/1511.06807 (variance 0.01, 0.3 or 1, fade 0.55)

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.GradientNoise(variance=1.0, seed=0)(bl.SGD(lr=1.0)), {"w": np.zeros(10000)}
    >>> updates, _ = rule.update(w, {}, w, 0)
    >>> round(float(updates["w"].std()), 1)
    1.0
    """

    place: ClassVar[int] = 2  # outside: what is clipped is noise and all
    variance: PositiveNumber = 0.01
    fade: NonNegative = 0.55
    seed: int | None = None

    def changed(self, grads: Tree, params: Tree, step: Array) -> Tree:
        size = at(self.variance, step) ** 0.5 / (1.0 + plain_number(step)) ** (0.5 * self.fade)
        return noisy(grads, size, self.seed, step, "gradient")


@dataclass(frozen=True)
class SpectralPenalty(OfGradients):
    """Adds strength / 2 sum s(W)^2 to what is minimised, s(W) the largest singular value of a weight matrix:
    g <- g + strength s u v'.

    A net with small s changes little when its input does. u and v (W v = s u) come from `iterations` steps of the power
    method on W'W. Kernels are matrices (all axes but the last, last); vectors stay. The value is not counted in the
    reported penalty. Source: Yoshida, Miyato 2017, https://arxiv.org/abs/1705.10941

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.SpectralPenalty(0.5)(bl.SGD(lr=1.0)), {"W": np.diag([4.0, 1.0])}
    >>> abs(rule.update({"W": np.zeros((2, 2))}, {}, w, 0)[0]["W"]).round(3).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """

    strength: NonNegativeNumber = 0.01
    iterations: int = 12

    def changed(self, grads: Tree, params: Tree, step: Array) -> Tree:
        strength = at(self.strength, step)

        def pulled(path: str, g: Array, w: Array) -> Array:
            return g + strength * self._slope(w) if w.ndim > 1 and decays(path) else g

        return tree.map_with_path(pulled, grads, params)

    def _slope(self, w: Array) -> Array:
        """s u v'."""
        xp = w.__array_namespace__()
        W = xp.reshape(w, (-1, w.shape[-1]))
        # The column of the largest row is a good beginning: it has a part along v unless they are orthogonal.
        v = W[xp.argmax(xp.sum(W * W, axis=1)), :]
        for _ in range(self.iterations):
            v = (W @ v) @ W
            v = v / xp.maximum(xp.sqrt(xp.sum(v * v)), xp.asarray(1e-30, dtype=v.dtype))
        return xp.reshape((W @ v)[:, None] * v[None, :], w.shape)


def noisy(values: Tree, size: Array, seed: int | None, step: Array, what: str) -> Tree:
    """values + size n, n normal: another draw for each array and step."""
    first = tree.leaves(values)[0]
    key = random.fold(random.key(seed or 0), what)
    key = random.fold(first.__array_namespace__().asarray(key), step)

    def drawn(path: str, a: Array) -> Array:
        xp = a.__array_namespace__()
        return a + size * xp.astype(random.normal(random.fold(key, path), a.shape), a.dtype)

    return tree.map_with_path(drawn, values)
