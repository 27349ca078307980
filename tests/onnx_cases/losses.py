"""Losses: the class axis moves to the end; an ignored row has weight 0; a sum is the mean times what it divides by."""

from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter


@adapter("SoftmaxCrossEntropy, LogSoftmax", "SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(case: Case) -> Work:
    return reduced(case, bl.SoftmaxCrossEntropy, case["scores"], case["labels"], case.get("weights"))


@adapter("NegativeLogLikelihood", "NegativeLogLikelihoodLoss")
def negative_log_likelihood(case: Case) -> Work:
    return reduced(case, bl.NegativeLogLikelihood, case["input"], case["target"], case.get("weight"))


def reduced(case: Case, loss: Any, scores: Any, labels: Any, class_weight: Any) -> Work:
    """Mean, sum, or each row by itself; `log_prob` is what LogSoftmax gives."""
    made = loss(class_weight=None if class_weight is None else tuple(class_weight.tolist()))
    y = np.moveaxis(scores, 1, -1)  # (..., K)
    classes = np.arange(y.shape[-1])
    counts = np.ones_like(classes, dtype=y.dtype) if class_weight is None else class_weight  # (K,)
    weight = (labels != case.settings.get("ignore_index", y.shape[-1])).astype(y.dtype)  # (...)
    total = weight * ((labels[..., None] == classes) @ counts)  # (...): what each row counts
    first, *more = case.outputs

    def fn(y: Any, labels: Any, weight: Any) -> Any:
        if case.settings["reduction"] == "none":
            rows = zip(flat(y, 1), flat(labels, 0), flat(weight, 0), strict=True)
            value = [made(*row)[0] for row in rows]
        else:
            value = made(y, labels, weight)[0]
        return value, bl.LogSoftmax().forward({}, {}, y, bl.Context())[0]

    def back(found: Any) -> dict[str, Any]:
        value, log_p = found
        match case.settings["reduction"]:
            case "sum":
                value = value * total.sum()
            case "none":
                value = np.reshape(np.stack(value), total.shape) * total
        return {first: value, **{name: np.moveaxis(log_p, -1, 1) for name in more}}

    return Work(fn, (y, labels, weight), back)


def flat(array: Any, inner: int) -> Any:
    """(rows, 1, ...): each row by itself, with `inner` axes left."""
    return array.reshape(-1, 1, *array.shape[array.ndim - inner :])
