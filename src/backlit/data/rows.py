"""Rows that stay where they are (a file, a folder) until they are asked for: data larger than memory."""

import hashlib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

SAMPLED = 64
"""Rows that a fingerprint reads, evenly spread: all of them would be a pass over the file."""


class Rows(ABC):
    """N rows of one shape and dtype. `x[3:7]` and `x[places]` read them, `x.take(places)` only remembers which.

    shape  (N, ...);   dtype  uint8, float32 or int32, as the net's first step takes them
    A reader is asked from several threads at once, and never for more rows than fit in memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, places: np.ndarray) -> np.ndarray:
        """The rows at these places (int64, any order, repeated or not), (n, ...), as a new array."""

    @abstractmethod
    def identity(self) -> str:
        """What tells the place these rows come from: path, size and time of the last change."""

    def describe(self, place: int) -> str:
        """How an error names the row at a place: its file, or 'row 7 (from 0)'."""
        return f"row {place} (from 0)"

    def ahead(self, places: np.ndarray) -> None:
        """These rows will be read next: what is slow about them (decoding) may begin. Raises nothing, takes no time."""
        return

    def block(self, places: np.ndarray) -> np.ndarray | None:
        """The number of the block each of these rows lies in, where a block is read as a whole; None: rows by themselves.

        An order that leaves a block and comes back reads it twice: see `in_windows`.
        """
        return None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, were they in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        if isinstance(key, slice):
            key = np.arange(*key.indices(len(self)))
        return self.read(np.asarray(key, dtype=np.int64))

    def take(self, places: Any, axis: int = 0) -> "Rows":
        """These rows, in this order, still unread; as `numpy.take` along the first axis."""
        return Picked(self, np.asarray(places, dtype=np.int64))

    def fingerprint(self) -> str:
        """SHA-256 of shape, dtype, number of rows and a sample of them."""
        digest = hashlib.sha256(f"{self.dtype.str}{self.shape}".encode())
        digest.update(
            np.ascontiguousarray(self[np.linspace(0, len(self) - 1, min(SAMPLED, len(self))).astype(int)]).data
        )
        return digest.hexdigest()


class Picked(Rows):
    """Some rows of others, in an order of their own.

    >>> import numpy as np
    >>> from backlit.data.rows import Held
    >>> x = Held(np.arange(6, dtype="f").reshape(3, 2))
    >>> x.take([2, 0])[:].tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(self, rows: Rows, places: np.ndarray) -> None:
        self.rows, self.places = rows, places
        self.shape, self.dtype = (len(places), *rows.shape[1:]), rows.dtype

    def read(self, places: np.ndarray) -> np.ndarray:
        return self.rows.read(self.places[places])

    def identity(self) -> str:
        return self.rows.identity()

    def describe(self, place: int) -> str:
        return self.rows.describe(int(self.places[place]))

    def ahead(self, places: np.ndarray) -> None:
        self.rows.ahead(self.places[places])

    def block(self, places: np.ndarray) -> np.ndarray | None:
        return self.rows.block(self.places[places])

    def fingerprint(self) -> str:
        """SHA-256 of a sample of these rows, and of which they are."""
        # Not of the rows behind them: some of those may be damaged, and left out for it.
        digest = hashlib.sha256(super().fingerprint().encode())
        digest.update(np.ascontiguousarray(self.places).data)
        return digest.hexdigest()

    def take(self, places: Any, axis: int = 0) -> Rows:
        return Picked(self.rows, self.places[np.asarray(places, dtype=np.int64)])


class Held(Rows):
    """An array in memory as rows that are read: the same training, window by window."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self, places: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.array[places]
        return found

    def identity(self) -> str:
        return "memory"


def in_windows(order: np.ndarray, block: np.ndarray, width: int) -> np.ndarray:
    """An order of rows that has only `width` blocks open at a time, from one that knows of no blocks.

    The blocks come in the order in which `order` first names them, and within each window of `width` blocks the rows
    stand in the order they had: both as random as `order` was, and a function of it alone. `block`: of each row 0..N-1.

    >>> import numpy as np
    >>> from backlit.data.rows import in_windows
    >>> in_windows(np.array([4, 0, 3, 5, 1, 2]), block=np.array([0, 0, 1, 1, 2, 2]), width=2).tolist()
    [4, 0, 5, 1, 3, 2]
    """
    found, first, of_row = np.unique(block[order], return_index=True, return_inverse=True)
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(first)] = np.arange(len(found))
    return order[np.argsort(rank[of_row] // width, kind="stable")]
