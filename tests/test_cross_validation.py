"""Cross-validation: one run a fold, tested on what it has not seen, and an interval that closed forms confirm."""

from dataclasses import replace

import numpy as np
import pytest

import backlit as bl
from backlit.data import Dataset, Iris, apply_all
from backlit.data.folds import KFold, TimeFolds
from backlit.data.table import Table
from backlit.errors import DataError, SettingError
from backlit.evaluation.cross_validation import CrossValidation, cross_validate, fold_of
from backlit.training.loop import fit

QUICK = bl.Experiment(
    data="iris", net=[bl.Dense(3)], loss="SoftmaxCrossEntropy", preprocessing=["Standardize"], epochs=3,
    optimizer={"type": "Adam", "lr": 0.05}, engine="numpy",
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> CrossValidation:
    return cross_validate(QUICK, KFold(3))


def test_each_fold_is_a_run_tested_on_its_own_rows(found):
    data = Iris().load()
    folds = KFold(3).folds(data, QUICK.seed)
    assert found.rows.tolist() == [[100, 50]] * 3
    for (train, test), run, accuracy in zip(folds, found.runs, found.scores["accuracy"], strict=True):
        assert np.mean(run.predict(data.x[test]) == np.array(data.classes)[data.y[test]]) == pytest.approx(accuracy)
        assert run.facts["rows"] == {"train": 85, "validation": 15, "test": 50}
        # What is measured is measured on the 85 rows that are left to train on, not on the tested ones.
        kept = QUICK.split.apply(fold_of(data, (train, test)), QUICK.seed).train
        scaled = apply_all(QUICK.preprocessing, run.prepared, kept.x)
        np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-5)
    alone = fit(QUICK, dataset=fold_of(data, folds[1]))
    assert alone.result["test"] == found.runs[1].result["test"]


def test_mean_spread_and_interval_are_those_of_the_formula(found):
    from scipy import stats

    scores = found.scores["accuracy"]
    assert found.metric == "accuracy"
    assert found.mean["accuracy"] == pytest.approx(sum(scores) / 3)
    assert found.std["accuracy"] == pytest.approx(np.sqrt(((scores - scores.mean()) ** 2).sum() / 2))
    low, high = found.interval["accuracy"]
    # Nadeau, Bengio 2003: the variance of the mean is (1/J + n_test / n_train) times that of the scores.
    scale = found.std["accuracy"] * np.sqrt(1 / 3 + 50 / 100)
    np.testing.assert_allclose((low, high), stats.t.interval(0.95, 2, loc=scores.mean(), scale=scale))
    assert str(found).splitlines()[1].startswith(f"accuracy {scores.mean():.4f} +- ")


def test_parts_of_the_source_stay_out_of_the_folds(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype("f")
    data = Dataset(x, x.sum(axis=1), ordered=True)
    data = replace(data, test=data.take(range(5)), validation=data.take(range(5, 9)))
    quick = replace(QUICK, net=bl.Dense(1), loss="SquaredError", preprocessing=(), epochs=1, batch_size=8)
    found = cross_validate(quick, TimeFolds(k=2), data, tmp_path)
    assert found.metric == "rmse"
    assert [run.facts["rows"] for run in found.runs] == [
        {"train": 14, "validation": 4, "test": 13},
        {"train": 27, "validation": 4, "test": 13},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold-1", "fold-2"]
    assert bl.open_run(tmp_path / "fold-2").result["test"] == found.runs[1].result["test"]


def test_what_cannot_be_cross_validated_is_said():
    with pytest.raises(DataError, match="expected at least 60 rows of each class for k = 60, got 50 of 'setosa'"):
        cross_validate(QUICK, KFold(60))
    with pytest.raises(SettingError, match="unknown folds 'bootstrap'"):
        cross_validate(QUICK, "bootstrap")
    with pytest.raises(SettingError, match="as the folds decide which rows are tested"):
        cross_validate(replace(QUICK, split={"rows": {"train": [0, 60, 120]}}))


def test_cleaning_is_fitted_in_each_fold():
    y = np.arange(60, dtype=np.int32) % 2
    age = y + np.random.default_rng(3).normal(0, 0.2, 60)
    age[::7] = np.nan
    town = np.array([["Rome", "Oslo"][i // 2 % 2] for i in range(60)], dtype=object)
    data = Dataset(Table({"age": age, "town": town}), y, ("no", "yes"))
    (_, tested), *_ = KFold(3).folds(data, QUICK.seed)
    town[tested] = "Ulm"  # only in the rows that the first fold tests
    found = cross_validate(replace(QUICK, net=bl.Dense(2), preprocessing=(), epochs=20), KFold(3), data)
    assert found.rows.tolist() == [[40, 20]] * 3
    assert ["town=Ulm" in run.facts["features"] for run in found.runs] == [False, True, True]
    assert found.mean["accuracy"] > 0.8
    assert found.interval["accuracy"].high <= 1.0
