"""A description: its numbers against closed forms and scikit-learn, its findings on data that are spoilt on purpose."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import backlit as bl
from backlit.data import Dataset, Tags
from backlit.data.rows import Held
from backlit.data.table import Table
from backlit.description import Description, describe
from backlit.description.columns import alone, column, correlation
from backlit.description.kinds import autocorrelation, gaps, standstill
from backlit.errors import SettingError
from backlit.report.canvas import DARK, png

rng = np.random.default_rng(0)


def spoilt() -> Dataset:
    """200 rows with a leak, a constant, an identifier, a gap in time, a twin, missing cells and two rows that stand twice."""
    n = 200
    y = (np.arange(n) % 10 == 0).astype(np.int32)
    age = rng.normal(40, 10, n).round(1)
    age[:120] = np.nan
    days = np.datetime64("2024-01-01", "s") + np.cumsum(np.where(np.arange(n) == 50, 9, 1)) * np.timedelta64(1, "D")
    columns = {
        "age": age,
        "height": rng.normal(0, 1, n),
        "code": np.where(y == 1, "k7", "k3").astype(object),
        "one": np.ones(n),
        "name": np.array([f"person {i}" for i in range(n)], dtype=object),
        "town": np.array([["Rome", "Oslo", None][i % 3] for i in range(n)], dtype=object),
        "day": days,
    }
    columns["height in cm"] = 1000 * columns["height"] + 5
    table = Table(columns)
    first = Dataset(table, y, ("no", "yes"))
    return replace(first, test=first.take([3, 4, 4]))


@pytest.fixture(scope="module")
def found() -> Description:
    return describe(spoilt())


def test_columns_are_told_by_type_range_and_missing_cells(found):
    columns = found.numbers["columns"]
    assert {name: own["type"] for name, own in columns.items()} == {
        "age": "number", "height": "number", "code": "category", "one": "whole number", "name": "category",
        "town": "category", "day": "date", "height in cm": "number",
    }  # fmt: skip
    assert [columns["age"][key] for key in ("missing", "rows", "constant")] == [120, 200, False]
    assert columns["town"] | {"alone": 0} == {
        "type": "category", "missing": 66, "rows": 200, "distinct": 2, "top": [["Oslo", 67], ["Rome", 67]],
        "constant": False, "alone": 0,
    }  # fmt: skip
    assert columns["day"]["min"] == "2024-01-02T00:00:00"
    assert found.numbers["target"]["classes"] == {"no": {"train": 180, "test": 3}, "yes": {"train": 20, "test": 0}}
    assert found.numbers["gaps"] == {"day": {"step": 86400.0, "gaps": 1, "longest": 9 * 86400}}


def test_what_spoils_a_training_is_found(found):
    said = found.findings
    for start in (
        "leak: 3 rows of the test part (100 %) also stand in the training part",
        "leak: column 'code' alone tells the target (accuracy 1.000 on rows not looked at)",
        "column 'one' has the same value in all rows",
        "column 'age' is missing in 60 % of the rows",
        "column 'name' has another value in nearly every row",
        "columns 'height' and 'height in cm' tell the same (correlation 1.0000)",
        "columns differ in scale: 'height in cm'",
        "column 'day' rises by 86400 s as a rule and by more in 1 place,",
    ):
        assert any(text.startswith(start) for text in said), start
    assert not any(text.startswith("the largest class") for text in said)  # 9 to 1 is no alarm yet
    data = spoilt()
    rare = replace(data, y=(np.arange(200) % 40 == 0).astype(np.int32), test=None)
    said = describe(rare).findings[0]
    assert said.startswith(
        "the largest class has 39 times the rows of the smallest: a net that always says it is right in 97.5 %"
    )


def test_sound_data_raise_no_alarm():
    x = rng.normal(size=(300, 3)).astype("f")
    data = Dataset(x, (x[:, 0] + rng.normal(size=300) > 0).astype(np.int32), ("no", "yes"), ("a", "b", "c"))
    assert describe(data).findings == ()
    assert describe(Dataset(x, x @ np.array([1.0, 1.0, 0.2], "f"))).findings == ()


def test_rows_that_stand_twice_are_counted():
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    x[5], x[6], x[7] = x[0], x[0], x[1]
    y = np.zeros(20, np.int32)
    y[6] = y[10] = 1
    data = Dataset(x, y, ("a", "b"))
    data = replace(data, test=data.take([0, 5, 19]), validation=data.take([19, 18]))
    assert describe(data).numbers["duplicates"] == {
        "within": {"train": 3, "validation": 0, "test": 1},
        "across": {"train and validation": 2, "train and test": 3, "validation and test": 1},
        "contradictory": 1,
    }


def test_a_description_of_an_experiment_is_that_of_its_training_part():
    e = bl.Experiment(
        data="iris", net=[bl.Dense(3)], loss="SoftmaxCrossEntropy", split={"validation": 0.2, "test": 0.2}
    )
    numbers = describe(e).numbers
    train = e.split.apply(e.data.load(), e.seed).train
    assert numbers["rows"] == {"train": 90, "validation": 30, "test": 30}
    own = numbers["columns"]["petal width (cm)"]
    np.testing.assert_allclose([own["mean"], own["std"]], [train.x[:, 3].mean(), train.x[:, 3].std()], rtol=1e-5)
    np.testing.assert_allclose(own["q75"], np.quantile(train.x[:, 3].astype(float), 0.75))
    np.testing.assert_allclose(
        correlation({str(i): train.x[:, i].astype(float) for i in range(4)})[1], np.corrcoef(train.x.T), atol=1e-5
    )


def test_a_column_alone_is_judged_on_rows_it_was_not_fitted_on():
    y = np.arange(400) % 2
    noise, leak = rng.normal(size=400), y + rng.normal(size=400) * 0.01
    assert alone(leak, y, 2) == alone(leak, (y == 0) * 1, 2) == 1.0
    assert alone(noise, y, 2) == pytest.approx(0.5, abs=0.1)
    names = np.array([f"row {i}" for i in range(400)], dtype=object)
    rare = (np.arange(400) % 19 == 0).astype(int)  # where the cut lies is found, not given
    assert alone(rare + rng.normal(size=400) * 0.01, rare, 2) == 1.0
    assert alone(noise, rare, 2) <= 1 - rare.mean()
    assert alone(names, y, 2) <= 0.55  # a column that tells every row by heart tells nothing of others
    line = rng.uniform(size=400)
    assert alone(line, 3 * line, 0) > 0.99
    assert alone(noise, 3 * line, 0) < 0.1


def test_correlation_uses_the_rows_where_both_are_known():
    a, b = rng.normal(size=50), rng.normal(size=50)
    b += a
    holes = a.copy()
    holes[::5] = np.nan
    known = np.isfinite(holes)
    assert correlation({"a": holes, "b": b})[1][0, 1] == pytest.approx(np.corrcoef(a[known], b[known])[0, 1])
    assert correlation({"a": np.full(3, np.nan), "b": np.ones(3)})[0] == []
    assert column(np.full(3, np.nan))["distinct"] == 0


def test_images_have_a_mean_picture_a_class():
    x = rng.integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)
    y = np.arange(30, dtype=np.int32) % 2
    found = describe(Dataset(x, y, ("a", "b")))
    assert found.numbers["kind"] == "images"
    np.testing.assert_allclose(found.numbers["image"]["mean"], x.reshape(-1, 3).mean(axis=0))
    np.testing.assert_allclose(found.numbers["image"]["std"], x.reshape(-1, 3).std(axis=0))
    np.testing.assert_allclose(found.arrays["means"][1], x[1::2].mean(axis=0))


def test_sequences_have_lengths_words_and_unknown_ones(tmp_path):
    (tmp_path / "train.txt").write_text("Ann B\nis O\nhere O\n\nis O\nit O\n")
    (tmp_path / "test.txt").write_text("Bob B\nis O\n")
    found = describe(Tags(str(tmp_path / "train.txt"), test=str(tmp_path / "test.txt"), parts=(0, 0)))
    own = found.numbers["sequences"]
    assert own["words"][0] == ["is", 2]
    assert (own["tokens"], own["once"], own["lengths"]["max"]) == (5, 3, 3.0)
    assert own["unknown"] == {"train": 0.0, "test": 0.5}
    assert own["padding"] == pytest.approx(1 / 6)


def test_series_have_a_range_an_autocorrelation_and_gaps():
    values = np.sin(2 * np.pi * np.arange(240) / 12)[:, None]
    found = describe(Dataset(values.reshape(-1, 1, 1).astype("f"), values.ravel().astype("f"), ordered=True))
    correlated = found.arrays["autocorrelation"][:, 0]
    assert int(np.argmax(correlated[5:])) + 6 == 12
    lag = 12
    expected = (values[lag:] * values[:-lag]).sum() / (values**2).sum()
    assert autocorrelation(values)[lag - 1, 0] == pytest.approx(expected)
    assert found.numbers["series"]["columns"]["0"]["max"] == 1.0
    assert standstill(np.array([1.0, 1.0, 2.0])) == 2
    assert gaps(Table({"day": np.array(["2024-01-02", "2024-01-01", "2024-01-05"], "datetime64[s]")})) == {}


def test_rows_that_are_read_are_sampled_and_it_says_so():
    x = rng.normal(size=(500, 4)).astype("f")
    found = describe(Dataset(Held(x), np.zeros(500, "f") + x[:, 0]), most=50)
    assert (found.numbers["looked at"], found.numbers["rows"]) == (50, {"train": 500})
    assert "50 of them looked at" in str(found)
    places = np.linspace(0, 499, 50).astype(int)
    assert found.numbers["columns"]["1"]["mean"] == pytest.approx(x[places, 1].mean(), abs=1e-6)


def test_pictures_and_numbers_are_written(found, tmp_path):
    files = found.save(tmp_path / "out")
    assert [path.name for path in files] == [
        "classes.png", "columns.png", "missing.png", "correlation.png", "description.json",
    ]  # fmt: skip
    for path in files[:-1]:
        with Image.open(path) as picture:
            colours = picture.convert("RGB").getcolors(2**24)
            assert colours is not None
            assert len(colours) > 10
    numbers = json.loads(files[-1].read_text())
    assert numbers["columns"]["age"]["missing"] == 120
    assert numbers["findings"] == list(found.findings)
    assert {"columns", "missing"} <= {picture.name for picture in found.pictures}
    assert len(png(found.pictures[0].draw(DARK))) > 1000
    text = str(found)
    assert "age" in text
    assert text.splitlines()[2].split()[:5] == ["train", "200", "-", "0", "0"]


@pytest.mark.parametrize("shape", [(30, 4, 4, 1), (60, 5, 2)])
def test_every_kind_of_rows_is_drawn(shape):
    data = Dataset(rng.normal(size=shape).astype("f"), rng.normal(size=shape[0]).astype("f"), ordered=len(shape) == 3)
    found = describe(data)
    names = [picture.name for picture in found.pictures]
    assert names == (["target", "samples", "means"] if len(shape) == 4 else ["target", "series", "autocorrelation"])
    for picture in found.pictures:
        assert picture.draw(DARK).axes
        assert picture.alt
    assert str(found)


def test_the_command_prints_tables_or_json(tmp_path, capsys):
    from backlit.commandline.data import app

    app(["describe", "iris", "--out", str(tmp_path)], standalone_mode=False)
    said = capsys.readouterr()
    assert "petal width (cm)" in said.out
    assert "leak: 1 row of the test part" in said.out
    assert f"written: {tmp_path / 'columns.png'}" in said.err
    app(["describe", "iris", "--set", "split.test=0", "--rows", "40", "--json"], standalone_mode=False)
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["rows"]["train"] == 127
    assert numbers["looked at"] == 40


def test_the_command_draws_what_augmentation_makes_of_rows(tmp_path, capsys):
    from backlit.commandline.data import app

    config = tmp_path / "mirrored.yaml"
    config.write_text(
        "data: {type: digits, image: true}\nnet: [Flatten, {type: Dense, units: 10}]\nloss: SoftmaxCrossEntropy\n"
        "augmentation: [Flip]\n"
    )
    picture = tmp_path / "new" / "sheet.png"
    app(
        ["preview", str(config), "--rows", "2", "--copies", "3", "--out", str(picture), "--json"], standalone_mode=False
    )
    assert json.loads(capsys.readouterr().out) == {"picture": str(picture), "rows": 2, "copies": 3, "seed": 0}
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 50
    with pytest.raises(SettingError, match=r"expected the name of a \.png file"):
        app(["preview", str(config), "--out", "sheet.gif"], standalone_mode=False)
