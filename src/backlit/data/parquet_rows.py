"""Tables in Parquet files that stay there: row groups are read when one of their rows is asked for."""

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from backlit.data import files
from backlit.data.checks import finite
from backlit.data.dataset import Dataset
from backlit.data.libraries import library
from backlit.data.rows import Rows
from backlit.data.source import Source
from backlit.data.targets import Task, numbers, targets
from backlit.errors import DataError, nearest

MEMORY = 1 << 29


class ParquetRows(Rows):
    """Numeric columns of one or several Parquet files, (N, D): uint8 where all are, else float32.

    A row group is the least that can be read. The last ones used are kept, up to `memory` bytes; an order that goes from
    group to group at random reads each of them many times, so `block` tells which rows lie together.
    Errors: DataError for a row group that is larger than `memory`; when a row is read, for an empty cell, NaN or an infinite
    number, with the file, row and column. Format: https://parquet.apache.org/docs/file-format/
    """

    def __init__(self, paths: list[Path], columns: tuple[str, ...], memory: int = MEMORY) -> None:
        self.tables = [table(path) for path in paths]
        self.paths, self.columns, self.memory = paths, columns, memory
        self.groups = [(i, g) for i, found in enumerate(self.tables) for g in range(found.metadata.num_row_groups)]
        self.sizes = tuple(self.tables[i].metadata.row_group(g).num_rows for i, g in self.groups)
        self.ends = np.cumsum(self.sizes, dtype=np.int64)
        kinds = {str(found.schema_arrow.field(name).type) for found in self.tables for name in columns}
        self.dtype = np.dtype(np.uint8 if kinds == {"uint8"} else np.float32)
        self.shape = (int(self.ends[-1]) if len(self.ends) else 0, len(columns))
        largest = max(self.sizes, default=0) * len(columns) * self.dtype.itemsize
        if largest > memory:
            text = f"expected row groups of at most {memory} bytes once read, got one of {largest}"
            raise DataError(f"{paths[0]}: {text}; raise memory, or write the file with a smaller row_group_size")
        self.kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self.lock = threading.Lock()
        self.reads = 0

    def read(self, places: np.ndarray) -> np.ndarray:
        places = np.asarray(places, dtype=np.int64)
        out = np.empty((len(places), *self.shape[1:]), self.dtype)
        block = self.block(places)
        order = np.argsort(block, kind="stable")
        cuts = np.flatnonzero(np.diff(block[order])) + 1
        for part in np.split(order, cuts) if len(order) else ():
            number = int(block[part[0]])
            out[part] = self._group(number)[places[part] - (self.ends[number] - self.sizes[number])]
        return out

    def block(self, places: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.searchsorted(self.ends, places, side="right")
        return found

    def identity(self) -> str:
        known = [os.stat(path) for path in self.paths]
        return str([(str(p.resolve()), k.st_size, k.st_mtime_ns) for p, k in zip(self.paths, known, strict=True)])

    def describe(self, place: int) -> str:
        number = int(self.block(np.array([place]))[0])
        file = self.groups[number][0]
        before = sum(found.metadata.num_rows for found in self.tables[:file])
        return f"{self.paths[file]}: row {place - before} (from 0)"

    def fingerprint(self) -> str:
        """SHA-256 of columns, row groups and the rows of the first and the last of them: a sample of all would read all."""
        digest = hashlib.sha256(repr((self.columns, self.sizes, self.dtype.str)).encode())
        for number in {0, len(self.groups) - 1}:
            digest.update(np.ascontiguousarray(self._group(number)).data)
        return digest.hexdigest()

    def _group(self, number: int) -> np.ndarray:
        """A row group, (rows, D); the one that was used longest ago makes room."""
        with self.lock:
            if number in self.kept:
                self.kept.move_to_end(number)
                return self.kept[number]
            found = self._loaded(number)
            self.reads += 1
            while self.kept and found.nbytes + sum(group.nbytes for group in self.kept.values()) > self.memory:
                self.kept.popitem(last=False)
            self.kept[number] = found
            return found

    def _loaded(self, number: int) -> np.ndarray:
        file, group = self.groups[number]
        out = np.empty((self.sizes[number], len(self.columns)), self.dtype)
        first = int(self.ends[number]) - self.sizes[number]
        try:
            read = self.tables[file].read_row_group(group, columns=list(self.columns))
        except Exception as error:  # a damaged file raises whatever its reader trips over
            raise DataError(f"{self.paths[file]}: row group {group} cannot be read: {_first_line(error)}") from None
        for i, name in enumerate(self.columns):
            column = read.column(name)
            if column.null_count:
                row = int(np.argmax(column.is_null().to_numpy()))
                count = f" ({column.null_count} such cells in this row group)" if column.null_count > 1 else ""
                hint = f"fill it in, or leave the column out with drop: [{name}]"
                where = f"{self.describe(first + row)}, column {name!r}"
                raise DataError(f"{where}: expected a number, got an empty cell{count}; {hint}")
            with np.errstate(over="ignore"):
                out[:, i] = column.to_numpy()
        if not np.isfinite(out.sum()):
            begin = first - sum(found.metadata.num_rows for found in self.tables[:file])
            finite(out, str(self.paths[file]), self.columns, np.arange(begin, begin + len(out)))
        return out


@dataclass(frozen=True)
class ParquetStream(Source):
    """A Parquet file, or a folder of them, that stays on the disk: `target` is the column to predict, in memory.

    All other columns must hold numbers or truth values; `columns` names those to use, or `drop` those not to. Text, truth
    values and integers in the target column are labels, floats are numbers to predict; `task` decides otherwise. `memory`
    bounds what is kept of the rows. Row groups are what is read at once: some ten thousand rows each is a good size.
    Errors: DataError for a file that is no Parquet, columns that are missing, differ between files or hold text, an empty
    cell; MissingLibraryError without pyarrow. In memory, with text and dates: the source for tables.

    >>> import tempfile
    >>> import pandas
    >>> from backlit.data.parquet_rows import ParquetStream
    >>> path = tempfile.mkdtemp() + "/plants.parquet"
    >>> plants = pandas.DataFrame({"height": [1.5, 3.0, 2.0], "width": [2, 1, 4], "kind": ["fern", "moss", "fern"]})
    >>> plants.to_parquet(path, row_group_size=2)
    >>> data = ParquetStream(path, target="kind").load()
    >>> data.x.shape, data.x.sizes, data.x[:].tolist(), data.y.tolist(), data.classes
    ((3, 2), (2, 1), [[1.5, 2.0], [3.0, 1.0], [2.0, 4.0]], [0, 1, 0], ('fern', 'moss'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("parquet-stream",)
    path: str
    target: str
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    task: Task | None = None
    memory: Annotated[int, Ge(1)] = MEMORY

    def load(self) -> Dataset:
        path = files.find(self.path)
        paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not paths:
            raise DataError(f"{path}: expected files that end in .parquet, got none")
        schema = table(paths[0]).schema_arrow
        for other in paths[1:]:
            if (found := table(other).schema_arrow.names) != schema.names:
                raise DataError(f"{other}: expected the columns of {paths[0].name}, {schema.names}, got {found}")
        for setting, names in (("target", (self.target,)), ("columns", self.columns), ("drop", self.drop)):
            for name in names:
                if name not in schema.names:
                    raise DataError(f"{path}: {setting}: no column {name!r}; {nearest(name, schema.names)}")
        wanted = self.columns or schema.names
        used = tuple(name for name in wanted if name != self.target and name not in self.drop)
        if not used:
            raise DataError(f"{path}: expected at least one column besides the target {self.target!r}, got none")
        for file in paths:
            self._check(file, used)
        y, classes = self._targets(paths)
        return Dataset(ParquetRows(paths, used, self.memory), y, classes, used, name=path.name).checked()

    def _check(self, path: Path, used: tuple[str, ...]) -> None:
        arrow = library("pyarrow", "pyarrow", "reading a Parquet file")
        schema = table(path).schema_arrow
        for name in used:
            kind = schema.field(name).type
            test = arrow.types
            if not (test.is_integer(kind) or test.is_floating(kind) or test.is_boolean(kind) or test.is_decimal(kind)):
                hint = f"leave it out with drop: [{name}]"
                raise DataError(f"{path}: column {name!r}: expected numbers, got {kind}; {hint}")

    def _targets(self, paths: list[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
        parts = []
        for path in paths:
            try:
                column = table(path).read(columns=[self.target]).column(self.target)
            except Exception as error:
                raise DataError(f"{path}: column {self.target!r} cannot be read: {_first_line(error)}") from None
            if column.null_count:
                row = int(np.argmax(column.is_null().to_numpy()))
                text = f"row {row} (from 0), column {self.target!r}: expected a target, got an empty cell"
                raise DataError(f"{path}: {text}; fill it in or leave the row out")
            values = column.to_numpy()
            parts.append(values.astype(str) if values.dtype.kind == "O" else values)
        y = np.concatenate(parts)
        where = f"{paths[0]}: column {self.target!r}"
        return targets(numbers(y, where) if self.task == "regression" else y, self.task, where=where)


def table(path: Path) -> Any:
    """The open Parquet file; its rows are not read yet."""
    parquet = library("pyarrow.parquet", "pyarrow", "reading a Parquet file")
    try:
        return parquet.ParquetFile(path)
    except Exception as error:
        raise DataError(f"{path}: not a readable Parquet file: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
