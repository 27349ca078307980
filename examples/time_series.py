"""Time series: is a GRU worth it? Against what costs nothing, and against linear models, on a part that comes later.

    python examples/time_series.py [DIRECTORY] [--quick]

- passengers   one month ahead, thousands of airline passengers; the last 36 of 144 months are held out
- rates        one day ahead, eight exchange rates, errors in percent; the last 1 500 of 7 588 days are held out
- air          one hour ahead, dust in Beijing (PM2.5, ug/m3) from itself and the weather; the last of five years is held out
- sunspots     one month ahead; the last 480 of 2 820 months are held out

The last two only where BACKLIT_DATA has them; `--quick` makes up a series of its own. Every model sees the same past and is
fitted in the same two steps: what is left open (the ridge's penalty; the form of the net and its decay) is chosen by the last
part of the past, then all of the past is learnt from. The held-out part is looked at once.

- persistence  tomorrow is like today
- least squares, ridge   linear in all values the GRU sees; what the net has to beat is the ridge
- GRU          mean and standard deviation over the errors of the seeds, and the error of their mean forecast
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

import backlit as bl
from backlit.data import AirlinePassengers, Dataset, ExchangeRates, Series, files
from backlit.data.series import Forecast
from backlit.errors import DataError

PENALTIES = np.logspace(-2, 4, 13)


class Task(NamedTuple):
    """A series, how many of its last rows are held out and how many before them choose, and the nets to choose from.

    relative: errors are given in percent of the value, where targets have several scales.
    """

    source: Forecast
    held_out: int
    choosing: int
    units: int
    decays: tuple[float, ...]
    epochs: int
    batch: int
    relative: bool = False
    seeds: int = 5
    engine: str = "xla"


class Rows(NamedTuple):
    """What the models see (differences, if the source takes them), and what is needed to go back to values."""

    data: Dataset
    before: np.ndarray
    persistence: np.ndarray
    true: np.ndarray
    logarithm: bool
    relative: bool

    def values(self, change: np.ndarray, rows: slice) -> np.ndarray:
        """Forecasts as values: v_t = v_(t - difference) exp(change) where the source takes logarithms."""
        change = change.reshape(self.true[rows].shape)
        return self.before[rows] * np.exp(change) if self.logarithm else self.before[rows] + change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory", nargs="?", type=Path, default=None, help="where to store the runs of the last step"
    )
    parser.add_argument("--quick", action="store_true", help="a made-up series, few epochs")
    given = parser.parse_args()
    for name, task in tasks(given.quick):
        compare(name, task, given.directory)


def compare(name: str, task: Task, directory: Path | None) -> None:
    """The table of one series."""
    rows = read(task)
    end = len(rows.data)
    past, held_out = slice(0, end - task.held_out), slice(end - task.held_out, end)
    learn, choose = slice(0, past.stop - task.choosing), slice(past.stop - task.choosing, past.stop)
    print(f"\n{name}: {past.stop} rows to learn from, {task.held_out} held out")
    unit = ", %" if task.relative else ""
    print(f"  {'':34}{'RMSE' + unit:>10} {'mean |error|' + unit:>16}")
    show("persistence", rows.persistence[held_out], rows, held_out)
    show("least squares", linear(rows, past, held_out, 0.0), rows, held_out)
    penalty = min(PENALTIES, key=lambda p: error(linear(rows, learn, choose, p), rows, choose)[0])
    show(f"ridge, penalty {penalty:.3g}", linear(rows, past, held_out, penalty), rows, held_out)

    def chosen_by(form: tuple[str, float]) -> float:
        runs = [train(task, rows, learn, form, seed) for seed in range(min(task.seeds, 3))]
        return float(np.mean([error(forecast(run, rows, choose), rows, choose)[0] for run in runs]))

    form = min(product(("GRU", "GRU + linear"), task.decays), key=chosen_by)
    runs = [train(task, rows, past, form, seed, directory and directory / name) for seed in range(task.seeds)]
    found = [forecast(run, rows, held_out) for run in runs]
    errors = np.array([error(each, rows, held_out) for each in found])
    label = f"{form[0]}, decay {form[1]:g}"
    print(f"  {label:34}{line(errors.mean(axis=0))}")
    print(f"  {'    +- over the seeds':34}{line(errors.std(axis=0, ddof=1))}")
    show("    their mean forecast", np.mean(found, axis=0), rows, held_out)


def read(task: Task) -> Rows:
    """The rows of a series twice: as the models see them, and as values."""
    source, lag = task.source, task.source.difference
    data, targets = source.load(), list(source.table()[1])
    plain = replace(source, log=False, difference=0, length=source.length + lag).load()
    last, before = (plain.x[:, -step, targets].reshape(plain.y.shape) for step in (1, lag or 1))
    return Rows(data, before if lag else np.zeros_like(before), last, plain.y, source.log, task.relative)


def linear(rows: Rows, fit: slice, at: slice, penalty: float) -> np.ndarray:
    """A linear model of everything the net sees, on standardised values."""
    flat = rows.data.x.reshape(len(rows.data), -1).astype(np.float64)
    mean, scale = flat[fit].mean(axis=0), flat[fit].std(axis=0)
    x = (flat - mean) / scale
    model = Ridge(alpha=penalty).fit(x[fit], rows.data.y[fit])
    return rows.values(model.predict(x[at]), at)


def train(
    task: Task, rows: Rows, fit: slice, form: tuple[str, float], seed: int, directory: Path | None = None
) -> bl.Run:
    """(B, T, D) -> the change of each target; with a linear path beside the GRU, which then has to find the rest only."""
    kind, decay = form
    targets = rows.data.y[0].size
    net: Any = bl.Chain(bl.GRU(task.units, returns="last"), bl.Dense(targets))
    if kind == "GRU + linear":
        net = bl.Branch(net, bl.Chain(bl.Flatten(), bl.Dense(targets)))
    return bl.train(
        bl.Chain(net, bl.Flatten()) if rows.data.y.ndim > 1 else bl.Chain(net),
        rows.data.take(np.arange(len(rows.data))[fit]), "SquaredError",
        optimizer=bl.AdamW(lr=bl.OneCycle(0.01), weight_decay=decay),
        preprocessing=[bl.Standardize()], target_preprocessing=[bl.Standardize()],
        split=bl.Split(validation=0, test=0), batch_size=task.batch, epochs=task.epochs, seed=seed,
        engine=task.engine, layout="one", directory=directory and directory / f"seed-{seed}",
    )  # fmt: skip


def forecast(run: bl.Run, rows: Rows, at: slice) -> np.ndarray:
    return rows.values(run.predict(rows.data.x[at]), at)


def error(found: np.ndarray, rows: Rows, at: slice) -> tuple[float, float]:
    """The root of the mean square and the mean of the absolute errors."""
    off = (found - rows.true[at]).astype(np.float64)
    off = 100 * off / rows.true[at] if rows.relative else off
    return float(np.sqrt(np.mean(off**2))), float(np.mean(np.abs(off)))


def show(name: str, found: np.ndarray, rows: Rows, at: slice) -> None:
    """A line of the table."""
    print(f"  {name:34}{line(np.array(error(found, rows, at)))}")


def line(errors: np.ndarray) -> str:
    return f"{errors[0]:10.4g} {errors[1]:16.4g}"


def tasks(quick: bool) -> Iterator[tuple[str, Task]]:
    """The series, one after another."""
    if quick:
        yield "made up", made_up()
        return
    yield (
        "passengers",
        Task(AirlinePassengers(length=24, log=True, difference=12), 36, 24, 8, (0.1, 1.0), 150, 16),
    )
    rates = ExchangeRates(length=10, log=True, difference=1)
    yield "rates", Task(rates, 1500, 1000, 16, (0.1, 1.0), 8, 64, relative=True)
    with suppress(DataError):
        yield "air", Task(air(), 8760, 4380, 32, (0.01, 0.1), 8, 128, seeds=3)
    with suppress(DataError):
        path = files.find("timeseries/monthly-sunspots.csv")
        source = Series(str(path), columns=("Sunspots",), length=36)
        yield "sunspots", Task(source, 480, 240, 16, (0.1, 1.0), 40, 32)


def air() -> Series:
    """Five years of hours: dust, its logarithm, the weather, the wind's direction one column each, the time of day.

    An hour without a measurement of dust repeats the one before; the first day has none and is left out.
    """
    table = pd.read_csv(files.find("timeseries/pollution.csv.gz")).iloc[24:]
    dust, angle = table["pm2.5"].ffill(), 2 * np.pi * table["hour"] / 24
    columns = {
        "dust": dust, "log_dust": np.log1p(dust), **{name: table[name] for name in ("DEWP", "TEMP", "PRES", "Is", "Ir")},
        "log_wind": np.log1p(table["Iws"]), **{name: (table["cbwd"] == name) * 1.0 for name in ("NW", "SE", "NE")},
        "sin_hour": np.sin(angle), "cos_hour": np.cos(angle),
    }  # fmt: skip
    path = Path(tempfile.mkdtemp()) / "air.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return Series(str(path), target=("dust",), length=24)


def made_up() -> Task:
    """Six years of months: growth, a season, noise."""
    months = np.arange(72)
    noise = np.random.default_rng(0).normal(0, 0.03, len(months))
    sold = 100 * np.exp(0.01 * months + 0.3 * np.sin(2 * np.pi * months / 12) + noise)
    path = Path(tempfile.mkdtemp()) / "sold.csv"
    path.write_text("sold\n" + "\n".join(f"{value:.2f}" for value in sold))
    source = Series(str(path), length=12, log=True, difference=12)
    return Task(source, 12, 8, 4, (0.1,), 5, 8, seeds=2, engine="numpy")


if __name__ == "__main__":
    main()
