"""Losses that ask for a margin and are content once they have it: max(0, margin + wrong score - right score)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from backlit.errors import ShapeError
from backlit.losses.rows import Weights, counted, distribution, like, mean, one_logit
from backlit.protocol import Array, Loss
from backlit.settings import Positive


@dataclass(frozen=True)
class MaxMargin(Loss):
    """J = max(0, margin + s_c - s): the score s of a true example is to beat that of a corrupt one by a margin.

    dJ/ds = -1 and dJ/ds_c = +1 while the margin is missing, else 0 (also at the kink). Several corrupt ones are summed.
    A row holds the true example and its corrupt ones side by side, x (B, 1 + C, ...); layers that work on the last axis
    then score all of them with the same parameters: Chain(Dense(8), Tanh(), Dense(1), Flatten()) gives y.

    Shapes: y (B, 1 + C), column 0 the true score s; weight (B,). `target` is not looked at and may be None. The task is
    'ranking': the accuracy is the share of rows in which s is the largest.
    Errors: ShapeError when y is not (B, 2) or wider.
    Source: Collobert, Weston 2008, https://doi.org/10.1145/1390156.1390177; docs/derivations/losses.md
    Others: torch's MarginRankingLoss(margin)(s, s_c, 1) is this for one corrupt example.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.MaxMargin()(np.array([[2.0, 1.5], [3.0, 0.0]]), None)
    >>> float(value), dy[0].tolist(), bool(dy[1].any())  # (0.5 + 0) / 2
    (0.25, [-0.5, 0.5], False)
    """

    task: ClassVar[str] = "ranking"
    margin: Positive = 1.0

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        if y.ndim != 2 or y.shape[1] < 2:
            text = f"the true and the corrupt score side by side, shape (B, 2) or wider, got {y.shape}"
            raise ShapeError(f"MaxMargin expected {text}; end the net with Dense(1), Flatten()")
        xp = y.__array_namespace__()
        missing = self.margin + y[:, 1:] - y[:, :1]  # (B, C)
        short = xp.astype(missing > 0, y.dtype)
        slopes = xp.concat([-xp.sum(short, axis=1, keepdims=True), short], axis=1)  # (B, 1 + C)
        return mean(xp.sum(short * missing, axis=1), slopes, weight)


@dataclass(frozen=True)
class BinaryHinge(Loss):
    """l = max(0, 1 - t y), or its square with form="squared"; t is -1 or +1. Also: Hinge.

    With a linear net and L2, a support vector machine.
    dl/dy = -t while t y < 1, else 0 (also at the kink); squared: -2 t max(0, 1 - t y).
    `positive_weight`: how much more a positive row counts; the mean still divides by the number (or the weights) of the
    rows.

    Shapes: y (B,) or (..., 1), one score a row; target of the same size, 0 / 1 or -1 / +1 (+1 is > 1/2); weight (B,).
    Errors: ShapeError when y has several outputs a row or the target has another size.
    Source: Cortes, Vapnik 1995, https://doi.org/10.1007/BF00994018
    Others: Keras' Hinge is the same; torch's HingeEmbeddingLoss is another function.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.BinaryHinge()(np.array([0.5, 2.0]), np.array([1, 0]))
    >>> float(value), dy.tolist()  # (0.5 + 3) / 2
    (1.75, [-0.5, 0.5])
    """

    aliases: ClassVar[tuple[str, ...]] = ("Hinge",)
    task: ClassVar[str] = "binary"
    form: Literal["linear", "squared"] = "linear"
    positive_weight: Positive = 1.0

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        one_logit(y, "BinaryHinge")
        xp = y.__array_namespace__()
        one = xp.ones_like(y)
        yes = like(target, y, "BinaryHinge") > 0.5
        t, c = xp.where(yes, one, -one), xp.where(yes, self.positive_weight * one, one)
        missing = 1.0 - t * y
        missing = xp.where(missing > 0, missing, xp.zeros_like(y))
        if self.form == "squared":
            return mean(c * missing * missing, -2.0 * c * t * missing, weight)
        return mean(c * missing, -c * t * xp.astype(missing > 0, y.dtype), weight)


@dataclass(frozen=True)
class MultiClassHinge(Loss):
    """How far the score y_t of the true class is from beating the K - 1 others by `margin`.

    form="sum" (Weston, Watkins)     l = sum_{k != t} max(0, margin + y_k - y_t): every class that comes too near
    form="max" (Crammer, Singer)     l = max(0, margin + max_{k != t} y_k - y_t): the nearest class only

    dl/dy_k = +1 for each class that is counted, dl/dy_t = -(how many are); of equal nearest ones the first.
    `class_weight`: a row counts the weight of its class, and the mean divides by these counts.

    Shapes: y (..., K); target integers 0..K-1 (...) or one-hot (..., K); weight (B,) or (...).
    Errors: ShapeError when the target fits neither form; SettingError when class_weight has not K numbers.
    Source: Weston, Watkins 1999, "Support vector machines for multi-class pattern recognition";
    Crammer, Singer 2001, https://www.jmlr.org/papers/v2/crammer01a.html
    Others: torch's MultiMarginLoss is the sum divided by K, and does not divide by the class weights.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.MultiClassHinge()(np.array([[1.0, 1.5, 0.5]]), np.array([0]))
    >>> float(value), dy.tolist()  # 1.5 + 0.5
    (2.0, [[-2.0, 1.0, 1.0]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("CategoricalHinge",)
    task: ClassVar[str] = "classification"
    form: Literal["sum", "max"] = "sum"
    margin: Positive = 1.0
    class_weight: Weights | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        q = distribution(target, y, "MultiClassHinge")  # (..., K)
        missing = self.margin + y - xp.sum(q * y, axis=-1, keepdims=True)  # (..., K)
        counted_classes = xp.astype((missing > 0) & (q == 0), y.dtype)
        if self.form == "max":
            rivals = xp.where(q > 0, xp.full_like(y, -float("inf")), y)
            nearest = xp.expand_dims(xp.argmax(rivals, axis=-1), axis=-1)  # (..., 1)
            counted_classes = counted_classes * xp.astype(nearest == xp.arange(y.shape[-1]), y.dtype)
        rows = xp.sum(counted_classes * missing, axis=-1)  # (...)
        slopes = counted_classes - q * xp.sum(counted_classes, axis=-1, keepdims=True)
        counts = counted(q, self.class_weight)
        if counts is not None:
            rows, slopes = counts * rows, xp.expand_dims(counts, axis=-1) * slopes
        return mean(rows, slopes, weight, counts)
