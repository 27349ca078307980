"""A table as it lies on the disk: trained on, opened again, asked about other rows, from Python and the command line."""

import json
from dataclasses import replace

import numpy as np
import pandas
import pytest

import backlit as bl
from backlit import cli
from backlit.config import Experiment
from backlit.data import Csv, Split, Weighted
from backlit.data.views import CentreCrop, FlipAverage
from backlit.errors import BacklitError, DataError, SettingError, ShapeError
from backlit.training.events import Notice
from backlit.training.loop import fit
from backlit.training.setup import setup

FRAME = pandas.DataFrame(
    {
        "age": [None if i % 7 == 0 else 20.0 + i % 40 for i in range(90)],
        "town": [("Rome", "Oslo", None, "Bonn")[i % 4] for i in range(90)],
        "weight": [1 + 9 * (i % 3 == 0) for i in range(90)],
        "kind": ["often" if i % 3 else "seldom" for i in range(90)],
    }
)
NET = bl.Chain(bl.Dense(5), bl.Tanh(), bl.Dense(2))


@pytest.fixture
def path(tmp_path):
    FRAME.to_csv(tmp_path / "people.csv", index=False)
    return str(tmp_path / "people.csv")


def experiment(data, **more) -> Experiment:
    fields = {"net": NET, "loss": "SoftmaxCrossEntropy", "engine": "numpy", "epochs": 3, "batch_size": 8}
    return Experiment(data=data, **fields | more)


def test_a_run_takes_rows_as_they_come(path, tmp_path):
    said = []
    run = fit(experiment(Csv(path, "kind")), directory=tmp_path / "run", listener=said.append)
    assert any("filled" in event.text for event in said if isinstance(event, Notice))
    again, rows = bl.open_run(tmp_path / "run"), FRAME.drop(columns="kind")
    wanted = run.outputs(rows)
    for given in (rows, FRAME, rows.to_dict("records"), rows.to_dict("list"), rows[["weight", "town", "age"]]):
        np.testing.assert_array_equal(again.outputs(given), wanted)
    assert again.outputs({"age": 33, "town": "Paris", "weight": 1}).shape == (1, 2)
    assert run.result["test"] == again.evaluate(setup(run.experiment).parts.test)
    with pytest.raises(DataError, match="expected a column 'town', as in training, got none; did you mean 'twon'"):
        again.predict(rows.rename(columns={"town": "twon"}))
    with pytest.raises(DataError, match="unknown column 'height'"):
        again.predict(rows.assign(height=1))


def test_the_command_line_reads_other_tables_as_the_run_read_its_own(path, tmp_path, capsys):
    run = fit(experiment(Csv(path, "kind")), directory=tmp_path / "run")
    FRAME.drop(columns="kind").head(4).to_csv(tmp_path / "new.csv", index=False)
    assert cli.main(["predict", str(tmp_path / "run"), str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().out.split() == run.predict(FRAME.head(4)).tolist()
    full = FRAME.dropna().head(9)
    full.to_csv(tmp_path / "full.csv", index=False)  # without a gap
    assert cli.main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "full.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]["accuracy"]
    assert found == pytest.approx(float(np.mean(run.predict(full) == full["kind"].to_numpy())))


def test_names_without_a_line_of_names(tmp_path, capsys):
    FRAME.to_csv(tmp_path / "bare.csv", index=False, header=False)
    source = Csv(str(tmp_path / "bare.csv"), "kind", names=tuple(FRAME.columns))
    run = fit(experiment(source), directory=tmp_path / "run")
    FRAME.drop(columns="kind").head(3).to_csv(tmp_path / "new.csv", index=False, header=False)
    assert cli.main(["predict", str(tmp_path / "run"), str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().out.split() == run.predict(FRAME.head(3)).tolist()


def test_a_frame_is_a_table(tmp_path):
    rows, y = FRAME.drop(columns="kind"), FRAME["kind"]
    run = bl.train(NET, (rows, y), engine="numpy", epochs=2, batch_size=8)
    assert run.predict(rows.head(2)).shape == (2,)
    numbers = bl.load_dataset((rows[["weight"]].assign(b=2.5), y))
    assert (numbers.features, numbers.x.shape, numbers.x.dtype) == (("weight", "b"), (90, 2), np.float32)
    with pytest.raises(BacklitError, match="expected a source that a file can name"):
        bl.train(NET, (rows, y), engine="numpy", directory=tmp_path / "run", batch_size=8)


def test_a_column_of_weights_counts_as_the_file_has_it(path):
    e = experiment(Csv(path, "kind"), sampling=Weighted(column="weight"), cleaning=("Impute", "OneHot", "ScaleNumbers"))
    ready = setup(e)
    often = np.bincount(ready.parts.train.y[ready.order(0, 4)[0]].reshape(-1))
    assert often[1] > 4 * often[0]  # ten times as often, half as many


def test_groups_stay_together(path):
    e = experiment(Csv(path, "kind", groups="town", missing=("-",)), split=Split(0.25, 0.25))
    FRAME.assign(town=FRAME["town"].fillna("none")).to_csv(path, index=False)
    parts = setup(e).parts
    towns = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, towns)) == len(set.union(*towns)) == 4


def test_cleaning_wants_a_table():
    with pytest.raises(SettingError, match="cleaning: expected a table"):
        setup(experiment({"type": "digits", "image": True}, cleaning=("Impute",)))


def test_images_are_looked_at_several_times(tmp_path, capsys):
    net = bl.Chain(bl.Conv(3, 3), bl.GlobalAveragePool(), bl.Dense(10))
    e = experiment({"type": "digits", "image": True}, net=net, epochs=1, batch_size=128)
    run = fit(e, directory=tmp_path / "run")
    x = e.data.load().x[:5]
    both = [run.probabilities(a) for a in (x, x[:, :, ::-1])]
    np.testing.assert_allclose(run.probabilities(x, views=FlipAverage()), np.mean(both, axis=0), rtol=1e-5)
    assert run.outputs(x, views=CentreCrop(6)).shape == (5, 10)
    assert cli.main(["evaluate", str(tmp_path / "run"), "--views", "{type: TenCrop, size: 6}"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert cli.main(["evaluate", str(tmp_path / "run"), "--views", "Sideways"]) == 2
    assert "--views" in capsys.readouterr().err
    dense = fit(replace(e, net=bl.Chain(bl.Flatten(), bl.Dense(10))))
    with pytest.raises(ShapeError, match="CentreCrop: expected a net that takes rows of shape"):
        dense.predict(x, views=CentreCrop(6))


def test_the_data_is_described_and_drawn(path, tmp_path, capsys):
    (tmp_path / "people.yaml").write_text(
        f"data: {{type: csv, path: {path}, target: kind}}\nnet: [{{type: Dense, units: 2}}]\nloss: SoftmaxCrossEntropy\n"
    )
    assert cli.main(["data", "describe", str(tmp_path / "people.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"]
    picture = tmp_path / "sheet.png"
    options = ["--set", "augmentation=[{type: SwapNoise, rate: 0.5}]", "--rows", "2", "--copies", "1"]
    assert cli.main(["data", "preview", "digits", "--out", str(picture), *options]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
