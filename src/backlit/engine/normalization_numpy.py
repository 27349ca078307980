"""Normalisation as its formulas, for every array library. `share` says how much each row counts; its mean is 1."""

import math
from typing import Any


def batch_norm(x: Any, gamma: Any, beta: Any, share: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, and mean and variance of each channel.

    x (..., C); gamma, beta, mean and variance (C,); share has the shape of x's leading axes, None: all rows count alike.
    """
    xp = x.__array_namespace__()
    origin = x[(*(0,) * (x.ndim - 1), ...)]  # (C,): sums of what differs from one row lose fewer digits than sums of x
    mean = origin + _mean(weighed(share, x - origin))  # (C,)
    variance = _mean(weighed(share, (x - mean) ** 2))  # (C,)
    y = (x - mean) * (gamma / xp.sqrt(variance + epsilon)) + beta  # (..., C)
    return y, mean, variance


def batch_norm_backward(
    x: Any, mean: Any, variance: Any, gamma: Any, share: Any, dy: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    """dL/dx, dL/dgamma and dL/dbeta; x moves y also through mean and variance."""
    xp = dy.__array_namespace__()
    slope = 1.0 / xp.sqrt(variance + epsilon)  # (C,)
    x_hat = (x - mean) * slope  # (..., C)
    dgamma, dbeta = _sum(dy * x_hat), _sum(dy)  # (C,)
    n = rows(x)
    return gamma * slope * (dy - weighed(share, dbeta / n + x_hat * (dgamma / n))), dgamma, dbeta


def row_mean(x: Any) -> Any:
    """The mean over the last axis, (..., D) -> (..., 1)."""
    return x.__array_namespace__().mean(x, axis=-1, keepdims=True)


def column_sum(x: Any) -> Any:
    """The sum over the axis before the last, (..., R, C) -> (..., C)."""
    return x.__array_namespace__().sum(x, axis=-2)


def rows(x: Any) -> int:
    """How many numbers each channel has."""
    return math.prod(x.shape[:-1])


def weighed(share: Any, a: Any) -> Any:
    """a (..., C), each row times its share."""
    if share is None:
        return a
    xp = a.__array_namespace__()
    return xp.reshape(share, (*share.shape, *(1,) * (a.ndim - share.ndim))) * a


def _sum(a: Any) -> Any:
    while a.ndim > 1:  # one axis after another: short sums lose fewer digits
        a = a.__array_namespace__().sum(a, axis=0)
    return a


def _mean(a: Any) -> Any:
    return _sum(a) / rows(a)
