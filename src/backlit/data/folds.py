"""Folds: every row is tested once by a net that has not seen it. The rows are dealt as those of a split are.

A fold is (training places, test places), both in the order drawn. What is measured on the rows (a mean, a filling for a
missing cell, a vocabulary) is measured on the training places of each fold: cross_validate (evaluation) does.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from annotated_types import Ge

from backlit.data.dataset import Dataset
from backlit.data.grouping import deal_groups, numbered
from backlit.data.splits import deal, drawn, strata
from backlit.errors import DataError, SettingError
from backlit.settings import Count, Settings

Fold: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Training places and test places."""


@dataclass(frozen=True)
class Folds(Settings):
    """Base of the ways to test on all rows. In a file: a name, or a mapping with `type` and the settings."""

    abstract: ClassVar[bool] = True
    usual: ClassVar[str] = "KFold"

    @abstractmethod
    def folds(self, dataset: Dataset, seed: int) -> list[Fold]:
        """The folds, a pure function of the rows' number, the labels, the groups and the seed."""


@dataclass(frozen=True)
class KFold(Folds):
    """k parts as equal as can be; each is tested once, after training on all others.

    stratify  each part has the classes in the proportions of the whole, exact to a row: row j, rows sorted by class, goes to
              part j mod k
    shuffle   draw the rows from the seed; without, each part holds neighbours
    repeats   all k folds again with other draws: k repeats folds

    Rows of one group (`Dataset.groups`) stand in one part. Errors: DataError for fewer rows than k, a class with fewer rows
    than k, fewer groups than k, rows that follow each other in time; SettingError for k below 2, or repeats of what is not
    drawn. Source: Kohavi, "A study of cross-validation and bootstrap", IJCAI 1995. Others: scikit-learn's StratifiedKFold
    deals likewise and warns of a class that is too small; its KFold does not stratify, and groups have classes of their own.

    >>> from backlit.data import Iris
    >>> from backlit.data.folds import KFold
    >>> folds = KFold(k=5).folds(Iris().load(), seed=0)
    >>> [len(test) for _, test in folds], len(folds[0][0])
    ([30, 30, 30, 30, 30], 120)
    """

    aliases: ClassVar[tuple[str, ...]] = ("k-fold",)
    k: Annotated[int, Ge(2)] = 5
    stratify: bool = True
    shuffle: bool = True
    repeats: Count = 1

    def check(self) -> None:
        if self.repeats > 1 and not self.shuffle:
            text = f"expected 1 where rows are not drawn, as all repeats would be equal, got {self.repeats}"
            raise SettingError([("repeats", f"{text}; write shuffle: true")])

    def folds(self, dataset: Dataset, seed: int) -> list[Fold]:
        unordered(dataset, "KFold")
        n, k = len(dataset), self.k
        if n < k:
            raise DataError(f"folds: expected at least {k} rows for k = {k}, got {n}; use a smaller k")
        labels = strata(dataset, self.stratify)
        if labels is not None:
            counts = np.bincount(labels, minlength=len(dataset.classes))
            few = np.flatnonzero((counts < k) & (counts > 0))
            if len(few):
                name, text = dataset.classes[few[0]], f"expected at least {k} rows of each class for k = {k}"
                hint = "use a smaller k, add rows, or write stratify: false"
                raise DataError(f"folds: {text}, got {counts[few[0]]} of {name!r}; {hint}")
        found = []
        for repeat in range(self.repeats):
            order = drawn(n, seed, "folds" if repeat == 0 else f"folds {repeat}", self.shuffle)
            found += parts(order, self._dealt(dataset, labels, order), k)
        return found

    def _dealt(self, dataset: Dataset, labels: np.ndarray | None, order: np.ndarray) -> np.ndarray:
        """(N,) the part of each row of `order`."""
        n, k = len(order), self.k
        labels = None if labels is None else labels[order]
        if dataset.groups is not None:
            groups = dataset.groups[order]
            names, _ = numbered(groups)
            if len(names) < k:
                raise DataError(f"folds: expected at least {k} groups for k = {k}, got {len(names)}; use a smaller k")
            return deal_groups(groups, labels, np.full(k, n / k))
        if labels is None:
            labels = np.zeros(n, dtype=np.int32)
        ends = np.cumsum(np.bincount(labels))
        # Of the first m rows, part i has those whose place is i mod k: (m - i) / k of them, rounded up.
        upto = -((np.arange(k)[:, None] - np.append(0, ends)) // k)  # (k, K + 1)
        return deal(labels, np.diff(np.maximum(upto, 0), axis=1))


@dataclass(frozen=True)
class LeaveOneOut(Folds):
    """Each row is tested once, after training on all others: as many trainings as rows, for few rows.

    Errors: DataError for a single row, rows with groups (its group would be trained on), rows in the order of time.
    Source: Stone 1974, https://doi.org/10.1111/j.2517-6161.1974.tb00994.x

    >>> import numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.folds import LeaveOneOut
    >>> [test.tolist() for _, test in LeaveOneOut().folds(Dataset(np.zeros((3, 1)), np.zeros(3)), seed=0)]
    [[0], [1], [2]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("leave-one-out",)

    def folds(self, dataset: Dataset, seed: int) -> list[Fold]:
        unordered(dataset, "LeaveOneOut")
        if dataset.groups is not None:
            text = (
                "expected rows without groups for LeaveOneOut, got groups, of which the other rows would be trained on"
            )
            raise DataError(f"folds: {text}; use LeaveOneGroupOut")
        if len(dataset) < 2:
            raise DataError(f"folds: expected at least 2 rows for LeaveOneOut, got {len(dataset)}")
        order = np.arange(len(dataset))
        return parts(order, order, len(dataset))


@dataclass(frozen=True)
class LeaveOneGroupOut(Folds):
    """Each group is tested once, after training on all others: does what was learnt hold for a person never seen?

    Errors: DataError for rows without groups, or of one group.

    >>> import numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.folds import LeaveOneGroupOut
    >>> data = Dataset(np.zeros((4, 1)), np.zeros(4), groups=np.array(["ann", "bob", "ann", "bob"]))
    >>> [test.tolist() for _, test in LeaveOneGroupOut().folds(data, seed=0)]
    [[0, 2], [1, 3]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("leave-one-group-out",)

    def folds(self, dataset: Dataset, seed: int) -> list[Fold]:
        unordered(dataset, "LeaveOneGroupOut")
        if dataset.groups is None:
            text = "expected rows with groups for LeaveOneGroupOut, got none"
            raise DataError(f"folds: {text}; name the column of groups in the source, or use LeaveOneOut")
        names, number = numbered(dataset.groups)
        if len(names) < 2:
            raise DataError(f"folds: expected at least 2 groups for LeaveOneGroupOut, got {len(names)}")
        return parts(np.arange(len(dataset)), number, len(names))


@dataclass(frozen=True)
class TimeFolds(Folds):
    """k test parts one after the other in time, each after training on what came before it: a window that grows.

    size    rows of a test part; by default N // (k + 1)
    window  at most so many training rows, the latest: a window that moves on; by default all
    gap     rows left out before each test part; by default as many as share a target with it (`Dataset.overlap`)

    The rows are taken as they stand. Errors: DataError where rows do not suffice for a training row before the first test
    part, SettingError for k below 2. Source: Tashman 2000, https://doi.org/10.1016/S0169-2070(00)00065-0. As
    scikit-learn's TimeSeriesSplit.

    >>> import numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.folds import TimeFolds
    >>> data = Dataset(np.zeros((6, 1)), np.zeros(6), ordered=True)
    >>> [(train.tolist(), test.tolist()) for train, test in TimeFolds(k=2).folds(data, seed=0)]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """

    aliases: ClassVar[tuple[str, ...]] = ("time-folds",)
    k: Annotated[int, Ge(2)] = 5
    size: Count | None = None
    window: Count | None = None
    gap: Annotated[int, Ge(0)] | None = None

    def folds(self, dataset: Dataset, seed: int) -> list[Fold]:
        n, gap = len(dataset), dataset.overlap if self.gap is None else self.gap
        size = self.size or n // (self.k + 1)
        first = n - self.k * size
        if size < 1 or first - gap < 1:
            need = max(self.k * (self.size or 1) + gap, self.k) + 1
            text = f"expected at least {need} rows for {self.k} test parts, a gap of {gap} and a training row, got {n}"
            raise DataError(f"folds: {text}; use a smaller k, size or gap")
        found = []
        for start in range(first, n, size):
            begin = max(0, start - gap - self.window) if self.window else 0
            found.append((np.arange(begin, start - gap), np.arange(start, start + size)))
        _apart_in_time(dataset, found)
        return found


def parts(order: np.ndarray, part: np.ndarray, k: int) -> list[Fold]:
    """Each part once as the test places, with all others as the training places."""
    return [(order[part != i], order[part == i]) for i in range(k)]


def unordered(dataset: Dataset, name: str) -> None:
    """DataError for rows in the order of time: most of these folds would train on the future."""
    if dataset.ordered:
        text = f"expected rows without an order for {name}, got rows that follow each other in time"
        raise DataError(f"folds: {text}; use TimeFolds, which trains on the past alone")


def _apart_in_time(dataset: Dataset, found: list[Fold]) -> None:
    if dataset.groups is None:
        return
    for train, test in found:
        both = np.intersect1d(dataset.groups[train], dataset.groups[test])
        if len(both):
            text = (
                f"expected each group on one side of a fold, got rows of group {str(both[0])!r} before and after a cut"
            )
            raise DataError(f"folds: {text}; use a larger gap or another size, or leave the groups out")
