"""Rows and targets, with their names: what every source gives and every training takes."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from backlit.errors import DataError, received


@dataclass(frozen=True, eq=False)
class Dataset:
    """x (N, ...) and y, row by row.

    x         uint8 or float32; images are (N, height, width, channels)
    y         (N,) int32 labels 0..K-1 of `classes`; float32 (N,) or (N, k) when there are no classes
    classes   the K names of the labels; () for regression
    features  the names of the columns of x, where they have names
    test      a test part that the source itself defines (MNIST's 10 000 images), or None

    Errors: `checked` raises DataError for NaN or infinite numbers, labels outside 0..K-1, lengths that differ, no rows.

    >>> import numpy as np
    >>> from backlit.data import Dataset
    >>> data = Dataset(np.zeros((4, 2), "f"), np.array([0, 1, 1, 0], "i"), classes=("no", "yes")).checked()
    >>> len(data), data.task, data.take([1, 2]).y.tolist()
    (4, 'classification', [1, 1])
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    test: "Dataset | None" = None
    name: str = ""

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def task(self) -> str:
        """'classification' when the targets are labels of classes, else 'regression'."""
        return "classification" if self.classes else "regression"

    def take(self, indices: Any) -> "Dataset":
        """These rows, in this order (or those where a mask is true); names stay, a fixed test part does not."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.intp)
        return replace(self, x=self.x[rows], y=self.y[rows], test=None)

    def checked(self) -> "Dataset":
        """Itself when it can be trained on, else DataError with the row and column."""
        where = f"{self.name}: " if self.name else ""
        if self.x.ndim < 2:
            need = "expected x with one row an example, (N, ...); write x[:, None] for rows of one number"
            raise DataError(f"{where}{need}, got the shape {self.x.shape}")
        if len(self) == 0 or math.prod(self.x.shape) == 0:
            raise DataError(f"{where}expected at least one row and one column, got x of the shape {self.x.shape}")
        if self.y.ndim == 0 or len(self.y) != len(self):
            raise DataError(f"{where}expected one target a row, got x {self.x.shape} and y {self.y.shape}")
        if self.features and len(self.features) != math.prod(self.x.shape[1:]):
            found = f"{len(self.features)} names for rows of {math.prod(self.x.shape[1:])}"
            raise DataError(f"{where}features: expected one name a column, got {found}")
        finite(self.x, f"{where}x", self.features)
        if self.classes:
            labels(self.y, len(self.classes), f"{where}y")
        else:
            finite(self.y, f"{where}y")
        if self.test is not None:
            self._check_test(self.test, where)
        return self

    def fingerprint(self) -> str:
        """SHA-256 of all rows, targets and names: a run is not resumed on other data."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.classes, self.features)).encode())
        for array in (self.x, self.y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        if self.test is not None:
            digest.update(self.test.fingerprint().encode())
        return digest.hexdigest()

    def _check_test(self, test: "Dataset", where: str) -> None:
        replace(test, name=f"{self.name or 'data'} (test part)").checked()
        if test.x.shape[1:] != self.x.shape[1:] or test.y.shape[1:] != self.y.shape[1:]:
            found = f"training x {self.x.shape}, y {self.y.shape} and test x {test.x.shape}, y {test.y.shape}"
            raise DataError(f"{where}expected test rows shaped like the training rows, got {found}")
        if test.classes != self.classes:
            found = f"{received(self.classes)} and {received(test.classes)}"
            raise DataError(f"{where}expected the same classes in training and test part, got {found}")


def finite(array: np.ndarray, where: str, names: tuple[str, ...] = ()) -> None:
    """DataError for the first NaN or infinite number, with its row and column."""
    if array.dtype.kind != "f":
        return
    # One pass without a mask: the sum is finite only when all terms are; a bad or a vast sum needs a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    row, *position = (int(i) for i in np.unravel_index(int(np.argmax(bad)), array.shape))
    place = f"row {row}"
    if len(position) == 1:
        place += f", column {position[0]}" + (f" ({names[position[0]]!r})" if names else "")
    elif position:
        place += f", position {tuple(position)}"
    value = float(array[(row, *position)])
    count = "" if bad.sum() == 1 else f" ({int(bad.sum())} such numbers in all)"
    raise DataError(
        f"{where}: {place} (from 0): expected a finite number, got {value}{count}; fill it in or leave the row out"
    )


def labels(y: np.ndarray, classes: int, where: str) -> None:
    """DataError for the first label that is not an integer 0..K-1, with its row."""
    if y.ndim != 1:
        raise DataError(f"{where}: expected one label a row, (N,), got the shape {y.shape}")
    if y.dtype.kind not in "iu":
        bad = np.flatnonzero(np.asarray(y != np.floor(y))) if y.dtype.kind == "f" else np.arange(1)
        row = int(bad[0]) if len(bad) else 0
        text = f"expected integer labels 0..{classes - 1}, got {received(y[row].item())}; write y.astype('int32')"
        raise DataError(f"{where}: row {row} (from 0): {text}")
    if y.min() < 0 or y.max() >= classes:
        row = int(np.argmax((y < 0) | (y >= classes)))
        text = f"expected a label 0..{classes - 1} ({classes} classes), got {int(y[row])}"
        raise DataError(f"{where}: row {row} (from 0): {text}")
