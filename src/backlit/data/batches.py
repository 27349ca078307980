"""Which rows are in which batch: a pure function of (key, epoch)."""

import numpy as np

from backlit.engine import random
from backlit.errors import DataError
from backlit.protocol import Array


def epoch_indices(
    key: Array, n: int, batch_size: int, epoch: int, shuffle: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows of each batch of one epoch, (steps, B) int32, and their weights, (steps, B) float32 or None (all one).

    Every row occurs once. The last batch is filled up with row 0 at weight 0, so that all batches have one shape.
    The order depends on (key, epoch) only: a resumed training sees the same batches.
    Errors: DataError when the batch is larger than the data.

    >>> import backlit as bl
    >>> from backlit.data import epoch_indices
    >>> indices, weight = epoch_indices(bl.random.key(0), n=5, batch_size=2, epoch=0, shuffle=False)
    >>> indices.tolist(), weight.tolist()
    ([[0, 1], [2, 3], [4, 0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    """
    indices, weight = epochs_indices(key, n, batch_size, epoch, 1, shuffle)
    return indices[0], None if weight is None else weight[0]


def epochs_indices(
    key: Array, n: int, batch_size: int, first: int, epochs: int, shuffle: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """`epoch_indices` of several epochs from `first` on at once, (epochs, steps, B): quick even for short epochs."""
    fits(n, batch_size)
    steps = -(-n // batch_size)
    order = orders(np.asarray(key), n, first, epochs) if shuffle else np.tile(np.arange(n, dtype=np.int32), (epochs, 1))
    if n == steps * batch_size:
        return order.reshape(epochs, steps, batch_size), None
    indices = np.zeros((epochs, steps * batch_size), dtype=np.int32)
    indices[:, :n] = order
    weight = np.tile((np.arange(steps * batch_size) < n).astype(np.float32), (epochs, 1))
    return indices.reshape(epochs, steps, batch_size), weight.reshape(epochs, steps, batch_size)


def streams_indices(n: int, batch_size: int, epochs: int) -> tuple[np.ndarray, np.ndarray | None]:
    """As `epochs_indices`, for rows that follow each other: row b of batch i goes on where row b of batch i - 1 ended.

    The rows are cut into `batch_size` streams of equal length S, read side by side: batch i is i, S + i, 2 S + i, ...
    What a recurrent net remembers from one batch to the next then belongs to the text it reads. Streams that come out
    short are filled up with row 0 at weight 0. Every epoch is the same.

    >>> from backlit.data import streams_indices
    >>> indices, weight = streams_indices(n=5, batch_size=2, epochs=1)
    >>> indices[0].tolist(), weight[0].tolist()
    ([[0, 3], [1, 4], [2, 0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    """
    fits(n, batch_size)
    steps = -(-n // batch_size)
    rows = np.arange(steps * batch_size, dtype=np.int32).reshape(batch_size, steps).T  # (steps, B)
    indices = np.tile(np.where(rows < n, rows, 0).astype(np.int32), (epochs, 1, 1))
    return indices, None if n == rows.size else np.tile((rows < n).astype(np.float32), (epochs, 1, 1))


def bucket_batches(
    key: Array, lengths: np.ndarray, batch_size: int, epoch: int, edges: tuple[int, ...], run: int = 8
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Batches of rows of about one length: indices (steps, B) int32, weight (steps, B) float32 or None, width (steps,).

    A row of length l stands in the first bucket whose edge is at least l; a bucket up to the longest row is added where the
    last edge is shorter. Rows are shuffled within their bucket; runs of at most `run` batches of a bucket are shuffled
    across buckets. Every row occurs once; the last batch of a bucket is filled up with its first row at weight 0. The width
    of a batch is the length of the longest row in its bucket, at most the edge.
    Errors: DataError for a batch that is larger than the data.

    >>> import backlit as bl, numpy as np
    >>> from backlit.data.batches import bucket_batches
    >>> lengths = np.array([1, 5, 2, 6, 2])
    >>> indices, weight, width = bucket_batches(bl.random.key(0), lengths, 2, epoch=0, edges=(2,))
    >>> width.tolist(), weight.sum(axis=1).tolist(), (lengths[indices] <= width[:, None]).all()
    ([6, 2, 2], [2.0, 2.0, 1.0], np.True_)
    """
    fits(len(lengths), batch_size)
    key = random.fold(np.asarray(key), epoch)
    bucket = np.searchsorted(np.asarray(edges), lengths)  # the longest of all rows may have no edge: a bucket more
    runs: list[tuple[np.ndarray, np.ndarray, int]] = []
    for b in np.unique(bucket):
        rows = np.flatnonzero(bucket == b).astype(np.int32)
        rows = rows[random.permutation(random.fold(key, f"bucket {b}"), len(rows))]
        steps = -(-len(rows) // batch_size)
        filled = np.full(steps * batch_size, rows[0])
        filled[: len(rows)] = rows
        weight = (np.arange(len(filled)) < len(rows)).astype(np.float32).reshape(steps, batch_size)
        batches, width = filled.reshape(steps, batch_size), int(lengths[rows].max())
        runs += [(batches[i : i + run], weight[i : i + run], width) for i in range(0, steps, run)]
    order = random.permutation(random.fold(key, "runs"), len(runs))
    indices, weights, widths = zip(*(runs[i] for i in order), strict=True)
    weight = np.concatenate(weights)
    each = np.repeat(np.array(widths, np.int32), [len(part) for part in indices])
    return np.concatenate(indices), None if weight.all() else weight, each


def fits(n: int, batch_size: int) -> None:
    """DataError unless 1 <= batch_size <= n."""
    if not 1 <= batch_size <= n:
        raise DataError(f"batch_size: expected at most the {n} training rows and at least 1, got {batch_size}")


def orders(key: np.ndarray, n: int, first: int, epochs: int) -> np.ndarray:
    """(epochs, n): `random.permutation(random.fold(key, epoch), n)` of each epoch."""
    word = np.zeros(1, np.uint32)
    keys = np.stack(random.threefry(key, word, np.arange(first, first + epochs, dtype=np.uint32)))  # (2, epochs)
    high, low = random.threefry(keys[:, :, None], word, np.arange(n, dtype=np.uint32))  # (1, epochs, n)
    # One sort of (random word, position) pairs packed in 64 bits: the stable order, several times as fast as argsort.
    packed = ((high ^ low)[0].astype(np.uint64) << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    packed.sort(axis=1)
    positions: np.ndarray = (packed & np.uint64(0xFFFFFFFF)).astype(np.int32)
    return positions
