"""Losses: the value and its gradient side by side, as a weighted mean over rows.

    loss(y, target, weight) -> value, dL/dy            value = sum_i weight_i l_i / sum_i weight_i

Losses that end in a probability take logits: the gradient is then simple, and no logit overflows. One alone takes
log-probabilities: NegativeLogLikelihood.
The worked page: docs/derivations/losses.md.
"""

from backlit.losses.binary import BinaryCrossEntropy, MultiLabelCrossEntropy
from backlit.losses.cross_entropy import KL, NegativeLogLikelihood, SoftmaxCrossEntropy
from backlit.losses.hinge import BinaryHinge, MaxMargin, MultiClassHinge
from backlit.losses.regression import AbsoluteError, Huber, SquaredError

__all__ = [
    "KL",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "BinaryHinge",
    "Huber",
    "MaxMargin",
    "MultiClassHinge",
    "MultiLabelCrossEntropy",
    "NegativeLogLikelihood",
    "SoftmaxCrossEntropy",
    "SquaredError",
]
