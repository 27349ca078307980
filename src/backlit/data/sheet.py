"""A table as its file holds it, before anybody has decided what its columns are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.libraries import library
from backlit.data.table import Kind, word
from backlit.errors import DataError, nearest, received

ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?")
TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0, True: 1.0, False: 0.0}


@dataclass(frozen=True, eq=False)
class Sheet:
    """A pandas table and where it comes from.

    frame   missing cells are NaN, None or NaT; the index counts the lines of data
    first   the line of the file that row 0 stands in; None where a file has no lines (Parquet)
    typed   the file itself says what a column holds, so a column of text is text, whatever it spells
    """

    path: Path
    frame: Any
    first: int | None = 2
    typed: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def names(self) -> list[str]:
        return [str(name) for name in self.frame.columns]

    @property
    def lines(self) -> np.ndarray | None:
        """The line of the file each row stands in."""
        return None if self.first is None else self.frame.index.to_numpy(dtype=np.int64) + self.first

    @cached_property
    def _columns(self) -> dict[str, Any]:
        return dict(zip(self.names, (column for _, column in self.frame.items()), strict=True))

    def column(self, name: str) -> Any:
        """The pandas column of this name."""
        return self._columns[name]

    def missing(self, name: str) -> np.ndarray:
        column = self.column(name)
        return np.zeros(len(column), dtype=bool) if column.dtype.kind in "biu" else np.asarray(column.isna())

    def where(self, mask: np.ndarray) -> "Sheet":
        """The rows where a mask is true."""
        return replace(self, frame=self.frame[mask])

    def replaced(self, pairs: Mapping[str, str], blanks: tuple[str, ...]) -> "Sheet":
        """With other words in whole cells of text; one of `blanks` is then a missing cell."""
        frame = self.frame.copy(deep=False)
        for i in range(len(self.names)):
            column = frame.iloc[:, i]
            if column.dtype.kind == "O" or str(column.dtype) in ("str", "string", "category"):
                column = column.astype(object).map(lambda value: pairs.get(value, value))
                frame.isetitem(i, column.where(~column.isin(blanks), None))
        return replace(self, frame=frame)

    def kind(self, name: str) -> Kind:
        """What the column holds. Text that spells numbers is numbers, ISO 8601 is dates, all else categories.

        Errors: DataError where at least half of the cells are numbers and some are not.
        """
        column = self.column(name)
        if column.dtype.kind in "biuf":
            return "number"
        if column.dtype.kind == "M":
            return "date"
        text = column[~self.missing(name)]
        if len(text) and not self.typed:
            if text.isin(list(TRUTH)).all():
                return "number"
            spelled = np.isfinite(parsed(text))
            if spelled.all():
                return "number"
            if 2 * spelled.sum() >= len(text):
                raise self._mixed(name, ~np.isfinite(parsed(column)) & ~self.missing(name))
        if len(text) and all(isinstance(value, str) and ISO.fullmatch(value.strip()) for value in text):
            return "date"
        return "category"

    def read(self, name: str, kind: Kind, form: str = "", forced: bool = False) -> np.ndarray:
        """The column as a table has it; `forced`: a user said what it holds, so an error says it otherwise."""
        if kind == "category":
            return self.words(name)
        return self.dates(name, form) if kind == "date" else self.numbers(name, forced)

    def numbers(self, name: str, forced: bool = False) -> np.ndarray:
        """float64, NaN where missing; DataError for text and for infinite numbers."""
        values = parsed(self.column(name))
        bad = ~(np.abs(values) <= np.finfo(np.float64).max) & ~self.missing(name)
        if bad.any():
            if not forced and not np.isinf(values[bad]).any():
                raise self._mixed(name, bad)
            raise self.wrong(name, bad, "a number", f"mend the cell, or leave the column out with drop: [{name}]")
        return values

    def words(self, name: str) -> np.ndarray:
        """Text, None where missing; numbers are written as text."""
        codes, found = library("pandas", "pandas", "reading a table").factorize(self.column(name))
        table = np.array([*(word(value) for value in found), None], dtype=object)
        return np.asarray(table[codes])  # a missing cell has the code -1: the last

    def dates(self, name: str, form: str = "") -> np.ndarray:
        """datetime64[s] in UTC, NaT where missing; DataError for a cell that is no such date."""
        pandas = library("pandas", "pandas", "reading a table")
        column = self.column(name)
        if column.dtype.kind != "M":
            absent = self.missing(name)
            text = [None if gone else word(value) for value, gone in zip(column.tolist(), absent, strict=True)]
            found = pandas.Series(pandas.to_datetime(text, format=form or "ISO8601", errors="coerce", utc=True))
            bad = np.asarray(found.isna()) & ~absent
            if not form:
                bad |= np.array([value is not None and not ISO.fullmatch(value) for value in text])
            if bad.any():
                hint = "write how the file has it, as in date_format: '%d.%m.%Y'" if not form else "mend the cell"
                raise self.wrong(name, bad, f"a date {form!r}" if form else "a date as in ISO 8601, 2024-12-31", hint)
            column = found
        if getattr(column.dt, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return np.asarray(column.to_numpy().astype("datetime64[s]"))

    def wrong(self, name: str, bad: np.ndarray, expected: str, hint: str) -> DataError:
        """The error for the first of the bad cells, and how many there are."""
        at, count = int(np.argmax(bad)), int(bad.sum())
        value = self.column(name).iloc[at]
        missing = bool(self.missing(name)[at])
        found = "an empty cell or NA" if missing else received(value.item() if hasattr(value, "item") else value)
        others = f" ({count} such cells in this column)" if count > 1 else ""
        row = int(self.frame.index[at]) + 1
        line = "" if self.first is None else f" (line {row - 1 + self.first} of the file)"
        return DataError(
            f"{self.path}: row {row}{line}, column {name!r}: expected {expected}, got {found}{others}; {hint}"
        )

    def _mixed(self, name: str, bad: np.ndarray) -> DataError:
        cell = str(self.column(name).iloc[int(np.argmax(bad))])
        hint = f"write missing: [{cell!r}] where it stands for a missing one, categories: [{name}] where this is text"
        return self.wrong(name, bad, "a number", f"{hint}, or drop: [{name}]")


def parsed(column: Any) -> np.ndarray:
    """float64 of a pandas column, NaN where a cell is missing or no number; true and false are 1 and 0."""
    pandas = library("pandas", "pandas", "reading a table")
    if column.dtype.kind in "mM":
        return np.full(len(column), np.nan)
    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    column = column.astype(object)
    truth = column.isin(list(TRUTH)).to_numpy()
    column = column.map(lambda value: TRUTH.get(value, value)) if truth.any() else column
    return np.asarray(pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))


def place_of(setting: str, column: int | str, names: list[str], path: Path) -> int:
    """The place of a column given by name or position; DataError that names the nearest."""
    if isinstance(column, str):
        if column not in names:
            raise DataError(f"{path}: {setting}: no column {column!r}; {nearest(column, names)}")
        return names.index(column)
    if not -len(names) <= column < len(names):
        raise DataError(f"{path}: {setting}: expected a column {-len(names)}..{len(names) - 1}, got {column}")
    return column % len(names)
