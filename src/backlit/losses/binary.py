"""Losses on single logits, of which the sigmoid makes a probability: p = 1 / (1 + exp(-y))."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.losses.rows import Weights, columns, like, mean, one_logit
from backlit.protocol import Array, Loss
from backlit.settings import Positive


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """l = -c t ln p - (1 - t) ln(1 - p) with p = sigmoid(y), on logits. Also: BCE, LogLoss.

    dl/dy = (1 - t) p - c t (1 - p): p - t when c = 1.
    `positive_weight` is c: how much more a positive row counts; the mean still divides by the number (or the weights)
    of the rows, as with torch's pos_weight.

    Shapes: y (B,) or (..., 1), one logit a row; target of the same size: 0 / 1, -1 / +1, or probabilities; weight (B,).
    Errors: ShapeError when y has several outputs a row or the target has another size.
    Source: Cox 1958, https://doi.org/10.1111/j.2517-6161.1958.tb00292.x
    Others: torch's BCELoss takes p, which is 0 or 1 for logits beyond 17 in single precision, and clamps its logarithm.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.BinaryCrossEntropy()(np.array([0.0, 1e4]), np.array([1, 1]))
    >>> round(float(value), 4), dy.tolist()  # ln(2) / 2
    (0.3466, [-0.25, 0.0])
    """

    aliases: ClassVar[tuple[str, ...]] = ("BCE", "LogLoss")
    task: ClassVar[str] = "binary"
    positive_weight: Positive = 1.0

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        one_logit(y, "BinaryCrossEntropy")
        xp = y.__array_namespace__()
        t = like(target, y, "BinaryCrossEntropy")
        yes = xp.where(t > 0, t, xp.zeros_like(t))  # -1 means no, as 0 does
        return mean(*sigmoid_terms(y, self.positive_weight * yes, 1.0 - yes), weight)


@dataclass(frozen=True)
class MultiLabelCrossEntropy(Loss):
    """l = sum_k w_k (-c_k t_k ln p_k - (1 - t_k) ln(1 - p_k)) with p = sigmoid(y), on logits. Also: MultiLabelBCE.

    K yes-or-no questions a row; dl/dy_k = w_k ((1 - t_k) p_k - c_k t_k (1 - p_k)): w (p - t) when c = 1.
    `label_weight` is w, `positive_weight` is c, one number a label each; neither changes what the mean divides by.

    Shapes: y and target (..., K), target 0 / 1 or probabilities; weight (B,) or (...). Mean over rows, sum over labels.
    Errors: ShapeError when the target has another shape; SettingError when a weight has not K numbers.
    Others: torch's BCEWithLogitsLoss averages over the labels too: 1 / K of this; its pos_weight is c.

    >>> import numpy as np, backlit as bl
    >>> value, dy = bl.losses.MultiLabelCrossEntropy()(np.zeros((1, 3)), np.array([[1, 0, 1]]))
    >>> round(float(value), 4), dy.tolist()  # 3 ln 2
    (2.0794, [[-0.5, 0.5, -0.5]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("MultiLabelBCE",)
    task: ClassVar[str] = "multilabel"
    label_weight: Weights | None = None
    positive_weight: Weights | None = None

    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        t = like(target, y, "MultiLabelCrossEntropy")
        yes, no = t, 1.0 - t  # (..., K)
        c = columns(self.positive_weight, y, "positive_weight")
        if c is not None:
            yes = c * yes
        w = columns(self.label_weight, y, "label_weight")
        if w is not None:
            yes, no = w * yes, w * no
        terms, slopes = sigmoid_terms(y, yes, no)
        return mean(y.__array_namespace__().sum(terms, axis=-1), slopes, weight)


def sigmoid_terms(y: Array, yes: Array, no: Array) -> tuple[Array, Array]:
    """-yes ln p - no ln(1 - p) and its slope no p - yes (1 - p), elementwise, for p = sigmoid(y).

    -ln p = max(-y, 0) + ln(1 + exp(-|y|)), and p and 1 - p each come from exp(-|y|): no overflow, no cancelling.
    """
    xp = y.__array_namespace__()
    e = xp.exp(-xp.abs(y))  # in (0, 1]
    zero, one = xp.zeros_like(y), xp.ones_like(y)
    value = yes * xp.maximum(-y, zero) + no * xp.maximum(y, zero) + (yes + no) * xp.log1p(e)
    p, rest = xp.where(y >= 0, one, e) / (1.0 + e), xp.where(y >= 0, e, one) / (1.0 + e)
    return value, no * p - yes * rest
