"""Decoded images on the disk: (N, H, W, C) bytes and, for each, whether they are there."""

import json
import logging
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.row_file import RowFile
from backlit.engine.devices import cache_directory

log = logging.getLogger("backlit")

MISSING, DECODED, DAMAGED, ASKED = 0, 1, 2, 3
"""States of a row; the last two are known to this process only."""

COMMIT = 5.0
"""Seconds after which what was decoded is made safe: a power cut costs as much work at the most."""


class ImageCache:
    """The rows of one listing of images, in a directory of their own, shared by all processes that read this listing.

    rows.bin    N rows, at first a hole of the full size
    state.bin   one byte a row; set only after the row's bytes are safe on the disk, so that a 1 is always true
    about.json  the folder and the shape, to know what is out of date; the files that are damaged, once all were tried

    Two processes that decode the same image write the same bytes to the same place.
    """

    def __init__(self, directory: Path, about: dict[str, Any], count: int, row: int) -> None:
        self.directory, self.count, self.path = directory, count, directory / "rows.bin"
        self.lock = threading.RLock()
        self.fresh: list[np.ndarray] = []
        self.committed = time.monotonic()
        directory.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as rows, open(directory / "state.bin", "ab+") as state:
            sizes = os.fstat(rows.fileno()).st_size, os.fstat(state.fileno()).st_size
            if sizes != (count * row, count) and any(sizes):
                text = f"expected {count * row} bytes of images and {count} marks, got {sizes[0]} and {sizes[1]}"
                log.warning("%s: %s; the images are decoded again", directory, text)
                state.truncate(0)
            if sizes != (count * row, count):
                state.truncate(count)
                rows.truncate(count * row)
        if not self.about:
            self.remember(about)
        self.rows = RowFile(self.path, row)
        self.state = np.zeros(count, np.uint8)
        self.refresh()

    @property
    def about(self) -> dict[str, Any]:
        """What is known of the listing; {} where nothing is, or it cannot be read."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.directory / "about.json").read_text()))
        return {}

    def remember(self, more: dict[str, Any]) -> None:
        """Add to what is known; whole or not at all."""
        temporary = self.directory / f".about-{os.getpid()}-{threading.get_ident()}"
        temporary.write_text(json.dumps({**self.about, **more}))
        os.replace(temporary, self.directory / "about.json")

    def refresh(self) -> None:
        """See what other processes have decoded meanwhile."""
        stored = np.fromfile(self.directory / "state.bin", np.uint8)
        with self.lock:
            if len(stored) == self.count:
                self.state[(self.state == MISSING) & (stored == DECODED)] = DECODED

    def decoded(self, places: np.ndarray) -> None:
        """These rows have been written."""
        with self.lock:
            self.state[places] = DECODED
            self.fresh.append(places)

    def commit(self, force: bool = False) -> None:
        """First the rows, then their marks; now and then, or when `force` says so."""
        if not force and time.monotonic() - self.committed < COMMIT:
            return
        with self.lock:
            fresh, self.fresh, self.committed = self.fresh, [], time.monotonic()
        if not fresh:
            return
        with suppress(OSError):  # marks that cannot be written cost decoding again, later
            with open(self.path, "rb+") as rows:
                getattr(os, "fdatasync", os.fsync)(rows.fileno())
            with open(self.directory / "state.bin", "rb+") as state:
                for first, last in runs(np.unique(np.concatenate(fresh))):
                    state.seek(first)
                    state.write(bytes([DECODED]) * (last - first))

    def read(self, places: np.ndarray) -> np.ndarray:
        """(n, row) bytes."""
        order = np.argsort(places, kind="stable")
        out = np.empty((len(places), self.rows.row), np.uint8)
        step = max(1, (1 << 22) // self.rows.row)
        piece = np.empty((min(step, len(places)), self.rows.row), np.uint8)
        for start in range(0, len(places), step):
            to = order[start : start + step]
            self.rows.gather(places[to], piece[: len(to)])
            out[to] = piece[: len(to)]
        return out


def opened(name: str, about: dict[str, Any], count: int, row: int, limit: int | None) -> ImageCache | None:
    """The cache of this listing, or None, and a line that says why, where there is no room for it."""
    place = cache_directory().absolute() / "images"
    try:
        _sweep(place, name, about)
        place.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(place).free // 4 if limit is None else limit
        there = (place / name / "rows.bin").exists()
        if count * row > room and not (there and limit is None):
            text = f"expected room for {count * row} bytes of decoded images, got {room}"
            log.warning("%s: %s; they are decoded in every epoch; cache_bytes is the limit", about["folder"], text)
            return None
        return ImageCache(place / name, about, count, row)
    except OSError as error:
        log.warning("%s: %s; the images are decoded in every epoch", place, error.strerror or error)
        return None


def _sweep(place: Path, name: str, about: dict[str, Any]) -> None:
    """Remove the caches of what the same folder held before, in this shape."""
    for other in place.iterdir() if place.is_dir() else ():
        with suppress(OSError, ValueError):
            found = json.loads((other / "about.json").read_text())
            if other.name != name and all(found.get(key) == about[key] for key in ("folder", "row", "fit")):
                shutil.rmtree(other, ignore_errors=True)


def runs(places: np.ndarray) -> list[tuple[int, int]]:
    """Ascending places as (first, behind the last) of each run.

    >>> import numpy as np
    >>> from backlit.data.image_cache import runs
    >>> runs(np.array([1, 2, 5]))
    [(1, 3), (5, 6)]
    """
    cuts = np.flatnonzero(np.diff(places) > 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(places, cuts) if len(part)]
