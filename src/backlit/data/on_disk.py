"""Arrays in files that stay there: .npy, and bare numbers one after another. Rows are read when they are asked for."""

import math
import os
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backlit.data import files
from backlit.data.checks import finite, tokens
from backlit.data.dataset import Dataset
from backlit.data.row_file import RowFile
from backlit.data.rows import Rows
from backlit.data.source import Source, names_of
from backlit.data.targets import Task, targets
from backlit.errors import DataError, SettingError
from backlit.settings import Count

PIECE = 1 << 22
"""Bytes of the file that are looked at together: read, converted, checked."""


class OnDisk(Rows):
    """Rows of a file as it was written, (N, ...): uint8 stays, all other numbers become float32 as they are read, and
    int32 where they are places in a vocabulary of `words`. Rows take no memory until they are read.

    Errors: DataError for numbers that are no numbers, a file that is shorter than its header says; when a row is read,
    for NaN, infinite numbers (also those too large for float32) and tokens outside the vocabulary, with row and column.

    >>> import numpy as np, tempfile
    >>> from backlit.data.on_disk import OnDisk
    >>> path = tempfile.mkdtemp() + "/x.npy"
    >>> np.save(path, np.arange(6.0).reshape(3, 2))
    >>> x = OnDisk.npy(path)
    >>> x.shape, x.dtype, x[np.array([2, 0])].tolist()
    ((3, 2), dtype('float32'), [[4.0, 5.0], [0.0, 1.0]])
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int = 0, words: int = 0,
        features: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        if dtype.kind not in "biuf" or (words and dtype.kind not in "iu"):
            wanted = "integers, places in the vocabulary" if words else "numbers"
            raise DataError(f"{path}: expected {wanted}, got {dtype}")
        if len(shape) < 2 or math.prod(shape) == 0:
            text = "expected rows (N, ...) with at least one row and one number in it"
            raise DataError(f"{path}: {text}, got the shape {shape}")
        row = math.prod(shape[1:]) * dtype.itemsize
        size = os.path.getsize(path)
        if size < offset + shape[0] * row:
            text = f"expected {offset + shape[0] * row} bytes for {dtype.name} {shape}, got {size}"
            raise DataError(f"{path}: truncated: {text}; write or fetch the file again")
        self.file, self.raw, self.words, self.features = RowFile(path, row, offset), dtype, words, features
        self.shape = shape
        self.dtype = np.dtype(np.int32 if words else np.uint8 if dtype == np.uint8 else np.float32)

    @classmethod
    def npy(cls, path: str | Path, words: int = 0, features: tuple[str, ...] = ()) -> "OnDisk":
        """The rows of a .npy file."""
        path = Path(path)
        shape, dtype, offset, fortran = header(path)
        if fortran and len(shape) > 1:
            text = "expected one row after another (C order), got columns one after another (Fortran order)"
            raise DataError(f"{path}: {text}; save numpy.ascontiguousarray(x)")
        return cls(path, shape, dtype, offset, words, features)

    def read(self, places: np.ndarray) -> np.ndarray:
        places = np.asarray(places, dtype=np.int64)
        out = np.empty((len(places), *self.shape[1:]), self.dtype)
        order = np.argsort(places, kind="stable")
        step = max(1, PIECE // self.file.row)
        raw = np.empty((min(step, len(places)), self.file.row), np.uint8)
        for start in range(0, len(places), step):
            to = order[start : start + step]
            self.file.gather(places[to], raw[: len(to)])
            rows = raw[: len(to)].view(self.raw).reshape(len(to), *self.shape[1:])
            if self.words:
                tokens(rows, self.words, str(self.file.path), places[to])
            with np.errstate(over="ignore"):
                out[to] = rows
        finite(out, str(self.file.path), self.features, places)
        return out

    def identity(self) -> str:
        known = os.fstat(self.file.handle)
        return f"{self.file.path.resolve()} {known.st_size} {known.st_mtime_ns}"


@dataclass(frozen=True)
class Stored(Source):
    """Base of the sources whose rows stay on the disk, while targets (a .npy file) are held in memory.

    y            integers, truth values and text are labels, floats are numbers to predict; `task` decides otherwise
    test_x, test_y, mask, test_mask   files of the fixed test part and of the real time steps (N, T)
    classes      the names of the labels 0..K-1;   features  the names of the columns
    vocabulary   its words, or how many there are: x then holds places in it
    """

    abstract: ClassVar[bool] = True
    x: str
    y: str
    test_x: str = ""
    test_y: str = ""
    mask: str = ""
    test_mask: str = ""
    task: Task | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] | Count = ()

    def check(self) -> None:
        if bool(self.test_x) != bool(self.test_y):
            missing = "test_y" if self.test_x else "test_x"
            raise SettingError([(missing, "expected a file, as the other half of the test part has one, got none")])
        if bool(self.test_mask) != bool(self.mask and self.test_x):
            text = "expected a file where there are a mask and a test part, and none elsewhere"
            raise SettingError([("test_mask", f"{text}, got {self.test_mask or 'none'}")])

    @abstractmethod
    def rows(self, path: Path, words: int) -> Rows:
        """The rows in this file."""

    def load(self) -> Dataset:
        words = names_of(self.vocabulary) if isinstance(self.vocabulary, int) else self.vocabulary
        named = [(self.x, self.y, self.mask), (self.test_x, self.test_y, self.test_mask)][: 2 if self.test_x else 1]
        held = [array(files.find(y)) for _, y, _ in named]
        if any(y.ndim == 0 or y.shape[1:] != held[0].shape[1:] for y in held):
            found = " and ".join(str(y.shape) for y in held)
            raise DataError(f"{self.y}: expected targets (N,) or (N, k), alike in all parts, got {found}")
        # The classes are those of both parts together: a label has one number wherever it stands.
        y, classes = targets(np.concatenate(held), self.task, self.classes, self.y)
        parts = [
            Dataset(
                self.rows(files.find(x), len(words)), part, classes, self.features,
                mask=array(files.find(mask)) if mask else None, vocabulary=words, name=Path(x).name,
            )
            for (x, _, mask), part in zip(named, np.split(y, [len(held[0])]), strict=False)
        ]  # fmt: skip
        return replace(parts[0], test=parts[1] if self.test_x else None).checked()


@dataclass(frozen=True)
class Npy(Stored):
    """x of a .npy file that stays on the disk, however large, and y of another, in memory.

    uint8 stays, all other numbers become float32 as they are read. NaN is found when it is read.
    Errors: DataError for a file that is missing, truncated, in Fortran order or not of numbers; see OnDisk.

    >>> import numpy as np, tempfile
    >>> from backlit.data.on_disk import Npy
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/x.npy", np.zeros((3, 2), ">f8")), np.save(f"{folder}/y.npy", np.array(["b", "a", "b"]))
    (None, None)
    >>> data = Npy(f"{folder}/x.npy", f"{folder}/y.npy").load()
    >>> data.x.shape, data.x.dtype, data.y.tolist(), data.classes
    ((3, 2), dtype('float32'), [1, 0, 1], ('a', 'b'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("npy",)

    def rows(self, path: Path, words: int) -> Rows:
        return OnDisk.npy(path, words, self.features)


@dataclass(frozen=True)
class Binary(Stored):
    """x of a file of bare numbers, row after row: `dtype` as NumPy writes it (">i2"), `row` the shape of one, after
    `offset` bytes. y is a .npy file.

    Errors: DataError when what follows the offset is no whole number of rows; see OnDisk.

    >>> import numpy as np, tempfile
    >>> from backlit.data.on_disk import Binary
    >>> folder = tempfile.mkdtemp()
    >>> np.arange(6, dtype=">i2").tofile(f"{folder}/x.bin"), np.save(f"{folder}/y.npy", np.array([0.5, 1.5]))
    (None, None)
    >>> Binary(f"{folder}/x.bin", f"{folder}/y.npy", dtype=">i2", row=(3,)).load().x[:].tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """

    dtype: str = field(default="float32", kw_only=True)
    row: tuple[Count, ...] = field(default=(), kw_only=True)
    offset: int = field(default=0, kw_only=True)

    def check(self) -> None:
        super().check()
        try:
            np.dtype(self.dtype)
        except TypeError:
            raise SettingError([("dtype", f"expected a type of numbers such as '<f4', got {self.dtype!r}")]) from None
        if not self.row:
            raise SettingError([("row", "expected the shape of one row, such as [784], got none")])
        if self.offset < 0:
            raise SettingError([("offset", f"expected bytes to leave out, 0 or more, got {self.offset}")])

    def rows(self, path: Path, words: int) -> Rows:
        dtype = np.dtype(self.dtype)
        size = math.prod(self.row) * dtype.itemsize
        room = os.path.getsize(path) - self.offset
        if room < size or room % size:
            text = f"expected a whole number of rows of {size} bytes ({self.dtype} {self.row})"
            raise DataError(f"{path}: {text} after the first {self.offset}, got {max(room, 0)}")
        return OnDisk(path, (room // size, *self.row), dtype, self.offset, words, self.features)


def header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int, bool]:
    """(shape, dtype, bytes before the numbers, whether in Fortran order) of a .npy file; nothing is unpickled."""
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            return shape, dtype, file.tell(), fortran
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: not a .npy file: {str(error).splitlines()[0]}") from None


def array(path: Path) -> np.ndarray:
    """The array in a .npy file, in memory; nothing is unpickled."""
    header(path)
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable .npy file: {error}") from None
