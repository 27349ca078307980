"""CIFAR-10: its records from whichever of its files is there, decoded once and kept in the cache.

A record of the binary version is a byte for the label and 3 x 32 x 32 bytes, one colour after another, row by row.
"""

import hashlib
import io
import lzma
import os
import pickle
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy._core.multiarray import _reconstruct

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.source import Source
from backlit.engine.devices import cache_directory
from backlit.errors import DataError

RECORD = 3073
FOLDERS = ("cifar10", "cifar-10", "CIFAR10", "cifar-10-batches-bin", "cifar-10-batches-py", "")
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE = "cifar-10-binary.tar.gz"


@dataclass(frozen=True)
class Cifar10(Source):
    """60 000 colour pictures of 32 x 32 bytes in 10 classes: x (50000, 32, 32, 3) uint8 and a test part of 10 000.

    Looked for in folders such as `cifar10` within the directories of BACKLIT_DATA, then in the cache, then fetched:
    `data_batch_1.bin` to `5` and `test_batch.bin` (binary version), the same without ending (Python version),
    `train_part1.bin` to `5`, each also with .xz, or the archives `cifar-10-binary.tar.gz` and `cifar-10-python.tar.gz`
    as they were downloaded. Of a Python version nothing but arrays, lists, numbers and text is unpickled.
    Errors: DataError for a file that is missing, truncated, or holds something else.
    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images",
    https://www.cs.toronto.edu/~kriz/cifar.html
    """

    aliases: ClassVar[tuple[str, ...]] = ("cifar10", "cifar-10")
    mirrors: ClassVar[tuple[str, ...]] = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
    sha256: ClassVar[str] = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

    def load(self) -> Dataset:
        x, y, x_test, y_test = _kept(_found() or (fetch(f"cifar10/{ARCHIVE}", self.mirrors, self.sha256),))
        return Dataset(x, y, NAMES, test=Dataset(x_test, y_test, NAMES), name="cifar10").checked()


def _found() -> tuple[Path, ...] | None:
    """One archive, or the files of the training part and the one of the test part; None when there is neither."""
    parts = tuple(f"train_part{i}" for i in range(1, 6))
    for folder in FOLDERS:
        for names, ending in [(TRAIN, ".bin"), (parts, ".bin"), (TRAIN, ""), (TRAIN, ".bin.xz"), (parts, ".bin.xz")]:
            paths = [files.search(f"{folder}/{name}{ending}".lstrip("/")) for name in (*names, "test_batch")]
            present = tuple(path for path in paths if path is not None)
            if len(present) == len(paths):
                return present
        archive = files.search(*(f"{folder}/{name}".lstrip("/") for name in (ARCHIVE, "cifar-10-python.tar.gz")))
        if archive is not None:
            return (archive,)
    return None


def _kept(paths: tuple[Path, ...]) -> tuple[np.ndarray, ...]:
    """x, y, and those of the test part; decoding takes seconds, so the bytes are kept by the files they came from."""
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    place = cache_directory() / "data" / f"cifar10-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.npy"
    try:
        flat = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        flat = _decoded(paths)
        _keep(place, flat)
    rows = len(flat) // RECORD
    cut = rows * 5 // 6
    x, y = flat[:-rows].reshape(rows, 32, 32, 3), flat[-rows:].astype(np.int32)
    return x[:cut], y[:cut], x[cut:], y[cut:]


def _decoded(paths: tuple[Path, ...]) -> np.ndarray:
    """All pixels, (rows, 32, 32, 3), and then all labels, in one flat array; the rows of the test part are the last."""
    with ThreadPoolExecutor(2) as pool:  # xz leaves Python's lock alone
        parts = list(_members(paths[0]) if len(paths) == 1 else pool.map(lambda path: (str(path), _bytes(path)), paths))
    records = [_records(data, where) for where, data in parts]
    if len(records) != 6 or len({len(part) for part in records}) != 1:
        found = " + ".join(str(len(part)) for part in records) or "none"
        text = f"expected five files of the training part and one of the test part, each of as many rows, got {found}"
        raise DataError(f"{paths[0]}: {text}")
    whole = np.concatenate(records)
    images = whole[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.concatenate([images.reshape(-1), whole[:, 0]])


def _records(data: bytes, where: str) -> np.ndarray:
    """(rows, 3073) of one file, colour by colour."""
    if data[:1] == b"\x80":  # how a pickle begins; no label is 128
        return _unpickled(data, where)
    if not data or len(data) % RECORD:
        text = f"expected records of {RECORD} bytes, got {len(data)} bytes in all"
        raise DataError(f"{where}: truncated or no CIFAR-10: {text}; fetch the file again")
    return np.frombuffer(data, np.uint8).reshape(-1, RECORD)


def _bytes(path: Path) -> bytes:
    data = files.read(path)
    if path.suffix != ".xz":
        return data
    try:
        # A file of 10 000 records and one byte: more would be something else, and is not unpacked.
        return lzma.LZMADecompressor().decompress(data, 10000 * RECORD + 1)
    except lzma.LZMAError as error:
        raise DataError(f"{path}: not a readable xz file ({error}); fetch the file again") from None


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the six files in an archive, training part first; nothing is written to disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name.removesuffix(".bin")
                if name in (*TRAIN, "test_batch") and member.isfile() and member.size <= 10000 * RECORD + 2**20:
                    file = archive.extractfile(member)
                    found[name] = file.read() if file else b""
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise DataError(f"{path}: not a readable archive ({error}); fetch the file again") from None
    return ((f"{path}: {name}", found[name]) for name in (*TRAIN, "test_batch") if name in found)


class _Plain(pickle.Unpickler):
    """Reads NumPy arrays and plain values; any other class is refused, so that no code can run."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in self.ALLOWED:
            return _reconstruct if name == "_reconstruct" else getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in CIFAR-10")


def _unpickled(data: bytes, where: str) -> np.ndarray:
    """The records of a file of the Python version, a pickled dict of `data` (rows, 3072) and `labels`."""
    try:
        held = _Plain(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = (np.asarray(held[name], np.uint8) for name in (b"data", b"labels"))
        return np.concatenate([labels.reshape(-1, 1), pixels.reshape(-1, RECORD - 1)], axis=1)
    except Exception as error:  # a damaged pickle raises whatever its reader trips over
        raise DataError(f"{where}: not a batch of CIFAR-10's Python version ({error}); fetch the file again") from None


def _keep(place: Path, flat: np.ndarray) -> None:
    # Only a memory of what was decoded: when it cannot be written, the next load decodes again.
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
        with os.fdopen(handle, "wb") as file:
            np.save(file, flat)
        os.replace(part, place)
    except OSError:
        return
