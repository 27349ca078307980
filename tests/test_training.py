"""The training loop against a loop written out by hand, against itself interrupted, and between the engines."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import backlit as bl
from backlit import engine as engines
from backlit.config import Checkpointing, Experiment
from backlit.data import Arrays, Split
from backlit.engine import random, tree
from backlit.errors import BacklitError, CheckpointError, DataError, NonFiniteError, SettingError, ShapeError
from backlit.training import checkpoint, loop
from backlit.training.evaluate import blocks
from backlit.training.events import EpochEnded, Notice, Progress
from backlit.training.layouts import Layout, choose
from backlit.training.loop import fit
from backlit.training.setup import setup

RNG = np.random.default_rng(3)
X = RNG.normal(size=(61, 5)).astype("f")
LABELS = (X @ RNG.normal(size=(5, 3))).argmax(axis=1)
VALUES = (X @ RNG.normal(size=(5, 2)) + 3.0).astype("f")
NET = bl.Chain(bl.Dense(7), bl.Tanh(), bl.Dropout(0.2), bl.Dense(3))


def experiment(**changes) -> Experiment:
    fields = {"data": Arrays(X, LABELS), "net": NET, "loss": bl.SoftmaxCrossEntropy(), "optimizer": bl.Adam(lr=0.01),
              "batch_size": 8, "epochs": 4, "engine": "numpy", "split": Split(validation=0.2, test=0.2)}  # fmt: skip
    return Experiment(**fields | changes)


class Stop(Exception):
    """What the tests interrupt a training with."""


def stop_after(step: int):
    def listener(event):
        if isinstance(event, Progress) and event.step >= step:
            raise Stop

    return listener


def stored(directory: Path) -> dict[str, np.ndarray]:
    found = checkpoint.newest(directory / "checkpoints", pytest.fail)
    assert found is not None
    return found.arrays


def on_disk(tmp_path: Path, name: str = "data", **changes) -> Experiment:
    path = tmp_path / f"{name}.npz"
    np.savez(path, x=X, y=LABELS)
    return experiment(data={"type": "npz", "path": str(path)}, **changes)


def test_equals_a_loop_written_by_hand():
    """No part of the trainer is used below but the split: batches, weights of the last batch, update, sums."""
    e = experiment(net=bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3)), optimizer=bl.SGD(lr=0.1), epochs=2)
    ready = setup(e)
    run = fit(e)
    (W1, b1), (W2, b2) = ((ready.params[n]["W"], ready.params[n]["b"]) for n in ("dense_1", "dense_2"))
    train, losses = ready.parts.train, []
    for epoch in range(2):
        key = random.fold(random.fold(random.key(e.seed), "order"), epoch)
        order, total = random.permutation(key, len(train)), 0.0
        for start in range(0, len(train), 8):
            rows = order[start : start + 8]
            x, t, n = train.x[rows], train.y[rows], len(rows)
            a = np.tanh(x @ W1 + b1)
            z = a @ W2 + b2
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            total += -np.log(p[np.arange(n), t]).sum()
            d2 = (p - np.eye(3)[t]) / n
            d1 = (d2 @ W2.T) * (1 - a * a)
            W2, b2 = W2 - 0.1 * a.T @ d2, b2 - 0.1 * d2.sum(axis=0)
            W1, b1 = W1 - 0.1 * x.T @ d1, b1 - 0.1 * d1.sum(axis=0)
        losses.append(total / len(train))
    np.testing.assert_allclose([r["loss"] for r in run.history], losses, rtol=1e-5)
    best = run.result["best_epoch"]
    assert best == 2, "the validation loss falls in both epochs, so the last parameters are the best"
    np.testing.assert_allclose(run.params["dense_1"]["W"], W1, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.params["dense_2"]["b"], b2, rtol=1e-4, atol=1e-6)


def test_the_penalty_is_trained_on_and_recorded_apart():
    e = experiment(
        penalty=bl.L1L2(l1=0.01, l2=0.1), optimizer=bl.SGD(lr=0.1), epochs=1, batch_size=37, net=[bl.Dense(3)]
    )
    free, held = fit(replace(e, penalty=bl.L1L2())), fit(e)
    W = setup(e).params["dense_1"]["W"]
    first = held.history[0]
    assert first["loss"] == pytest.approx(free.history[0]["loss"])
    assert first["penalty"] == pytest.approx(0.01 * abs(W).sum() + 0.05 * (W * W).sum(), rel=1e-5)
    np.testing.assert_allclose(
        held.params["dense_1"]["W"], free.params["dense_1"]["W"] - 0.1 * (0.01 * np.sign(W) + 0.1 * W), atol=1e-6
    )


def test_engines_agree_over_50_steps_with_dropout():
    e = experiment(epochs=10, split=Split(validation=0, test=0.35), stopping=None)
    runs = [fit(replace(e, engine=engine)) for engine in ("numpy", "xla")]
    assert runs[0].result["parameters"] == 66
    assert runs[0].history[-1]["step"] == 50
    for a, b in zip(*(tree.leaves(run.params) for run in runs), strict=True):
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(a)
    np.testing.assert_allclose(runs[0].history[-1]["loss"], runs[1].history[-1]["loss"], rtol=1e-4)


RULES = [bl.SGD(lr=0.1), bl.Momentum(lr=0.05), bl.Nesterov(lr=0.05), bl.Adam(lr=0.01), bl.AdamW(lr=0.01)]
OTHERS = [bl.optim.RMSProp(centred=True, momentum=0.5), bl.optim.Adafactor(least=2), *(
    rule() for rule in (bl.optim.AdaGrad, bl.optim.AdaDelta, bl.optim.NAdam, bl.optim.RAdam, bl.optim.AMSGrad,
                        bl.optim.AdaMax, bl.optim.Lion, bl.optim.Adan, bl.optim.LARS, bl.optim.LAMB, bl.optim.Muon,
                        bl.optim.SOAP, bl.optim.ScheduleFreeSGD, bl.optim.Sophia, bl.optim.LBFGS, bl.optim.NonlinearCG)
), bl.optim.Shampoo(every=3), bl.optim.Adam8bit(least=1), bl.optim.AdamW8bit(least=1)]  # fmt: skip
EXTRAS = [{}, {"optimizer.lr": bl.optim.Cosine(0.1)}, {"penalty": bl.L1L2(0.01, 0.01), "clip": bl.ClipByNorm(0.5)},
          {"halving": bl.Halving(patience=1), "stopping": bl.Stopping(patience=3)}]  # fmt: skip


@pytest.mark.parametrize(("rule", "at", "extra"), [*itertools.product(RULES, ("inside", "end"), EXTRAS),
                                                     *((rule, "inside", {}) for rule in OTHERS)])  # fmt: skip
def test_resume_is_bit_identical(tmp_path, monkeypatch, rule, at, extra):
    """R2: interrupted inside an epoch or at its end, then resumed: every array of the whole state is equal."""
    extra = dict(extra)
    rule = replace(rule, lr=extra.pop("optimizer.lr", rule.lr))
    monkeypatch.setattr(loop.Training, "_chunk_length", lambda self: 3)
    every = Checkpointing(every_epochs=1) if at == "end" else Checkpointing(every_seconds=1e-9)
    e = on_disk(tmp_path, optimizer=rule, checkpoint=every, **extra)
    fit(e, directory=tmp_path / "whole")
    with pytest.raises(Stop):
        fit(e, directory=tmp_path / "cut", listener=stop_after(13))
    fit(e, directory=tmp_path / "cut", resume=True)
    whole, cut = stored(tmp_path / "whole"), stored(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], cut[name], err_msg=name)
    histories = [bl.open_run(tmp_path / name).history for name in ("whole", "cut")]
    assert [{**r, "seconds": 0} for r in histories[0]] == [{**r, "seconds": 0} for r in histories[1]]


@pytest.mark.parametrize("layout", ["one", "cores"])
def test_resume_is_bit_identical_when_compiled(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(loop.Training, "_chunk_length", lambda self: 3)
    e = on_disk(tmp_path, engine="xla", layout=layout, checkpoint=Checkpointing(every_seconds=1e-9))
    fit(e, directory=tmp_path / "whole")
    with pytest.raises(Stop):
        fit(e, directory=tmp_path / "cut", listener=stop_after(8))
    fit(e, directory=tmp_path / "cut", resume=True)
    whole, cut = stored(tmp_path / "whole"), stored(tmp_path / "cut")
    for name in whole:
        np.testing.assert_array_equal(whole[name], cut[name], err_msg=name)


def test_chunk_length_changes_nothing(monkeypatch):
    runs = []
    for length in (1, 4, 10**6):
        monkeypatch.setattr(loop.Training, "_chunk_length", lambda self, length=length: length)
        runs.append(fit(experiment(halving=bl.Halving(patience=1))))
    for other in runs[1:]:
        for a, b in zip(tree.leaves(runs[0].params), tree.leaves(other.params), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [{**r, "seconds": 0} for r in runs[0].history] == [{**r, "seconds": 0} for r in other.history]


def test_cores_as_devices_compute_the_same(tmp_path):
    one, cores = (fit(experiment(engine="xla", layout=layout)) for layout in ("one", "cores"))
    for a, b in zip(tree.leaves(one.params), tree.leaves(cores.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_fastest_layout_is_chosen_and_remembered(tmp_path, monkeypatch):
    """A machine that slows down for a while (here: every second round, fourfold) does not change the choice."""
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path))
    engine, calls = SimpleNamespace(**vars(engines.get("xla")) | {"width": lambda: 4}), []
    cost = {Layout(1): 0.010, Layout(1, "eigen"): 0.009, Layout(4): 0.006, Layout(4, "eigen"): 0.007}

    def trial(layout, steps):
        calls.append(layout)
        return cost[layout] * steps * (4 if calls.count(layout) % 2 else 1)

    e = experiment()
    assert choose(e, engine, 100, (5,), trial)[0] == Layout(1), "too short to measure"
    best, why = choose(e, engine, 10**6, (5,), trial)
    assert best == min((cost[k], k) for k in cost if k.products in engine.product_libraries())[1]
    assert "measured, ms a step: one device" in why
    calls.clear()
    assert choose(e, engine, 10**6, (5,), trial) == (best, f"{best} (measured before)")
    assert not calls
    assert choose(replace(e, batch_size=7), engine, 10**6, (5,), trial)[0].cores == 1, "7 rows do not divide by 4"
    (tmp_path / "layouts.json").write_text("not json")
    assert choose(e, engine, 10**6, (5,), trial)[0] == best


@pytest.mark.parametrize(("rows", "devices"), [(9, 1), (9, 6), (100, 16), (5000, 12)])
def test_validation_blocks_divide_between_any_number_of_devices(rows, devices):
    part = bl.Dataset(np.arange(rows, dtype="f")[:, None], np.arange(rows, dtype="f"))
    x, y, weight, mask = blocks(part, devices)
    assert mask is None
    assert x.shape[1] % devices == 0
    assert x.shape[1] <= 2048 + devices * 8
    counted = weight.reshape(-1) > 0
    np.testing.assert_array_equal(y.reshape(-1)[counted], part.y)
    np.testing.assert_array_equal(x.reshape(-1, 1)[counted], part.x)


def test_stopping_restores_the_best_weights():
    run = fit(experiment(epochs=200, optimizer=bl.Adam(lr=0.3), stopping=bl.Stopping(patience=4), penalty=bl.L1L2()))
    losses = [r["validation"]["loss"] for r in run.history]
    assert run.result["stopped"] == "early"
    assert run.result["best_epoch"] == int(np.argmin(losses)) + 1
    assert len(losses) - run.result["best_epoch"] == 4
    validation = setup(run.experiment).parts.validation
    np.testing.assert_allclose(run.evaluate(validation)["loss"], min(losses), rtol=1e-5)


def test_halving_halves_after_patience():
    run = fit(experiment(epochs=12, optimizer=bl.SGD(lr=5.0), halving=bl.Halving(patience=2)))
    losses, rates = [r["validation"]["loss"] for r in run.history], [r["lr"] for r in run.history]
    mark, stalled, expected = np.inf, 0, 5.0
    for loss, rate in zip(losses, rates, strict=True):
        assert rate == pytest.approx(expected)
        mark, stalled = (loss, 0) if loss < mark else (mark, stalled + 1)
        if stalled == 2:
            expected, stalled = expected / 2, 0
    assert rates[-1] < 5.0


def test_every_row_counts_once_in_evaluation():
    run = fit(experiment(epochs=1))
    test = setup(run.experiment).parts.test
    right = (run.predict(test.x) == np.asarray(test.classes)[test.y]).mean()
    assert run.result["test"]["accuracy"] == pytest.approx(right)
    assert run.evaluate(test)["loss"] == pytest.approx(run.result["test"]["loss"])


def test_frozen_layers_stay():
    e = experiment(frozen=("dense_1", "dense_2.b"))
    before, run = setup(e).params, fit(e)
    np.testing.assert_array_equal(run.params["dense_1"]["W"], before["dense_1"]["W"])
    np.testing.assert_array_equal(run.params["dense_2"]["b"], before["dense_2"]["b"])
    assert (run.params["dense_2"]["W"] != before["dense_2"]["W"]).all()


def test_pretrained_start(tmp_path):
    first = fit(experiment())
    np.savez(tmp_path / "start.npz", W=first.params["dense_1"]["W"])
    start = bl.initializers.FromFile(str(tmp_path / "start.npz"), "W")
    second = fit(experiment(net=bl.Chain(bl.Dense(7, W=start), bl.Tanh(), bl.Dense(3)), frozen=("dense_1",)))
    np.testing.assert_array_equal(second.params["dense_1"]["W"], first.params["dense_1"]["W"])


def test_regression_in_the_units_of_the_target():
    e = experiment(data=Arrays(X, VALUES), loss=bl.SquaredError(), net=bl.Chain(bl.Dense(2)), epochs=60, stopping=None,
                   optimizer=bl.Adam(lr=0.05), target_preprocessing=("Standardize",))  # fmt: skip
    run = fit(e)
    test = setup(e).parts.test
    rmse = float(np.sqrt(((run.predict(test.x) - test.y) ** 2).mean()))
    assert run.result["test"]["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert rmse < 0.1
    assert run.history[-1]["validation"]["rmse"] < 0.1


def test_monte_carlo_spreads_with_dropout_only():
    run = fit(experiment(epochs=1))
    mean, spread = run.monte_carlo(X[:4], draws=50)
    assert mean.shape == spread.shape == (4, 3)
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-5)
    assert spread.max() > 1e-3
    certain = fit(experiment(epochs=1, net=bl.Chain(bl.Dense(3)))).monte_carlo(X[:4], draws=3)[1]
    assert certain.max() < 1e-6


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_a_loss_that_is_not_finite_names_step_and_layer(tmp_path, engine):
    net = bl.Chain(first=bl.Dense(7), relu=bl.ReLU(), last=bl.Dense(3))
    e = on_disk(tmp_path, net=net, optimizer=bl.SGD(lr=1e30), engine=engine, clip=None, checkpoint={"every_epochs": 1})
    with pytest.raises(NonFiniteError, match=r"not finite at step \d+ \(epoch 1\): .*(first|last|relu).*optimizer.lr"):
        fit(e, directory=tmp_path / "run")
    for step in checkpoint.listing(tmp_path / "run" / "checkpoints"):
        arrays = checkpoint.load(tmp_path / "run" / "checkpoints" / f"step_{step:010d}").arrays
        assert all(np.isfinite(a).all() for n, a in arrays.items() if ".params." in n)


def test_events_tell_the_story():
    events = []
    fit(experiment(), listener=events.append)
    names = [type(e).__name__ for e in events]
    assert names[0] == "Started"
    assert names[-1] == "Finished"
    assert names.count("EpochEnded") == 4
    records = [e.record for e in events if isinstance(e, EpochEnded)]
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    assert records[0].keys() == {"epoch", "step", "seconds", "lr", "loss", "accuracy", "validation"}


def test_corrupt_checkpoint_falls_back_and_says_so(tmp_path):
    e = on_disk(tmp_path, checkpoint=Checkpointing(every_epochs=1))
    with pytest.raises(Stop):
        fit(e, directory=tmp_path / "run", listener=stop_after(15))
    steps = checkpoint.listing(tmp_path / "run" / "checkpoints")
    path = tmp_path / "run" / "checkpoints" / f"step_{steps[-1]:010d}" / "arrays.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    notices = []
    fit(
        e, directory=tmp_path / "run", resume=True, listener=lambda n: notices.append(n) if isinstance(n, Notice) else 0
    )
    assert any(path.name in n.text for n in notices)
    fit(e, directory=tmp_path / "whole")
    whole, cut = stored(tmp_path / "whole"), stored(tmp_path / "run")
    assert all((whole[name] == cut[name]).all() for name in whole)


def test_run_directory_holds_everything(tmp_path):
    fit(on_disk(tmp_path), directory=tmp_path / "run")
    present = {p.name for p in (tmp_path / "run").iterdir()}
    assert present == {"experiment.yaml", "environment.json", "data.json", "metrics.jsonl", "checkpoints", "result.json",
                       "test.npz"}  # fmt: skip
    run = bl.open_run(tmp_path / "run")
    assert (
        run.result["test"]["accuracy"] == json.loads((tmp_path / "run" / "result.json").read_text())["test"]["accuracy"]
    )
    assert run.predict(X[:2]).shape == (2,)


BAD = [
    ({"batch_size": 600}, DataError, "batch_size: expected at most the 37 training rows, got 600"),
    ({"net": bl.Chain(bl.Dense(2))}, ShapeError, "net: expected at least 3 outputs"),
    ({"loss": bl.SquaredError()}, ShapeError, "net: expected outputs of shape"),
    ({"frozen": ("dens_1",)}, SettingError, "did you mean 'dense_1"),
    ({"data": Arrays(np.where(X > 2, np.nan, X), LABELS)}, DataError, r"row \d+, column \d+"),
    (
        {"optimizer": bl.SGD(lr=bl.optim.WarmUp(bl.optim.Cosine(0.1), warm_up=900))},
        SettingError,
        "optimizer.lr.warm_up",
    ),
]


@pytest.mark.parametrize(("changes", "error", "text"), BAD)
def test_bad_input_is_said_before_anything_is_written(tmp_path, changes, error, text):
    with pytest.raises(error, match=text.replace("(", r"\(") if error is not DataError else text):
        fit(experiment(**changes), directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("left", [["checkpoints/"], ["checkpoints/", ".experiment.yaml"]])
def test_resume_after_a_kill_before_the_experiment_was_written(tmp_path, left):
    for name in left:
        (tmp_path / "run" / name).mkdir(parents=True) if name.endswith("/") else (tmp_path / "run" / name).touch()
    assert len(fit(on_disk(tmp_path), directory=tmp_path / "run", resume=True).history) == 4


def test_directory_rules(tmp_path):
    e = on_disk(tmp_path)
    fit(e, directory=tmp_path / "run")
    with pytest.raises(BacklitError, match="--resume"):
        fit(e, directory=tmp_path / "run")
    with pytest.raises(BacklitError, match=r"batch_size: expected 8, as this run was started, got 4"):
        fit(replace(e, batch_size=4), directory=tmp_path / "run", resume=True)
    np.savez(tmp_path / "data.npz", x=X + 1, y=LABELS)
    with pytest.raises(CheckpointError, match="other rows"):
        fit(e, directory=tmp_path / "run", resume=True)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("shift", [-30.0, 0.25, 300])
def test_a_net_that_learnt_from_bytes_sees_other_numbers_as_they_are(engine, shift):
    """Not wrapped round to a byte: -30 is not 226, 0.25 not 0, 300 not 44."""
    x = np.random.default_rng(0).integers(0, 256, size=(20, 4)).astype(np.uint8)
    scale = bl.Scale(1 / 255)
    run = bl.train(
        bl.Chain(bl.Dense(3)), (x, x[:, 0] % 3), preprocessing=[scale], epochs=1, batch_size=5, engine=engine
    )
    assert run.facts["dtype"] == "uint8"
    asked = x + np.asarray(shift)
    wanted = (asked / 255).astype("f") @ np.asarray(run.params["dense_1"]["W"]) + np.asarray(run.params["dense_1"]["b"])
    np.testing.assert_allclose(run.outputs(asked), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(run.outputs(x), run.outputs(x.astype(float)))
