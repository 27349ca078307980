"""A table as it was read: columns of numbers, categories and dates, cells missing here and there."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from backlit.errors import DataError

Kind: TypeAlias = Literal["number", "category", "date"]
LARGEST = float(np.finfo(np.float32).max)
WHOLE = re.compile(r"[+-]?\d+(\.0+)?")


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, each (N,): float64 with NaN where a number is missing, datetime64[s] with NaT, or objects: text
    or None.

    lines    the line of its file each row stands in, for errors; None where there is no file
    dropped  names of columns that the file holds and the table leaves out (the target): a later file may have them
    blanks   cells of text that stand for a missing one;  swaps  other words for whole cells of text, in pairs
    form     how dates are written, where not as ISO 8601 has them
    notes    what was done while reading that a user should know, a sentence each

    >>> import numpy as np
    >>> from backlit.data.table import Table
    >>> table = Table({"age": np.array([22.0, np.nan]), "town": np.array(["Rome", None], dtype=object)})
    >>> table.shape, table.kinds, table.take([1]).columns["town"].tolist()
    ((2, 2), {'age': 'number', 'town': 'category'}, [None])
    """

    columns: Mapping[str, np.ndarray]
    name: str = "table"
    lines: np.ndarray | None = None
    dropped: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ("",)
    swaps: tuple[tuple[str, str], ...] = ()
    form: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), len(self.columns)

    @property
    def ndim(self) -> int:
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object)

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns.values())

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each column holds."""
        return {name: kind(column) for name, column in self.columns.items()}

    def take(self, places: Any, axis: int = 0) -> "Table":
        """These rows, in this order."""
        places = np.asarray(places)
        lines = None if self.lines is None else self.lines[places]
        return replace(self, columns={name: column[places] for name, column in self.columns.items()}, lines=lines)

    def changed(self, columns: Mapping[str, np.ndarray]) -> "Table":
        """The same rows with other columns."""
        return replace(self, columns=columns)

    def without(self, names: Iterable[str]) -> "Table":
        """The same rows without some columns."""
        gone = set(names)
        return self.changed({name: column for name, column in self.columns.items() if name not in gone})

    def where(self, row: int, column: str = "") -> str:
        """How an error names a cell: 'titanic.csv: row 3 (line 4 of the file), column 'age''."""
        place = f"row {row} (from 0)" if self.lines is None else f"row {row} (line {int(self.lines[row])} of the file)"
        return f"{self.name}: {place}" + (f", column {column!r}" if column else "")

    def matrix(self) -> np.ndarray:
        """(N, D) float32; DataError for a column that is not numbers, a missing one, or one too large for float32."""
        for name, column in self.columns.items():
            if kind(column) != "number":
                text = f"expected numbers, got a column of {'dates' if kind(column) == 'date' else 'categories'}"
                raise DataError(
                    f"{self.name}: column {name!r}: {text}; add a step of cleaning that turns them into numbers"
                )
            bad = ~(np.abs(column) <= LARGEST)
            if bad.any():
                row = int(np.argmax(bad))
                found, hint = f"{column[row]:g}", "add ClipOutliers to cleaning, or mend the cell"
                if np.isnan(column[row]):
                    found, hint = "a missing one", "add Impute to cleaning"
                raise DataError(f"{self.where(row, name)}: expected a number below 3.4e38, got {found}; {hint}")
        if not self.columns:
            raise DataError(f"{self.name}: expected at least one column, the cleaning has left none")
        return np.stack([column.astype(np.float32) for column in self.columns.values()], axis=1)

    def fingerprint(self) -> str:
        """SHA-256 of all cells and names."""
        digest = hashlib.sha256(repr(tuple(self.columns)).encode())
        for column in self.columns.values():
            digest.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
        return digest.hexdigest()


def kind(column: np.ndarray) -> Kind:
    """What a column holds, by its dtype."""
    return {"O": "category", "M": "date"}.get(column.dtype.kind, "number")  # type: ignore[return-value]


def missing(column: np.ndarray) -> np.ndarray:
    """Which cells of a column are missing."""
    if column.dtype == object:
        return np.array([value is None for value in column], dtype=bool)
    found: np.ndarray = np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)
    return found


def word(value: Any) -> str:
    """A category as text: what a file writes as 03, a table of numbers holds as 3 or 3.0, is one category, '3'.

    >>> from backlit.data.table import word
    >>> [word(value) for value in ("03", 3.0, True, "Rome ", "1.50")]
    ['3', '3', 'True', 'Rome', '1.50']
    """
    text = str(value).strip()
    if not WHOLE.fullmatch(text):
        return text
    digits = text.partition(".")[0].lstrip("+-").lstrip("0") or "0"
    return f"-{digits}" if text.startswith("-") and digits != "0" else digits


def stacked(tables: Sequence[Table]) -> Table:
    """The rows of several tables with the same columns, one below the other."""
    first = tables[0]
    columns = {name: np.concatenate([table.columns[name] for table in tables]) for name in first.columns}
    lines = None if first.lines is None else np.concatenate([t.lines for t in tables if t.lines is not None])
    return replace(first, columns=columns, lines=lines)
