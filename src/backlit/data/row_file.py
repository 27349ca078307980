"""Rows of equal length in a file, read by position: few bytes in memory, whatever the size of the file.

A memory map was measured against it (NumPy's fancy indexing, rows of 784 floats in random order, Linux 6.18, 2 cores). The
kernel maps 16 pages around each one that is touched, and all of them count as resident: 20 000 rows, 63 MB, made 900 MB;
giving them back with madvise after every 1024 rows left 76 000 rows a second, `preadv` reads 225 000, and of a file that
is not in memory 23 000 against 4 700, since the rows that follow are announced (posix_fadvise) and the disk is never idle.
A file that shrinks meanwhile is an error here; under a map the process would be killed.
"""

import os
import threading
import time
import weakref
from pathlib import Path

import numpy as np

from backlit.errors import DataError

GAP = 1 << 14
"""Bytes between two rows that are rather read along than skipped: a call costs as much as they do."""

SPAN = 1 << 20
"""The most bytes that one call reads for several rows."""

PREADV = hasattr(os, "preadv")

SLOW = 2e-5
"""Seconds a call that wait for a disk; where memory answers, announcing what follows would cost a third of the time."""

BATCH = 256
"""Calls that are announced to the system before the first of them is made."""


class RowFile:
    """N rows of `row` bytes each in a file, after `offset` bytes. May be asked from several threads at once."""

    def __init__(self, path: str | Path, row: int, offset: int = 0) -> None:
        self.path, self.row, self.offset = Path(path), row, offset
        try:
            self.handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
        weakref.finalize(self, os.close, self.handle)
        self.lock, self.slow = threading.Lock(), True

    def gather(self, places: np.ndarray, into: np.ndarray) -> None:
        """The rows at `places`, which ascend, into `into` (n, row) uint8, C order. DataError when the file ends early."""
        if len(places) == 0:
            return
        starts = places * self.row + self.offset
        ends, steps = starts + self.row, np.diff(places)
        cuts = np.flatnonzero((starts[1:] - ends[:-1] > GAP) | (np.diff(starts // SPAN) > 0)) + 1
        first, last = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(places)]])
        begin, length = starts[first], ends[last - 1] - starts[first]
        # A group of rows without others between them, none of them twice, goes straight to its place.
        broken = np.concatenate([[0], np.cumsum(steps != 1)])
        straight = broken[last - 1] == broken[first]
        groups = list(zip(*(part.tolist() for part in (first, last, begin, length, straight)), strict=True))
        view, size = into.reshape(-1).data, self.row
        self._announce(groups[:BATCH])
        for at in range(0, len(groups), BATCH):
            self._announce(groups[at + BATCH : at + 2 * BATCH])
            began = time.perf_counter()
            for a, b, start, count, plain in groups[at : at + BATCH]:
                if plain:
                    self._fill(view[a * size : b * size], start)
                else:
                    span = np.empty(count, np.uint8)
                    self._fill(span.data, start)
                    into[a:b] = span.reshape(-1, size)[places[a:b] - places[a]]
            self.slow = time.perf_counter() - began > SLOW * len(groups[at : at + BATCH])

    def _announce(self, groups: list[tuple[int, ...]]) -> None:
        if self.slow and len(groups) > 1 and hasattr(os, "posix_fadvise"):
            for _, _, start, count, _ in groups:
                os.posix_fadvise(self.handle, start, count, os.POSIX_FADV_WILLNEED)

    def _fill(self, view: memoryview, start: int) -> None:
        got = self._read(view, start)
        while got < len(view):
            more = self._read(view[got:], start + got)
            if more == 0:
                found = f"the file ends after {os.fstat(self.handle).st_size} bytes"
                raise DataError(f"{self.path}: expected {len(view)} bytes at {start}, {found}; write or fetch it again")
            got += more

    def _read(self, view: memoryview, start: int) -> int:
        if PREADV:
            return os.preadv(self.handle, [view], start)
        with self.lock:  # Windows: one position for all threads
            os.lseek(self.handle, start, os.SEEK_SET)
            block = os.read(self.handle, len(view))
        view[: len(block)] = block
        return len(block)
