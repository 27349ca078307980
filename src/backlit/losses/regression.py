"""Losses on values: the error e = y - t, squared, absolute, or squared near zero and absolute far out."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.losses.rows import like, mean
from backlit.protocol import Array, Loss
from backlit.settings import Positive


@dataclass(frozen=True)
class SquaredError(Loss):
    """l = 1/2 sum_k (y_k - t_k)^2,   dl/dy = y - t. Also: MSE.

    Shapes: y and target (B, ...), weight (B,). Errors: ShapeError when the target has another shape.
    Source: Gauss 1809; for normal noise of equal spread it is the negative log-likelihood.
    Others: torch and Keras average over k and leave out the 1/2.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.SquaredError()(np.array([[3.0]]), np.array([[1.0]]))
    >>> float(value), dy.tolist()
    (2.0, [[2.0]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("MSE",)

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        e = y - like(target, y, "SquaredError")  # (B, ...)
        return mean(_sum(0.5 * e * e), e, weight)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """l = sum_k |y_k - t_k|,   dl/dy = sign(y - t), 0 at the kink: outliers pull no harder than others. Also: MAE, L1.

    Shapes: y and target (B, ...), weight (B,). Errors: ShapeError when the target has another shape.
    Source: Laplace 1774; it fits the median where SquaredError fits the mean.
    Others: torch and Keras average over k.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.AbsoluteError()(np.array([[3.0, 0.0]]), np.array([[1.0, 0.5]]))
    >>> float(value), dy.tolist()
    (2.5, [[1.0, -1.0]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("MAE", "L1")

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        e = y - like(target, y, "AbsoluteError")  # (B, ...)
        return mean(_sum(xp.abs(e)), xp.sign(e), weight)


@dataclass(frozen=True)
class Huber(Loss):
    """l = sum_k h(e_k) with e = y - t,   h(e) = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2).

    dl/dy = max(-delta, min(delta, e)): the squared error with its gradient clipped, so one outlier cannot run away.

    Shapes: y and target (B, ...), weight (B,). Errors: ShapeError when the target has another shape.
    Source: Huber 1964, https://doi.org/10.1214/aoms/1177703732
    Others: torch and Keras average over k; torch's SmoothL1Loss(beta) is h / beta.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.Huber(delta=1.0)(np.array([[4.0, 0.5]]), np.zeros((1, 2)))  # 3.5 + 0.125
    >>> float(value), dy.tolist()
    (3.625, [[1.0, 0.5]])
    """

    delta: Positive = 1.0

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        e = y - like(target, y, "Huber")  # (B, ...)
        clipped = xp.clip(e, -self.delta, self.delta)
        # e^2 / 2 inside, delta (|e| - delta / 2) outside: one formula, and no square of a large e.
        return mean(_sum(clipped * (e - 0.5 * clipped)), clipped, weight)


def _sum(terms: Array) -> Array:
    """The sum over all axes but the first: (B,)."""
    xp = terms.__array_namespace__()
    return xp.sum(xp.reshape(terms, (terms.shape[0], -1)), axis=1)
