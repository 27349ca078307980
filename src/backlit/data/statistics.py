"""Mean, spread, range and covariance of many rows in float64, a few rows at a time, each row read once.

A chunk of rows has a count n, a mean m and sums S of squared deviations from m; two chunks together have

    n = n_a + n_b,   d = m_b - m_a,   m = m_a + d n_b / n,   S = S_a + S_b + d^2 n_a n_b / n

so no difference of two large sums is ever taken, and parts measured apart (on other days, other machines) can be merged.
Source: Chan, Golub, LeVeque 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
"""

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from backlit.data.rows import Rows
from backlit.errors import DataError

Axis: TypeAlias = Literal["feature", "channel", "all"]
"""What is measured by itself: each number of a row, each index of its last axis, or all numbers together."""

CHUNK = 2**18  # numbers looked at together: 2 MB in float64, within a core's cache


class Chunks:
    """Rows as chunks of float64, each first passed through `before`; may be walked several times.

    x: an array (also one that stays in its file, np.memmap), nested lists, or rows that are read when they are asked for
    (rows.py): anything with `shape`, `len`, and arrays behind x[start:stop]. No more than a chunk is held at a time.
    weight (N,): how much each row counts; None is 1 each, and rows of weight 0 are to be left out beforehand.
    Errors: DataError for no rows, and for NaN or an infinite number, with its row and column.
    """

    def __init__(
        self, x: Any, before: Callable[[np.ndarray], np.ndarray] | None = None, weight: np.ndarray | None = None
    ) -> None:
        self.x = np.asarray(x) if isinstance(x, list | tuple) else x
        self.before = before
        self.weight = weight

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (chunk for chunk, _ in self.weighted())

    def weighted(self, least: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """New arrays (rows, ...) with their weights, (rows, 1, ...) in float64, or None; at least `least` rows each."""
        if not len(self):
            raise DataError(f"preprocessing: expected at least one row to measure, got x of the shape {self.x.shape}")
        rows = max(least, 1, CHUNK // max(1, math.prod(self.x.shape[1:])))
        for start in range(0, len(self), rows):
            raw = np.asarray(self.x[start : start + rows])
            chunk = np.array(raw if self.before is None else self.before(raw), dtype=np.float64)
            if self.before is not None or raw.dtype.kind == "f":
                self._check(chunk, raw, start)
            weight = self.weight
            if weight is not None:
                weight = np.asarray(weight[start : start + rows], np.float64).reshape(-1, *(1,) * (chunk.ndim - 1))
            yield chunk, weight

    def columns(self, axis: Axis) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Chunks as (n, G): a column for each of the G things that are measured by themselves, with weights (n, 1)."""
        for chunk, weight in self.weighted():
            table = chunk.reshape(-1, math.prod(group(chunk.shape[1:], axis)))
            yield table, None if weight is None else np.repeat(weight.reshape(-1, 1), len(table) // len(chunk), axis=0)

    def _check(self, chunk: np.ndarray, raw: np.ndarray, start: int) -> None:
        # The sum is finite only when all terms are; a bad or a vast sum needs a closer look.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(chunk.sum()):
                return
        bad = ~np.isfinite(chunk)
        if not bad.any():
            return
        row, *place = (int(i) for i in np.unravel_index(int(np.argmax(bad)), chunk.shape))
        name = self.x.describe(start + row) if isinstance(self.x, Rows) else f"row {start + row} (from 0)"
        column = f", column {place[0]}" if len(place) == 1 else f", position {tuple(place)}" if place else ""
        given = raw.dtype.kind == "f" and not np.isfinite(raw).all()
        hint = "fill it in or leave the row out" if given else "the step before makes it of a finite one"
        text = f"expected a finite number, got {chunk[(row, *place)]}; {hint}"
        raise DataError(f"preprocessing: {name}{column}: {text}")


class Moments(NamedTuple):
    """How much was counted, the mean, and the sum of squared deviations from it; of the shape of what was measured."""

    amount: float
    mean: np.ndarray
    squares: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """The standard deviation over N (not N - 1)."""
        return np.asarray(np.sqrt(self.squares / self.amount))

    def merge(self, other: "Moments") -> "Moments":
        """Those of both parts together."""
        amount, apart = self.amount + other.amount, other.mean - self.mean
        mean = self.mean + apart * (other.amount / amount)
        squares = self.squares + other.squares + apart**2 * (self.amount * other.amount / amount)
        return Moments(amount, mean, squares)

    def pooled(self, axis: Axis) -> "Moments":
        """From moments of each number of a row to those of each channel, or of all: the same merging, all at once."""
        over = _over(self.mean, axis)
        mean = self.mean.mean(axis=over)
        squares = self.squares.sum(axis=over) + self.amount * np.square(self.mean - mean).sum(axis=over)
        return Moments(self.amount * (self.mean.size // mean.size), mean, squares)


def moments(chunks: Chunks, axis: Axis) -> Moments:
    """Mean and spread in one pass.

    Each number of a row by itself first, and pooled in the end: sums along the rows of a chunk are what a core does fast.

    >>> import numpy as np
    >>> from backlit.data.statistics import Chunks, moments
    >>> found = moments(Chunks([[1.0, 2.0], [3.0, 6.0]]), "feature")
    >>> found.mean.tolist(), found.std.tolist()
    ([2.0, 4.0], [1.0, 2.0])
    """
    return reduce(Moments.merge, (measured(*part) for part in chunks.weighted())).pooled(axis)


def measured(chunk: np.ndarray, weight: np.ndarray | None) -> Moments:
    """Of one chunk (n, ...) along its rows; weight (n, 1, ...). The chunk is overwritten."""
    count = float(len(chunk) if weight is None else weight.sum())
    mean = (chunk if weight is None else chunk * weight).sum(axis=0) / count
    chunk -= mean
    np.square(chunk, out=chunk)
    return Moments(count, mean, (chunk if weight is None else chunk * weight).sum(axis=0))


class Covariance(NamedTuple):
    """How much was counted, the mean (D,), and the matrix (D, D) of products of deviations from it, divided by N."""

    amount: float
    mean: np.ndarray
    matrix: np.ndarray


def covariance(chunks: Chunks, columns: int) -> Covariance:
    """Of rows of D = `columns` numbers, in one pass; memory for three matrices (D, D), however many rows there are.

    >>> from backlit.data.statistics import Chunks, covariance
    >>> covariance(Chunks([[1.0, 0.0], [3.0, 4.0]]), 2).matrix.tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    count, mean, products = 0.0, np.zeros(columns), np.zeros((columns, columns))
    # With at least D rows in a chunk, adding its matrix costs less than making it.
    for chunk, weight in chunks.weighted(least=columns):
        rows = chunk.reshape(len(chunk), -1)
        amount = float(len(rows) if weight is None else weight.sum())
        middle = (rows if weight is None else rows * weight.reshape(-1, 1)).sum(axis=0) / amount
        rows -= middle
        if weight is not None:
            rows *= np.sqrt(weight.reshape(-1, 1))
        products += rows.T @ rows
        apart, total = middle - mean, count + amount
        products += np.outer(apart * (count * amount / total), apart)
        mean += apart * (amount / total)
        count = total
    products /= count
    return Covariance(count, mean, products)


def extremes(chunks: Chunks, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest number of each feature, each channel, or all."""
    pairs = ((chunk.min(axis=0), chunk.max(axis=0)) for chunk in chunks)
    low, high = reduce(lambda a, b: (np.minimum(a[0], b[0]), np.maximum(a[1], b[1])), pairs)
    return low.min(axis=_over(low, axis)), high.max(axis=_over(high, axis))


def varying(scale: np.ndarray, size: np.ndarray) -> np.ndarray:
    """`scale`, and 1 where it is below the resolution of float32 for numbers of this size: a constant column."""
    resolution = np.finfo(np.float32).eps * np.abs(size)
    return np.where(scale <= np.maximum(resolution, np.finfo(np.float32).tiny), 1.0, scale)


def group(row: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape of what is measured on rows of this shape."""
    return {"feature": tuple(row), "channel": tuple(row[-1:]), "all": ()}[axis]


def _over(row: np.ndarray, axis: Axis) -> tuple[int, ...]:
    """The axes of a row that are measured together."""
    return tuple(range(row.ndim - len(group(row.shape, axis))))
