"""Texts as sequences of characters, and a training on one."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

import backlit as bl
from backlit.config import Experiment
from backlit.data import Characters, Source, Split, TinyShakespeare
from backlit.data.texts import Texts
from backlit.data.words import Words, words_of
from backlit.engine import random
from backlit.errors import DataError, SettingError
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


def test_words_are_cut_into_parts_and_only_the_first_makes_the_vocabulary(poem):
    text = "one two two three three three. " * 20 + "four four five. " * 4
    (poem / "words.txt").write_text(text)
    words = words_of(text)
    data = Words("words.txt", length=5, parts=(0.1, 0.1)).load()
    assert (len(words), data.ordered, data.classes) == (156, True, data.vocabulary)
    assert data.vocabulary == ("<pad>", "<unknown>", "three", "two", "one", ".")
    names = np.asarray(data.vocabulary)
    assert names[data.x].ravel().tolist() == words[: data.x.size]
    assert names[data.y].ravel().tolist() == words[1 : data.x.size + 1]
    assert [data.x.shape, data.validation.x.shape, data.test.x.shape] == [(24, 5), (3, 5), (3, 5)]
    known = [word if word in data.vocabulary else "<unknown>" for word in words[140:155]]
    assert "<unknown>" in known
    assert names[data.test.x].ravel().tolist() == known
    assert len(Words("words.txt", length=5, parts=(0, 0), least=1).load().vocabulary) == 2 + len(set(words))
    files = Words("words.txt", validation="poem.txt", test="poem.txt.gz", length=8, lower=False).load()
    assert np.asarray(files.vocabulary)[files.test.x[0]].tolist() == ["<unknown>"] * 8
    np.testing.assert_array_equal(files.test.x, files.validation.x)
    with pytest.raises(
        DataError, match=r"words.txt \(test part\): expected at least 33 words.*got 16; use a smaller length"
    ):
        Words("words.txt", parts=(0.3, 0.1)).load()


def test_bytes_that_are_no_text_are_said_with_their_line(poem):
    (poem / "latin.txt").write_bytes("eins\nzwei\nfünf\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.txt: line 3: expected text in UTF-8, got the byte 0xfc"):
        Words("latin.txt").load()


TABLE = """text,label,stars
"Good, really good!",good,5
Not bad,good,4
bad,bad,1
"So
bad",bad,2
fine,good,3
awful,bad,1
"""


def test_texts_of_a_table(poem):
    (poem / "reviews.csv").write_text(TABLE)
    data = Texts("reviews.csv", parts=(0, 0)).load()
    assert data.classes == ("bad", "good")
    assert data.y.tolist() == [1, 1, 0, 0, 1, 0]
    words = np.asarray(data.vocabulary)
    assert data.mask.sum(axis=1).tolist() == [5, 2, 1, 2, 1, 1]
    assert [words[x[m > 0]].tolist() for x, m in zip(data.x, data.mask, strict=True)][:4] == [
        ["good", ",", "really", "good", "!"], ["not", "bad"], ["bad"], ["so", "bad"],
    ]  # fmt: skip
    assert data.x[data.mask == 0].max() == 0
    letters = Texts("reviews.csv", parts=(0, 0), tokens="characters", longest=4, lower=False).load()
    assert ["".join(np.asarray(letters.vocabulary)[x]) for x in letters.x[:4]] == ["Good", "Not ", "bad<pad>", "So\nb"]
    stars = Texts("reviews.csv", parts=(0, 0), label="stars", task="regression").load()
    assert (stars.task, stars.y.tolist()) == ("regression", [5, 4, 1, 2, 3, 1])


def test_texts_of_a_folder_are_those_of_a_table(poem):
    for i, (label, text) in enumerate([("ham", "See you"), ("spam", 'Win "now"'), ("spam", "win"), ("ham", "you win")]):
        (poem / "mails" / label).mkdir(parents=True, exist_ok=True)
        (poem / "mails" / label / f"{i}.txt").write_text(text)
    (poem / "mails.tsv").write_text('ham\tSee you\nham\tyou win\nspam\tWin "now"\nspam\twin\n')
    folder = Texts("mails", parts=(0, 0)).load()
    table = Texts("mails.tsv", text=1, label=0, header=False, parts=(0, 0)).load()
    assert folder.vocabulary == table.vocabulary
    for name in ("x", "y", "mask"):
        np.testing.assert_array_equal(getattr(folder, name), getattr(table, name))


def test_parts_of_texts_have_the_labels_in_proportion_and_the_words_of_training(poem):
    lines = [f"common word{i},{'good' if i % 3 else 'bad'}" for i in range(60)]
    (poem / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    data = Texts("reviews.csv", parts=(0.2, 0.1)).load()
    parts = (data, data.validation, data.test)
    assert [len(part) for part in parts] == [42, 12, 6]
    assert [int((part.y == 0).sum()) for part in parts] == [14, 4, 2]
    assert len(data.vocabulary) == 3 + 42
    assert set(data.validation.x[:, 1].tolist()) == {1}  # words of the held out texts are unknown
    again = Texts("reviews.csv", parts=(0.2, 0.1)).load()
    assert (
        again.fingerprint() == data.fingerprint() != Texts("reviews.csv", parts=(0.2, 0.1), seed=1).load().fingerprint()
    )
    files = Texts("reviews.csv", validation="reviews.csv", test="reviews.csv", parts=(0.5, 0.5 - 2**-9)).load()
    assert [len(part) for part in (files, files.validation, files.test)] == [60, 60, 60]
    assert build(Source, plain(Texts("reviews.csv", longest=3))) == Texts("reviews.csv", longest=3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,label\nhello,good\n,bad\n", r"line 3, column 'text': expected a text, got none beside the label 'bad'"),
        (
            "text,label\nhello,\nbye,bad\n",
            r"line 2, column 'label': expected a label, got none beside the text 'hello'",
        ),
        ("text,label\nhello,good,well\n", r"line 2: expected 2 columns, got 3"),
        ('text,label\n"hello,good\n', r"line 2: expected cells parted by ',', got"),
        ("txt,label\nhello,good\n", r"text: no column 'text'; did you mean 'txt'"),
        ("text,label\n", "expected lines with a text and its label, got none"),
        ("", "expected lines with a text and its label, got an empty file"),
        ("text,label\nhello,good\nbye,good\n", "expected at least two labels, got 'good' only"),
    ],
)
def test_texts_that_cannot_be_used_are_said(poem, text, says):
    (poem / "reviews.csv").write_text(text)
    with pytest.raises(DataError, match=f"reviews.csv: {says}"):
        Texts("reviews.csv", parts=(0, 0)).load()


def test_files_of_texts_that_cannot_be_used_are_said(poem):
    (poem / "latin.csv").write_bytes("text,label\ngut,ja\nübel,nein\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.csv: line 3: expected text in UTF-8"):
        Texts("latin.csv").load()
    (poem / "mails" / "spam").mkdir(parents=True)
    with pytest.raises(DataError, match=r"mails: expected folders of .txt files, one folder a label, got none"):
        Texts("mails").load()
    (poem / "mails" / "spam" / "1.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"1.txt: expected a text labelled 'spam', got an empty file"):
        Texts("mails").load()
    (poem / "few.csv").write_text("text,label\na,x\nb,y\nc,y\n")
    with pytest.raises(DataError, match=r"few.csv: parts .*: expected a row of each class for training"):
        Texts("few.csv", parts=(0.3, 0.3)).load()
    with pytest.raises(DataError, match=r"few.csv: line 2: expected a number to predict, got 'x'"):
        Texts("few.csv", task="regression", parts=(0, 0)).load()
    with pytest.raises(SettingError, match="parts: expected two shares below 1 together"):
        Texts("few.csv", parts=(0.5, 0.5))


def test_a_net_reads_texts(poem):
    lines = [f"{'so good' if i % 2 else 'so bad'} {i},{'yes' if i % 2 else 'no'}" for i in range(60)]
    (poem / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    source = Texts("reviews.csv", least=2, longest=2)
    net = bl.Chain(bl.Embedding(len(source.load().vocabulary), 4), bl.Flatten(), bl.Dense(2))
    e = Experiment(
        source, net, "SoftmaxCrossEntropy", {"type": "Adam", "lr": 0.05}, engine="numpy", epochs=15, batch_size=8
    )
    run = fit(e)
    assert run.facts["rows"] == {"train": 42, "validation": 9, "test": 9}
    assert run.result["test"]["accuracy"] == 1.0
