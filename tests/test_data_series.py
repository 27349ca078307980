"""Time series as windows: what is seen, what is predicted, and that no part knows of a later one."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

import backlit as bl
from backlit.config import Experiment
from backlit.data import AirlinePassengers, ExchangeRates, Log, Series, Source, Split
from backlit.errors import DataError
from backlit.settings import build, plain
from backlit.training.loop import fit
from backlit.training.setup import setup

STEPS = np.arange(1.0, 31.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    lines = [f"day {int(t)},{t},{t * t},{-t}" for t in STEPS]
    (tmp_path / "s.csv").write_text("\n".join(["when,a,b,c", *lines]) + "\n")
    return tmp_path


def test_windows_and_what_follows_them(folder):
    data = Series("s.csv", length=4).load()
    assert (data.x.shape, data.y.shape, data.ordered, data.overlap) == ((26, 4, 3), (26, 3), True, 0)
    assert data.x[2].tolist() == [[t, t * t, -t] for t in (3.0, 4.0, 5.0, 6.0)]
    assert data.y[2].tolist() == [7.0, 49.0, -7.0]


@pytest.mark.parametrize(
    ("settings", "x", "y", "shape", "overlap"),
    [
        ({"columns": ("a",)}, [[2.0], [3.0]], 4.0, (28,), 0),
        ({"columns": ("a", "c"), "target": ("c",)}, [[2.0, -2.0], [3.0, -3.0]], -4.0, (28,), 0),
        ({"columns": (1, -1), "target": (3, 1)}, [[2.0, -2.0], [3.0, -3.0]], [-4.0, 4.0], (28, 2), 0),
        ({"columns": ("b",), "horizon": 3}, [[4.0], [9.0]], [16.0, 25.0, 36.0], (26, 3), 2),
        ({"columns": ("a", "c"), "horizon": 2}, [[2.0, -2.0], [3.0, -3.0]], [[4.0, -4.0], [5.0, -5.0]], (27, 2, 2), 1),
        ({"columns": ("a",), "horizon": 5, "stride": 2}, [[3.0], [4.0]], [5.0, 6.0, 7.0, 8.0, 9.0], (12, 5), 2),
        ({"columns": ("b",), "difference": 1}, [[5.0], [7.0]], 9.0, (27,), 0),
        ({"columns": ("b",), "difference": 3, "horizon": 2}, [[21.0], [27.0]], [33.0, 39.0], (24, 2), 1),
        ({"columns": ("b",), "log": True}, [[2 * np.log(2)], [2 * np.log(3)]], 2 * np.log(4), (28,), 0),
        (
            {"columns": ("a",), "log": True, "difference": 1},
            [[np.log(3 / 2)], [np.log(4 / 3)]],
            np.log(5 / 4),
            (27,),
            0,
        ),
    ],
)
def test_shapes_and_values(folder, settings, x, y, shape, overlap):
    data = Series("s.csv", length=2, **settings).load()
    assert (data.y.shape, data.overlap) == (shape, overlap)
    np.testing.assert_allclose(data.x[1], x, rtol=1e-6)
    np.testing.assert_allclose(data.y[1], y, rtol=1e-6)


@pytest.mark.parametrize(("horizon", "stride"), [(1, 1), (4, 1), (5, 2), (3, 3)])
def test_no_target_stands_in_two_parts_and_all_come_later(folder, horizon, stride):
    data = Series("s.csv", columns=("a",), length=3, horizon=horizon, stride=stride).load()
    train, validation, test = (set(part.y.ravel().tolist()) for part in Split(0.3, 0.3).apply(data, seed=4))
    assert max(train) < min(validation) <= max(validation) < min(test)


def test_a_table_without_header_and_packed(folder):
    (folder / "plain.txt.gz").write_bytes(gzip.compress(b"1 2\n3 4\n5 6\n7 8\n"))
    data = Series("plain.txt.gz", separator=" ", header=False, columns=("1",), length=2).load()
    assert (data.x[:, :, 0].tolist(), data.y.tolist()) == ([[2.0, 4.0], [4.0, 6.0]], [6.0, 8.0])


BAD = [
    ({"columns": ("d",)}, r"s.csv: columns: no column 'd'; "),
    ({"columns": ("a",), "target": ("b",)}, r"target: expected columns that the net also sees, got 'b'; add it"),
    ({"columns": ("when",)}, r"line 2, column 'when': expected a number, got 'day 1' \(30 such cells in this column\)"),
    ({"length": 30}, r"expected at least 31 steps for a row, got 30; use a smaller length"),
    ({"log": True}, r"log: expected values above 0, got -30; leave log out"),
]


@pytest.mark.parametrize(("settings", "text"), BAD)
def test_what_cannot_be_is_said(folder, settings, text):
    with pytest.raises(DataError, match=text):
        Series("s.csv", **settings).load()


def test_a_gap_is_named(folder):
    (folder / "gap.csv").write_text("a,b\n1,2\n3,\n5,6\n7,8\n")
    with pytest.raises(
        DataError, match=r"gap.csv: line 3, column 'b': .*an empty cell or NA; fill it in, or choose other"
    ):
        Series("gap.csv", length=1).load()
    assert Series("gap.csv", columns=("a",), length=1).load().y.tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize(("cell", "shown"), [("off", "'off'"), ("inf", "inf"), ("NaN", "an empty cell or NA")])
def test_a_stray_cell_does_not_take_its_column_away(folder, cell, shown):
    """A column of numbers with one word in it is an error, not a column of words that is left out unseen."""
    (folder / "stray.csv").write_text(f"a,b\n1,2\n3,4\n5,{cell}\n7,8\n")
    with pytest.raises(DataError, match=rf"stray.csv: line 4, column 'b': expected a number, got {shown};"):
        Series("stray.csv", length=1).load()


def test_the_named_series(folder):
    (folder / "timeseries").mkdir()
    (folder / "timeseries" / "airline-passengers.csv").write_text(
        '"Month","Passengers"\n' + "\n".join(f'"1949-{m:02}",{100 + m}' for m in range(1, 13))
    )
    assert AirlinePassengers(length=3).load().y.tolist() == [104.0, *range(105, 113)]
    with pytest.raises(DataError, match=r"exchange_rate.txt.gz: not found, and BACKLIT_OFFLINE"):
        ExchangeRates().load()
    rates = "\n".join(",".join(f"{day + 0.125 * k}" for k in range(8)) for day in range(9))
    (folder / "timeseries" / "exchange_rate.txt.gz").write_bytes(gzip.compress(rates.encode()))
    assert ExchangeRates(length=3, horizon=2).load().y.shape == (5, 2, 8)


def test_settings_go_to_plain_data_and_back():
    for source in (Series("a", ("x", 2), difference=12), AirlinePassengers(log=True), ExchangeRates(horizon=3)):
        assert build(Source, plain(source)) == source


def test_log_asks_for_numbers_that_have_one():
    with pytest.raises(DataError, match=r"Log: expected numbers above -1, got -2; write an offset above 2"):
        Log(offset=1.0).fit(np.array([[3.0], [-2.0]], "f"))


def test_a_linear_forecast_is_learnt(folder):
    """Growth by 3 % a step with a season of four: linear in the logarithms of the last five values."""
    t = np.arange(90)
    np.savetxt(folder / "grow.csv", 50 * 1.03**t * np.tile((1.3, 1.0, 0.8, 1.1), 23)[:90])
    e = Experiment(
        data=Series("grow.csv", header=False, length=5), net=bl.Chain(bl.Flatten(), bl.Dense(1)), loss=bl.SquaredError(),
        preprocessing=("Log", {"type": "Standardize", "axis": "all"}), target_preprocessing=("Log", "Standardize"),
        optimizer=bl.Adam(lr=bl.OneCycle(0.1)), epochs=150, batch_size=16, engine="numpy",
    )  # fmt: skip
    run, parts = fit(e), setup(e).parts
    assert parts.train.y.max() < parts.test.y.max()
    error = run.predict(parts.test.x) - parts.test.y.reshape(run.predict(parts.test.x).shape)
    assert run.result["test"]["rmse"] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-4), "in the units of y"
    assert run.result["test"]["rmse"] < 0.05 * float(parts.test.y.mean())
    assert fit(replace(e, engine="xla", epochs=3)).history[-1]["loss"] == pytest.approx(
        fit(replace(e, epochs=3)).history[-1]["loss"], rel=1e-3
    )
