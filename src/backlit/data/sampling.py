"""How often each training row is seen, and beside which others: pure functions of (key, epoch).

    Balanced    each class equally often
    Weighted    each class, or each row, in proportion to a weight
    Buckets     sequences beside others of their length, so that little padding is computed

A resumed training sees the same batches; validation and test part are never sampled.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from backlit.data.batches import bucket_batches, fits
from backlit.data.dataset import Dataset
from backlit.data.draws import draw_rounds, draw_rows
from backlit.data.rows import Rows
from backlit.data.table import Table
from backlit.errors import DataError, SettingError, nearest
from backlit.protocol import Array
from backlit.settings import Count, Settings

Weight = Annotated[float, Gt(0)]


@dataclass(frozen=True)
class Sampling(Settings):
    """Base of the ways to draw the rows of an epoch. In a file: a name, or a mapping with `type` and the settings."""

    abstract: ClassVar[bool] = True


@dataclass(frozen=True)
class Drawing(Sampling):
    """Base of those that draw rows by weight: an epoch has ceil(N / B) full batches, some rows in it twice, some not."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def drawn(self, dataset: Dataset, key: Array, total: int, first: int, epochs: int) -> np.ndarray:
        """(epochs, total) int32: the rows of the epochs from `first` on."""

    def indices(
        self, dataset: Dataset, key: Array, batch_size: int, first: int, epochs: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As `epochs_indices` (data/batches.py): (epochs, steps, B) int32 rows; None, as all of them count fully."""
        fits(len(dataset), batch_size)
        steps = -(-len(dataset) // batch_size)
        rows = self.drawn(dataset, key, steps * batch_size, first, epochs)
        return rows.reshape(epochs, steps, batch_size), None


@dataclass(frozen=True)
class Balanced(Drawing):
    """Each class equally often: M / K of the M rows of an epoch, exact to a row.

    The rows of a class come in rounds, each of them all once in a new order, and an epoch goes on where the one before it
    ended: a row of a large class is seen again only after all others of it, one of a small class several times an epoch.
    What such a net says are probabilities among balanced classes: too high for rare ones, as a rule.
    Errors: DataError where rows have no class, or a class no row.
    Source: oversampling, Japkowicz, Stephen 2002, https://doi.org/10.3233/IDA-2002-6504. Others: PyTorch's
    WeightedRandomSampler draws each row by chance, so an epoch repeats some rows of a large class and passes over others.

    >>> import backlit as bl, numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.sampling import Balanced
    >>> data = Dataset(np.zeros((6, 1), "f"), np.array([0, 1, 0, 0, 0, 0], "i"), ("often", "seldom"))
    >>> indices, _ = Balanced().indices(data, bl.random.key(0), batch_size=3, first=0, epochs=1)
    >>> indices.shape, int(data.y[indices].sum())
    ((1, 2, 3), 3)
    """

    aliases: ClassVar[tuple[str, ...]] = ("balanced",)

    def drawn(self, dataset: Dataset, key: Array, total: int, first: int, epochs: int) -> np.ndarray:
        labels, counts = _classes(dataset, "Balanced")
        return draw_rounds(key, labels, np.ones(len(counts)), total, first, epochs)


@dataclass(frozen=True)
class Weighted(Drawing):
    """Rows in proportion to weights: that of their class (`weights`), or their own (`column`).

    weights  one a class in the order of `classes`, or by name, where the others weigh 1: {"fraud": 10} sees a row of fraud
             ten times as often as another. To see classes equally often, write Balanced
    column   the name of a column that holds a weight for each row (the net sees it too, unless it is left out)

    Class k has M w_k n_k / sum_j(w_j n_j) of the M rows of an epoch, in rounds as with Balanced; with a column, row i is
    drawn M w_i / sum(w) times. Both are exact to a row. Errors: SettingError for weights and a column both or neither;
    DataError for an unknown class or column, another number of weights than classes, a weight below 0 or missing.
    Source: systematic sampling, Madow 1944, https://doi.org/10.1214/aoms/1177731312

    >>> import backlit as bl, numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.sampling import Weighted
    >>> data = Dataset(np.zeros((6, 1), "f"), np.array([0, 1, 0, 0, 0, 0], "i"), ("often", "seldom"))
    >>> indices, _ = Weighted({"seldom": 10.0}).indices(data, bl.random.key(0), batch_size=3, first=0, epochs=1)
    >>> int(data.y[indices].sum())
    4
    """

    aliases: ClassVar[tuple[str, ...]] = ("weighted",)
    weights: tuple[Weight, ...] | dict[str, Weight] | None = None
    column: str = ""

    def check(self) -> None:
        if (self.weights is None) == (not self.column):
            got = "neither" if self.weights is None else "both"
            raise SettingError([("weights", f"expected weights of the classes or a column of weights, got {got}")])

    def drawn(self, dataset: Dataset, key: Array, total: int, first: int, epochs: int) -> np.ndarray:
        if self.column:
            return draw_rows(key, _column(dataset, self.column), total, first, epochs)
        labels, counts = _classes(dataset, "Weighted")
        return draw_rounds(key, labels, self._weights(dataset.classes) * counts, total, first, epochs)

    def _weights(self, classes: tuple[str, ...]) -> np.ndarray:
        if isinstance(self.weights, Mapping):
            for name in self.weights:
                if name not in classes:
                    raise DataError(f"sampling.weights: no class {name!r}; {nearest(name, classes)}")
            return np.array([self.weights.get(name, 1.0) for name in classes])
        found = np.array(self.weights or ())
        if len(found) != len(classes):
            text = f"expected one weight for each of the {len(classes)} classes, got {len(found)}"
            raise DataError(f"sampling.weights: {text}; or name some of them: {{{classes[0]!r}: 2.0}}")
        return found


@dataclass(frozen=True)
class Buckets(Sampling):
    """Sequences with a mask, beside others of about their length: a batch is as wide as its bucket, not as the longest row.

    width  buckets of lengths 1 .. width, width + 1 .. 2 width, ...
    edges  or the longest length of each bucket, rising; a bucket up to the longest row is added where that is longer
    run    so many batches of one bucket follow each other, as a compiled program handles one width at a time; a smaller
           number mixes lengths better, a larger one changes programs less often

    Every row is seen once an epoch. Errors: SettingError for a width and edges both or neither, or edges that do not rise;
    DataError for rows without a mask. Source: Khomenko et al. 2016, https://arxiv.org/abs/1708.05604

    >>> import backlit as bl, numpy as np
    >>> from backlit.data import Dataset
    >>> from backlit.data.sampling import Buckets
    >>> mask = (np.arange(6) < np.array([[2], [6], [1], [5]])).astype("f")
    >>> data = Dataset(np.zeros((4, 6), "i"), np.zeros(4, "i"), vocabulary=("a",), mask=mask)
    >>> indices, weight, width = Buckets(edges=(2,)).batches(data, bl.random.key(0), batch_size=2, epoch=0)
    >>> sorted(zip(width.tolist(), np.sort(indices).tolist()))
    [(2, [0, 2]), (6, [1, 3])]
    """

    aliases: ClassVar[tuple[str, ...]] = ("buckets",)
    width: Count | None = None
    edges: tuple[Count, ...] = ()
    run: Count = 8

    def check(self) -> None:
        if (self.width is None) == (not self.edges):
            got = "neither" if self.width is None else "both"
            raise SettingError([("width", f"expected a width of all buckets or their edges, got {got}")])
        if any(b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise SettingError([("edges", f"expected lengths that rise, got {list(self.edges)}")])

    def batches(
        self, dataset: Dataset, key: Array, batch_size: int, epoch: int
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """`bucket_batches` (data/batches.py) of these rows: indices (steps, B), weight or None, width (steps,)."""
        lengths = lengths_of(dataset)
        longest = int(lengths.max())
        edges = self.edges or tuple(range(self.width or longest, longest + (self.width or 0), self.width or 1))
        return bucket_batches(key, lengths, batch_size, epoch, edges, self.run)


def lengths_of(dataset: Dataset) -> np.ndarray:
    """(N,) the place of the last real step of each row, counted from 1; DataError for rows without a mask."""
    if dataset.mask is None:
        text = "expected sequences of different lengths, with a mask, got rows without one"
        raise DataError(f"sampling: {text}; leave Buckets out")
    found: np.ndarray = dataset.mask.shape[1] - np.argmax(dataset.mask[:, ::-1] > 0, axis=1)
    return found


def _classes(dataset: Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Label and number of rows of each class."""
    if not dataset.classes or dataset.y.ndim != 1:
        got = "numbers to predict" if not dataset.classes else "a label a time step"
        raise DataError(f"sampling: expected rows with a class each for {name}, got {got}; leave sampling out")
    counts = np.bincount(dataset.y, minlength=len(dataset.classes))
    if not counts.all():
        text = f"expected rows of all {len(counts)} classes for {name}"
        raise DataError(f"sampling: {text}, got none of {dataset.classes[int(np.argmin(counts))]!r}")
    return dataset.y, counts


def _column(dataset: Dataset, name: str) -> np.ndarray:
    """(N,) float64: a column of weights."""
    names = tuple(dataset.x.columns) if isinstance(dataset.x, Table) else dataset.features
    if name not in names:
        hint = nearest(name, names) if names else "columns have no names here"
        raise DataError(f"sampling.column: no column {name!r}; {hint}")
    if isinstance(dataset.x, Table):
        column = dataset.x.columns[name]
    elif isinstance(dataset.x, Rows):
        raise DataError(
            "sampling.column: expected rows in memory, got rows that are read from a file; weigh classes instead"
        )
    else:
        column = dataset.x.reshape(len(dataset), -1)[:, names.index(name)]
    if column.dtype.kind not in "fiu":
        raise DataError(f"sampling.column: expected numbers in column {name!r}, got text or dates")
    bad = ~(np.isfinite(column) & (column >= 0))
    if bad.any() or not column.any():
        row = int(np.argmax(bad))
        found = f"{column[row]} in row {row} (from 0)" if bad.any() else "0 in all rows"
        raise DataError(f"sampling.column: expected weights of 0 or more in column {name!r}, got {found}")
    return column.astype(np.float64)
