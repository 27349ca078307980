"""One data set into training, validation and test part."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.grouping import between, deal_groups
from backlit.data.places import check_names, given
from backlit.engine import random
from backlit.errors import DataError, SettingError
from backlit.settings import Fraction, Settings


class Parts(NamedTuple):
    """Training, validation and test part; the last two may be empty when their fraction is 0."""

    train: Dataset
    validation: Dataset
    test: Dataset


@dataclass(frozen=True)
class Split(Settings):
    """Fractions of all rows for validation and test, the rest is for training.

    stratify   every part has the classes in the proportions of the whole, exact to a row (largest remainders); each
               class keeps at least one row for training
    shuffle    draw the rows from the seed; without, training comes first, then validation, then test (time series)
    rows       the places (from 0) of each part, as a mapping with `train`, `validation` and `test` or as the name of a
               .json or .npz file that holds one: rows that stand in none are left out, and no fraction is used, but 0
               says that there is no such part

    A source with a fixed test part keeps it: `test` is then not used, and `validation` is a fraction of the rest. One
    with a fixed validation part keeps that too, unless `validation` is 0. Rows that follow each other in time
    (`Dataset.ordered`) are never drawn nor stratified, and no target stands in two parts (`Dataset.overlap`). Rows of one
    group (`Dataset.groups`) never stand in two parts: sizes, and the classes in each part, come as near to the fractions as
    whole groups let them (data/grouping.py); in time, the cut moves to the nearest place between two groups.
    Errors: DataError when a part comes out empty, the training part has one class only or lacks one (of sequences
    with a label a step, only the first), or there are fewer groups than parts; for `rows`, a place that is no row or
    stands twice.

    >>> from backlit.data import Iris, Split
    >>> parts = Split(validation=0.2, test=0.2).apply(Iris().load(), seed=0)
    >>> [len(part) for part in parts], [sorted(set(part.y.tolist())) for part in parts]
    ([90, 30, 30], [[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    >>> parts = Split(rows={"train": [0, 60, 120, 9], "validation": [1, 70], "test": [149]}).apply(Iris().load(), seed=0)
    >>> [part.y.tolist() for part in parts]
    [[0, 1, 2, 0], [0, 1], [2]]
    """

    validation: Fraction = 0.15
    test: Fraction = 0.15
    stratify: bool = True
    shuffle: bool = True
    rows: str | dict[str, tuple[int, ...]] | None = None

    def check(self) -> None:
        if self.validation + self.test >= 1:
            text = f"expected validation + test below 1, got {self.validation} + {self.test}; training needs rows too"
            raise SettingError([("validation", text)])
        if isinstance(self.rows, dict):
            check_names(self.rows)

    def apply(self, dataset: Dataset, seed: int) -> Parts:
        """The three parts, a pure function of the rows' number, the labels, the groups and the seed."""
        if self.rows is not None:
            found = Parts(*map(dataset.take, given(self.rows, dataset, (self.validation, self.test))))
        else:
            found = Parts(*map(dataset.take, self._rows(dataset, seed)))
        _trainable(found.train)
        if dataset.validation is not None and self.validation > 0:
            found = found._replace(validation=dataset.validation)
        return found if dataset.test is None else found._replace(test=dataset.test)

    def _rows(self, dataset: Dataset, seed: int) -> list[np.ndarray]:
        """The places of the three parts."""
        n = len(dataset)
        validation = 0.0 if dataset.validation is not None else self.validation
        test = 0.0 if dataset.test is not None else self.test
        sizes = tuple(_size(name, f, n) for name, f in (("validation", validation), ("test", test)))
        if sum(sizes) >= n:
            parts = 1 + (sizes[0] > 0) + (sizes[1] > 0)
            raise DataError(f"split: expected at least one row for each of the {parts} parts, got {n} rows in all")
        order = drawn(n, seed, "split", self.shuffle and not dataset.ordered)
        counts = np.array([n - sum(sizes), *sizes])
        if dataset.groups is not None and dataset.ordered:
            part = between(dataset.groups, counts)
        elif dataset.groups is not None:
            classes = strata(dataset, self.stratify)
            part = deal_groups(dataset.groups[order], None if classes is None else classes[order], counts)
        else:
            part = self._assign(dataset, order, *sizes)
        rows = [order[part == i] for i in range(3)]
        return _apart(rows, dataset.overlap) if dataset.overlap else rows

    def _assign(self, dataset: Dataset, order: np.ndarray, validation: int, test: int) -> np.ndarray:
        """0, 1 or 2 for each row of `order`."""
        classes = strata(dataset, self.stratify)
        labels = np.zeros(len(order), dtype=np.int32) if classes is None else classes[order]
        counts = np.bincount(labels, minlength=1 if classes is None else len(dataset.classes))
        in_test = apportion(test, counts)
        in_validation = apportion(validation, counts - in_test)
        return deal(labels, np.stack([counts - in_test - in_validation, in_validation, in_test]))


def drawn(n: int, seed: int, name: str, shuffle: bool = True) -> np.ndarray:
    """The places 0..n-1 in the order in which they are dealt: that of a seed, or as they stand."""
    if not shuffle:
        return np.arange(n)
    order: np.ndarray = random.permutation(random.fold(random.key(seed), name), n)
    return order


def strata(dataset: Dataset, stratify: bool) -> np.ndarray | None:
    """The label of each row, where parts are to have the classes in the proportions of the whole; else None."""
    wanted = stratify and bool(dataset.classes) and dataset.y.ndim == 1 and not dataset.ordered
    return dataset.y if wanted else None


def deal(labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The part of each row: of the rows of class k, in the order given, the first table[0, k] go to part 0, and so on.

    >>> from backlit.data.splits import deal
    >>> import numpy as np
    >>> deal(np.array([0, 1, 0, 1, 0]), np.array([[2, 1], [1, 1]])).tolist()
    [0, 0, 0, 1, 1]
    """
    counts = table.sum(axis=0)
    first = np.argsort(labels, kind="stable")  # rows of one class side by side, in the order given
    part = np.empty(len(labels), dtype=np.int64)
    part[first] = np.repeat(np.tile(np.arange(len(table)), len(counts)), table.T.ravel())
    return part


def apportion(total: int, counts: np.ndarray) -> np.ndarray:
    """Shares of `total` in proportion to `counts`, whole, by largest remainders, and below the count of each class.

    >>> from backlit.data.splits import apportion
    >>> import numpy as np
    >>> apportion(10, np.array([50, 33, 17])).tolist()
    [5, 3, 2]
    """
    exact = total * counts / counts.sum()
    shares: np.ndarray = np.floor(exact).astype(np.int64)
    while shares.sum() < total:
        room = shares < counts - 1
        if not room.any():
            found = f"{int(counts.sum())} rows in {int((counts > 0).sum())} classes"
            text = f"expected a row of each class for training and {total} rows to spare, got {found}"
            raise DataError(f"split: {text}; use a smaller fraction or more rows")
        best = np.argmax(np.where(room, exact - shares, -np.inf))
        shares[best] += 1
    return shares


def _size(name: str, fraction: float, n: int) -> int:
    size = math.floor(fraction * n + 0.5)
    if fraction > 0 and size == 0:
        text = f"expected at least one row, got none of {n} at a fraction of {fraction}"
        raise DataError(f"split.{name}: {text}; use a larger fraction, or 0 to go without")
    return size


def _apart(rows: list[np.ndarray], overlap: int) -> list[np.ndarray]:
    """The rows of each part without those at its end that share a target with the part that follows."""
    kept = [part[: len(part) - overlap] if any(map(len, rows[i + 1 :])) else part for i, part in enumerate(rows)]
    if any(len(part) and not len(left) for part, left in zip(rows, kept, strict=True)):
        found = " and ".join(str(len(part)) for part in rows)
        text = f"expected more than {overlap} rows in a part, as many are left out where it ends, got {found}"
        raise DataError(f"split: {text}; use larger fractions or more rows")
    return kept


def _trainable(train: Dataset) -> None:
    if not train.classes:
        return
    sequences = train.y.ndim > 1
    y = train.y[train.mask > 0] if sequences and train.mask is not None else train.y.reshape(-1)
    counts = np.bincount(y, minlength=len(train.classes))
    if (counts > 0).sum() < 2:
        name = train.classes[int(np.argmax(counts))]
        text = f"expected rows of at least two classes, got {len(train)} rows of {name!r} only"
        raise DataError(f"split: training part: {text}; shuffle or stratify the split, or add rows of other classes")
    if (counts == 0).any() and not sequences:
        name = train.classes[int(np.argmin(counts))]
        text = f"expected rows of all {len(counts)} classes, got none of {name!r}"
        hint = "stratify the split" if train.groups is None else "it needs a group more"
        raise DataError(f"split: training part: {text}; {hint}, add rows or leave the class out")
