"""Time series: from the last `length` steps, the next ones."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from backlit.data import files
from backlit.data.csv import read_table
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.sheet import parsed, place_of
from backlit.data.source import Source, single
from backlit.errors import DataError, received
from backlit.settings import Count


@dataclass(frozen=True, kw_only=True)
class Forecast(Source):
    """Base of time series: row i is x = values i .. i + length - 1, (length, D), and y the `horizon` values after them.

    y: (N,) for one column and one step ahead, (N, K) for K columns, (N, horizon) for several steps, else (N, horizon, K).
    log         of all values, before the differences: growth by a factor becomes growth by a sum
    difference  v_t - v_(t - difference) instead of v_t: 1 takes a trend away, 12 a yearly season of monthly values.
                One step ahead, the error of a difference is that of the value itself
    stride      the distance between two rows

    The rows are ordered: a split cuts the time, training first, and no value is a target in two parts. What is measured
    for `preprocessing` and `target_preprocessing` is then measured on the past alone.
    """

    abstract: ClassVar[bool] = True
    length: Count = 12
    horizon: Count = 1
    stride: Count = 1
    log: bool = False
    difference: Annotated[int, Ge(0)] = 0

    @abstractmethod
    def table(self) -> tuple[np.ndarray, tuple[int, ...], str]:
        """Values (steps, D) in float64, the places of the columns to predict, and a name."""

    def load(self) -> Dataset:
        values, targets, name = self.table()
        if self.log:
            if values.min() <= 0:
                raise DataError(f"{name}: log: expected values above 0, got {values.min():g}; leave log out")
            values = np.log(values)
        if self.difference:
            values = values[self.difference :] - values[: -self.difference]
        rows = (len(values) - self.length - self.horizon) // self.stride + 1
        if rows < 1:
            need = self.length + self.horizon + self.difference
            found = len(values) + self.difference
            raise DataError(f"{name}: expected at least {need} steps for a row, got {found}; use a smaller length")
        starts = self.stride * np.arange(rows)
        x = values[starts[:, None] + np.arange(self.length)]  # (N, length, D)
        y = values[starts[:, None] + self.length + np.arange(self.horizon)][..., list(targets)]  # (N, horizon, K)
        y = y[:, 0] if self.horizon == 1 else y
        y = y[..., 0] if len(targets) == 1 else y
        overlap = -(-self.horizon // self.stride) - 1
        return Dataset(single(x), single(y), ordered=True, overlap=overlap, name=name).checked()


@dataclass(frozen=True)
class Series(Forecast):
    """Your own series: a table (.csv, .txt, also .gz), a line for each step of time, the oldest first.

    columns    what the net sees, by name or position; by default all columns of numbers
    target     what it predicts; by default all of `columns`
    header     False: the first line is data, and the columns are called '0', '1', ...
    Errors: DataError for a missing file or column, an empty cell, a series shorter than a row.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import Series
    >>> path = Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = path.write_text("month,sold\\n1,10\\n2,20\\n3,40\\n4,30\\n")
    >>> data = Series(str(path), columns=("sold",), length=2).load()
    >>> data.x[:, :, 0].tolist(), data.y.tolist()
    ([[10.0, 20.0], [20.0, 40.0]], [40.0, 30.0])
    """

    aliases: ClassVar[tuple[str, ...]] = ("series",)
    path: str
    columns: tuple[int | str, ...] = ()
    target: tuple[int | str, ...] = ()
    separator: str = ","
    header: bool = True

    def table(self) -> tuple[np.ndarray, tuple[int, ...], str]:
        path = files.find(self.path)
        return read_series(path, self.columns, self.target, self.separator, self.header)


@dataclass(frozen=True)
class AirlinePassengers(Forecast):
    """144 months (1949 to 1960) of passengers on international flights, in thousands: a trend and a growing season.

    Looked for as `timeseries/airline-passengers.csv`, or fetched.
    Source: Box, Jenkins 1976, "Time series analysis", series G

    >>> from backlit.data import AirlinePassengers
    >>> AirlinePassengers(length=24).length
    24
    """

    aliases: ClassVar[tuple[str, ...]] = ("airline-passengers",)
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://raw.githubusercontent.com/jbrownlee/Datasets/"
        "d20fcb6402ae34e653d4513b00f39257bb37ed7f/airline-passengers.csv",
    )
    sha256: ClassVar[str] = "8cb51be753a718d9be5d76d7e238cc224792754676adc21faa59e954b0201621"

    def table(self) -> tuple[np.ndarray, tuple[int, ...], str]:
        name = "timeseries/airline-passengers.csv"
        path = files.search(name) or fetch(name, self.mirrors, self.sha256)
        return read_series(path, ("Passengers",), (), ",", True)


@dataclass(frozen=True)
class ExchangeRates(Forecast):
    """7 588 days (1990 to 2016) of the exchange rates of eight currencies; all eight are predicted.

    Looked for as `timeseries/exchange_rate.txt.gz`, or fetched. Source: Lai et al. 2018, https://arxiv.org/abs/1703.07015

    >>> from backlit.data import ExchangeRates
    >>> ExchangeRates(horizon=3).horizon
    3
    """

    aliases: ClassVar[tuple[str, ...]] = ("exchange-rates",)
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/"
        "7f402f185cc2435b5e66aed13a3b560ed142e023/exchange_rate/exchange_rate.txt.gz",
    )
    sha256: ClassVar[str] = "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d"

    def table(self) -> tuple[np.ndarray, tuple[int, ...], str]:
        name = "timeseries/exchange_rate.txt.gz"
        path = files.search(name) or fetch(name, self.mirrors, self.sha256)
        return read_series(path, (), (), ",", False)


def read_series(
    path: Path, columns: tuple[int | str, ...], target: tuple[int | str, ...], separator: str, header: bool
) -> tuple[np.ndarray, tuple[int, ...], str]:
    """Values (steps, D) of the columns, and which of them are to be predicted."""
    table = read_table(path, separator, header)
    names = [str(name) for name in table.columns]
    used = [place_of("columns", column, names, path) for column in columns]
    used = used or [i for i in range(len(names)) if _numeric(table.iloc[:, i])]
    if not used:
        raise DataError(f"{path}: expected at least one column of numbers, got text in {', '.join(names)}")
    wanted = [place_of("target", column, names, path) for column in target] or used
    values = [_values(path, table.iloc[:, i], names[i], 1 + int(header)) for i in used]
    missing = [names[i] for i in wanted if i not in used]
    if missing:
        raise DataError(
            f"{path}: target: expected columns that the net also sees, got {missing[0]!r}; add it to columns"
        )
    return np.stack(values, axis=1), tuple(used.index(i) for i in wanted), path.name


def _numeric(column: Any) -> bool:
    """Whether most cells are numbers: a column with a stray word is not left out unseen, it is an error later."""
    if column.dtype.kind in "iuf":
        return True
    text = column[~column.isna()]
    return column.dtype.kind not in "bM" and 2 * int(np.isfinite(parsed(text)).sum()) > len(text)


def _values(path: Path, column: Any, name: str, first: int) -> np.ndarray:
    """float64, or DataError with the line of the first gap."""
    numbers = parsed(column)
    bad = ~np.isfinite(numbers)
    if bad.any():
        at, count = int(np.argmax(bad)), int(bad.sum())
        cell = column.iloc[at]
        found = (
            "an empty cell or NA"
            if bool(column.isna().iloc[at])
            else received(cell if isinstance(cell, str) else cell.item())
        )
        others = f" ({count} such cells in this column)" if count > 1 else ""
        hint = "fill it in, or choose other columns"
        place = f"line {int(column.index[at]) + first}, column {name!r}"
        raise DataError(f"{path}: {place}: expected a number, got {found}{others}; {hint}")
    return numbers
