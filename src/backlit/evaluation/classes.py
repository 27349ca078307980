"""What happens to each class: confusion, precision and recall, ROC curves, calibration."""

from typing import Any, NamedTuple

import numpy as np

from backlit.errors import DataError, MissingLibraryError
from backlit.evaluation.metrics import Array, fit, labels, probabilities


class PerClass(NamedTuple):
    """One number a class, each (K,); `support` is how many rows of the class there are."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


class Curve(NamedTuple):
    """Share of false and of true alarms at falling thresholds, and the area under the curve."""

    false_positive_rate: Array
    true_positive_rate: Array
    area: float


class Calibration(NamedTuple):
    """Mean confidence, share right and number of rows of each bin that holds rows; `error` is the weighted mean gap."""

    confidence: Array
    accuracy: Array
    rows: Array
    error: float


def confusion(target: Any, predicted: Any, classes: int) -> Array:
    """Counts (K, K): row = true class, column = predicted class.

    Errors: DataError for a label outside 0..classes-1.

    >>> confusion([0, 1, 1], [0, 1, 0], 2).tolist()
    [[1, 0], [1, 1]]
    """
    t, p = np.asarray(target).reshape(-1), np.asarray(predicted).reshape(-1)
    fit(t.shape == p.shape, "one decision a target, shape", t.shape, p.shape)
    for what, values in (("target", t), ("predicted", p)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise DataError(
                f"confusion: expected {what} labels from 0 to {classes - 1}, got {values.min()} to {values.max()}; "
                "pass the number of classes as `classes`"
            )
    counts = np.bincount(t.astype(np.int64) * classes + p.astype(np.int64), minlength=classes * classes)
    return counts.reshape(classes, classes)


def per_class(target: Any, predicted: Any, classes: int) -> PerClass:
    """precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN); 0 where a quotient is 0 / 0.

    target and predicted are class numbers (N,), or 0 / 1 of shape (N, K) for several labels a row.

    >>> per_class([0, 1, 1], [0, 1, 0], 2).recall.tolist()
    [1.0, 0.5]
    """
    t, p = np.asarray(target), np.asarray(predicted)
    if t.ndim == 2:
        right, said, real = np.sum(t * p, axis=0), np.sum(p, axis=0), np.sum(t, axis=0)  # (K,) each
    else:
        counts = confusion(t, p, classes)
        right, said, real = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return PerClass(_share(right, said), _share(right, real), _share(2 * right, said + real), real)


def roc(task: str, output: Any, target: Any) -> dict[int, Curve]:
    """One receiver operating characteristic a class, that class against the rest; class 1 alone for binary.

    A class that no row or every row belongs to has no curve. Source: Fawcett 2006,
    https://doi.org/10.1016/j.patrec.2005.10.010. Needs scikit-learn (MissingLibraryError).

    >>> roc("binary", [-2.0, -1.0, 1.0, 2.0], [0, 1, 0, 1])[1].area
    0.75
    """
    try:
        from sklearn.metrics import auc, roc_curve
    except ModuleNotFoundError:
        raise MissingLibraryError("roc needs scikit-learn, which is not installed; pip install scikit-learn") from None
    p = probabilities(task, np.asarray(output, dtype=np.float64))
    true = labels(task, output, target)
    p = p.reshape(-1, p.shape[-1])  # (rows, K)
    curves = {}
    for k in [1] if task == "binary" else range(p.shape[1]):
        member = true[:, k] == 1 if task == "multilabel" else true.reshape(-1) == k  # (rows,)
        if 0 < member.sum() < member.size:
            false, hit, _ = roc_curve(member, p[:, k])
            curves[int(k)] = Curve(false, hit, float(auc(false, hit)))
    return curves


def calibration(task: str, output: Any, target: Any, bins: int = 10) -> Calibration:
    """Is a net that is 80 % sure right 80 % of the time? Rows are sorted into `bins` equal bins of their confidence.

    confidence = probability of the decided class, for tasks with one decision a row (not multilabel);
    error = sum over bins of (rows / all) |share right - mean confidence|.
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599

    >>> calibration("binary", [0.0, 0.0], [1, 0]).error
    0.0
    """
    p = probabilities(task, np.asarray(output, dtype=np.float64))
    p = p.reshape(-1, p.shape[-1])  # (rows, K)
    sure = np.max(p, axis=1)  # (rows,)
    right = np.argmax(p, axis=1) == labels(task, output, target).reshape(-1)
    place = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = count > 0
    confidence = np.bincount(place, sure, bins)[used] / count[used]
    accuracy = np.bincount(place, right, bins)[used] / count[used]
    error = float(np.sum(count[used] / max(1, sure.size) * np.abs(accuracy - confidence)))
    return Calibration(confidence, accuracy, count[used], error)


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), 0.0))
