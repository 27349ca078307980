"""Texts as sequences of characters, and a training on one."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

import backlit as bl
from backlit.config import Experiment
from backlit.data import Characters, Source, Split, TinyShakespeare
from backlit.engine import random
from backlit.errors import DataError
from backlit.settings import build, plain
from backlit.training.loop import fit
from backlit.training.setup import setup

TEXT = "to be, or not to be: thät is the question\r\n" * 20


@pytest.fixture
def poem(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    (tmp_path / "poem.txt").write_bytes(TEXT.encode())
    (tmp_path / "poem.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    return tmp_path


@pytest.mark.parametrize("name", ["poem.txt", "poem.txt.gz"])
def test_rows_are_the_text_and_targets_the_next_characters(poem, name):
    data = Characters(name, length=16).load()
    assert (data.x.dtype, data.y.dtype, data.name) == (np.int32, np.int32, name)
    assert data.vocabulary == data.classes == tuple(sorted(set(TEXT)))
    letters = np.asarray(data.vocabulary)
    rows = (len(TEXT) - 1) // 16
    assert "".join(letters[data.x].ravel()) == TEXT[: rows * 16]
    assert "".join(letters[data.y].ravel()) == TEXT[1 : rows * 16 + 1]


def test_a_split_cuts_the_text(poem):
    data = Characters("poem.txt", length=16).load()
    train, validation, test = Split(0.2, 0.1).apply(data, seed=3)
    np.testing.assert_array_equal(np.concatenate([train.x, validation.x, test.x]), data.x)
    assert len(validation) == 11
    assert len(test) == 5
    one_letter = replace(data, y=np.where(np.arange(len(data.y))[:, None] < 45, 3, data.y))
    with pytest.raises(DataError, match="at least two classes"):
        Split(0.2, 0.1).apply(one_letter, seed=3)


def test_the_last_row_that_fits(poem):
    assert Characters("poem.txt", length=len(TEXT) - 1).load().x.shape == (1, len(TEXT) - 1)
    with pytest.raises(
        DataError, match=rf"poem.txt: expected at least {len(TEXT) + 1} characters, .* got {len(TEXT)}; use a"
    ):
        Characters("poem.txt", length=len(TEXT)).load()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfe\x00", "expected text in UTF-8"),
        (gzip.compress(b"abc" * 99, mtime=0)[:20], "not a readable gzip file"),
        (b"", "got 0"),
    ],
)
def test_files_that_are_no_text(poem, content, text):
    (poem / "bad.txt").write_bytes(content)
    with pytest.raises(DataError, match=text):
        Characters("bad.txt").load()


def test_settings_go_to_plain_data_and_back():
    for source in (Characters("a.txt", length=9), TinyShakespeare(length=5)):
        assert build(Source, plain(source)) == source
    assert build(Source, "tiny-shakespeare") == TinyShakespeare()


def test_tiny_shakespeare_is_looked_for(poem):
    with pytest.raises(DataError, match=r"input.txt: not found, and BACKLIT_OFFLINE"):
        TinyShakespeare().load()
    (poem / "tinyshakespeare").mkdir()
    (poem / "tinyshakespeare" / "input.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert TinyShakespeare(length=16).load().name == "tinyshakespeare"


@pytest.mark.parametrize("order", ["shuffled", "streams"])
def test_a_net_learns_the_text_on_both_engines(poem, order):
    """A table of which character follows which: its best loss is the entropy of the pairs."""
    e = Experiment(
        data=Characters("poem.txt", length=16), net=bl.Chain(bl.Embedding(20, 16), bl.Dense(20)), batch_size=8, epochs=25,
        loss=bl.SoftmaxCrossEntropy(), optimizer=bl.Adam(lr=0.1), order=order, engine="numpy",
    )  # fmt: skip
    here, there = fit(e), fit(replace(e, engine="xla"))
    assert here.history[-1]["loss"] == pytest.approx(there.history[-1]["loss"], rel=1e-3)
    test = setup(e).parts.test
    pairs = np.zeros((20, 20))
    np.add.at(pairs, (test.x.ravel(), test.y.ravel()), 1)
    share = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
    best = -(pairs * np.log(np.where(share > 0, share, 1))).sum() / pairs.sum()
    assert best * 0.9 < here.result["test"]["loss"] < best * 1.25
    said = "".join(here.predict(test.x[:1])[0])
    assert len(said) == 16


def test_a_net_that_remembers_reads_a_stream_as_one_text(poem):
    """Nothing moves (the rate is almost 0): the loss of an epoch is that of each stream read at one go."""
    rows = Characters("poem.txt", length=13).load()
    data = rows.take(np.arange(60))
    net = bl.Chain(bl.Embedding(20, 3), bl.GRU(4, stateful=6), bl.Dense(20))
    e = Experiment(
        data=Characters("poem.txt", length=13), net=net, loss=bl.SoftmaxCrossEntropy(), optimizer=bl.SGD(lr=1e-30),
        order="streams", batch_size=6, epochs=1, split=Split(0, 0), engine="numpy",
    )  # fmt: skip
    run, ready = fit(e, data), setup(e, data)
    whole = bl.Chain(bl.Embedding(20, 3), bl.GRU(4), bl.Dense(20))
    x, y = (a.reshape(6, 130) for a in (data.x, data.y))
    out = whole.forward(ready.params, whole.init(random.key(0), (130,))[2], x, bl.Context())[0]
    assert run.history[0]["loss"] == pytest.approx(float(bl.SoftmaxCrossEntropy()(out, y)[0]), rel=1e-5)
    assert fit(replace(e, order="given"), data).history[0]["loss"] != pytest.approx(run.history[0]["loss"], rel=1e-5)
