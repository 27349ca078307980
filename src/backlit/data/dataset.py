"""Rows and targets, with their names: what every source gives and every training takes."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from backlit.data.checks import finite, labels, masked, tokens
from backlit.errors import DataError, received


@dataclass(frozen=True, eq=False)
class Dataset:
    """x (N, ...) and y, row by row.

    x           uint8 or float32; images are (N, height, width, channels). With a vocabulary: integers, its places.
                Rows of data larger than memory (rows.py), or a table that is still to be cleaned (table.py)
    y           (N,) int32 labels 0..K-1 of `classes`, or (N, T) where x is a sequence and each step has its own; numbers,
                (N,) or (N, ...), when there are no classes
    classes     the K names of the labels; () for regression
    features    the names of the columns of x, where they have names
    test        a test part that the source itself defines (MNIST's 10 000 images), or None
    mask        (N, T): 1 for a real time step of x (N, T, ...), 0 for padding; None when all are real
    vocabulary  what the integers of x stand for (words, characters), in their order; () when x holds numbers
    validation  a validation part that the source itself defines, or None
    ordered     rows follow each other in time: a split cuts them, it never draws them
    overlap     in ordered rows, how many rows after a row may share a target with it: so many are left out at a cut
    groups      (N,) names or numbers: rows of one group never stand in two parts; None where rows have no groups
    notes       what was done while reading that a user should know, a sentence each

    Errors: `checked` raises DataError for NaN or infinite numbers, labels outside 0..K-1, integers outside the
    vocabulary, a mask with other numbers than 0 and 1 or without a real step in a row, lengths that differ, no rows.

    >>> import numpy as np
    >>> from backlit.data import Dataset
    >>> data = Dataset(np.zeros((4, 2), "f"), np.array([0, 1, 1, 0], "i"), classes=("no", "yes")).checked()
    >>> len(data), data.task, data.take([1, 2]).y.tolist()
    (4, 'classification', [1, 1])
    """

    x: Any
    y: np.ndarray
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    test: "Dataset | None" = None
    name: str = ""
    mask: np.ndarray | None = None
    vocabulary: tuple[str, ...] = ()
    validation: "Dataset | None" = None
    ordered: bool = False
    overlap: int = 0
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def task(self) -> str:
        """'classification' when the targets are labels of classes, else 'regression'."""
        return "classification" if self.classes else "regression"

    def take(self, indices: Any) -> "Dataset":
        """These rows, in this order (or those where a mask is true); names stay, the source's own parts do not."""
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.intp)
        mask, groups = (None if a is None else a[rows] for a in (self.mask, self.groups))
        x = self.x.take(rows, axis=0)
        return replace(self, x=x, y=self.y[rows], mask=mask, groups=groups, test=None, validation=None)

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
        if self.vocabulary and isinstance(self.x, np.ndarray):
            tokens(self.x, len(self.vocabulary), f"{where}x")
        if isinstance(self.x, np.ndarray):  # rows that are not in memory are checked when they are read
            finite(self.x, f"{where}x", self.features)
        if self.groups is not None and self.groups.shape != (len(self),):
            raise DataError(f"{where}groups: expected one a row, ({len(self)},), got the shape {self.groups.shape}")
        if self.mask is not None:
            masked(self.mask, self.x.shape, f"{where}mask")
        if self.classes:
            if self.y.ndim > 1 and self.x.ndim == 2 and not self.vocabulary and self.y.shape != self.x.shape:
                hint = "for rows of tokens say the vocabulary"
                raise DataError(f"{where}y: expected one label a row, (N,), got the shape {self.y.shape}; {hint}")
            labels(self.y, len(self.classes), f"{where}y")
        else:
            finite(self.y, f"{where}y")
        for part, kind in ((self.validation, "validation"), (self.test, "test")):
            if part is not None:
                self._check_part(part, kind, where)
        return self

    def fingerprint(self) -> str:
        """SHA-256 of all rows, targets and names: a run is not resumed on other data."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.classes, self.features)).encode())
        if self.vocabulary:
            digest.update(repr(self.vocabulary).encode())
        if not isinstance(self.x, np.ndarray):
            digest.update(self.x.fingerprint().encode())
        for array in (self.x, self.y, self.mask):
            if isinstance(array, np.ndarray):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        for part in (self.test, self.validation):
            if part is not None:
                digest.update(part.fingerprint().encode())
        return digest.hexdigest()

    def _check_part(self, part: "Dataset", kind: str, where: str) -> None:
        replace(part, name=f"{self.name or 'data'} ({kind} part)").checked()
        if part.x.shape[1:] != self.x.shape[1:] or part.y.shape[1:] != self.y.shape[1:]:
            found = f"training x {self.x.shape}, y {self.y.shape} and {kind} x {part.x.shape}, y {part.y.shape}"
            raise DataError(f"{where}expected {kind} rows shaped like the training rows, got {found}")
        if part.classes != self.classes:
            found = f"{received(self.classes)} and {received(part.classes)}"
            raise DataError(f"{where}expected the same classes in training and {kind} part, got {found}")
        if part.vocabulary != self.vocabulary or (part.mask is None) != (self.mask is None):
            text = f"expected a vocabulary and a mask in the {kind} part where the training part has them"
            raise DataError(f"{where}{text}, and the same vocabulary")
