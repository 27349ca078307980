"""Do targets fit the task? Looked at once before training, on the host: inside a compiled step nothing can complain.

An integer outside 0..K-1 would belong to no class and be ignored in silence; NaN would spread to every parameter.
"""

from typing import Any, TypeAlias

import numpy as np

from backlit.errors import DataError, received

Rows: TypeAlias = "np.ndarray[Any, Any]"


def check_labels(task: str, labels: Any, outputs: int | tuple[int, ...], name: str = "labels") -> None:
    """DataError, with the row and the value, unless `labels` fit a loss of this task (`Loss.task`).

    outputs   what the net returns for a row: K, or its shape, such as (T, K)
    name      what the sentence calls the labels: a file, a column, a part of the data

    classification   whole numbers 0..K-1, (B,) or (B, T); or distributions over K classes (each sums to 1)
    binary           0 / 1, -1 / +1, or probabilities
    multilabel       0 / 1 or probabilities, (B, K)
    regression, and tasks of your own: finite numbers

    >>> check_labels("classification", [0, 2, 1], 3)
    >>> check_labels("classification", [0, 3, 1], 3)
    Traceback (most recent call last):
    backlit.errors.DataError: labels: expected 0..2 (3 classes), got 3 in row 1; mend it or use 4 outputs
    """
    shape = (outputs,) if isinstance(outputs, int) else tuple(outputs)
    array = numbers(labels, name)
    _finite(array, name)
    match task:
        case "classification" if _is_distribution(array, shape):
            _between(array, name, "probabilities from 0 to 1")
            _sums_to_one(array, name)
        case "classification":
            _classes(array, shape[-1], name)
        case "binary" if bool(np.any(array == -1)):
            _need(np.abs(array) == 1, array, name, "-1 or +1 (other labels are -1)", "write 0 and 1, or -1 and +1")
        case "binary" | "multilabel":
            _between(array, name, "0, 1, or a probability between them")


def check_weights(weight: Any, rows: int, name: str = "weights") -> None:
    """DataError unless `weight` holds one finite number >= 0 for each of `rows` rows, and not only zeros.

    >>> check_weights([1.0, -2.0], 2)
    Traceback (most recent call last):
    backlit.errors.DataError: weights: expected numbers >= 0, got -2.0 in row 1; 0 leaves a row out
    """
    array = numbers(weight, name)
    if array.shape != (rows,):
        raise DataError(f"{name}: expected one number for each of {rows} rows, shape ({rows},), got {array.shape}")
    _finite(array, name)
    _need(array >= 0, array, name, "numbers >= 0", "0 leaves a row out")
    if not array.any():
        raise DataError(f"{name}: expected a weight above 0, got only zeros; leave the weights out")


def numbers(values: Any, name: str) -> Rows:
    """`values` as a NumPy array of numbers with at least one row; DataError for text, objects and ragged lists."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{name}: expected rows of one length, got rows of several; pad them to one length") from None
    if array.ndim == 0:
        raise DataError(f"{name}: expected one entry a row, got {received(values)}; write a list or an array")
    if array.size == 0:
        raise DataError(f"{name}: expected at least one row, got shape {array.shape}; check the file or the split")
    if array.dtype.kind not in "biuf":
        mend = "number names with numpy.unique(names, return_inverse=True)[1]"
        raise DataError(f"{name}: expected numbers, got {received(array.ravel()[:1].tolist()[0])} in row 0; {mend}")
    return array


def _classes(array: Rows, classes: int, name: str) -> None:
    asked = f"0..{classes - 1} ({classes} classes)"
    if array.dtype.kind == "f":
        what = f"whole numbers {asked}"
        _need(array == np.floor(array), array, name, what, "for values to predict use a regression loss")
    low, high = int(array.min()), int(array.max())
    mend = "labels start at 0, so subtract 1" if (low, high) == (1, classes) else ""
    mend = mend or (f"mend it or use {high + 1} outputs" if low >= 0 else "mend it")
    _need((array >= 0) & (array < classes), array, name, asked, mend)


def _is_distribution(array: Rows, shape: tuple[int, ...]) -> bool:
    if len(shape) > 1:
        return bool(array.shape[1:] == shape)
    # Without the net's whole shape, (B, K) may also be B sequences of K labels: those are integers and do not sum to 1.
    one_hot = array.ndim > 1 and array.shape[-1] == shape[-1] > 1
    return bool(one_hot and (array.dtype.kind == "f" or np.all(array.sum(axis=-1) == 1)))


def _sums_to_one(array: Rows, name: str) -> None:
    sums = array.astype(np.float64).sum(axis=-1)
    wrong = np.argwhere(np.abs(sums - 1) > 1e-3)
    if len(wrong):
        place, total = _place(wrong[0], "step"), float(sums[tuple(wrong[0])])
        raise DataError(f"{name}: expected probabilities with sum 1, got sum {total:.6g} in {place}; divide by it")


def _between(array: Rows, name: str, what: str) -> None:
    _need((array >= 0) & (array <= 1), array, name, what, "write 0 for no and 1 for yes")


def _finite(array: Rows, name: str) -> None:
    if array.dtype.kind == "f":
        _need(np.isfinite(array), array, name, "finite numbers", "fill the gap or leave the row out")


def _need(good: Any, array: Rows, name: str, what: str, mend: str) -> None:
    """DataError that shows the first entry which is not good."""
    if bool(np.all(good)):
        return
    index = np.argwhere(~good)[0]
    raise DataError(f"{name}: expected {what}, got {array[tuple(index)].item()} in {_place(index, 'column')}; {mend}")


def _place(index: Rows, axis: str) -> str:
    """'row 3', 'row 3, column 1'; deeper arrays show the whole index."""
    row, *rest = (int(i) for i in index)
    if not rest:
        return f"row {row}"
    return f"row {row}, {axis} {rest[0]}" if len(rest) == 1 else f"row {row}, position {tuple(rest)}"
