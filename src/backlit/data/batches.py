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
    if not 1 <= batch_size <= n:
        raise _too_large(n, batch_size)
    steps = -(-n // batch_size)
    order = (
        _orders(np.asarray(key), n, first, epochs) if shuffle else np.tile(np.arange(n, dtype=np.int32), (epochs, 1))
    )
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
    if not 1 <= batch_size <= n:
        raise _too_large(n, batch_size)
    steps = -(-n // batch_size)
    rows = np.arange(steps * batch_size, dtype=np.int32).reshape(batch_size, steps).T  # (steps, B)
    indices = np.tile(np.where(rows < n, rows, 0).astype(np.int32), (epochs, 1, 1))
    return indices, None if n == rows.size else np.tile((rows < n).astype(np.float32), (epochs, 1, 1))


def _too_large(n: int, batch_size: int) -> DataError:
    return DataError(f"batch_size: expected at most the {n} training rows and at least 1, got {batch_size}")


def _orders(key: np.ndarray, n: int, first: int, epochs: int) -> np.ndarray:
    """(epochs, n): `random.permutation(random.fold(key, epoch), n)` of each epoch."""
    word = np.zeros(1, np.uint32)
    keys = np.stack(random.threefry(key, word, np.arange(first, first + epochs, dtype=np.uint32)))  # (2, epochs)
    high, low = random.threefry(keys[:, :, None], word, np.arange(n, dtype=np.uint32))  # (1, epochs, n)
    # One sort of (random word, position) pairs packed in 64 bits: the stable order, several times as fast as argsort.
    packed = ((high ^ low)[0].astype(np.uint64) << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    packed.sort(axis=1)
    positions: np.ndarray = (packed & np.uint64(0xFFFFFFFF)).astype(np.int32)
    return positions
