"""A training whose rows stay on disk, against the same rows in memory."""

from dataclasses import replace

import numpy as np
import pytest
from test_training import LABELS, Stop, X, experiment, stop_after, stored

import backlit as bl
from backlit.data import Dataset, Split
from backlit.data.rows import Held
from backlit.data.sampling import Balanced, Buckets
from backlit.errors import DataError, SettingError
from backlit.training import checkpoint, feeding, loop, ordering
from backlit.training.loop import fit
from backlit.training.stopping import Stopping

CLASSES = ("0", "1", "2")
DATA = Dataset(X, LABELS.astype("i"), CLASSES)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(feeding, "WINDOW_BYTES", 3 * 8 * X[0].nbytes)  # three steps of eight rows
    monkeypatch.setattr(feeding, "WINDOW_STEPS", 1)


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


MASK = (np.arange(9) < np.random.default_rng(5).integers(1, 10, 61)[:, None]).astype("f")
TOKENS = (np.random.default_rng(6).integers(1, 12, (61, 9)) * MASK).astype("i")
READER = bl.Chain(bl.Embedding(12, 4, padding=0), bl.GRU(5, returns="last"), bl.Dense(3))
TAGGER = bl.Chain(bl.Embedding(12, 4, padding=0), bl.GRU(5), bl.Dense(3))


@pytest.mark.parametrize(
    ("net", "y"), [(READER, LABELS), (TAGGER, TOKENS % 3)], ids=["a label a row", "a label a step"]
)
def test_buckets_leave_out_padding_alone(monkeypatch, net, y):
    data = Dataset(TOKENS, y.astype("i"), CLASSES, mask=MASK, vocabulary=tuple("abcdefghijkl"))
    e = experiment(net=net, sampling=Buckets(width=3, run=2), epochs=2)
    short = fit(e, data)
    monkeypatch.setattr(ordering.Ordering, "widths", lambda *_: None)
    for a, b in zip(bl.tree.leaves(short.params), bl.tree.leaves(fit(e, data).params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_buckets_want_a_net_for_any_length():
    net = bl.Chain(bl.Embedding(12, 4, padding=0), bl.Flatten(), bl.Dense(3))
    data = Dataset(TOKENS, LABELS.astype("i"), CLASSES, mask=MASK, vocabulary=tuple("abcdefghijkl"))
    with pytest.raises(SettingError, match="sampling: expected a net for sequences of any length, got one made for 9"):
        fit(experiment(net=net, sampling=Buckets(width=3)), data)


def test_balanced_rows_are_those_of_the_training(monkeypatch):
    ready = loop.setup(experiment(sampling=Balanced()), DATA)
    indices, weight = ready.order(0, 6)
    counts = np.bincount(ready.parts.train.y[indices].reshape(-1))
    assert weight is None
    assert counts.max() - counts.min() <= 6
    with pytest.raises(SettingError, match="sampling: expected order: shuffled"):
        experiment(sampling=Balanced(), order="given")


def test_a_number_that_is_not_finite_is_named_when_it_is_read():
    x = X.copy()
    x[:, 3] = np.nan

    class Lazy(bl.data.rows.Picked):
        pass

    with pytest.raises(DataError, match="column 3"):
        fit(experiment(), replace(DATA, x=Lazy(Held(x), np.arange(len(x)))))
