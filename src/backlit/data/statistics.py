"""Mean, spread and range of many rows in float64, a few rows at a time, so that images stay bytes in memory."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

Axis: TypeAlias = Literal["feature", "channel", "all"]

CHUNK = 2**18  # numbers looked at together: 2 MB in float64, within a core's cache


class Chunks:
    """Rows as chunks of float64, each first passed through `before`; may be walked several times.

    weight (N,): how much each row counts; None is 1 each, and rows of weight 0 are to be left out beforehand.
    """

    def __init__(
        self, x: Any, before: Callable[[np.ndarray], np.ndarray] | None = None, weight: np.ndarray | None = None
    ) -> None:
        self.x = np.asarray(x)
        self.before = before
        self.weight = weight

    def __iter__(self) -> Iterator[np.ndarray]:
        return (chunk for chunk, _ in self.weighted())

    def weighted(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Chunks (rows, ...) with their weights, (rows, 1, ...) in float64, or None."""
        rows = max(1, CHUNK // max(1, math.prod(self.x.shape[1:])))
        for start in range(0, len(self.x), rows):
            chunk = self.x[start : start + rows]
            chunk = (self.before(chunk) if self.before else chunk).astype(np.float64)
            if self.weight is None:
                yield chunk, None
            else:
                weight = self.weight[start : start + rows].astype(np.float64)
                yield chunk, weight.reshape(-1, *(1,) * (chunk.ndim - 1))


class Moments(NamedTuple):
    """Mean and standard deviation (over N) of each feature, each channel, or all numbers."""

    mean: np.ndarray
    std: np.ndarray


def moments(chunks: Chunks, axis: Axis) -> Moments:
    """Two passes: the mean first, then the deviations from it; the difference of two large sums would lose digits."""
    total, count = 0.0, 0.0
    for chunk, weight in chunks.weighted():
        over = _axes(chunk, axis)
        numbers = math.prod(chunk.shape[i] for i in over)
        total = total + (chunk if weight is None else chunk * weight).sum(axis=over)
        count = count + (numbers if weight is None else weight.sum() * (numbers // len(chunk)))
    mean = np.asarray(total / count)
    squares = 0.0
    for chunk, weight in chunks.weighted():
        chunk -= mean
        np.square(chunk, out=chunk)
        squares = squares + (chunk if weight is None else chunk * weight).sum(axis=_axes(chunk, axis))
    return Moments(mean, np.asarray(np.sqrt(squares / count)))


def extremes(chunks: Chunks, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest number of each feature, each channel, or all."""
    pairs = [(chunk.min(axis=_axes(chunk, axis)), chunk.max(axis=_axes(chunk, axis))) for chunk in chunks]
    return np.min([low for low, _ in pairs], axis=0), np.max([high for _, high in pairs], axis=0)


def varying(scale: np.ndarray, size: np.ndarray) -> np.ndarray:
    """`scale`, and 1 where it is below the resolution of float32 for numbers of this size: a constant column."""
    resolution = np.finfo(np.float32).eps * np.abs(size)
    return np.where(scale <= np.maximum(resolution, np.finfo(np.float32).tiny), 1.0, scale)


def _axes(chunk: np.ndarray, axis: Axis) -> tuple[int, ...]:
    return {"feature": (0,), "channel": tuple(range(chunk.ndim - 1)), "all": tuple(range(chunk.ndim))}[axis]
