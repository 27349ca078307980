"""Missing cells, filled in."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from backlit.data.cleaning.base import Cleaner, State, added, named
from backlit.data.table import Kind, Table, kind, missing, word
from backlit.errors import DataError, SettingError

TEXTS: tuple[Kind, ...] = ("category",)


@dataclass(frozen=True)
class Impute(Cleaner):
    """A missing cell becomes the mean, median or most frequent value of its column's training cells, or a constant.

    strategy   "mean" and "median" take columns of numbers and dates, "most_frequent" all (of equally frequent values the
               smallest), "constant" those that `value` fits: a number those of numbers, text those of categories
    indicator  adds a column "x missing", 1 where x was missing, for each x with a missing training cell: that a cell is
               missing may itself say something

    Every chosen column is measured, so that a cell may be missing later that never was in training.
    Errors: DataError for a column without any training cell. Source: Rubin 1976, https://doi.org/10.1093/biomet/63.3.581;
    Little, Rubin 2002, "Statistical analysis with missing data", chapter 4.
    Others: scikit-learn's SimpleImputer(add_indicator=True) gives the same columns, the indicators last.

    >>> import numpy as np
    >>> from backlit.data.cleaning import Impute
    >>> from backlit.data.table import Table
    >>> table = Table({"age": np.array([30.0, np.nan, 40.0, 41.0])})
    >>> step = Impute(indicator=True)
    >>> filled = step.apply(step.fit(table), table)
    >>> {name: column.tolist() for name, column in filled.columns.items()}
    {'age': [30.0, 40.0, 40.0, 41.0], 'age missing': [0.0, 1.0, 0.0, 0.0]}
    """

    strategy: Literal["mean", "median", "most_frequent", "constant"] = "median"
    value: float | str | None = None
    indicator: bool = False

    def check(self) -> None:
        if (self.strategy == "constant") != (self.value is not None):
            text = "expected a value with strategy constant, and none with another"
            raise SettingError([("value", f"{text}, got {self.value!r} with {self.strategy}")])

    def chosen(self, table: Table) -> list[str]:
        fits: dict[str, tuple[Kind, ...]] = {
            "mean": ("number", "date"), "median": ("number", "date"), "most_frequent": ("number", "category", "date"),
            "constant": TEXTS if isinstance(self.value, str) else ("number",),
        }  # fmt: skip
        found = super().chosen(table)
        wrong = [n for n in found if n in self.columns and table.kinds[n] not in fits[self.strategy]]
        if wrong:
            text = f"{self.strategy} does not fit a column of {table.kinds[wrong[0]]} cells; choose another strategy"
            raise DataError(f"{table.name}: Impute: column {wrong[0]!r}: {text}")
        return [name for name in found if table.kinds[name] in fits[self.strategy]]

    def fit(self, table: Table) -> State:
        fills: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for name in self.chosen(table):
            column = table.columns[name]
            absent = missing(column)
            counts[name] = int(absent.sum())
            if self.strategy == "constant":
                fills[name] = self.value
            elif absent.all():
                text = "expected a training cell to measure, all are missing; add DropConstant before Impute"
                raise DataError(f"{table.name}: Impute: column {name!r}: {text}")
            else:
                fills[name] = _plain(self._measured(column[~absent]))
        return {"fills": fills, "missing": {name: count for name, count in counts.items() if count}}

    def _measured(self, cells: np.ndarray) -> Any:
        if self.strategy == "most_frequent":
            values, counts = np.unique(cells, return_counts=True)
            return values[int(np.argmax(counts))]
        dates = cells.dtype.kind == "M"
        numbers = cells.astype(np.int64) if dates else cells
        found = np.mean(numbers) if self.strategy == "mean" else np.median(numbers)
        return np.int64(round(float(found))).astype("datetime64[s]") if dates else found

    def apply(self, state: State, table: Table) -> Table:
        columns = dict(table.columns)
        absent = {name: missing(columns[name]) for name in state["fills"]}
        for name, fill in state["fills"].items():
            if absent[name].any():
                column = columns[name].copy()
                date = kind(column) == "date"
                column[absent[name]] = np.datetime64(fill, "s") if date else fill
                columns[name] = column
        for name in state["missing"] if self.indicator else ():
            added(columns, f"{name} missing", absent[name].astype(np.float64), f"{table.name}: Impute")
        return table.changed(columns)

    def says(self, state: State) -> str:
        filled = state["missing"]
        return f"filled {sum(filled.values())} missing training cells of {named(list(filled))}" if filled else ""


def _plain(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return str(value)
    return word(value) if isinstance(value, str) else float(value)
