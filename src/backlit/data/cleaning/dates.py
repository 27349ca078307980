"""Dates as numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from backlit.data.cleaning.base import Cleaner, State, added
from backlit.data.table import Kind, Table

Part: TypeAlias = Literal["year", "month", "day", "weekday", "yearday", "hour", "minute", "elapsed"]
PERIODS = {"month": 12.0, "day": 31.0, "weekday": 7.0, "yearday": 365.25, "hour": 24.0, "minute": 60.0}
FIRST = {"month": 1.0, "day": 1.0, "yearday": 1.0}


@dataclass(frozen=True)
class DateParts(Cleaner):
    """A column of dates becomes columns of its parts, in its place: "x year", "x month", ..., and "x elapsed", days since
    the first training date (not below 0 in training, fractions for times of day).

    parts   month 1..12, day 1..31, weekday 0..6 from Monday, yearday 1..366, hour 0..23, minute 0..59
    cyclic  a part that starts anew (all but year and elapsed) as sin and cos of its angle, so that December lies beside
            January: 2 pi (part - first) / period, with the periods 12, 31, 7, 365.25, 24, 60
    A missing date makes missing parts: let Impute stand before or follow.

    >>> import numpy as np
    >>> from backlit.data.cleaning import DateParts
    >>> from backlit.data.table import Table
    >>> table = Table({"sold": np.array(["2024-02-29", "2024-03-01T12:00"], dtype="datetime64[s]")})
    >>> step = DateParts(parts=("month", "weekday", "elapsed"))
    >>> {name: column.tolist() for name, column in step.apply(step.fit(table), table).columns.items()}
    {'sold month': [2.0, 3.0], 'sold weekday': [3.0, 4.0], 'sold elapsed': [0.0, 1.5]}
    """

    takes: ClassVar[tuple[Kind, ...]] = ("date",)
    parts: tuple[Part, ...] = ("year", "month", "day", "weekday", "hour", "elapsed")
    cyclic: bool = False

    def fit(self, table: Table) -> State:
        first = {}
        for name in self.chosen(table):
            column = table.columns[name]
            known = column[~np.isnat(column)]
            first[name] = str(known.min()) if len(known) else "1970-01-01T00:00:00"
        return {"first": first}

    def apply(self, state: State, table: Table) -> Table:
        columns: dict[str, np.ndarray] = {}
        for name, column in table.columns.items():
            if name not in state["first"]:
                added(columns, name, column, f"{table.name}: DateParts")
                continue
            for part in self.parts:
                values = part_of(column, part, state["first"][name])
                made = {f"{name} {part}": values}
                if self.cyclic and part in PERIODS:
                    angle = 2 * np.pi * (values - FIRST.get(part, 0.0)) / PERIODS[part]
                    made = {f"{name} {part} sin": np.sin(angle), f"{name} {part} cos": np.cos(angle)}
                for title, numbers in made.items():
                    added(columns, title, numbers, f"{table.name}: DateParts")
        return table.changed(columns)


def part_of(column: np.ndarray, part: Part, first: str = "1970-01-01") -> np.ndarray:
    """A part of each date, float64, NaN for a missing one."""
    absent = np.isnat(column)
    seconds = np.where(absent, np.datetime64(0, "s"), column).astype("datetime64[s]")
    days, months, years = (seconds.astype(f"datetime64[{unit}]") for unit in ("D", "M", "Y"))
    second = (seconds - days).astype(np.int64)  # of the day
    found: dict[str, Callable[[], np.ndarray]] = {
        "year": lambda: years.astype(np.int64) + 1970,
        "month": lambda: (months - years).astype(np.int64) + 1,
        "day": lambda: (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "weekday": lambda: (days.astype(np.int64) + 3) % 7,  # the day 0, 1 January 1970, was a Thursday
        "yearday": lambda: (days - years.astype("datetime64[D]")).astype(np.int64) + 1,
        "hour": lambda: second // 3600,
        "minute": lambda: second // 60 % 60,
        "elapsed": lambda: (seconds - np.datetime64(first, "s")).astype(np.int64) / 86400,
    }
    return np.where(absent, np.nan, found[part]().astype(np.float64))
