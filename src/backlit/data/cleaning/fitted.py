"""Cleaning as it was fitted on a training part: what turns raw tables into the rows that a net takes, then and later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit.data.cleaning.base import Cleaner, State
from backlit.data.cleaning.incoming import as_table, schema
from backlit.data.cleaning.steps import apply_cleaning, cleaned_names, cleaning_notes, fit_cleaning, usual
from backlit.data.table import Table
from backlit.settings import build, plain


@dataclass(frozen=True)
class Cleaned:
    """Steps, what was measured for them on the training part, and what the training part looked like.

    >>> import numpy as np
    >>> from backlit.data.cleaning import Cleaned
    >>> from backlit.data.table import Table
    >>> town = np.array(["Rome", "Oslo", "Rome", None], dtype=object)
    >>> fitted, places = Cleaned.fit((), Table({"age": np.array([20.0, np.nan, 40.0, 30.0]), "town": town}))
    >>> Cleaned.from_plain(fitted.to_plain()).rows([{"age": 50, "town": "Rome"}]).shape == (1, len(fitted.features))
    True
    """

    steps: tuple[Cleaner, ...]
    states: tuple[State, ...]
    like: Mapping[str, Any]
    features: tuple[str, ...]

    @classmethod
    def fit(cls, steps: Sequence[Cleaner], table: Table, y: np.ndarray | None = None) -> tuple["Cleaned", np.ndarray]:
        """From the training part, and the places of the rows of it that stay; without steps, what the table needs."""
        steps = tuple(steps) or usual(table)
        states, places = fit_cleaning(steps, table, y)
        return cls(steps, states, schema(table), cleaned_names(steps, states, table)), places

    def rows(self, given: Any) -> np.ndarray:
        """(N, D) float32 for a Table, a DataFrame, a dict of columns or a list of dicts; DataError for other columns."""
        return apply_cleaning(self.steps, self.states, as_table(given, self.like))

    def notes(self) -> tuple[str, ...]:
        """What a user should know of the steps, a sentence each."""
        return cleaning_notes(self.steps, self.states)

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        steps = [plain(step) for step in self.steps]
        return {"steps": steps, "states": list(self.states), "like": dict(self.like), "features": list(self.features)}

    @classmethod
    def from_plain(cls, value: Mapping[str, Any]) -> "Cleaned":
        """The reverse of `to_plain`."""
        steps = tuple(build(Cleaner, step) for step in value["steps"])  # type: ignore[type-abstract]
        return cls(steps, tuple(value["states"]), value["like"], tuple(value["features"]))
