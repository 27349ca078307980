"""Categories as numbers."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt, Lt

from backlit.data.cleaning.base import Cleaner, State, added, named
from backlit.data.table import Kind, Table, missing, word
from backlit.errors import DataError, SettingError, nearest
from backlit.settings import Count

MISSING = "<missing>"
Share = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True)
class Rare(Cleaner):
    """Categories seen in fewer than `least` training rows become one, `name`; so do those never seen in training.

    least  a number of rows, or a share of them between 0 and 1. A missing cell stays missing.
    Others: scikit-learn's OneHotEncoder(min_frequency=least, handle_unknown="infrequent_if_exist").

    >>> import numpy as np
    >>> from backlit.data.cleaning import Rare
    >>> from backlit.data.table import Table
    >>> table = Table({"town": np.array(["Rome", "Rome", "Oslo", "Bonn"], dtype=object)})
    >>> step = Rare(least=2)
    >>> step.apply(step.fit(table), table).columns["town"].tolist()
    ['Rome', 'Rome', 'other', 'other']
    """

    takes: ClassVar[tuple[Kind, ...]] = ("category",)
    least: Count | Share = 10
    name: str = "other"

    def fit(self, table: Table) -> State:
        least = self.least if isinstance(self.least, int) else self.least * len(table)
        kept, rare = {}, {}
        for name in self.chosen(table):
            counts = Counter(value for value in table.columns[name].tolist() if value is not None)
            kept[name] = sorted(value for value, count in counts.items() if count >= least)
            rare[name] = len(counts) - len(kept[name])
        return {"kept": kept, "rare": {name: count for name, count in rare.items() if count}}

    def apply(self, state: State, table: Table) -> Table:
        columns = dict(table.columns)
        for name, kept in state["kept"].items():
            known = {value: value for value in kept}
            columns[name] = np.array(
                [value if value is None else known.get(value, self.name) for value in columns[name].tolist()] + [None],
                dtype=object,
            )[:-1]
        return table.changed(columns)

    def says(self, state: State) -> str:
        rare = state["rare"]
        return f"made {sum(rare.values())} rare categories of {named(list(rare))} one, {self.name!r}" if rare else ""


@dataclass(frozen=True)
class OneHot(Cleaner):
    """A column of K categories becomes K columns "x=value" of 0 and 1, in the place of x; the values are those of training.

    A missing cell is a category of its own, "x=<missing>", where training has one.
    unknown     a value that training has not: "zeros" in all K columns, or an "error"
    drop_first  K - 1 columns, without the first value in sorted order (a linear model needs no more); zeros in all
                of them are then that first value, and an unknown one looks the same
    Others: scikit-learn's OneHotEncoder(handle_unknown="ignore", sparse_output=False).

    >>> import numpy as np
    >>> from backlit.data.cleaning import OneHot
    >>> from backlit.data.table import Table
    >>> table = Table({"town": np.array(["Rome", "Oslo", None], dtype=object)})
    >>> step = OneHot()
    >>> {name: column.tolist() for name, column in step.apply(step.fit(table), table).columns.items()}
    {'town=Oslo': [0.0, 1.0, 0.0], 'town=Rome': [1.0, 0.0, 0.0], 'town=<missing>': [0.0, 0.0, 1.0]}
    """

    takes: ClassVar[tuple[Kind, ...]] = ("category",)
    unknown: Literal["zeros", "error"] = "zeros"
    drop_first: bool = False

    def fit(self, table: Table) -> State:
        values = {}
        for name in self.chosen(table):
            found = set(table.columns[name].tolist())
            values[name] = [*sorted(value for value in found if value is not None), *[MISSING] * (None in found)]
        return {"values": values}

    def apply(self, state: State, table: Table) -> Table:
        columns: dict[str, np.ndarray] = {}
        for name, column in table.columns.items():
            if name not in state["values"]:
                added(columns, name, column, f"{table.name}: OneHot")
                continue
            values = state["values"][name]
            places = {value: i for i, value in enumerate(values)}
            cells = [MISSING if value is None else value for value in column.tolist()]
            codes = np.array([places.get(value, -1) for value in cells], dtype=np.int64)
            if self.unknown == "error" and (codes < 0).any():
                raise _unseen("OneHot", table, name, codes < 0, values, "unknown: zeros")
            for i, value in enumerate(values):
                if not (self.drop_first and i == 0 and len(values) > 1):
                    added(columns, f"{name}={value}", (codes == i).astype(np.float64), f"{table.name}: OneHot")
        return table.changed(columns)


@dataclass(frozen=True)
class Ordinal(Cleaner):
    """A category becomes its place: in `order` (from 0), or without one in the sorted values of training.

    order    from the least to the most: ["Po", "Fa", "TA", "Gd", "Ex"]
    unknown  what a value that is not among them becomes: a number such as -1, or an "error"
    A missing cell becomes a missing number: let Impute follow. Errors: DataError for a training value outside `order`.
    Others: scikit-learn's OrdinalEncoder(categories=[order], handle_unknown="use_encoded_value", unknown_value=-1).

    >>> import numpy as np
    >>> from backlit.data.cleaning import Ordinal
    >>> from backlit.data.table import Table
    >>> table = Table({"size": np.array(["large", "small", None], dtype=object)})
    >>> step = Ordinal(order=("small", "large"), columns=("size",))
    >>> step.apply(step.fit(table), table).columns["size"].tolist()
    [1.0, 0.0, nan]
    """

    takes: ClassVar[tuple[Kind, ...]] = ("category",)
    order: tuple[str, ...] = ()
    unknown: float | Literal["error"] = "error"

    def check(self) -> None:
        if len(set(map(word, self.order))) < len(self.order):
            raise SettingError([("order", f"expected every value once, got {list(self.order)}")])
        if self.order and not self.columns:
            raise SettingError([("columns", "expected the columns that are in this order, got none")])

    def fit(self, table: Table) -> State:
        given, values = [word(value) for value in self.order], {}
        for name in self.chosen(table):
            column = table.columns[name]
            values[name] = given or sorted({value for value in column.tolist() if value is not None})
            strange = np.array([value is not None and value not in values[name] for value in column.tolist()])
            if strange.any():
                raise _unseen("Ordinal", table, name, strange, given, "it into order")
        return {"values": values}

    def apply(self, state: State, table: Table) -> Table:
        columns = dict(table.columns)
        for name, values in state["values"].items():
            places = {value: float(i) for i, value in enumerate(values)}
            unknown = np.inf if self.unknown == "error" else float(self.unknown)
            cells = columns[name].tolist()
            codes = np.array([np.nan if value is None else places.get(value, unknown) for value in cells])
            if np.isinf(codes).any():
                raise _unseen("Ordinal", table, name, np.isinf(codes), values, "unknown: -1")
            columns[name] = codes
        return table.changed(columns)


def _unseen(step: str, table: Table, name: str, bad: np.ndarray, values: list[str], hint: str) -> DataError:
    row = int(np.argmax(bad))
    value = table.columns[name][row]
    if missing(table.columns[name])[row]:
        found, known = "a missing cell", "as training has none"
    else:
        found, known = repr(value), nearest(value, values) if values else "training has none"
    return DataError(
        f"{table.where(row, name)}: {step}: expected a known category, got {found}; {known}; or write {hint}"
    )
