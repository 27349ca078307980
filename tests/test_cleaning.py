"""Cleaning: each step against scikit-learn or pandas, nothing learnt from rows of other parts, the same at prediction."""

import json

import numpy as np
import pandas
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import backlit as bl
from backlit import config
from backlit.data import Csv
from backlit.data.cleaning import (
    Cleaner,
    ClipOutliers,
    DateParts,
    Drop,
    DropConstant,
    DropDuplicates,
    DropMissing,
    Impute,
    Numbers,
    OneHot,
    Ordinal,
    Rare,
    ScaleNumbers,
    apply_cleaning,
    as_table,
    cleaned,
    cleaned_names,
    cleaning_notes,
    fit_cleaning,
    schema,
    usual,
)
from backlit.data.table import Table
from backlit.errors import DataError, SettingError
from backlit.settings import build, known, plain
from backlit.training.loop import fit

TOWNS = ["Rome", "Oslo", "Bonn", "Lima", "Kyiv"]


def text(values):
    return np.array([*values, None], dtype=object)[:-1]


def table(rows=60, seed=0):
    """Every kind of column, with and without gaps."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 9, rows)
    age[rng.random(rows) < 0.2] = np.nan
    days = np.datetime64("2020-01-01T00:00:00") + rng.integers(0, 10**8, rows).astype("timedelta64[s]")
    days[3] = np.datetime64("NaT")
    towns = rng.choice(TOWNS, rows, p=[0.5, 0.3, 0.12, 0.05, 0.03]).astype(object)
    towns[rng.random(rows) < 0.1] = None
    return Table({
        "age": age, "pay": np.round(rng.lognormal(8, 1, rows), 2), "rooms": rng.integers(1, 4, rows) * 1.0, "town": towns,
        "price": text(f"${v:,.2f}" for v in rng.lognormal(9, 1, rows)), "size": text(rng.choice(["S", "M", "L"], rows)),
        "sold": days, "one": np.ones(rows), "none": np.full(rows, np.nan), "code": text(["x"] * rows),
    })  # fmt: skip


ALL = (
    Drop(("co*",)), DropConstant(), Numbers(("price",)), DropMissing(columns=("sold",)), DropDuplicates(),
    ClipOutliers("iqr", columns=("pay",)), ClipOutliers("std", columns=("age",)), ClipOutliers(columns=("price",)),
    Ordinal(order=("S", "M", "L"), columns=("size",), unknown=-1), Impute(indicator=True),
    Impute("most_frequent", columns=("town",), indicator=True), Rare(least=5), OneHot(), DateParts(cyclic=True), ScaleNumbers(),
)  # fmt: skip


def test_no_test_row_changes_a_state():
    """The leak that flatters: every step is in `ALL`, and other rows after the training part leave every state as it was."""
    assert {type(step) for step in ALL} == {c for c in known(Cleaner).values() if c.__module__.startswith("backlit.")}
    whole, other = table(), table(seed=1)
    places = np.arange(40)
    states, kept = fit_cleaning(ALL, whole.take(places))
    mixed = whole.changed({n: np.concatenate([c[:40], other.columns[n][40:] if n != "pay" else np.full(20, 1e9)])
                           for n, c in whole.columns.items()})  # fmt: skip
    again, kept_again = fit_cleaning(ALL, mixed.take(places))
    assert json.dumps(states) == json.dumps(again)
    assert kept.tolist() == kept_again.tolist()
    assert json.dumps(fit_cleaning(ALL, whole)[0]) != json.dumps(states), "training rows do change it"


def test_states_are_plain_data_and_rows_come_out_alike():
    whole = table()
    train, rest = whole.take(np.arange(40)), whole.take(np.arange(40, 60))
    states, places = fit_cleaning(ALL, train)
    stored = json.loads(json.dumps(states))
    x = apply_cleaning(ALL, stored, rest)
    names = cleaned_names(ALL, states, train)
    assert x.shape == (20, len(names))
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert (len(places), "age missing" in names, "town=Rome" in names, "sold month sin" in names) == (
        39,
        True,
        True,
        True,
    )
    alone = np.concatenate([apply_cleaning(ALL, stored, rest.take([i])) for i in range(20)])
    np.testing.assert_array_equal(alone, x, "a row does not depend on its neighbours")
    for steps in (ALL, usual(train)):
        assert tuple(build(Cleaner, plain(step)) for step in steps) == steps


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_numbers_are_imputed_as_by_scikit_learn(strategy):
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(size=(50, 3)), 0)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[:25, 2] = np.nan_to_num(x[:25, 2])  # a gap only in rows that come later
    value = -7.0 if strategy == "constant" else None
    step = Impute(strategy, value, indicator=True)
    tables = [Table(dict(zip("abc", part.T, strict=True))) for part in (x[:25], x[25:])]
    theirs = SimpleImputer(strategy=strategy, fill_value=value, add_indicator=True).fit(x[:25])
    state = step.fit(tables[0])
    for part, rows in zip(tables, (x[:25], x[25:]), strict=True):
        np.testing.assert_allclose(step.apply(state, part).matrix(), theirs.transform(rows), rtol=1e-6)
    assert list(step.apply(state, tables[1]).columns) == ["a", "b", "c", "a missing", "b missing"]


def test_categories_and_dates_are_imputed():
    days = np.array(["2024-01-01", "NaT", "2024-01-03", "2024-01-09"], dtype="datetime64[s]")
    given = Table({"town": text(["b", None, "a", "b"]), "day": days})
    found = [
        Impute(s).apply(Impute(s).fit(given), given).columns["day"][1] for s in ("median", "mean", "most_frequent")
    ]
    assert [str(day)[:13] for day in found] == ["2024-01-03T00", "2024-01-04T08", "2024-01-01T00"]
    step = Impute("most_frequent")
    assert step.apply(step.fit(given), given).columns["town"].tolist() == ["b", "b", "a", "b"]
    step = Impute("constant", "none")
    assert step.apply(step.fit(given), given).columns["town"].tolist() == ["b", "none", "a", "b"]
    assert np.isnat(step.apply(step.fit(given), given).columns["day"][1])


def test_one_hot_with_rare_ones_as_by_scikit_learn():
    whole = table(200)
    train, rest = whole.take(np.arange(150)), whole.take(np.arange(150, 200))
    rest.columns["town"][:3] = ["Mars", "Oslo", None]
    frames = [
        pandas.DataFrame({n: part.columns[n] for n in ("town", "size")}).fillna("<missing>") for part in (train, rest)
    ]
    theirs = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=12, sparse_output=False).fit(frames[0])
    steps = (Drop(("age", "pay", "rooms", "price", "sold", "one", "none", "code")), Rare(least=12), OneHot())
    states, _ = fit_cleaning(steps, train)
    names = [
        n.replace("<missing>", "~").replace("other", "infrequent_sklearn") for n in cleaned_names(steps, states, train)
    ]
    order = [
        f"{n.split('_', 1)[0]}={n.split('_', 1)[1]}".replace("<missing>", "~") for n in theirs.get_feature_names_out()
    ]
    for part, rows in zip((train, rest), frames, strict=True):
        found = apply_cleaning(steps, states, part)[:, [names.index(name) for name in order]]
        np.testing.assert_array_equal(found, theirs.transform(rows))
    share = Rare(least=12 / 150).fit(train)
    assert share == Rare(least=12).fit(train)


def test_one_hot_without_the_first_and_with_what_it_has_not_seen():
    train, later = Table({"t": text(["b", "a", "c"])}), Table({"t": text(["d", None, "a"])})
    theirs = OneHotEncoder(handle_unknown="ignore", drop="first", sparse_output=False).fit(
        np.array([["b"], ["a"], ["c"]])
    )
    step = OneHot(drop_first=True)
    np.testing.assert_array_equal(step.apply(step.fit(train), train).matrix(), theirs.transform([["b"], ["a"], ["c"]]))
    step = OneHot()
    assert step.apply(step.fit(train), later).matrix().tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    step = OneHot(unknown="error")
    with pytest.raises(
        DataError, match=r"row 0 .*column 't': OneHot: expected a known category, got 'd'; .*unknown: zeros"
    ):
        step.apply(step.fit(train), later)
    with pytest.raises(DataError, match=r"row 0 .*got a missing cell; as training has none"):
        step.apply(step.fit(train), later.take([1]))
    with pytest.raises(DataError, match=r"OneHot: expected no column 't=a' yet"):
        OneHot().apply(OneHot().fit(train), Table({"t=a": np.ones(3), **train.columns}))


def test_ordinal_as_by_scikit_learn():
    train, later = Table({"t": text(["M", "S", None, "L"])}), Table({"t": text(["XL", "S", None])})
    theirs = OrdinalEncoder(categories=[["S", "M", "L"]], handle_unknown="use_encoded_value", unknown_value=-1)
    theirs.fit(np.array([["M"], ["S"], ["L"]]))
    step = Ordinal(order=("S", "M", "L"), columns=("t",), unknown=-1)
    found = step.apply(step.fit(train), later).columns["t"]
    np.testing.assert_array_equal(found[:2], theirs.transform([["XL"], ["S"]])[:, 0])
    assert np.isnan(found[2])
    assert Ordinal().apply(Ordinal().fit(train), train).columns["t"].tolist()[:2] == [1, 2], "sorted: L, M, S"
    with pytest.raises(DataError, match=r"Ordinal: expected a known category, got 'XL'; .*unknown: -1"):
        Ordinal().apply(Ordinal().fit(train), later)
    with pytest.raises(
        DataError, match=r"row 3 .*Ordinal: expected a known category, got 'L'; .*or write it into order"
    ):
        Ordinal(order=("S", "M"), columns=("t",)).fit(train)


def test_date_parts_are_those_of_pandas():
    rng = np.random.default_rng(0)
    days = np.datetime64("1890-01-01T00:00:00") + rng.integers(0, 6 * 10**9, 300).astype("timedelta64[s]")
    days = np.append(days, np.array(["2024-02-29", "2024-12-31T23:59:59", "1900-03-01", "NaT"], dtype="datetime64[s]"))
    parts = ("year", "month", "day", "weekday", "yearday", "hour", "minute", "elapsed")
    step, given = DateParts(parts=parts), Table({"d": days})
    found = step.apply(step.fit(given), given).columns
    theirs = pandas.Series(days).dt
    for part, attribute in zip(
        parts, ("year", "month", "day", "day_of_week", "day_of_year", "hour", "minute"), strict=False
    ):
        np.testing.assert_array_equal(found[f"d {part}"], getattr(theirs, attribute).to_numpy(np.float64), part)
    elapsed = (pandas.Series(days) - pandas.Series(days).min()).dt.total_seconds() / 86400
    np.testing.assert_allclose(found["d elapsed"], elapsed.to_numpy(), rtol=1e-12)
    circle = DateParts(parts=("month", "year"), cyclic=True)
    found = circle.apply(circle.fit(given), given).columns
    assert list(found) == ["d month sin", "d month cos", "d year"]
    np.testing.assert_allclose(found["d month sin"], np.sin(2 * np.pi * (theirs.month.to_numpy(np.float64) - 1) / 12))


@pytest.mark.parametrize("method", ["quantile", "iqr", "std"])
def test_outliers_are_clipped_to_limits_of_training(method):
    rng = np.random.default_rng(2)
    cells = np.append(rng.normal(size=200), [50.0, -90.0, np.nan])
    given = Table({"x": cells, "flat": np.append(np.zeros(202), 5.0), "town": text(["a"] * 203)})
    known_cells = cells[:-1]
    q1, q3 = np.percentile(known_cells, [25, 75])
    m, s = known_cells.mean(), known_cells.std()
    low, high = {
        "quantile": np.percentile(known_cells, [1, 99]), "iqr": (q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)),
        "std": (m - 3 * s, m + 3 * s),
    }[method]  # fmt: skip
    step = ClipOutliers(method)
    state = step.fit(given)
    np.testing.assert_allclose(step.apply(state, given).columns["x"], np.clip(cells, low, high))
    later = step.apply(state, Table({"x": np.array([1e9]), "flat": np.array([7.0]), "town": text("a")})).columns
    assert later["x"][0] == pytest.approx(high)
    if method == "iqr":
        assert later["flat"][0] == 7.0, "no spread to measure"
    assert "clipped" in step.says(state)


def test_numbers_are_scaled_as_by_scikit_learn_and_truth_values_are_not():
    rng = np.random.default_rng(5)
    x = rng.normal(3, 70, (40, 3))
    x[:, 1], x[:, 2] = rng.random(40) < 0.5, 7.1
    x[4, :2] = np.nan
    step, given = ScaleNumbers(), Table(dict(zip("abc", x.T, strict=True)))
    found = step.apply(step.fit(given), given).columns
    np.testing.assert_allclose(found["a"], StandardScaler().fit_transform(x)[:, 0])
    np.testing.assert_array_equal(found["b"], x[:, 1])
    np.testing.assert_allclose(found["c"], 0, atol=1e-12)
    assert step.apply(step.fit(given), Table({n: np.full(1, 1e4) for n in "abc"})).columns["b"][0] == 1e4


def test_rows_that_are_left_out_are_training_rows():
    given = Table({"a": np.array([1.0, np.nan, 1.0, 1.0, 2.0]), "t": text(["x", "x", "x", None, "y"])})
    y = np.array([0, 0, 1, 0, 1])
    assert fit_cleaning((DropMissing(),), given)[1].tolist() == [0, 2, 4]
    assert fit_cleaning((DropDuplicates(),), given)[1].tolist() == [0, 1, 3, 4]
    assert fit_cleaning((DropDuplicates(),), given, y)[1].tolist() == [0, 1, 2, 3, 4]
    assert fit_cleaning((DropDuplicates(columns=("a",)),), given, y)[1].tolist() == [0, 1, 2, 4]
    steps = (DropMissing(columns=("t",)), Drop(("t",)), DropDuplicates())
    states, places = fit_cleaning(steps, given)
    assert places.tolist() == [0, 1, 4]
    assert cleaned(steps, states, given).columns["a"].tolist()[4] == 2.0
    assert [state.get("left_out") for state in states] == [1, None, 1]
    assert cleaning_notes(steps, states)[0] == "DropMissing: left out 1 training row with a missing cell"
    with pytest.raises(DataError, match=r"row 1 \(from 0\), column 'a': .*got a missing one; add Impute"):
        apply_cleaning(steps, states, given)
    with pytest.raises(DataError, match=r"DropMissing: expected at least one training row to stay"):
        fit_cleaning((DropMissing(),), Table({"a": np.full(3, np.nan)}))


def test_constant_and_empty_columns_are_named():
    step = DropConstant()
    state = step.fit(table())
    assert step.says(state) == "left out 'one', 'code' (always the same), 'none' (always missing)"
    assert set(step.apply(state, table()).columns) == set(table().columns) - {"one", "none", "code"}
    assert build(Cleaner, "Constant") == step


def test_text_that_means_numbers():
    given = Table({"p": text(["$1,250.50", "12 kg", "-3 %", "1e3", None])})
    assert Numbers(("p",)).apply({"columns": ["p"]}, given).columns["p"].tolist()[:4] == [1250.5, 12.0, -3.0, 1000.0]
    step = Numbers(("p",), thousands=".", decimal=",")
    assert step.apply(step.fit(given), Table({"p": text(["1.250,5 €"])})).columns["p"].tolist() == [1250.5]
    for cell in ("10-20", "none", "1 2"):
        with pytest.raises(DataError, match=r"Numbers: expected one number, got .*otherwise: missing"):
            Numbers(("p",)).apply({"columns": ["p"]}, Table({"p": text([cell])}))
        step = Numbers(("p",), otherwise="missing")
        assert np.isnan(step.apply({"columns": ["p"]}, Table({"p": text([cell])})).columns["p"][0])


def test_the_usual_steps_depend_on_kinds_alone_and_leave_finite_numbers():
    whole = table()
    train, rest = whole.take(np.arange(40)), whole.take(np.arange(40, 60))
    assert usual(train) == usual(rest)
    steps = usual(train)
    states, places = fit_cleaning(steps, train)
    assert len(places) == 40
    x = apply_cleaning(steps, states, rest)
    names = cleaned_names(steps, states, train)
    assert np.isfinite(x).all()
    assert {"age", "age missing", "sold missing", "sold year", "sold month cos", "town=Rome", "town=<missing>"} <= set(
        names
    )
    assert not {"one", "none", "code=x", "price=other"} & set(names), "columns that say nothing are gone"
    assert [type(s).__name__ for s in usual(Table({"a": np.ones(2)}))] == ["DropConstant", "Impute", "ScaleNumbers"]


WRONG = [
    (Drop(("agee",)), r"Drop: no column 'agee' at this step; did you mean 'age'"),
    (OneHot(columns=("age",)), r"OneHot: column 'age': expected categories, got numbers; leave it out of columns"),
    (Impute(columns=("town",)), r"Impute: column 'town': median does not fit a column of category cells"),
    (Impute(), r"Impute: column 'none': expected a training cell to measure, all are missing; add DropConstant"),
    (DateParts(columns=("nothing*",)), r"DateParts: no column 'nothing\*'"),
]


@pytest.mark.parametrize(("step", "expected"), WRONG)
def test_columns_that_do_not_fit_are_named(step, expected):
    with pytest.raises(DataError, match=expected):
        step.fit(table())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Impute("constant"), r"value: expected a value with strategy constant"),
        (lambda: Impute("mean", 3.0), r"value: expected .* none with another, got 3.0 with mean"),
        (lambda: ClipOutliers(limits=(0.9, 0.1)), r"limits: expected the lower quantile first"),
        (lambda: ClipOutliers(width=2.0), r"width: expected none with method quantile"),
        (lambda: Ordinal(order=("a", "a"), columns=("x",)), r"order: expected every value once"),
        (lambda: Ordinal(order=("a",)), r"columns: expected the columns that are in this order"),
        (lambda: Rare(least=0), r"least: expected"),
        (lambda: DateParts(parts=("century",)), r"parts"),
        (lambda: build(Cleaner, {"type": "OneHott"}), r"unknown cleaner 'OneHott'; did you mean 'OneHot'"),
    ],
)
def test_settings_that_cannot_be(make, expected):
    with pytest.raises(SettingError, match=expected):
        make()


TRAINED = Table(
    {"age": np.array([1.0, 2.0]), "town": text(["3", "Rome"]), "day": np.array(["2024-01-01", "NaT"], "datetime64[s]")},
    dropped=("died",), blanks=("", "?"),
)  # fmt: skip
DAY = "2024-05-06T07:08:09"


@pytest.mark.parametrize(
    "given",
    [
        pandas.DataFrame(
            {"day": pandas.to_datetime([DAY, None]), "town": [3, None], "age": ["41", "?"], "died": [0, 1]}
        ),
        pandas.DataFrame({"town": pandas.array([3, None], dtype="Int64"), "age": [41, np.nan], "day": [DAY, ""]}),
        [{"age": 41, "town": "3", "day": DAY, "died": 1}, {"age": None, "town": "?", "day": None}],
        {"age": [41.0, np.nan], "town": [3.0, None], "day": np.array([DAY, "NaT"], "datetime64[s]")},
        np.array([[41, "03", DAY], [None, None, None]], dtype=object),
        Table({"age": text(["41", None]), "town": np.array([3.0, np.nan]), "day": text([DAY, None])}),
    ],
    ids=["frame", "nullable", "rows", "columns", "array", "table"],
)
def test_rows_of_every_form_become_the_training_table(given):
    found = as_table(given, json.loads(json.dumps(schema(TRAINED))))
    assert (list(found.columns), found.kinds) == (["age", "town", "day"], TRAINED.kinds)
    assert found.columns["age"][0] == 41
    assert np.isnan(found.columns["age"][1])
    assert found.columns["town"].tolist() == ["3", None]
    assert str(found.columns["day"][0]) == DAY
    assert np.isnat(found.columns["day"][1])


def test_rows_are_read_as_the_training_file_was(tmp_path):
    """Other words, gaps and dates of the file's settings hold for the rows of a prediction too."""
    (tmp_path / "t.csv").write_text("day,sex,y\n31.12.2023,m,1.5\n01.02.2024,f,2.5\n-,m,3\n")
    given = Csv(
        str(tmp_path / "t.csv"), "y", date_format="%d.%m.%Y", dates=("day",), missing=("-",), replace={"m": "male"}
    )
    like = json.loads(json.dumps(schema(given.load().x)))
    found = as_table({"day": ["05.06.2024", "2024-06-05", "-"], "sex": ["m", "male", "f"]}, like).columns
    assert [str(day)[:10] for day in found["day"]] == ["2024-06-05", "2024-06-05", "NaT"]
    assert found["sex"].tolist() == ["male", "male", "f"]
    with pytest.raises(
        DataError, match=r"column 'day': expected a date .* or '%d.%m.%Y', as in training, got '13/13/2024'"
    ):
        as_table({"day": ["13/13/2024"], "sex": ["m"]}, like)


def test_one_row_is_a_table_too():
    assert as_table({"age": 3, "town": "Rome", "day": "2024-01-01T01:00+01:00"}, schema(TRAINED)).shape == (1, 3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"age": [1], "twon": ["a"], "day": [None]},
            r"expected a column 'town', as in training, got none; did you mean 'twon'",
        ),
        (
            {"age": [1], "town": ["a"], "day": [None], "extra": [2]},
            r"unknown column 'extra', training had none; .*\(or leave it out\)",
        ),
        (
            [{"age": 1, "town": "a", "day": DAY}, {"age": 1, "day": DAY}],
            r"row 1 .*expected a cell 'town', as in other rows",
        ),
        (
            {"age": [1, "many"], "town": ["a", "b"], "day": [None, None]},
            r"row 1 .*column 'age': expected a number, as in training, got 'many'",
        ),
        ({"age": [np.inf], "town": ["a"], "day": [None]}, r"column 'age': expected a number, as in training, got inf"),
        ({"age": [1], "town": ["a"], "day": ["05/06/2024"]}, r"column 'day': expected a date .*got '05/06/2024'"),
        ({"age": [1], "town": ["a"], "day": [20240506]}, r"column 'day': expected a date"),
        ({"age": [1, 2], "town": ["a"], "day": [None]}, r"expected columns of one length, got 1, 2 rows"),
        (np.zeros((2, 4)), r"expected a table of 3 columns .*\(2, 4\)"),
        ([], r"expected a table of 3 columns"),
    ],
)
def test_rows_that_do_not_fit_are_named(given, expected):
    with pytest.raises(DataError, match=expected):
        as_table(given, schema(TRAINED))


def test_a_raw_file_is_trained_on_and_asked_about(tmp_path):
    """From a dirty file and plain settings to predictions for rows as a user has them, from the run's directory alone."""
    rng = np.random.default_rng(0)
    rows = 120
    town, age = rng.choice(["Rome", "Oslo", "?"], rows), rng.normal(40, 9, rows).round(1).astype(object)
    kind = np.where((town == "Rome") ^ (rng.random(rows) < 0.03), "a", "b")
    age[rng.random(rows) < 0.2] = ""
    frame = pandas.DataFrame({"age": age, "town": town, "day": "2024-03-05", "kind": kind})
    frame.to_csv(tmp_path / "raw.csv", index=False)
    settings = {
        "data": {"type": "csv", "path": str(tmp_path / "raw.csv"), "target": "kind"},
        "net": [{"type": "Dense", "units": 2}], "loss": "SoftmaxCrossEntropy", "optimizer": {"type": "Adam", "lr": 0.1},
        "epochs": 15, "engine": "numpy", "split": {"validation": 0, "test": 0.25},
    }  # fmt: skip
    fit(config.from_plain(settings), directory=tmp_path / "run")
    run = bl.open_run(tmp_path / "run")
    assert run.result["test"]["accuracy"] > 0.85
    found = run.predict(pandas.read_csv(tmp_path / "raw.csv"))
    assert (found == kind).mean() > 0.9
    lists = frame.drop(columns="kind").to_dict("records")
    assert (run.predict(lists) == found).all()
    assert run.predict([{"age": None, "town": "Atlantis", "day": None}]).shape == (1,)
    with pytest.raises(DataError, match=r"expected a column 'town', as in training, got none"):
        run.predict([{"age": 3, "day": None}])
    own = {**settings, "cleaning": [{"type": "Drop", "columns": ["day"]}, {"type": "Impute"}, "OneHot", "ScaleNumbers"]}
    names = fit(config.from_plain(own)).facts["features"]
    assert names == ["age", "town=Oslo", "town=Rome", "town=<missing>"]
