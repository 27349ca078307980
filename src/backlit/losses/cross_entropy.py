"""Losses on a distribution over K classes a row. But for NegativeLogLikelihood they take scores, of which the softmax
makes the distribution: p_k = exp(y_k) / sum_j exp(y_j)."""

from dataclasses import dataclass
from typing import ClassVar

from backlit import engine
from backlit.losses.rows import Weights, columns, counted, distribution, mean
from backlit.protocol import Array, Loss
from backlit.settings import Fraction


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """l = -sum_k w_k q_k ln p_k with p = softmax(y), on logits. Also: CrossEntropy.

    dl/dy_k = p_k sum_j w_j q_j - w_k q_k: p - q when w = 1.
    `smoothing` mixes the target with the uniform distribution: q <- (1 - smoothing) q + smoothing / K.
    `class_weight`: w, one number a class; the mean then divides by the sum over rows of weight_i sum_k w_k q_k, with q
    before smoothing (for integer labels this is what torch does).

    Shapes: y (..., K); target integers 0..K-1 (...), or one-hot or soft labels (..., K); weight (B,) or (...).
    Labels outside 0..K-1 belong to no class and are not noticed here: see labels.check_labels.
    Errors: ShapeError when the target fits neither form; SettingError when class_weight has not K numbers.
    Source: docs/derivations/losses.md; smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567
    Others: torch divides by B, not by the class weights, when labels are soft.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.SoftmaxCrossEntropy()(np.zeros((1, 4)), np.array([2]))
    >>> round(float(value), 4), dy.tolist()  # ln 4
    (1.3863, [[0.25, 0.25, -0.75, 0.25]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("CrossEntropy",)
    task: ClassVar[str] = "classification"
    smoothing: Fraction = 0.0
    class_weight: Weights | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        q = distribution(target, y, "SoftmaxCrossEntropy")  # (..., K)
        counts = counted(q, self.class_weight)  # (...)
        if self.smoothing > 0:
            q = (1.0 - self.smoothing) * q + self.smoothing / y.shape[-1]
        w = columns(self.class_weight, y, "class_weight")
        if w is not None:
            q = w * q
        p, log_p = softmax(y)
        row_sum = engine.of(y).row_sum
        # A class the target gives nothing adds nothing, even where its logit is -inf and 0 ln 0 would be NaN.
        rows = -row_sum(q * xp.where(q > 0, log_p, xp.zeros_like(y)))[..., 0]  # (...)
        return mean(rows, p * row_sum(q) - q, weight, counts)


@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """l = -sum_k w_k q_k y_k on log-probabilities y = ln p, such as LogSoftmax gives;   dl/dy_k = -w_k q_k. Also: NLL.

    LogSoftmax and this loss together are SoftmaxCrossEntropy, which needs one layer less.
    `class_weight`: w, as there; the mean then divides by the sum over rows of weight_i sum_k w_k q_k.

    Shapes: y (..., K), the classes last, also for images; target integers 0..K-1 (...), or one-hot or soft labels
    (..., K); weight (B,) or (...).
    Errors: ShapeError when the target fits neither form; SettingError when class_weight has not K numbers.
    Others: torch and ONNX have the classes in axis 1, and an ignore_index: here such a row has weight 0,
    weight = (target != ignore_index).

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.NegativeLogLikelihood()(np.log([[0.25, 0.75]]), np.array([1]))
    >>> round(float(value), 4), dy.tolist()  # -ln 0.75
    (0.2877, [[0.0, -1.0]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("NLL",)
    task: ClassVar[str] = "classification"
    class_weight: Weights | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        q = distribution(target, y, "NegativeLogLikelihood")  # (..., K)
        counts = counted(q, self.class_weight)  # (...)
        w = columns(self.class_weight, y, "class_weight")
        if w is not None:
            q = w * q
        # A class the target gives nothing adds nothing, even where its logarithm is -inf.
        slopes = xp.where(q > 0, -q, xp.zeros_like(q))  # (..., K), without -0
        rows = xp.sum(slopes * xp.where(q > 0, y, xp.zeros_like(y)), axis=-1)  # (...)
        return mean(rows, slopes, weight, counts)


@dataclass(frozen=True)
class KL(Loss):
    """l = KL(q || p) = sum_k q_k (ln q_k - ln p_k) with p = softmax(y), on logits;   dl/dy = p sum_k q_k - q.

    The same gradient as the cross-entropy, and a value that is 0 when the net gives just the target distribution q:
    for soft targets such as another net's answers. Also: KLDivergence.
    `class_weight`: a row counts sum_k class_weight_k q_k, and the mean divides by these counts (to weigh the terms one
    by one would move the minimum away from p = q).

    Shapes: y and target (..., K), or integer labels (...), which are one-hot; weight (B,) or (...).
    Errors: ShapeError when the target fits neither form; SettingError when class_weight has not K numbers.
    Source: Kullback, Leibler 1951, https://doi.org/10.1214/aoms/1177729694
    Others: torch's KLDivLoss takes ln p, not logits, and with its default averages over rows and classes.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.KL()(np.log([[0.2, 0.8]]), np.array([[0.5, 0.5]]))
    >>> round(float(value), 4), dy.round(4).tolist()  # ln(0.5 / 0.4)
    (0.2231, [[-0.3, 0.3]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("KLDivergence",)
    task: ClassVar[str] = "classification"
    class_weight: Weights | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        xp = y.__array_namespace__()
        q = distribution(target, y, "KL")  # (..., K)
        p, log_p = softmax(y)
        gap = xp.log(xp.where(q > 0, q, xp.ones_like(q))) - xp.where(q > 0, log_p, xp.zeros_like(y))  # (..., K)
        rows, slopes = xp.sum(q * gap, axis=-1), p * xp.sum(q, axis=-1, keepdims=True) - q
        counts = counted(q, self.class_weight)
        if counts is not None:
            rows, slopes = counts * rows, xp.expand_dims(counts, axis=-1) * slopes
        return mean(rows, slopes, weight, counts)


def softmax(y: Array) -> tuple[Array, Array]:
    """p and ln p along the last axis. Shifted by the largest logit, so that exp never overflows and ln never sees 0."""
    xp, home = y.__array_namespace__(), engine.of(y)
    shifted = y - home.row_max(y)  # (..., K), <= 0
    e = xp.exp(shifted)
    total = home.row_sum(e)  # (..., 1), >= 1
    return e / total, shifted - xp.log(total)
