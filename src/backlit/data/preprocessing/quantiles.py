"""Exact quantiles of more rows than fit in memory, by looking for the digits of the answer one after another.

A float32 as an unsigned integer sorts like the number, once its sign is dealt with. The wanted element is found digit by
digit, 8 bits at a time: one pass counts how many numbers have each first digit, and so tells the first digit of the k-th
smallest; the next pass counts the second digits of those that begin with it; after four passes all 32 bits stand. Where the
tables of counts would be large (more than 10 000 columns) a digit has 4 bits and there are eight passes.
Source: radix selection; Knuth 1998, "The Art of Computer Programming" 3, section 5.2.5 (sorting by digits).
"""

import math
from typing import TypeAlias

import numpy as np

from backlit.data.statistics import Axis, Chunks, group

Columns: TypeAlias = np.ndarray | slice

SMALL = 2**16
"""Searches at once, up to which a digit has 8 bits: 128 MB of counts."""


def quantiles(chunks: Chunks, axis: Axis, shares: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """The quantiles at these shares (0..1) of each feature, channel, or all numbers, as float64; x counts as float32.

    Between two numbers of the sorted column it is interpolated, at (N - 1) share: NumPy's and scikit-learn's default. A row
    of weight 2 is the row twice.

    >>> from backlit.data.preprocessing.quantiles import quantiles
    >>> from backlit.data.statistics import Chunks
    >>> [q.tolist() for q in quantiles(Chunks([[4.0], [1.0], [2.0], [8.0]]), "feature", (0.0, 0.5))]
    [[1.0], [3.0]]
    """
    row = next(iter(chunks)).shape[1:]
    shape = group(row, axis)
    total = _total(chunks) * (math.prod(row) // math.prod(shape))
    last = max(0.0, total - 1)
    places = [last * share for share in shares]
    ranks = sorted({rank for place in places for rank in (math.floor(place), min(math.floor(place) + 1, last))})
    found = dict(zip(ranks, smallest(chunks, axis, np.array(ranks, np.float64)).T, strict=True))
    between = []
    for place in places:
        low = math.floor(place)
        below, above = found[low], found[min(low + 1, last)]
        between.append((below + (place - low) * (above - below)).reshape(shape))
    return tuple(between)


def smallest(chunks: Chunks, axis: Axis, ranks: np.ndarray) -> np.ndarray:
    """(G, R): in each column the numbers that have these ranks (ascending, from 0) when it is sorted."""
    columns = math.prod(group(next(iter(chunks)).shape[1:], axis))
    bits = 8 if columns * len(ranks) <= SMALL else 4
    prefix = np.zeros((columns, len(ranks)), np.uint32)  # the digits that stand already
    left = np.broadcast_to(ranks, prefix.shape).copy()  # the rank among the numbers that begin like that
    for shift in range(32 - bits, -1, -bits):
        counts = _count(chunks, axis, prefix, shift, bits)  # (G, R, 2^bits)
        upto = counts.cumsum(axis=2)
        # Weights are sums of floats: a rank that rounding put past the end belongs to the last number there is.
        last = counts.shape[2] - 1 - np.argmax(counts[:, :, ::-1] > 0, axis=2)
        digit = np.minimum((upto <= left[:, :, None]).sum(axis=2), last)
        before = np.take_along_axis(upto - counts, digit[:, :, None], axis=2)[:, :, 0]
        left = left - before
        prefix |= digit.astype(np.uint32) << np.uint32(shift)
    return _number(prefix)


def _count(chunks: Chunks, axis: Axis, prefix: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """How many numbers that begin with a prefix go on with each digit, (G, R, 2^bits)."""
    columns, searches = prefix.shape
    counts = np.zeros((searches, columns << bits))
    first = shift + bits == 32
    wanted = [_unlike(prefix, search) for search in range(searches)]
    # In the first pass all searches are one; later, those of neighbours in a column often still are.
    for table, weight in chunks.columns(axis):
        key = _key(table)  # (n, G)
        place = ((key >> np.uint32(shift)) & np.uint32((1 << bits) - 1)) + (np.arange(columns, dtype=np.intp) << bits)
        beginning = None if first else key >> np.uint32(shift + bits)
        for search, own in enumerate(wanted):
            if len(own) == 0:
                continue
            some: Columns = slice(None) if len(own) == columns else own
            here = place[:, some]
            if beginning is None:
                np.add.at(
                    counts[search],
                    here.reshape(-1),
                    1.0 if weight is None else np.broadcast_to(weight, here.shape).reshape(-1),
                )
            else:
                same = beginning[:, some] == prefix[some, search] >> np.uint32(shift + bits)
                amount = 1.0 if weight is None else np.broadcast_to(weight, same.shape)[same]
                np.add.at(counts[search], here[same], amount)
    found = counts.reshape(searches, columns, -1)
    for search, own in enumerate(wanted[1:], start=1):
        shared = np.ones(columns, bool)
        shared[own] = False
        found[search, shared] = found[search - 1, shared]
    return found.transpose(1, 0, 2)


def _unlike(prefix: np.ndarray, search: int) -> np.ndarray:
    """The columns in which a search has another prefix than the one before it."""
    if search == 0:
        return np.arange(len(prefix))
    return np.flatnonzero(prefix[:, search] != prefix[:, search - 1])


def _total(chunks: Chunks) -> float:
    return float(len(chunks) if chunks.weight is None else np.asarray(chunks.weight, np.float64).sum())


def _key(x: np.ndarray) -> np.ndarray:
    """Numbers as uint32 that sort like float32."""
    word = (x.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes one zero of two
    return np.where(word >> np.uint32(31), ~word, word | np.uint32(1 << 31))


def _number(key: np.ndarray) -> np.ndarray:
    """Numbers, as float64, from what `_key` made."""
    word = np.where(key >> np.uint32(31), key & np.uint32(0x7FFFFFFF), ~key)
    return word.astype(np.uint32).view(np.float32).astype(np.float64)
