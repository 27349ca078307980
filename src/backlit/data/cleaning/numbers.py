"""Text that means numbers."""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from backlit.data.cleaning.base import Cleaner, State
from backlit.data.table import Kind, Table
from backlit.errors import DataError, SettingError, received


@dataclass(frozen=True)
class Numbers(Cleaner):
    """The one number in a cell of text, whatever unit stands beside it: "$1,250.50", "12 kg", "-3 %".

    thousands  what stands between groups of digits;  decimal  what stands before the fraction
    otherwise  a cell without a number, or with several ("10-20"): an "error", or a "missing" one

    >>> import numpy as np
    >>> from backlit.data.cleaning import Numbers
    >>> from backlit.data.table import Table
    >>> table = Table({"price": np.array(["$1,250.50", "12 kg", None], dtype=object)})
    >>> Numbers(("price",)).apply({"columns": ["price"]}, table).columns["price"].tolist()
    [1250.5, 12.0, nan]
    """

    takes: ClassVar[tuple[Kind, ...]] = ("category",)
    columns: tuple[str, ...] = field(kw_only=False)
    thousands: str = ","
    decimal: str = "."
    otherwise: Literal["error", "missing"] = "error"

    def check(self) -> None:
        if len(self.decimal) != 1 or self.decimal == self.thousands:
            raise SettingError([("decimal", f"expected one character other than thousands, got {self.decimal!r}")])

    def fit(self, table: Table) -> State:
        return {"columns": self.chosen(table)}

    def apply(self, state: State, table: Table) -> Table:
        point = re.escape(self.decimal)
        number = re.compile(
            rf"(?<![\w{point}])[-+]?\s?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?(?![\d{point}])"
        )
        columns = dict(table.columns)
        for name in state["columns"]:
            columns[name] = np.array(
                [self._parsed(number, table, name, i) for i in range(len(table))], dtype=np.float64
            )
        return table.changed(columns)

    def _parsed(self, number: re.Pattern[str], table: Table, name: str, row: int) -> float:
        cell = table.columns[name][row]
        if cell is None:
            return np.nan
        text = cell.replace(self.thousands, "") if self.thousands else cell
        found = number.findall(text)
        if len(found) == 1:
            return float(found[0].replace(" ", "").replace(self.decimal, "."))
        if self.otherwise == "missing":
            return np.nan
        hint = "mend the cell, or write otherwise: missing"
        raise DataError(f"{table.where(row, name)}: Numbers: expected one number, got {received(cell)}; {hint}")
