"""The learning-rate range test: the same updates as a training, nothing changed by it, suggestions where they belong."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

import backlit as bl
from backlit.cli import main
from backlit.engine import tree
from backlit.errors import BacklitError, SettingError
from backlit.rate_curve import LrCurve, smooth
from backlit.rate_finder import lr_find
from backlit.training.setup import setup

IRIS = bl.Experiment(
    "iris", bl.Dense(3), "SoftmaxCrossEntropy", preprocessing=("Standardize",), batch_size=16, engine="numpy"
)
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def curve():
    return lr_find(IRIS, steps=80)


def test_losses_are_those_of_gradient_descent_by_hand():
    """Softmax regression in three lines of NumPy, on the batches of a training, with a rate that rises each time."""
    steps, experiment = 60, replace(IRIS, optimizer=bl.SGD(lr=0.3))
    found = lr_find(experiment, lowest=1e-4, highest=1.0, steps=steps)
    ready = setup(experiment)
    x, labels = ready.parts.train.x.astype(float), ready.parts.train.y
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    W, b = (ready.params[name].astype(float) for name in "Wb")
    indices, weight = ready.order(0, -(-steps // ready.steps_per_epoch))
    indices = indices.reshape(-1, 16)
    weight = np.ones(indices.shape) if weight is None else weight.reshape(-1, 16)
    losses = []
    for rows, real, rate in zip(indices[:steps], weight, np.geomspace(1e-4, 1.0, steps), strict=False):
        p = np.exp(x[rows] @ W + b)
        p /= p.sum(axis=1, keepdims=True)
        share = real / real.sum()
        losses.append(-np.sum(share * np.log(p[np.arange(16), labels[rows]])))
        delta = share[:, None] * (p - np.eye(3)[labels[rows]])
        W, b = W - rate * x[rows].T @ delta, b - rate * delta.sum(axis=0)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1.0, steps), rtol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=2e-5)
    assert found.rows.tolist() == weight[:steps].sum(axis=1).tolist()


def test_nothing_is_changed():
    """A training after the test gives the bits of one before it; the parameters it starts with are the same arrays."""
    ready = setup(IRIS)
    start = tree.map(np.copy, ready.params)
    before = bl.train(replace(IRIS, epochs=2))
    text = repr(IRIS)
    lr_find(IRIS, steps=40)
    after = bl.train(replace(IRIS, epochs=2))
    assert repr(IRIS) == text
    for path, w in tree.flatten(before.params).items():
        assert np.array_equal(w, tree.flatten(after.params)[path])
    for path, w in tree.flatten(start).items():
        assert np.array_equal(w, tree.flatten(setup(IRIS).params)[path])


def test_engines_agree(curve):
    compiled = lr_find(replace(IRIS, engine="xla"), steps=80)
    np.testing.assert_allclose(compiled.losses[:60], curve.losses[:60], rtol=1e-4)
    for name, rate in curve.suggestions.items():
        assert compiled.suggestions[name] == pytest.approx(rate, rel=0.3)


def test_takes_a_file_and_another_data_set(tmp_path):
    rows = bl.load_dataset("iris").take(range(0, 150, 3))
    found = lr_find(replace(IRIS, data=bl.Wine()), dataset=rows, steps=20)
    assert len(found.rates) == 20
    bl.config.write(IRIS, tmp_path / "mine.yaml")
    again = lr_find(tmp_path / "mine.yaml", steps=20)
    assert np.array_equal(again.losses, lr_find(IRIS, steps=20).losses)


AROUND = {
    "schedule": {"optimizer": bl.Adam(lr=bl.OneCycle(0.1))},
    "penalty, clip": {"penalty": bl.L1L2(l2=0.01), "clip": bl.ClipByNorm(1.0)},
    "groups": {"groups": ({"paths": "b", "lr_scale": 0.5},)},
    "wrapper": {"wrappers": ("MaxNorm",)},
    "halving": {"halving": bl.Halving()},
}


@pytest.mark.parametrize("settings", AROUND.values(), ids=AROUND)
def test_what_stands_around_the_rule_stays(settings):
    found = lr_find(replace(IRIS, **settings), steps=40)
    assert found.rates[0] == pytest.approx(1e-7)
    assert np.isfinite(found.losses).all()
    assert found.falls


def test_groups_keep_their_rate_in_proportion():
    """A group with a tenth of the rate moves a tenth as far as without."""
    alone = replace(IRIS, optimizer=bl.SGD(lr=0.1))
    slow = replace(alone, groups=({"paths": ("W", "b"), "lr": 0.01},))
    a = lr_find(alone, lowest=1e-4, highest=1e-1, steps=40)
    b = lr_find(slow, lowest=1e-3, highest=1.0, steps=40)
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-4)


def test_frozen_parameters_stay():
    whole = replace(IRIS, batch_size=150, split=bl.Split(validation=0, test=0))
    frozen = lr_find(replace(whole, frozen=("W", "b")), steps=30)
    np.testing.assert_allclose(frozen.losses, frozen.losses[0], rtol=1e-5)
    assert not frozen.falls
    assert lr_find(replace(whole, frozen=("b",)), steps=30).falls


def test_state_and_dropout():
    net = bl.Chain(bl.Dense(8), bl.BatchNorm(), bl.ReLU(), bl.Dropout(0.2), bl.Dense(3))
    found = lr_find(replace(IRIS, net=net), steps=60)
    assert found.falls
    assert 1e-5 < found.best < 1


def test_ends_where_the_loss_explodes():
    airy = bl.Experiment("diabetes", bl.Dense(1), "SquaredError", optimizer=bl.SGD(), engine="numpy")
    found = lr_find(airy, steps=100, highest=1e3)
    assert found.stopped in ("diverged", "not finite")
    assert len(found.rates) < 100
    assert np.isfinite(found.losses).all()


def test_a_loss_that_is_not_finite_at_once_is_said():
    x = np.full((40, 2), 3e38, "f")
    broken = bl.Experiment(bl.Arrays(x, x[:, 0]), bl.Dense(1), "SquaredError", batch_size=16, engine="numpy")
    with pytest.raises(BacklitError, match="expected a finite loss at the learning rate 1e-07, got"):
        lr_find(broken, steps=20)


# What is read from a curve


def made(losses, stopped="highest"):
    losses = np.asarray(losses, float)
    return LrCurve(np.geomspace(1e-7, 10.0, 200)[: len(losses)], losses, np.ones(len(losses)), stopped)


def hill(noise):
    """Flat at 2, down to 1 along a wave between 1e-3 and 1e-1, up again."""
    t = np.log10(np.geomspace(1e-7, 10.0, 200))
    wave = np.interp(t, [-7, -3, -1, 0, 1], [2, 2, 1, 1.5, 2.5])
    return made(wave + noise * np.random.default_rng(1).normal(size=200))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_suggestions_stand_where_they_are_defined(noise):
    found = hill(noise)
    assert np.log10(found.suggestions["valley"]) == pytest.approx(-2, abs=0.35)
    assert -3 < np.log10(found.suggestions["steep"]) < -1
    assert np.log10(found.suggestions["minimum"]) == pytest.approx(-2, abs=0.35)
    assert found.best == max(found.suggestions.values())


def test_an_explosion_does_not_reach_back():
    """One huge loss at the end moves no suggestion."""
    calm = hill(0.0)
    burst = made(np.append(calm.losses[:-1], 1e9), "diverged")
    for name, rate in calm.suggestions.items():
        assert burst.suggestions[name] == pytest.approx(rate, rel=0.05)


def test_noise_alone_is_no_fall():
    falls = [made(2 + 0.3 * rng.normal(size=200)).falls for _ in range(200)]
    assert np.mean(falls) < 0.1  # about 4 in 100


def test_no_fall_is_said_with_what_to_try():
    flat = made(np.linspace(2.0, 3.0, 200))
    assert flat.suggestions == {}
    with pytest.raises(
        BacklitError, match=r"expected a loss that falls somewhere, it stays at 2.* try a higher highest"
    ):
        flat.recommended  # noqa: B018
    assert "valley" not in str(flat)


def test_smoothing_keeps_a_constant_and_a_line():
    np.testing.assert_allclose(smooth(np.full(30, 2.0), rng.uniform(1, 2, size=30), 3.0), 2.0)
    line = np.arange(60.0, 0.0, -1.0)
    np.testing.assert_allclose(smooth(line, np.ones(60), 3.0)[20:40], line[20:40])


def test_a_small_batch_counts_for_its_rows():
    """A batch of 4 rows is as much as four of 1 in the same place."""
    losses, rows = rng.normal(size=20), rng.integers(1, 5, size=20)
    found = smooth(losses, rows, 2.0)
    place = np.repeat(np.arange(20), rows)
    for i in range(20):
        weight = np.exp(-0.5 * ((place - i) / 2.0) ** 2)
        assert found[i] == pytest.approx(np.average(np.repeat(losses, rows), weights=weight))


def test_words_and_plot(curve):
    text = str(curve)
    assert text.splitlines()[0].startswith("iris: Adam, ")
    assert f"recommended: {curve.recommended}" in text
    figure = curve.plot()
    (plot,) = figure.axes
    assert plot.get_xscale() == "log"
    labels = [t.get_text() for t in plot.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["valley", "steep", "minimum"]
    assert sum("(recommended)" in label for label in labels) == 1
    assert curve.picture.draw  # as a report takes it


BAD = {
    "lowest above highest": (
        {"lowest": 1.0, "highest": 0.1},
        "lowest: expected a learning rate below highest = 0.1, got 1",
    ),
    "equal": ({"lowest": 1.0, "highest": 1.0}, "lowest: expected a learning rate below highest"),
    "zero": ({"lowest": 0.0}, "lowest: expected a learning rate greater than 0, got 0.0; write 1e-7"),
    "negative": ({"highest": -1.0}, "highest: expected a learning rate greater than 0"),
    "nan": ({"lowest": float("nan")}, "lowest: expected a learning rate greater than 0, got nan"),
    "few steps": ({"steps": 3}, "steps: expected at least 20 updates, got 3"),
    "diverge": ({"diverge": 1.0}, "diverge: expected a number greater than 1, got 1.0"),
}


@pytest.mark.parametrize(("given", "text"), BAD.values(), ids=BAD)
def test_bad_input(given, text):
    with pytest.raises(SettingError, match=text.replace(".", r"\.")):
        lr_find(IRIS, **given)


# The command


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["lr-find", "iris", "--set", "engine=numpy", "--steps", "60"]
    assert main(small) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("recommended: ")
    assert "written: lab/lr-find-iris.png" in err
    assert (tmp_path / "lab" / "lr-find-iris.png").read_bytes()[:4] == b"\x89PNG"
    assert main([*small, "--json", "--out", "here.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recommended"] in found["suggestions"]
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.png", "lab"]


def test_command_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lr-find", "iris", "--out", "here.gif"]) == 2
    assert capsys.readouterr().err == "error: --out: expected the name of a .png file, got 'here.gif'\n"
    assert main(["lr-find", "iris", "--lowest", "1", "--highest", "0.1"]) == 2
    assert "error: lowest: expected a learning rate below" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    whole = ["--set", "batch_size=150", "--set", "split={validation: 0, test: 0}", "--set", "stopping=null"]  # no noise
    low = ["--set", "engine=numpy", "--highest", "1e-6", "--steps", "30", *whole]
    assert main(["lr-find", "iris", *low]) == 2
    assert "error: lr_find: expected a loss that falls somewhere" in capsys.readouterr().err
    assert (tmp_path / "lab" / "lr-find-iris.png").exists()


def test_the_name_is_a_function_whatever_was_imported_before():
    """`backlit.lr_find` is the function; a module of that name would take its place once it is imported."""
    assert bl.lr_find is lr_find
    assert importlib.util.find_spec("backlit.lr_find") is None
