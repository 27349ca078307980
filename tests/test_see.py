"""The lights-on comparison: every quantity, in order, right, and the same on both engines."""

import numpy as np
import pytest

import backlit as bl
from backlit.config import Experiment
from backlit.errors import SettingError
from backlit.see import Quantity, batch, see
from backlit.training.setup import setup

NET = [
    {"type": "Dense", "units": 6},
    "Tanh",
    {"type": "Dropout", "rate": 0.3},
    {"type": "Residual", "layers": [{"type": "Dense", "units": 6}, "ReLU"]},
    {"type": "Dense", "units": 3},
]


def experiment(**more):
    return Experiment(data="iris", net=NET, loss="SoftmaxCrossEntropy", preprocessing=("Standardize",), **more)


@pytest.fixture(scope="module")
def sight():
    return see(experiment(penalty={"l2": 0.1}), rows=5)


def test_forward_goes_down_the_net_and_backward_comes_up(sight):
    assert [f"{q.path} {q.symbol}".strip() for q in sight.quantities] == [
        "x", "dense_1 z", "tanh_1 a", "dropout_1 a", "residual_1.dense_1 z", "residual_1.relu_1 a", "residual_1 y",
        "dense_2 z", "L", "dense_2 dL/dz", "dense_2 dL/dW", "dense_2 dL/db", "residual_1 dL/dy",
        "residual_1.relu_1 dL/da", "residual_1.dense_1 dL/dz", "residual_1.dense_1 dL/dW", "residual_1.dense_1 dL/db",
        "dropout_1 dL/da", "tanh_1 dL/da", "dense_1 dL/dz", "dense_1 dL/dW", "dense_1 dL/db", "dL/dx",
    ]  # fmt: skip


def test_quantities_are_those_of_back_propagation(sight):
    delta, a = sight["dense_2 dL/dz"].values, sight["residual_1 y"].values
    _, params, _ = experiment().net.init(bl.random.fold(bl.random.key(0), "init"), (4,))
    np.testing.assert_allclose(
        sight["dense_2 dL/dW"].values, a.T @ delta + 0.1 * params["dense_2"]["W"], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(sight["dense_2 dL/db"].values, delta.sum(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(sight["tanh_1 a"].values, np.tanh(sight["dense_1 z"].values), rtol=1e-6)
    dropped, z = sight["dropout_1 a"].values, sight["tanh_1 a"].values
    assert set(np.unique((dropped != 0).astype(int))) == {0, 1}
    np.testing.assert_allclose(dropped[dropped != 0], (z / 0.7)[dropped != 0], rtol=1e-5)


def test_engines_agree(sight):
    assert all(q.values.shape == q.compiled.shape for q in sight.quantities)
    assert sight.worst.relative < 1e-5
    assert float(sight["L"].values) == pytest.approx(float(sight["L"].compiled), rel=1e-5)


def test_only_one_layer_and_those_within_it(sight):
    assert {q.path for q in sight.of("residual_1").quantities} == {
        "residual_1", "residual_1.dense_1", "residual_1.relu_1",
    }  # fmt: skip
    with pytest.raises(SettingError, match=r"--layer: unknown layer 'dense_3'; did you mean 'dense_2'"):
        sight.of("dense_3")


def test_rows_are_the_first_of_the_first_epoch():
    ready = setup(experiment())
    first, taken = batch(ready, 40)
    np.testing.assert_array_equal(taken, ready.order(0, 1)[0].reshape(-1)[:40])
    np.testing.assert_array_equal(first.y, ready.parts.train.y[taken])
    assert abs(float(first.x.mean())) < 0.3  # standardised
    with pytest.raises(SettingError, match=r"--rows: expected 1 to \d+, the rows of the training part, got 0"):
        batch(ready, 0)


def test_a_regression_sees_its_targets_standardised():
    sight = see(
        Experiment("diabetes", [{"type": "Dense", "units": 1}], "SquaredError", target_preprocessing=("Standardize",))
    )
    assert np.abs(sight["dense_1 dL/dz"].values).max() < 5  # raw targets are 25..346


def test_the_step_is_the_first_of_the_training():
    """Its dropout too: one step of SGD moves the parameters by the gradient that is seen."""
    e = experiment(optimizer=bl.SGD(lr=0.5), batch_size=127, epochs=1, engine="numpy", split={"validation": 0})
    before, after = setup(e).params, bl.train(e).params
    seen = see(e, rows=127)
    for name in ("dense_1", "dense_2"):
        moved = before[name]["W"] - after[name]["W"]
        np.testing.assert_allclose(moved, 0.5 * seen[f"{name} dL/dW"].values, rtol=1e-3, atol=1e-7)


def test_a_difference_is_seen_and_nan_in_both_is_none():
    here = np.array([1.0, np.nan, np.inf, -4.0])
    assert Quantity("d", "z", here, here).difference == 0
    assert Quantity("d", "z", np.array([1.0, 2.0]), np.array([1.0, 1.5])).difference == 0.5
    assert Quantity("d", "z", np.array([1.0, 2.0]), np.array([1.0, 1.5])).relative == 0.25
    assert Quantity("d", "z", here, np.array([1.0, 0.0, np.inf, -4.0])).difference == np.inf


def test_statistics():
    found = Quantity("d", "z", np.array([0.0, 0.0, 1.0, 3.0]), np.zeros(4)).statistics()
    assert found == {"mean": 1.0, "std": pytest.approx(1.224745), "min": 0.0, "max": 3.0, "zeros": 0.5}
