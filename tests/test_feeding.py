"""A training whose rows stay on disk, against the same rows in memory."""

from dataclasses import replace

import numpy as np
import pytest
from test_training import LABELS, Stop, X, experiment, stop_after, stored

import backlit as bl
from backlit.data import Dataset, Split
from backlit.data.rows import Held
from backlit.errors import DataError
from backlit.training import checkpoint, feeding, loop
from backlit.training.loop import fit
from backlit.training.stopping import Stopping

CLASSES = ("0", "1", "2")
DATA = Dataset(X, LABELS.astype("i"), CLASSES)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(feeding, "WINDOW_BYTES", 3 * 8 * X[0].nbytes)  # three steps of eight rows


def same(a, b):
    for x, y in zip(bl.tree.leaves((a.params, a.state)), bl.tree.leaves((b.params, b.state)), strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.result["test"] == b.result["test"]
    keys = ("loss", "accuracy", "validation", "lr", "epoch", "step")
    assert [[line.get(k) for k in keys] for line in a.history] == [[line.get(k) for k in keys] for line in b.history]


@pytest.mark.parametrize("read_validation", [False, True], ids=["validation in memory", "validation from disk"])
@pytest.mark.parametrize("changes", [{}, {"stopping": Stopping(patience=1), "epochs": 12}, {"wrappers": ("EMA",)}],
                         ids=["plain", "stopping", "average"])  # fmt: skip
def test_windows_compute_what_rows_in_memory_do(monkeypatch, read_validation, changes):
    if read_validation:
        monkeypatch.setattr(feeding, "HELD_OUT_BYTES", 0)
    if "wrappers" in changes:  # running statistics are measured again at an epoch's first batches: all in one window
        monkeypatch.setattr(feeding, "WINDOW_BYTES", 2**20)
    e = experiment(net=bl.Chain(bl.Dense(7), bl.layers.BatchNorm(), bl.Dropout(0.2), bl.Dense(3)), **changes)
    same(fit(e, DATA), fit(e, replace(DATA, x=Held(X))))


def test_windows_compute_the_same_when_compiled():
    e = experiment(engine="xla", layout="one", epochs=2)
    same(fit(e, DATA), fit(e, replace(DATA, x=Held(X))))


def test_windows_on_several_devices_compute_the_same():
    e = experiment(engine="xla", layout="cores", epochs=2)
    same(fit(e, DATA), fit(e, replace(DATA, x=Held(X))))


@pytest.mark.parametrize("read_validation", [False, True], ids=["validation in memory", "validation from disk"])
@pytest.mark.parametrize("at", [2, 7, 5, 10])
@pytest.mark.parametrize("wrappers", [(), ("EMA",)], ids=["plain", "average"])
def test_resuming_in_an_epoch_reads_nothing_again(tmp_path, monkeypatch, at, wrappers, read_validation):
    if read_validation:
        monkeypatch.setattr(feeding, "HELD_OUT_BYTES", 0)
    net = bl.Chain(bl.Dense(7), bl.layers.BatchNorm(), bl.Dense(3))
    e = experiment(
        net=net, wrappers=wrappers, checkpoint={"every_seconds": 1e-9}, split=Split(validation=0.2, test=0.0)
    )
    whole = fit(e, replace(DATA, x=Held(X)), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_chunk_length", lambda _: 1)
        with pytest.raises(Stop):
            fit(e, replace(DATA, x=Held(X)), tmp_path / "cut", listener=stop_after(at))
    saved = checkpoint.newest(tmp_path / "cut" / "checkpoints", pytest.fail).step
    begun: list[int] = []
    read = feeding.Windows._read
    monkeypatch.setattr(feeding.Windows, "_read", lambda self, step: begun.append(step) or read(self, step))
    resumed = fit(e, replace(DATA, x=Held(X)), tmp_path / "cut", resume=True)
    assert begun[0] == saved
    assert min(begun) == saved or wrappers
    same(whole, resumed)
    for name, array in stored(tmp_path / "whole").items():
        np.testing.assert_array_equal(array, stored(tmp_path / "cut")[name])


def test_a_number_that_is_not_finite_is_named_when_it_is_read():
    x = X.copy()
    x[:, 3] = np.nan

    class Lazy(bl.data.rows.Picked):
        pass

    with pytest.raises(DataError, match="column 3"):
        fit(experiment(), replace(DATA, x=Lazy(Held(x), np.arange(len(x)))))
