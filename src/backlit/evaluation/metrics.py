"""Metrics: pure NumPy functions of net outputs and targets, each row counted once.

A task says what an output means (`Loss.task`), y being what the net returns:

    classification   y (..., K) scores, the largest wins        target (...) integers, or (..., K) one-hot or soft
    binary           y (N,) or (N, 1) logits, above 0 is yes    target 0 / 1 (or -1 / +1) of the same size
    multilabel       y (N, K) logits, each label for itself     target (N, K) of 0 / 1
    regression       y (N,) or (N, ...) values                  target of the same size
    ranking          y (N, 1 + C) scores, the first should win  target not looked at

Where y has a time axis, (N, T, K), each step is a decision of its own; a weight (N, T) counts steps.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from backlit.errors import DataError, ShapeError, unknown

Array: TypeAlias = np.ndarray[Any, Any]

HEADLINE = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multilabel": "exact",
    "regression": "rmse",
    "ranking": "accuracy",
}
"""The one metric that names a run's quality; larger is better except for rmse."""


def per_step(task: str, row: tuple[int, ...]) -> bool:
    """Whether outputs of shape `row` hold several decisions, one for each time step.

    >>> per_step("classification", (10,)), per_step("classification", (64, 10))
    (False, True)
    """
    if task in ("regression", "ranking"):
        return False
    return math.prod(row) > 1 if task == "binary" else len(row) > 1


def probabilities(task: str, output: Any) -> Array:
    """What the net believes: softmax rows (..., K), [1 - p, p] rows (N, 2) for binary, p per label for multilabel.

    Errors: SettingError for regression or an unknown task.

    >>> probabilities("binary", [0.0, 1e4]).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    y = floating(output)
    match task:
        case "classification":
            e: Array = np.exp(y - np.max(y, axis=-1, keepdims=True))  # (..., K), no overflow: the largest is exp(0)
            return np.asarray(e / e.sum(axis=-1, keepdims=True))
        case "binary":
            y = y.reshape(-1)
            return np.stack([sigmoid(-y), sigmoid(y)], axis=1)  # (N, 2)
        case "multilabel":
            return sigmoid(y)
        case _:
            raise unknown("task with probabilities", task, ("classification", "binary", "multilabel"))


def decide(task: str, output: Any) -> Array:
    """The net's answer: class numbers (...), 0 / 1 (N,) for binary and (N, K) for multilabel, values for regression,
    the column of the largest score (N,) for ranking.

    >>> decide("classification", [[0.1, 2.0, 0.3]]).tolist(), decide("binary", [[-1.0], [3.0]]).tolist()
    ([1], [0, 1])
    """
    y = np.asarray(output)
    match task:
        case "classification" | "ranking":
            return np.asarray(np.argmax(y, axis=-1))
        case "binary":
            return (y.reshape(-1) > 0).astype(np.int64)
        case "multilabel":
            return (y > 0).astype(np.int64)
        case "regression":
            return y
        case _:
            raise unknown("task", task, HEADLINE)


def measure(task: str, output: Any, target: Any, weight: Any = None) -> dict[str, float]:
    """The metrics of a task over rows; `weight` (N,) counts rows (0 leaves one out, such as padding).

    classification, binary   accuracy: share of rows (or time steps) decided right
    ranking                  accuracy: share of rows whose first score is the largest
    multilabel               exact: share of rows with all labels right; hamming: share of single labels that are wrong
    regression               rmse, mae: over all rows and outputs; r2: 1 - residual / total squares, mean over outputs

    A row with NaN in its output counts as wrong. r2 of a constant target is 1 for a perfect fit and 0 otherwise.
    Errors: ShapeError when output and target do not fit, DataError when no row counts, SettingError for no such task.
    Others: scikit-learn averages the rmse of several outputs; here it is the root of the mean over all of them.

    >>> measure("classification", [[2.0, 1.0], [0.0, 3.0]], [0, 0])
    {'accuracy': 0.5}
    >>> measure("regression", [1.0, 2.0, 4.0], [1.0, 2.0, 3.0])["r2"]
    0.5
    """
    if task not in _MEASURES:
        raise unknown("task", task, HEADLINE)
    return _MEASURES[task](np.asarray(output), np.asarray(target), weight)


def labels(task: str, output: Any, target: Any) -> Array:
    """The true labels in the form that `decide` returns: class numbers (...), or 0 / 1."""
    y, t = np.asarray(output), np.asarray(target)
    if task == "ranking":
        return np.zeros(len(y), dtype=np.int64)
    if task == "classification":
        if t.ndim == y.ndim and t.shape == y.shape:
            return np.asarray(np.argmax(t, axis=-1))  # one-hot or soft labels
        fit(t.shape == y.shape[:-1], "class numbers of shape", y.shape[:-1], t.shape)
        return t.astype(np.int64)
    if task == "binary":
        fit(t.size == y.size, "as many targets as logits, shape", y.shape, t.shape)
        return (t.reshape(-1) > 0.5).astype(np.int64)
    fit(t.shape == y.shape, "targets of the logits' shape", y.shape, t.shape)
    return (t > 0.5).astype(np.int64)


def real_steps(task: str, output: Array, target: Array, mask: Array | None) -> tuple[Array, Array]:
    """Outputs and targets of the real time steps, one below the other: (R, ...); as they are without a mask (N, T), and
    where the steps of the targets are others than those of the mask, or a row is one decision.

    >>> y, t = real_steps("classification", np.zeros((2, 3, 5)), np.ones((2, 3)), np.array([[1, 1, 0], [1, 0, 0]]))
    >>> y.shape, t.shape
    ((3, 5), (3,))
    """
    if mask is None or not per_step(task, output.shape[1:]) or mask.shape != target.shape[:2]:
        return output, target
    kept = mask > 0  # (N, T)
    return output[kept], target[kept]


def interval(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share seen in `rows` rows; z = 1.96 covers the true share 95 times of 100.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    >>> [round(v, 3) for v in interval(0.5, 100)]
    [0.404, 0.596]
    """
    if rows <= 0:
        return 0.0, 1.0
    scale = 1 + z * z / rows
    middle = (share + z * z / (2 * rows)) / scale
    half = z * float(np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def sigmoid(y: Array) -> Array:
    """1 / (1 + exp(-y)) for any y: exp(-ln(1 + exp(-y))) never overflows."""
    return np.exp(-np.logaddexp(0, -y))


def floating(value: Any) -> Array:
    """float32 and float64 stay as they are; the rest (bfloat16, integers, lists) becomes float64."""
    array = np.asarray(value)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _accuracy(task: str) -> Callable[[Array, Array, Any], dict[str, float]]:
    def measured(y: Array, t: Array, weight: Any) -> dict[str, float]:
        right = decide(task, y) == labels(task, y, t)  # (...)
        known = ~np.isnan(y).any(axis=-1) if task != "binary" else ~np.isnan(y).reshape(-1)
        return {"accuracy": _mean(right & known, _weights(right, weight))}

    return measured


def _multilabel(y: Array, t: Array, weight: Any) -> dict[str, float]:
    right = (decide("multilabel", y) == labels("multilabel", y, t)) & ~np.isnan(y)  # (N, K)
    w = _weights(right, weight)  # (N, K)
    return {"exact": _mean(right.all(axis=-1), w[:, 0]), "hamming": _mean(~right, w)}


def _regression(y: Array, t: Array, weight: Any) -> dict[str, float]:
    fit(t.size == y.size, "as many targets as outputs, shape", y.shape, t.shape)
    rows = len(y) if y.ndim else 1
    width = y.size // max(rows, 1)
    y, t = y.reshape(rows, width).astype(np.float64), t.reshape(rows, width).astype(np.float64)  # (N, K)
    w = _weights(y, weight)  # (N, K)
    counts = w.max(axis=1) > 0  # (N,) padding may hold NaN, so it is left out rather than multiplied by 0
    y, t, w = y[counts], t[counts], w[counts]
    error = y - t
    middle = np.sum(w * t, axis=0) / np.sum(w, axis=0)  # (K,)
    residual, total = np.sum(w * error**2, axis=0), np.sum(w * (t - middle) ** 2, axis=0)
    varies = np.ptp(t, axis=0) > 0
    r2 = np.where(varies, 1 - residual / np.where(varies, total, 1), np.where(residual > 0, 0.0, 1.0))
    rmse, mae = float(np.sqrt(_mean(error**2, w))), _mean(np.abs(error), w)
    return {"rmse": rmse, "mae": mae, "r2": float(np.mean(r2))}


_MEASURES = {
    "classification": _accuracy("classification"),
    "binary": _accuracy("binary"),
    "multilabel": _multilabel,
    "regression": _regression,
    "ranking": _accuracy("ranking"),
}


def _mean(values: Array, w: Array) -> float:
    return float(np.sum(values * w) / np.sum(w))


def _weights(values: Array, weight: Any) -> Array:
    """A weight for each value: a row's weight is that of all its entries."""
    if weight is None:
        weight = np.ones(len(values))
    w = np.asarray(weight, dtype=np.float64)
    if w.size == len(values):
        w = w.reshape(-1)  # (N, 1) is (N,)
    fit(w.shape == values.shape[: w.ndim], "one weight a row, shape", values.shape[:1], w.shape)
    w = np.broadcast_to(w.reshape(w.shape + (1,) * (values.ndim - w.ndim)), values.shape)
    if not np.sum(w) > 0:
        raise DataError(
            f"measure: expected at least one row with a weight above 0, got {len(values)} rows without one; "
            "check the split and its weights"
        )
    return w


def fit(condition: bool, expected: str, shape: tuple[int, ...], got: tuple[int, ...]) -> None:
    """Raise ShapeError unless `condition` holds: what was expected and what came."""
    if not condition:
        raise ShapeError(f"metrics expected {expected} {shape}, got {got}; each row needs one output and one target")
