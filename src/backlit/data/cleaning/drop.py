"""Columns and rows that are left out."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from backlit.data.cleaning.base import Cleaner, State, named
from backlit.data.duplicates import repeated
from backlit.data.table import Table, missing


@dataclass(frozen=True)
class Drop(Cleaner):
    """Leaves columns out, by name.

    >>> import numpy as np
    >>> from backlit.data.cleaning import Drop
    >>> from backlit.data.table import Table
    >>> table = Table({"id": np.array([1.0, 2.0]), "age": np.array([30.0, 40.0])})
    >>> step = Drop(("id",))
    >>> step.apply(step.fit(table), table).kinds
    {'age': 'number'}
    """

    columns: tuple[str, ...] = field(kw_only=False)

    def fit(self, table: Table) -> State:
        return {"dropped": self.chosen(table)}

    def apply(self, state: State, table: Table) -> Table:
        return table.without(state["dropped"])


@dataclass(frozen=True)
class DropConstant(Cleaner):
    """Leaves out columns in which all training cells are the same, or missing. Also: Constant.

    >>> import numpy as np
    >>> from backlit.data.cleaning import DropConstant
    >>> from backlit.data.table import Table
    >>> table = Table({"one": np.ones(2), "none": np.full(2, np.nan), "age": np.array([30.0, 40.0])})
    >>> step = DropConstant()
    >>> print(step.says(step.fit(table)))
    left out 'one' (always the same), 'none' (always missing)
    """

    aliases: ClassVar[tuple[str, ...]] = ("Constant",)

    def fit(self, table: Table) -> State:
        empty, same = [], []
        for name in self.chosen(table):
            column = table.columns[name]
            absent = missing(column)
            if absent.all():
                empty.append(name)
            elif not absent.any() and bool((column == column[0]).all()):
                same.append(name)
        return {"same": same, "empty": empty}

    def apply(self, state: State, table: Table) -> Table:
        return table.without([*state["same"], *state["empty"]])

    def says(self, state: State) -> str:
        kinds = (("same", "always the same"), ("empty", "always missing"))
        found = [f"{named(state[key])} ({text})" for key, text in kinds if state[key]]
        return "left out " + ", ".join(found) if found else ""


@dataclass(frozen=True)
class LeavingOut(Cleaner):
    """Base of the steps that leave out training rows and change no cell; `reason`: which, as a sentence goes on."""

    abstract: ClassVar[bool] = True
    reason: ClassVar[str]

    def fit(self, table: Table) -> State:
        return {}

    def apply(self, state: State, table: Table) -> Table:
        return table

    def says(self, state: State) -> str:
        return f"left out {rows_of(state)} {self.reason}" if state.get("left_out") else ""


@dataclass(frozen=True)
class DropMissing(LeavingOut):
    """Leaves out training rows with a missing cell in one of the columns.

    Rows of the other parts, and rows to be predicted, all stay: a missing cell there is an error, unless a later step
    (Impute) fills it in.

    >>> import numpy as np
    >>> from backlit.data.cleaning import DropMissing
    >>> from backlit.data.table import Table
    >>> DropMissing().rows(Table({"age": np.array([30.0, np.nan])})).tolist()
    [True, False]
    """

    reason: ClassVar[str] = "with a missing cell"

    def rows(self, table: Table, y: np.ndarray | None = None) -> np.ndarray:
        kept = np.ones(len(table), dtype=bool)
        for name in self.chosen(table):
            kept &= ~missing(table.columns[name])
        return kept


@dataclass(frozen=True)
class DropDuplicates(LeavingOut):
    """Leaves out training rows that equal an earlier one in the columns (by default all), and in the target.

    >>> import numpy as np
    >>> from backlit.data.cleaning import DropDuplicates
    >>> from backlit.data.table import Table
    >>> DropDuplicates().rows(Table({"age": np.array([30.0, 40.0, 30.0])}), np.array([1, 1, 1])).tolist()
    [True, True, False]
    """

    reason: ClassVar[str] = "that equal an earlier one"

    def rows(self, table: Table, y: np.ndarray | None = None) -> np.ndarray:
        part = table.changed({name: table.columns[name] for name in self.chosen(table)})
        kept = np.ones(len(table), dtype=bool)
        kept[repeated(part, y)] = False
        return kept


def rows_of(state: State) -> str:
    """'1 training row', '12 training rows'."""
    return f"{state['left_out']} training row" + ("s" if state["left_out"] != 1 else "")
