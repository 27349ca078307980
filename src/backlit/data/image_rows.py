"""Images in files as rows: decoded when they are first asked for, read as bytes from then on."""

import logging
import math
import tempfile
import threading
import weakref
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.decoders import Decoders
from backlit.data.image_cache import ASKED, DAMAGED, DECODED, MISSING, ImageCache
from backlit.data.rows import Rows
from backlit.errors import DataError

log = logging.getLogger("backlit")

JOB_IMAGES, JOB_BYTES = 32, 1 << 23
"""A job holds so many images, or fewer when they are large: all workers should end together."""

PASSING = 1 << 26
"""Bytes of images in a temporary file at once, where nothing is kept."""


class ImageRows(Rows):
    """The images of a list of files, (N, H, W, C) uint8; the same bytes for any number of workers.

    `name`: what tells these files, as they are now, from any others. `cache` None: a row is decoded whenever it is read; with
    a cache, once, by whichever process comes first.
    Errors: DataError that names the first file, in the order of the list, that could not be decoded.
    """

    def __init__(
        self, files: list[str], shape: tuple[int, int, int], fit: bool, name: str, decoders: Decoders,
        cache: ImageCache | None,
    ) -> None:  # fmt: skip
        self.files, self.fit, self.name, self.decoders, self.cache = files, fit, name, decoders, cache
        self.shape, self.dtype = (len(files), *shape), np.dtype(np.uint8)
        self.row = math.prod(shape)
        self.together = max(1, min(JOB_IMAGES, JOB_BYTES // self.row))
        self.passing = threading.Lock()
        self.asked: dict[int, Future[str]] = {}
        self.wrong: dict[int, str] = {}
        if cache is not None:
            weakref.finalize(self, cache.commit, True)

    def read(self, places: np.ndarray) -> np.ndarray:
        places = np.asarray(places, dtype=np.int64)
        cache = self.cache
        if cache is not None:
            try:
                self._settle(cache, places)
            except OSError as error:
                return self._without(f"{cache.directory}: {error}", places)
            self._complain(places)
            try:
                return cache.read(places).reshape(-1, *self.shape[1:])
            except DataError as error:  # it was cut off by somebody else
                return self._without(str(error), places)
        return self._passed(places)

    def ahead(self, places: np.ndarray) -> None:
        if self.cache is not None and self.decoders.workers:
            self._ask(self.cache, np.asarray(places, dtype=np.int64), now=False)

    def identity(self) -> str:
        return self.name

    def describe(self, place: int) -> str:
        return self.files[place]

    def damaged(self) -> dict[int, str]:
        """Every image is decoded: what is wrong with which; remembered where there is a cache."""
        if self.cache is not None and (known := self.cache.about.get("damaged")) is not None:
            return {int(place): text for place, text in known.items()}
        step = max(1, PASSING // self.row)
        for start in range(0, len(self), step):
            places = np.arange(start, min(start + step, len(self)))
            try:
                if self.cache is not None:
                    self._settle(self.cache, places)
            except OSError as error:
                self._without(f"{self.cache.directory if self.cache else ''}: {error}", places[:0])
            if self.cache is None:
                self._decoded_once(places)
        wrong = dict(sorted(self.wrong.items()))
        if self.cache is not None:
            self.cache.commit(force=True)
            self.cache.remember({"damaged": wrong})
        return wrong

    def _without(self, trouble: str, places: np.ndarray) -> np.ndarray:
        log.warning("%s; from here on the images are decoded in every epoch", trouble)
        self.cache = None
        return self._passed(places)

    def _settle(self, cache: ImageCache, places: np.ndarray) -> None:
        """Until all of these are in the cache, or known to be damaged; OSError where they cannot be written."""
        if bool((cache.state[places] == DECODED).all()):
            return
        for future in self._ask(cache, places, now=True):
            if trouble := future.result():
                raise OSError(trouble)
        cache.commit(force=bool((cache.state == DECODED).all()))

    def _ask(self, cache: ImageCache, places: np.ndarray, now: bool) -> "set[Future[str]]":
        """Have those of these decoded that are missing; what is to be waited for."""
        _, first = np.unique(places, return_index=True)
        places = places[np.sort(first)]
        if (cache.state[places] == MISSING).any():
            cache.refresh()
        with cache.lock:
            state = cache.state[places]
            waiting = {self.asked[place] for place in places[state == ASKED].tolist()}
            missing = places[state == MISSING]
            cache.state[missing] = ASKED
            for i in range(0, len(missing), self.together):
                part = missing[i : i + self.together]
                future = self.decoders.submit(
                    self._job(cache.path, part, part), partial(self._arrived, cache, part), now
                )
                self.asked.update((place, future) for place in part.tolist() if not future.done())
                waiting.add(future)
        return waiting

    def _arrived(self, cache: ImageCache, places: np.ndarray, answer: Any) -> str:
        """Note what became of these; the trouble with the disk, where there is any."""
        with cache.lock:
            for place in places.tolist():
                self.asked.pop(place, None)
            if isinstance(answer, dict):
                cache.state[places] = MISSING
                return str(answer["disk"])
            good = np.array([text is None for text in answer])
            self.wrong.update((p, text) for p, text in zip(places.tolist(), answer, strict=True) if text is not None)
            cache.state[places[~good]] = DAMAGED
            cache.decoded(places[good])
        return ""

    def _passed(self, places: np.ndarray) -> np.ndarray:
        """Decoded into a temporary file, some at a time, and forgotten."""
        out = np.empty((len(places), self.row), np.uint8)
        step = max(1, PASSING // self.row)
        for start in range(0, len(places), step):
            wanted, back = np.unique(places[start : start + step], return_inverse=True)
            rows = self._decoded_once(wanted)
            self._complain(wanted)
            out[start : start + step] = rows[back]
        return out.reshape(-1, *self.shape[1:])

    def _decoded_once(self, places: np.ndarray) -> np.ndarray:
        """(n, row) bytes."""
        with self.passing, tempfile.TemporaryDirectory(prefix="backlit-images-") as folder:
            path = Path(folder) / "rows.bin"
            with open(path, "wb") as file:
                file.truncate(len(places) * self.row)
            parts = range(0, len(places), self.together)
            futures = [
                self.decoders.submit(
                    self._job(path, places[i : i + self.together], np.arange(i, len(places))), lambda answer: answer
                )
                for i in parts
            ]
            for i, future in zip(parts, futures, strict=True):
                answer = future.result()
                if isinstance(answer, dict):
                    raise DataError(f"{folder}: decoded images cannot be written: {answer['disk']}")
                named = zip(places[i : i + self.together].tolist(), answer, strict=True)
                self.wrong.update((place, text) for place, text in named if text is not None)
            return np.fromfile(path, np.uint8).reshape(-1, self.row)

    def _job(self, path: Path, places: np.ndarray, slots: np.ndarray) -> dict[str, Any]:
        pairs = zip(places.tolist(), slots.tolist(), strict=False)
        images = [[slot * self.row, self.files[place]] for place, slot in pairs]
        return {"file": str(path), "row": self.shape[1:], "fit": self.fit, "images": images}

    def _complain(self, places: np.ndarray) -> None:
        """DataError for the first of these whose image is damaged."""
        bad = [place for place in np.unique(places).tolist() if place in self.wrong] if self.wrong else []
        if bad:
            others = f" ({len(bad)} such images in what was read)" if len(bad) > 1 else ""
            text = f"{self.files[bad[0]]}: {self.wrong[bad[0]]}{others}"
            raise DataError(f"{text}; mend or remove the file, or leave such files out with damaged: skip")
