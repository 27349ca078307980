"""Rows that stand twice: within a part, or in two parts, where a test row that was trained on proves nothing."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from backlit.data.rows import Rows
from backlit.data.table import Table

CHUNK = 2**22
"""Bytes of rows that are looked at together."""


def leaks(train: Any, other: Any, train_y: np.ndarray | None = None, other_y: np.ndarray | None = None) -> np.ndarray:
    """The places of the rows of `other` that equal a row of `train`, in x, and in y too where both are given.

    x are arrays or Rows (N, ...) or Tables with the same columns, y (N, ...). A missing cell (NaN) equals a missing one.
    Rows are compared by 64 mixed bits each, then those that agree, number by number; memory stays bounded.

    >>> import numpy as np
    >>> from backlit.data.duplicates import leaks
    >>> train, test = np.array([[0, 1], [2, 3]], "u1"), np.array([[2, 3], [3, 2]], "u1")
    >>> leaks(train, test).tolist(), leaks(train, test, np.array([0, 1]), np.array([0, 0])).tolist()
    ([0], [])
    """
    first, second = _alike(train, other)
    if len(first) == 0 or len(second) == 0:
        return np.zeros(0, dtype=np.intp)
    with_y = train_y is not None and other_y is not None
    here = hashed(first, train_y if with_y else None)
    there = hashed(second, other_y if with_y else None)
    order = np.argsort(here, kind="stable")
    at = np.minimum(np.searchsorted(here[order], there), len(here) - 1)
    found = np.flatnonzero(here[order][at] == there)
    same = _equal(first, order[at[found]], second, found)
    if train_y is not None and other_y is not None:
        same &= _equal(np.asarray(train_y), order[at[found]], np.asarray(other_y), found)
    places: np.ndarray = found[same]
    return places


def repeated(x: Any, y: np.ndarray | None = None) -> np.ndarray:
    """The places of the rows that equal an earlier row, in x, and in y too where it is given.

    >>> import numpy as np
    >>> from backlit.data.duplicates import repeated
    >>> repeated(np.array([[0, 1], [2, 3], [0, 1]], "u1")).tolist()
    [2]
    """
    x, _ = _alike(x, x)
    if len(x) == 0:
        return np.zeros(0, dtype=np.intp)
    bits = hashed(x, y)
    _, first, back = np.unique(bits, return_index=True, return_inverse=True)
    earlier = first[back]
    found = np.flatnonzero(earlier != np.arange(len(bits)))
    same = _equal(x, earlier[found], x, found)
    if y is not None:
        same &= _equal(np.asarray(y), earlier[found], np.asarray(y), found)
    places: np.ndarray = found[same]
    return places


def hashed(x: Any, y: np.ndarray | None = None) -> np.ndarray:
    """(N,) uint64: equal rows give equal numbers, other rows almost never (2^-64 a pair)."""
    bits = np.concatenate([_mixed_rows(chunk) for chunk in _chunks(x)])
    if y is None:
        return bits
    targets = np.concatenate([_mixed_rows(chunk) for chunk in _chunks(np.asarray(y))])
    return _mix(bits ^ _mix(targets + np.uint64(1)))


def _mixed_rows(chunk: np.ndarray) -> np.ndarray:
    """Words of 64 bits, each mixed with its place before they are added, so that no order or sign cancels."""
    words = _words(chunk)
    places = _mix(np.arange(1, words.shape[1] + 1, dtype=np.uint64))
    mixed: np.ndarray = _mix(words ^ places).sum(axis=1, dtype=np.uint64)
    return mixed


def _mix(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of the input changes half of those of the output.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", section 5.
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = bits ^ (bits >> np.uint64(31))
    return mixed


def _words(chunk: np.ndarray) -> np.ndarray:
    """Rows as (n, words) of 64 bits, filled up with zeros; -0.0 is 0.0, and there is one NaN."""
    flat = np.ascontiguousarray(_plain(chunk).reshape(len(chunk), -1))
    raw = flat.view(np.uint8).reshape(len(chunk), -1)
    padded = np.zeros((len(chunk), -(-raw.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : raw.shape[1]] = raw
    return padded.view(np.uint64)


def _plain(chunk: np.ndarray) -> np.ndarray:
    if chunk.dtype.kind != "f":
        return chunk
    return np.where(np.isnan(chunk), np.array(np.nan, chunk.dtype), chunk + np.array(0, chunk.dtype))


def _chunks(x: Any) -> Iterator[np.ndarray]:
    rows = max(1, CHUNK // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    return (np.asarray(x[start : start + rows]) for start in range(0, len(x), rows))


def _equal(first: Any, places: np.ndarray, second: Any, others: np.ndarray) -> np.ndarray:
    """Which of the pairs of rows are equal, number by number."""
    rows = max(1, CHUNK // max(1, int(np.prod(first.shape[1:])) * first.dtype.itemsize))
    found = np.zeros(len(places), dtype=bool)
    for start in range(0, len(places), rows):
        a, b = (_plain(np.asarray(x[p[start : start + rows]])) for x, p in ((first, places), (second, others)))
        same = (a == b) | ((a != a) & (b != b))
        found[start : start + rows] = same.reshape(len(a), -1).all(axis=1)
    return found


def _alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Both as arrays (or Rows) of one dtype: a table's text as the number of its value among those of both."""
    if isinstance(first, Table):
        codes: list[np.ndarray] = []
        for name, column in first.columns.items():
            both = np.concatenate([column, second.columns[name]])
            if both.dtype == object:
                known: dict[Any, int] = {}
                both = np.array([known.setdefault(value, len(known)) for value in both.tolist()], dtype=np.float64)
            elif both.dtype.kind == "M":
                both = np.where(np.isnat(both), np.nan, both.astype(np.int64).astype(np.float64))
            codes.append(both)
        rows = np.stack(codes, axis=1) if codes else np.zeros((len(first) + len(second), 0))
        return rows[: len(first)], rows[len(first) :]
    if isinstance(first, Rows) or isinstance(second, Rows):
        return first, second
    first, second = np.asarray(first), np.asarray(second)
    if first.dtype != second.dtype:
        dtype = np.result_type(first.dtype, second.dtype)
        first, second = first.astype(dtype), second.astype(dtype)
    return first, second
