"""From what a file or a caller gives to targets: labels 0..K-1 with class names, or float32 numbers."""

from typing import Any, Literal, TypeAlias

import numpy as np

from backlit.data.checks import labels
from backlit.errors import DataError, nearest, received

Task: TypeAlias = Literal["classification", "regression"]


def rows(x: Any, where: str = "x") -> np.ndarray:
    """Rows as uint8 (kept) or float32 (all else), or DataError for what is not a number."""
    try:
        array = np.asarray(x)
    except ValueError:
        raise DataError(f"{where}: expected rows of equal length, got rows of different shapes") from None
    if array.dtype == np.uint8:
        return array
    return numbers(array, where)


def numbers(array: np.ndarray, where: str) -> np.ndarray:
    """float32, or DataError with the place of the first value that is no number or too large for float32."""
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "biuf":
        array = _from_objects(array, where)
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(array)
    if lost.any():
        place = _place(lost)
        raise DataError(f"{where}: {place}: expected numbers below 3.4e38 (float32), got {array[lost].flat[0]:g}")
    return narrow


def targets(y: Any, task: Task | None = None, names: tuple[str, ...] = (), where: str = "y") -> tuple[Any, Any]:
    """(y, classes). Text, truth values and integers are labels, floats are numbers to predict, unless `task` says so.

    With `names`, labels are 0..K-1 or the names themselves, one a row or, (N, T), one a time step. Without, the classes
    are the values that occur, in order.
    Integer arrays (N, k) are k numbers a row: several labels at once, or one-hot.

    >>> from backlit.data.targets import targets
    >>> targets(["b", "a", "b"])
    (array([1, 0, 1], dtype=int32), ('a', 'b'))
    >>> targets([0.5, 1.5])
    (array([0.5, 1.5], dtype=float32), ())
    """
    try:
        y = np.asarray(y)
    except ValueError:
        raise DataError(f"{where}: expected one target a row, got rows of different lengths") from None
    if y.dtype.kind == "O" and all(isinstance(value, str) for value in y.flat):
        y = y.astype(str)
    if y.dtype.kind == "O" and all(isinstance(value, bool | np.bool_) for value in y.flat):
        y = y.astype(bool)
    if names and task != "regression":
        return _named(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, names, where), names
    if task == "regression" or (y.dtype.kind not in "biuUS" and task is None) or (y.ndim > 1 and y.shape[1] > 1):
        return numbers(y, where), ()
    y = _column(y, where)
    if y.dtype.kind not in "biuUS":
        y = _integers(y, where)
    values, found = np.unique(y, return_inverse=True)
    classes = tuple(v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist())
    return found.reshape(-1).astype(np.int32), classes


def _named(y: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    if y.dtype.kind in "US":
        table = {name: i for i, name in enumerate(names)}
        places = []
        for row, value in enumerate(y.astype(str).ravel().tolist()):
            if value not in table:
                hint = nearest(value, names)
                raise DataError(f"{where}: row {row // max(1, y[0].size)} (from 0): {value!r} is no class; {hint}")
            places.append(table[value])
        return np.array(places, dtype=np.int32).reshape(y.shape)
    y = _integers(y, where) if y.dtype.kind not in "iu" else y
    if len(y):
        labels(y, len(names), where)
    return y.astype(np.int32)


def _column(y: np.ndarray, where: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{where}: expected one label a row, (N,), got the shape {y.shape}")
    return y


def _integers(y: np.ndarray, where: str) -> np.ndarray:
    values = y if y.dtype.kind in "biuf" else _from_objects(y, where)
    whole = np.isfinite(values) & (values == np.floor(values))
    if not whole.all():
        hint = "for numbers to predict write task='regression'"
        raise DataError(f"{where}: {_place(~whole)}: expected an integer label, got {values[~whole].flat[0]:g}; {hint}")
    return values.astype(np.int64)


def _from_objects(array: np.ndarray, where: str) -> np.ndarray:
    flat = np.empty(array.size)
    for i, value in enumerate(array.flat):
        try:
            flat[i] = float(value)
        except (TypeError, ValueError):
            mask = np.zeros(array.size, dtype=bool)
            mask[i] = True
            place = _place(mask.reshape(array.shape))
            raise DataError(f"{where}: {place}: expected a number, got {received(value)}") from None
    return flat.reshape(array.shape)


def _place(mask: np.ndarray) -> str:
    row, *position = (int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape)) if mask.ndim else (0,)
    column = f", column {position[0] if len(position) == 1 else tuple(position)}" if position else ""
    return f"row {row}{column} (from 0)"
