"""Losses: the value and its gradient side by side, as a weighted mean over rows.

    loss(y, target, weight) -> value, dL/dy            value = sum_i weight_i l_i / sum_i weight_i

Losses that end in a probability take logits: the gradient is then simple, and no logit overflows.
"""

from dataclasses import dataclass
from typing import ClassVar

from backlit.protocol import Array, Loss
from backlit.settings import Fraction


@dataclass(frozen=True)
class SquaredError(Loss):
    """l = 1/2 sum_k (y_k - t_k)^2,   dl/dy = y - t;   y and target (B, ...) of one shape.

    Others: torch and Keras average over k and leave out the 1/2.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.SquaredError()(np.array([[3.0]]), np.array([[1.0]]))
    >>> float(value), dy.tolist()
    (2.0, [[2.0]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("MSE",)

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        error = y - xp.astype(target, y.dtype)  # (B, ...)
        rows = 0.5 * xp.sum(xp.reshape(error * error, (y.shape[0], -1)), axis=1)  # (B,)
        share = shares(rows, weight)
        return xp.sum(share * rows), error * spread(share, y)


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """l = -sum_k q_k ln p_k with p = softmax(y), on logits y (..., K);   dl/dy = p sum_k q_k - q.

    target: integers 0..K-1 (...), or one-hot / soft labels (..., K). `smoothing` mixes q with the uniform distribution:
    q <- (1 - smoothing) q + smoothing / K (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
    `class_weight`: one weight a class; a row counts sum_k q_k class_weight_k, and the mean divides by the counts (as torch).

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.SoftmaxCrossEntropy()(np.zeros((1, 4)), np.array([2]))
    >>> round(float(value), 4), dy.tolist()  # ln 4
    (1.3863, [[0.25, 0.25, -0.75, 0.25]])
    """

    task: ClassVar[str] = "classification"
    smoothing: Fraction = 0.0
    class_weight: tuple[float, ...] | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp, classes = y.__array_namespace__(), y.shape[-1]
        q = xp.reshape(distribution(xp.asarray(target), y), (-1, classes))  # (rows, K)
        logits = xp.reshape(y, (-1, classes))
        if self.smoothing > 0:
            q = (1.0 - self.smoothing) * q + self.smoothing / classes
        log_p = logits - xp.max(logits, axis=-1, keepdims=True)
        e = xp.exp(log_p)
        total = xp.sum(e, axis=-1, keepdims=True)  # (rows, 1)
        rows = -xp.sum(xp.where(q > 0, q * (log_p - xp.log(total)), xp.zeros_like(q)), axis=-1)
        share = shares(rows, class_weighted(q, weight, self.class_weight))
        dy = spread(share, q) * (e / total * xp.sum(q, axis=-1, keepdims=True) - q)
        return xp.sum(share * rows), xp.reshape(dy, y.shape)


def distribution(target: Array, y: Array) -> Array:
    """The target as a distribution over the classes of `y`: integers become one-hot, the rest is cast."""
    xp = y.__array_namespace__()
    if target.ndim == y.ndim:
        return xp.astype(target, y.dtype)
    return xp.astype(xp.expand_dims(target, axis=-1) == xp.arange(y.shape[-1], dtype=target.dtype), y.dtype)


def class_weighted(q: Array, weight: Array | None, class_weight: tuple[float, ...] | None) -> Array | None:
    """Row weights with the class weights of each row's target folded in."""
    if class_weight is None:
        return weight
    xp = q.__array_namespace__()
    by_class = xp.sum(q * xp.asarray(class_weight, dtype=q.dtype), axis=-1)
    return by_class if weight is None else by_class * xp.reshape(weight, by_class.shape)


def shares(rows: Array, weight: Array | None) -> Array:
    """Each row's share of the mean, (B,): 1/B, or weight / sum of weights (all zero when no row counts)."""
    xp = rows.__array_namespace__()
    if weight is None:
        return xp.full(rows.shape, 1.0 / rows.shape[0], dtype=rows.dtype)
    weight = xp.astype(xp.reshape(weight, rows.shape), rows.dtype)
    total = xp.sum(weight)
    return weight / xp.where(total > 0, total, xp.ones_like(total))


def spread(share: Array, y: Array) -> Array:
    """A row's share, shaped to multiply y."""
    return share.__array_namespace__().reshape(share, (share.shape[0],) + (1,) * (y.ndim - 1))
