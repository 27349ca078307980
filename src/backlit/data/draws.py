"""Drawing by weight without leaving it to chance: how often each item is drawn is exact to one."""

import numpy as np

from backlit.data.batches import orders
from backlit.engine import random
from backlit.protocol import Array


def draw_rounds(key: Array, items: np.ndarray, weight: np.ndarray, total: int, first: int, epochs: int) -> np.ndarray:
    """(epochs, total) int32 rows: item k has total weight_k / sum(weight) places of an epoch; its rows take turns.

    items (N,) 0..K-1: the item of each row; weight (K,) of each item, 0 for one without rows. The rows of an item come in
    rounds, each of them all once in a new order, and an epoch goes on where the one before it ended.

    >>> import numpy as np
    >>> from backlit.engine import random
    >>> found = draw_rounds(random.key(0), np.array([0, 0, 0, 1]), np.ones(2), total=6, first=0, epochs=2)
    >>> (found == 3).sum(axis=1).tolist(), np.bincount(found.ravel()).tolist()
    ([3, 3], [2, 2, 2, 6])
    """
    key = np.asarray(key)
    u = random.uniform(random.fold(key, "start"), (first + epochs,)).astype(np.float64)
    times = shares(weight, total, u)  # (first + epochs, K)
    before = np.cumsum(times, axis=0) - times
    rows = [np.flatnonzero(items == k) for k in range(len(weight))]
    keys = [random.fold(key, f"item {k}") for k in range(len(weight))]
    found = np.empty((epochs, total), dtype=np.int32)
    for i, e in enumerate(range(first, first + epochs)):
        held = [
            _rounds(*pair, int(before[e, k]), int(times[e, k])) for k, pair in enumerate(zip(keys, rows, strict=True))
        ]
        found[i] = np.concatenate(held)[random.permutation(random.fold(key, e), total)]
    return found


def draw_rows(key: Array, weight: np.ndarray, total: int, first: int, epochs: int) -> np.ndarray:
    """(epochs, total) int32 rows: row i is drawn total weight_i / sum(weight) times, rounded up or down.

    >>> import numpy as np
    >>> from backlit.engine import random
    >>> found = draw_rows(random.key(0), np.array([1.0, 0.0, 2.0]), total=6, first=0, epochs=1)
    >>> np.bincount(found[0]).tolist()
    [2, 0, 4]
    """
    key = np.asarray(key)
    u = random.uniform(random.fold(key, "start"), (first + epochs,)).astype(np.float64)
    found = np.empty((epochs, total), dtype=np.int32)
    for i, e in enumerate(range(first, first + epochs)):
        # In a new order each epoch: whether neighbours are rounded up would hang together otherwise.
        order = random.permutation(random.fold(random.fold(key, "rows"), e), len(weight))
        drawn = np.repeat(order, shares(weight[order], total, u[e : e + 1])[0])
        found[i] = drawn[random.permutation(random.fold(key, e), total)]
    return found


def shares(weight: np.ndarray, total: int, u: np.ndarray) -> np.ndarray:
    """(E, K) whole numbers that sum to `total` for each u (E,) in [0, 1): total weight_k / sum(weight), up or down.

    The points i + u, i = 0 .. total - 1, are counted in the intervals of the weights, laid end to end on [0, total).
    Over uniform u the expected share is exact. Source: systematic sampling, Madow 1944,
    https://doi.org/10.1214/aoms/1177731312

    >>> import numpy as np
    >>> shares(np.array([1.0, 2.0]), 4, np.array([0.1, 0.5])).tolist()
    [[2, 2], [1, 3]]
    """
    ends = np.cumsum(weight) / np.sum(weight) * total  # (K,)
    ends[np.flatnonzero(weight)[-1] :] = total
    below = np.ceil(np.append(0.0, ends) - u[:, None]).astype(np.int64)  # (E, K + 1) points below each end
    return np.diff(below, axis=1)


def _rounds(key: Array, rows: np.ndarray, start: int, count: int) -> np.ndarray:
    """Places start .. start + count - 1 of the endless row of rounds."""
    if not count:
        return rows[:0]
    n = len(rows)
    first, last = start // n, (start + count - 1) // n
    order = orders(key, n, first, last - first + 1).ravel()
    found: np.ndarray = rows[order[start - first * n :][:count]]
    return found
