"""What a step of cleaning is: fitted on training rows, applied to all, its state plain data."""

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from backlit.data.table import Kind, Table
from backlit.errors import DataError, nearest
from backlit.settings import Settings

State: TypeAlias = dict[str, Any]
"""What was measured on the training rows: text, numbers, lists and mappings, so that it can be stored as JSON."""

NOUNS: dict[Kind, str] = {"number": "numbers", "category": "categories", "date": "dates"}


@dataclass(frozen=True, kw_only=True)
class Cleaner(Settings):
    """Base of all steps of cleaning.

    columns   which columns, by name; * stands for any text ("Garage *"); () for all that the step can take
    Errors: DataError for a column that does not exist, or holds what the step cannot take.
    """

    abstract: ClassVar[bool] = True
    takes: ClassVar[tuple[Kind, ...]] = ("number", "category", "date")
    columns: tuple[str, ...] = ()

    def rows(self, table: Table, y: np.ndarray | None = None) -> np.ndarray | None:
        """Which training rows stay, bool (N,); None for all. Never asked of rows that are to be predicted."""
        return None

    @abstractmethod
    def fit(self, table: Table) -> State:
        """The state, from training rows only."""

    @abstractmethod
    def apply(self, state: State, table: Table) -> Table:
        """Any rows, with columns like those it was fitted on."""

    def says(self, state: State) -> str:
        """What a user should know of this step, in a sentence; '' where there is nothing to say."""
        return ""

    def chosen(self, table: Table) -> list[str]:
        """The columns of the table that this step is for, in the table's order."""
        kinds = table.kinds
        if not self.columns:
            return [name for name, kind in kinds.items() if kind in self.takes]
        found: set[str] = set()
        for wanted in self.columns:
            pattern = re.compile(".*".join(map(re.escape, wanted.split("*"))), re.DOTALL)
            hits = [wanted] if wanted in kinds else [name for name in kinds if pattern.fullmatch(name)]
            if not hits:
                text = f"no column {wanted!r} at this step; {nearest(wanted, kinds) if kinds else 'none is left'}"
                raise DataError(f"{table.name}: {type(self).__name__}: {text}")
            if wanted in kinds and kinds[wanted] not in self.takes:
                nouns = " or ".join(NOUNS[kind] for kind in self.takes)
                text = f"expected {nouns}, got {NOUNS[kinds[wanted]]}; leave it out of columns"
                raise DataError(f"{table.name}: {type(self).__name__}: column {wanted!r}: {text}")
            found.update(name for name in hits if kinds[name] in self.takes)
        return [name for name in kinds if name in found]


def named(names: list[str], most: int = 6) -> str:
    """Names as a sentence shows them, cut when many."""
    text = ", ".join(map(repr, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def added(columns: dict[str, np.ndarray], name: str, column: np.ndarray, step: str) -> None:
    """Put a new column into `columns`; DataError where the name is taken."""
    if name in columns:
        raise DataError(f"{step}: expected no column {name!r} yet, as this step adds one; drop or rename it")
    columns[name] = column
