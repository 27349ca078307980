"""Steps of cleaning, one after another."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backlit.data.cleaning.base import Cleaner, State
from backlit.data.cleaning.categories import OneHot, Rare
from backlit.data.cleaning.dates import DateParts
from backlit.data.cleaning.drop import DropConstant
from backlit.data.cleaning.impute import Impute
from backlit.data.cleaning.scale import ScaleNumbers
from backlit.data.table import Table
from backlit.errors import DataError


def fit_cleaning(
    cleaners: Sequence[Cleaner], table: Table, y: np.ndarray | None = None
) -> tuple[tuple[State, ...], np.ndarray]:
    """The state of each step, fitted on the training rows as those before it leave them, and the rows that stay (places).

    y (N, ...): the targets, so that only rows with the same target count as duplicates.

    >>> import numpy as np
    >>> from backlit.data.cleaning import DropMissing, Impute, apply_cleaning, fit_cleaning
    >>> from backlit.data.table import Table
    >>> table = Table({"a": np.array([1.0, np.nan, 3.0]), "b": np.array([np.nan, 5.0, 7.0])})
    >>> steps = (DropMissing(columns=("a",)), Impute("mean"))
    >>> states, places = fit_cleaning(steps, table)
    >>> places.tolist(), apply_cleaning(steps, states, table.take(places)).tolist()
    ([0, 2], [[1.0, 7.0], [3.0, 7.0]])
    """
    states: tuple[State, ...] = ()
    places = np.arange(len(table))
    for cleaner in cleaners:
        kept = cleaner.rows(table, None if y is None else y[places])
        if kept is not None:
            if not kept.any():
                text = "expected at least one training row to stay, this step leaves all out"
                raise DataError(f"{table.name}: {type(cleaner).__name__}: {text}; name fewer columns, or use Impute")
            places, table = places[kept], table.take(np.flatnonzero(kept))
        state = cleaner.fit(table)
        if kept is not None:
            state = {**state, "left_out": int((~kept).sum())}
        states += (state,)
        table = cleaner.apply(state, table)
    return states, places


def cleaned(cleaners: Sequence[Cleaner], states: Sequence[State], table: Table) -> Table:
    """The table after all steps."""
    for cleaner, state in zip(cleaners, states, strict=True):
        table = cleaner.apply(state, table)
    return table


def apply_cleaning(cleaners: Sequence[Cleaner], states: Sequence[State], table: Table) -> np.ndarray:
    """(N, D) float32: rows as `preprocessing` and the net take them."""
    return cleaned(cleaners, states, table).matrix()


def cleaned_names(cleaners: Sequence[Cleaner], states: Sequence[State], table: Table) -> tuple[str, ...]:
    """The names of the features after cleaning: "age", "age missing", "town=Rome"."""
    none = replace(table, columns={name: column[:0] for name, column in table.columns.items()}, lines=None)
    return tuple(cleaned(cleaners, states, none).columns)


def cleaning_notes(cleaners: Sequence[Cleaner], states: Sequence[State]) -> tuple[str, ...]:
    """What a user should know of the steps, a sentence each: columns and rows left out, cells filled."""
    said = ((type(cleaner).__name__, cleaner.says(state)) for cleaner, state in zip(cleaners, states, strict=True))
    return tuple(f"{name}: {text}" for name, text in said if text)


def usual(table: Table) -> tuple[Cleaner, ...]:
    """What a table needs where an experiment has no `cleaning`; it depends on the kinds of columns alone.

    Columns that never vary go; missing numbers and dates become the median, beside a column that says so; dates become
    their parts; categories of fewer than 10 training rows become one; categories become columns of 0 and 1; all other
    numbers get the mean 0 and the standard deviation 1, so that no `preprocessing` is needed.

    >>> import numpy as np
    >>> from backlit.data.cleaning import usual
    >>> from backlit.data.table import Table
    >>> [type(step).__name__ for step in usual(Table({"age": np.array([1.0, np.nan])}))]
    ['DropConstant', 'Impute', 'ScaleNumbers']
    """
    kinds = set(table.kinds.values())
    steps: tuple[Cleaner, ...] = (DropConstant(),)
    if kinds & {"number", "date"}:
        steps += (Impute("median", indicator=True),)
    if "date" in kinds:
        steps += (DateParts(cyclic=True),)
    if "category" in kinds:
        steps += (Rare(), OneHot())
    # What has just been made may be constant too: the hour of dates without one, a column of rare categories only.
    steps += (DropConstant(),) if kinds & {"date", "category"} else ()
    return (*steps, ScaleNumbers())
