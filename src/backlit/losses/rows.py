"""What all losses share: targets in the form of the outputs, and the weighted mean over rows.

A row is what has one loss l: one example, or one time step of a sequence. A loss writes l (rows,) and dl/dy (like y)
and hands both to `mean`.
"""

import math

from backlit.errors import SettingError, ShapeError
from backlit.protocol import Array, Shape
from backlit.settings import NonNegative

Weights = tuple[NonNegative, ...]


def mean(rows: Array, slopes: Array, weight: Array | None, counts: Array | None = None) -> tuple[Array, Array]:
    """sum_i weight_i l_i / sum_i weight_i counts_i, and its gradient; `slopes` is dl/dy, `counts` None is all ones.

    A row of weight 0 vanishes whatever it holds, NaN included; when no row counts, value and gradient are 0.
    """
    xp = rows.__array_namespace__()
    if weight is None and counts is None:
        share = 1.0 / max(1, math.prod(rows.shape))
        return xp.sum(rows) * share, slopes * share
    weight = xp.ones_like(rows) if weight is None else per_row(weight, rows)
    total = xp.sum(weight if counts is None else weight * counts)
    weight = weight / xp.where(total > 0, total, xp.ones_like(total))
    value = xp.sum(weight * xp.where(weight > 0, rows, xp.zeros_like(rows)))
    weight = xp.reshape(weight, weight.shape + (1,) * (slopes.ndim - rows.ndim))
    return value, weight * xp.where(weight > 0, slopes, xp.zeros_like(slopes))


def per_row(weight: Array, rows: Array) -> Array:
    """`weight` as one number a row: for rows (B, T) that is (B, T), flat (B T,), or (B,), which counts for all T."""
    xp = rows.__array_namespace__()
    weight = xp.asarray(weight, dtype=rows.dtype)
    if squeezed(weight.shape) == squeezed(rows.shape) or weight.shape == (math.prod(rows.shape),):
        return xp.reshape(weight, rows.shape)
    if weight.shape != rows.shape[: weight.ndim]:
        raise ShapeError(f"weight: expected one number a row, shape {rows.shape}, got {weight.shape}")
    return xp.broadcast_to(xp.reshape(weight, weight.shape + (1,) * (rows.ndim - weight.ndim)), rows.shape)


def like(target: Array, y: Array, loss: str) -> Array:
    """The target in the shape and precision of `y`. Only axes of length 1 may differ: (B,) against (B, 1) must not
    broadcast to (B, B)."""
    xp = y.__array_namespace__()
    target = xp.asarray(target, dtype=y.dtype)
    if squeezed(target.shape) != squeezed(y.shape):
        raise ShapeError(f"{loss} expected a target of the shape of the outputs, {y.shape}, got {target.shape}")
    return xp.reshape(target, y.shape)


def distribution(target: Array, y: Array, loss: str) -> Array:
    """The target as a distribution over the classes of y (..., K): integers (...) become one-hot, the rest is cast."""
    xp = y.__array_namespace__()
    target = xp.asarray(target)
    if target.shape == y.shape:
        return xp.astype(target, y.dtype)
    if squeezed(target.shape) != squeezed(y.shape[:-1]):
        text = f"integer labels of shape {y.shape[:-1]} or a distribution over the classes of shape {y.shape}"
        raise ShapeError(f"{loss} expected {text}, got a target of shape {target.shape}")
    if not xp.isdtype(target.dtype, "real floating"):
        target = xp.astype(target, xp.int32)  # uint8 could not count to 300 classes
    labels = xp.reshape(target, (*y.shape[:-1], 1))
    return xp.astype(labels == xp.arange(y.shape[-1], dtype=labels.dtype), y.dtype)


def one_logit(y: Array, loss: str) -> None:
    """ShapeError unless y holds one number a row."""
    if y.ndim > 1 and y.shape[-1] != 1:
        text = f"one output a row, shape (B,) or (B, 1), got {y.shape}"
        raise ShapeError(f"{loss} expected {text}; end the net with Dense(1), or use a loss over several outputs")


def columns(weights: Weights | None, y: Array, setting: str) -> Array | None:
    """One weight for each of the K columns of `y` as an array, or None."""
    if weights is None:
        return None
    if len(weights) != y.shape[-1]:
        text = f"expected {y.shape[-1]} numbers, one for each output of a row, got {len(weights)}"
        raise SettingError([(setting, text)])
    return y.__array_namespace__().asarray(weights, dtype=y.dtype)


def counted(q: Array, class_weight: Weights | None) -> Array | None:
    """What a row counts with class weights: sum_k class_weight_k q_k, (...); None without."""
    weights = columns(class_weight, q, "class_weight")
    return None if weights is None else q.__array_namespace__().sum(q * weights, axis=-1)


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of length 1."""
    return tuple(n for n in shape if n != 1)
