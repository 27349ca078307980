"""From sheets to rows and targets: what all sources of tables share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from backlit.data import files
from backlit.data.assemble import flat, groups_of, parts_of, targets_of, time_order
from backlit.data.dataset import Dataset
from backlit.data.sheet import Sheet, place_of
from backlit.data.source import Source
from backlit.data.table import Kind, Table, stacked
from backlit.data.targets import Task
from backlit.errors import DataError, SettingError, nearest

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "?")


class Paired:
    """Marks pairs of text that may also be written as a mapping."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def pairs(value: Any) -> Any:
            value = list(value.items()) if isinstance(value, dict) else value
            if not isinstance(value, list | tuple):
                return value
            return [tuple(map(_text, pair)) if isinstance(pair, list | tuple) else pair for pair in value]

        return core_schema.no_info_before_validator_function(pairs, handler(source))


Pairs = Annotated[tuple[tuple[str, str], ...], Paired()]


@dataclass(frozen=True, kw_only=True)
class TableSource(Source):
    """Base of tables: one column is the target, some say where a row belongs, all others are features.

    A column holds numbers (true and false are 1 and 0), dates (ISO 8601), or else categories, in all files as in the first.
    When all are complete numbers, x is an array (N, D); else it is a `Table`, which `cleaning` turns into numbers.

    missing         cells that stand for a missing one, beside the empty cell
    categories, numbers, dates   columns that hold this, whatever their cells look like (codes of integers as categories)
    date_format     of the dates that are not ISO 8601: '%d.%m.%Y'
    replace         other words for whole cells of text, {">50K.": ">50K"}
    missing_target  "drop" leaves out rows without a target, "error" names the first
    test            a file with the same columns: the test part
    part            the column that says train, validation or test: the source's own parts
    groups          the column whose rows with the same cell never stand in two parts (`Dataset.groups`)
    time            the column the rows are sorted by; a split then cuts the time, training first
    origin          the name of a column to add: which of several files the row stands in, by the file's name

    `target`, `groups` and `part` are no features; `time` is one unless `drop` names it.
    """

    abstract: ClassVar[bool] = True
    missing: tuple[str | int | float, ...] = MISSING
    categories: tuple[int | str, ...] = ()
    numbers: tuple[int | str, ...] = ()
    dates: tuple[int | str, ...] = ()
    date_format: str = ""
    replace: Pairs = ()
    missing_target: Literal["error", "drop"] = "error"
    test: str = ""
    part: int | str | None = None
    groups: int | str | None = None
    time: int | str | None = None
    origin: str = ""

    def check(self) -> None:
        if self.test and self.part is not None:
            raise SettingError([("part", "expected either a column of parts or a file for `test`, got both")])
        paths = self.paths()
        if not paths:
            raise SettingError([("path", "expected at least one file, got none")])
        if self.origin and len(paths) < 2:
            raise SettingError([("origin", "expected several files in `path` to tell apart, got one")])

    @abstractmethod
    def sheet(self, path: Path) -> Sheet:
        """The cells of one file."""

    @abstractmethod
    def predicted(self) -> tuple[int | str, Task | None, tuple[int | str, ...]]:
        """`target`, `task` and `drop`."""

    @abstractmethod
    def paths(self) -> tuple[str, ...]:
        """The files of training rows."""

    @property
    def blanks(self) -> tuple[str, ...]:
        """`missing` as text; an empty cell is missing, whatever else is."""
        return tuple(dict.fromkeys(("", *map(str, self.missing))))

    def load(self) -> Dataset:
        """Rows, targets and the source's own parts."""
        names = (*self.paths(), *((self.test,) if self.test else ()))
        sheets = [self._prepared(files.find(name)) for name in names]
        roles = self._roles(sheets[0])
        for other in sheets[1:]:
            self._same(sheets[0], other)
        training = sheets[: len(self.paths())]
        kinds = self._kinds(training, roles.features)
        sheets, notes = self._with_targets(sheets, roles.target)
        tables = [self._table(sheet, kinds, roles) for sheet in sheets]
        y, classes = targets_of(sheets, roles.target, self.predicted()[1])
        cut = sum(map(len, sheets[: len(training)]))
        data = self._dataset(stacked(tables[: len(training)]), y[:cut], classes, sheets[: len(training)], roles, notes)
        if self.test:
            last = self._dataset(tables[-1], y[cut:], classes, sheets[-1:], roles, ())
            data = replace(data, test=last)
        if roles.part:
            data = self._parted(data, parts_of(sheets, roles.part))
        return flat(data, str(sheets[0].path)).checked()

    def _prepared(self, path: Path) -> Sheet:
        sheet = self.sheet(path)
        if self.replace:
            sheet = sheet.replaced(dict(self.replace), self.blanks)
        if self.origin:
            frame = sheet.frame.copy(deep=False)
            if self.origin in sheet.names:
                raise SettingError([("origin", f"expected a new name, {path} has a column {self.origin!r}")])
            frame[self.origin] = path.name.partition(".")[0]
            sheet = replace(sheet, frame=frame)
        return sheet

    def _roles(self, sheet: Sheet) -> "Roles":
        column, _, drop = self.predicted()
        target = self._name(sheet, "target", column)
        unused = {self._name(sheet, "drop", c) for c in drop}
        if target in unused:
            raise SettingError([("drop", f"expected columns other than the target {target!r}, got it too")])
        groups, time, part = (
            None if given is None else self._name(sheet, setting, given)
            for setting, given in (("groups", self.groups), ("time", self.time), ("part", self.part))
        )
        gone = {target, *unused, *(name for name in (groups, part) if name)}
        features = tuple(name for name in sheet.names if name not in gone)
        if not features:
            raise DataError(f"{sheet.path}: expected at least one column besides the target {target!r}, got none")
        told = tuple(self._name(sheet, "numbers", column) for column in self.numbers)
        return Roles(target, features, groups, time, part, told)

    def _name(self, sheet: Sheet, setting: str, column: int | str) -> str:
        """The name of a column given by name, or by position in the file."""
        names = sheet.names if isinstance(column, str) else [name for name in sheet.names if name != self.origin]
        return names[place_of(setting, column, names, sheet.path)]

    def _same(self, first: Sheet, other: Sheet) -> None:
        for name in first.names:
            if name not in other.names:
                text = f"expected the columns of {first.path}, got none called {name!r}; {nearest(name, other.names)}"
                raise DataError(f"{other.path}: {text}")

    def _kinds(self, sheets: Sequence[Sheet], features: tuple[str, ...]) -> dict[str, Kind]:
        """Told by the settings, else by the first file in which the column is not empty."""
        told: dict[str, Kind] = {}
        for kind, columns in (("category", self.categories), ("number", self.numbers), ("date", self.dates)):
            setting = {"category": "categories", "number": "numbers", "date": "dates"}[kind]
            for column in columns:
                name = self._name(sheets[0], setting, column)
                if name in told:
                    raise SettingError([(setting, f"expected a column to be named once, got {name!r} twice")])
                told[name] = kind  # type: ignore[assignment]
        for name in features:
            if name not in told:
                filled = (sheet for sheet in sheets if not sheet.missing(name).all())
                told[name] = next(filled, sheets[0]).kind(name)
        return told

    def _table(self, sheet: Sheet, kinds: Mapping[str, Kind], roles: "Roles") -> Table:
        columns = {n: sheet.read(n, kinds[n], self.date_format, n in roles.told) for n in roles.features}
        dropped = tuple(name for name in sheet.names if name not in roles.features)
        return Table(columns, str(sheet.path), sheet.lines, dropped, self.blanks, self.replace, self.date_format)

    def _with_targets(self, sheets: Sequence[Sheet], target: str) -> tuple[list[Sheet], tuple[str, ...]]:
        """The rows that have a target, and what is to be said of the others."""
        kept, notes = [], []
        for sheet in sheets:
            bad = sheet.missing(target)
            if bad.any() and self.missing_target == "error":
                hint = "mend the cell or remove the line, or write missing_target: drop"
                raise sheet.wrong(target, bad, "a target", hint)
            if bad.any():
                count = "1 row" if bad.sum() == 1 else f"{int(bad.sum())} rows"
                notes.append(f"{sheet.path.name}: {count} of {len(sheet)} left out: no {target!r}")
            if bad.all():
                raise DataError(f"{sheet.path}: column {target!r}: expected a target in some row, got none")
            kept.append(sheet.where(~bad) if bad.any() else sheet)
        return kept, tuple(notes)

    def _dataset(
        self, table: Table, y: np.ndarray, classes: tuple[str, ...], sheets: Sequence[Sheet], roles: "Roles",
        notes: tuple[str, ...],
    ) -> Dataset:  # fmt: skip
        table = replace(table, notes=notes)
        groups = groups_of(sheets, roles.groups) if roles.groups else None
        name, ordered = Path(table.name).name, roles.time is not None
        data = Dataset(table, y, classes, roles.features, name=name, groups=groups, ordered=ordered)
        if roles.time is None:
            return data
        return data.take(
            time_order(sheets, roles.time, self._kinds(sheets, (roles.time,))[roles.time], self.date_format)
        )

    def _parted(self, data: Dataset, part: np.ndarray) -> Dataset:
        if self.time is not None:
            raise SettingError([("part", "expected either a column of parts or `time`, which a split cuts, got both")])
        if not (part == 0).any():
            raise DataError(f"{data.name}: part: expected rows of a part 'train', got none")
        train, validation, test = (data.take(part == i) if (part == i).any() else None for i in range(3))
        return replace(train or data, validation=validation, test=test)


@dataclass(frozen=True)
class Roles:
    """What the columns of a sheet are for."""

    target: str
    features: tuple[str, ...]
    groups: str | None
    time: str | None
    part: str | None
    told: tuple[str, ...]


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
