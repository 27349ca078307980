"""Tagged sentences: parts by document, words of the training part, windows, corrupt windows, and trainings on them."""

import gzip
from collections import Counter

import numpy as np
import pytest

import backlit as bl
from backlit.config import Experiment
from backlit.data import Source, Split, Tags, TagWindows, Vocabulary
from backlit.data.tags import read_tagged
from backlit.errors import DataError, SettingError
from backlit.evaluation import majority
from backlit.settings import build, plain
from backlit.training.loop import fit
from backlit.training.setup import setup

NAMES = ("Ann", "Bob", "Eva", "Tim")
PLACES = ("Rome", "Oslo", "Kiel")


def corpus(documents: int = 12) -> str:
    """Documents of three sentences; each holds a word of its own."""
    lines = []
    for d in range(documents):
        lines.append("-DOCSTART- O\n")
        name, place = NAMES[d % 4], PLACES[d % 3]
        lines.append(f"{name} I-PER\nlives O\nin O\n{place} I-LOC\n. O\n")
        lines.append(f"word{'abcdefghijklmnop'[d]} O\nin O\n19{d:02} O\n")
        lines.append(f"{name} I-PER\n. O\n")
    return "\n".join(lines)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    (tmp_path / "tags.txt").write_text(corpus())
    return tmp_path


def test_documents_and_sentences(folder):
    documents = read_tagged(folder / "tags.txt")
    assert len(documents) == 12
    assert documents[1][0] == (("Bob", "lives", "in", "Oslo", "."), ("I-PER", "O", "O", "I-LOC", "O"))
    (folder / "plain.txt.gz").write_bytes(gzip.compress(b"a x N\r\nb y O\r\n\r\n\r\nc z N\r\n"))
    assert read_tagged(folder / "plain.txt.gz", column=1) == [[(("a", "b"), ("x", "y"))], [(("c",), ("z",))]]


def test_rows_are_filled_up_and_masked(folder):
    data = Tags("tags.txt", parts=(0, 0)).load()
    assert data.x.shape == data.y.shape == data.mask.shape == (36, 5)
    words, tags = np.asarray(data.vocabulary), np.asarray(data.classes)
    first = data.mask[0] > 0
    assert words[data.x[0]][first].tolist() == ["ann", "lives", "in", "rome", "."]
    assert tags[data.y[0]][first].tolist() == ["I-PER", "O", "O", "I-LOC", "O"]
    assert words[data.x[1]].tolist() == ["worda", "in", "0000", "<pad>", "<pad>"]
    assert data.mask[2].tolist() == [1, 1, 0, 0, 0]
    assert data.classes == ("O", "I-LOC", "I-PER")
    assert (data.validation, data.test) == (None, None)


def test_a_long_sentence_goes_on_in_another_row(folder):
    whole, cut = Tags("tags.txt", parts=(0, 0)).load(), Tags("tags.txt", parts=(0, 0), longest=2).load()
    assert cut.x.shape == (12 * (3 + 2 + 1), 2)
    np.testing.assert_array_equal(cut.x[cut.mask > 0], whole.x[whole.mask > 0])
    np.testing.assert_array_equal(cut.y[cut.mask > 0], whole.y[whole.mask > 0])


def test_parts_are_whole_documents_and_the_same_for_every_seed_of_a_training(folder):
    data = Tags("tags.txt", parts=(0.25, 0.25), lower=False, vectors="").load()
    own = [
        {w for w in np.asarray(data.vocabulary)[part.x[part.mask > 0]] if w.startswith("word")}
        for part in (data, data.test)
    ]
    assert [len(part) for part in (data, data.validation, data.test)] == [18, 9, 9]
    assert len(own[0]) == 6
    assert own[1] == set(), "words of the test part are unknown"
    for seed in (0, 1):
        parts = Split().apply(data, seed)
        assert sorted(parts.train.x.tolist()) == sorted(data.x.tolist())
        assert parts.test is data.test
    other = Tags("tags.txt", parts=(0.25, 0.25), seed=1).load()
    assert other.fingerprint() != Tags("tags.txt", parts=(0.25, 0.25)).load().fingerprint()


def test_the_vocabulary_is_that_of_the_training_part(folder):
    (folder / "other.txt").write_text("Zoe I-PER\nlives O\nin O\n1823 O\n\nIN O\nmars I-LOC\n")
    data = Tags("tags.txt", test="other.txt", parts=(0, 0.5)).load()
    assert len(data) == 36, "a part with a file of its own takes no documents"
    words = np.asarray(data.vocabulary)
    assert words[data.test.x].tolist()[0] == ["<unknown>", "lives", "in", "0000", "<pad>"]
    count = Counter(words[data.x[data.mask > 0]].tolist())
    order = [(-count[word], word) for word in data.vocabulary[2:]]
    assert order == sorted(order)
    (folder / "vectors.txt").write_text("zoe 1 2\nworda 3 4\nneverseen 0 1\n")
    known = Tags("tags.txt", test="other.txt", vectors="vectors.txt", least=2).load()
    assert "zoe" in known.vocabulary, "a vector is known, so the word is"
    assert "worda" in known.vocabulary, "it occurs once, and a vector is known"
    assert "wordb" not in known.vocabulary
    assert "neverseen" not in known.vocabulary
    assert "mars" not in known.vocabulary


def test_how_a_word_is_written_is_a_token_beside_it(folder):
    data = Tags("tags.txt", parts=(0, 0), capitals=True).load()
    assert data.x.shape == (36, 5, 2)
    words = np.asarray(data.vocabulary)
    assert words[data.x[0]].tolist()[:2] == [["ann", "<Title>"], ["lives", "<lower>"]]
    assert words[data.x[1]].tolist()[2:] == [["0000", "<other>"], ["<pad>", "<pad>"], ["<pad>", "<pad>"]]
    assert TagWindows("tags.txt", capitals=True).load().x.shape[1:] == (5, 2)


def test_words_that_look_like_special_ones_are_no_special_ones():
    words = Vocabulary.of(["<pad>", "<lower>", "a", "a"], shapes=True)
    places = words.places(["<pad>", "a", "<unknown>"])[:, 0]
    assert places.tolist() == [words.words.index("<pad>", 2), 7, 1]


def test_windows_hold_the_neighbours(folder):
    data, rows = TagWindows("tags.txt", size=1, parts=(0, 0)).load(), Tags("tags.txt", parts=(0, 0)).load()
    assert data.vocabulary == rows.vocabulary
    np.testing.assert_array_equal(data.x[:, 1], rows.x[rows.mask > 0])
    np.testing.assert_array_equal(data.y, rows.y[rows.mask > 0])
    words = np.asarray(data.vocabulary)
    assert words[data.x[4:6]].tolist() == [["rome", ".", "<pad>"], ["<pad>", "worda", "in"]]
    layer = bl.WordWindow(1)
    by_layer = layer.forward({}, {}, rows.x, bl.Context(mask=rows.mask))[0]
    np.testing.assert_array_equal(by_layer[rows.mask > 0], data.x)


@pytest.mark.parametrize("capitals", [False, True])
def test_corrupt_windows_have_another_word_in_the_middle(folder, capitals):
    true = TagWindows("tags.txt", size=1, parts=(0.2, 0.2), capitals=capitals).load()
    data = TagWindows("tags.txt", size=1, parts=(0.2, 0.2), capitals=capitals, corrupt=5).load()
    assert data.x.shape[:3] == (len(true), 6, 3)
    assert (data.y.tolist(), data.classes, data.test.x.shape[1]) == ([0] * len(true), (), 6)
    np.testing.assert_array_equal(data.x[:, 0], true.x)
    same = data.x == data.x[:, :1]
    middle = same[:, 1:, 1, 0] if capitals else same[:, 1:, 1]
    assert not middle.any()
    same[:, 1:, 1] = True
    if capitals:
        assert (data.x[:, 1:, 1, 1] == data.x[:, :1, 1, 1]).all()
    assert same.all()
    drawn = data.x[:, 1:, 1, 0] if capitals else data.x[:, 1:, 1]
    first = 7 if capitals else 2
    assert set(drawn.ravel().tolist()) == set(range(first, len(data.vocabulary)))


def test_tagged_windows_against_others(folder):
    true = TagWindows("tags.txt", size=1, parts=(0, 0)).load()
    data = TagWindows("tags.txt", size=1, parts=(0, 0), corrupt=3, against="tag").load()
    np.testing.assert_array_equal(data.x[:, 0], true.x[true.y > 0])
    outside = {tuple(window) for window in true.x[true.y == 0].tolist()}
    assert {tuple(window) for window in data.x[:, 1:].reshape(-1, 3).tolist()} <= outside


BAD = [
    ("a O\nb\n", {}, r"bad.txt: line 2: expected a word and a tag, 2 columns, got 'b'"),
    ("a O\n", {"column": 3}, r"line 1: expected a word and a tag, 4 columns, got 'a O'"),
    ("\n\n", {}, "expected lines with a word and its tag, got none"),
    ("a O\n\nb O\n", {"parts": (0.1, 0.1)}, "expected documents for training, and for each part with a share, got 2"),
    (
        "a O\nb O\n",
        {"parts": (0, 0), "type": "TagWindows", "corrupt": 1, "against": "tag"},
        "got 0 with a tag and 2 without",
    ),
    ("a O\n", {"parts": (0, 0), "type": "TagWindows", "corrupt": 1}, "expected at least two words to replace one by"),
    ("a O\n", {"parts": (0, 0), "test": "nowhere.txt"}, "nowhere.txt: no such file"),
]


@pytest.mark.parametrize(("content", "settings", "text"), BAD)
def test_what_cannot_be_read_is_said(folder, content, settings, text):
    (folder / "bad.txt").write_text(content)
    with pytest.raises(DataError, match=text):
        build(Source, {"type": "Tags", "path": "bad.txt", **settings}).load()


def test_shares_leave_documents_for_training():
    with pytest.raises(SettingError, match=r"parts: expected two shares below 1 together, got 0.5 \+ 0.5"):
        Tags("x", parts=(0.5, 0.5))


def test_settings_go_to_plain_data_and_back():
    for source in (Tags("a", longest=9, parts=(0.1, 0)), TagWindows("a", size=3, corrupt=2, against="tag", least=2)):
        assert build(Source, plain(source)) == source


def test_wikigold_is_looked_for(folder):
    with pytest.raises(DataError, match=r"wikigold.conll.txt: not found, and BACKLIT_OFFLINE"):
        Tags("wikigold").load()
    (folder / "wikigold").mkdir()
    (folder / "wikigold" / "wikigold.conll.txt").write_text(corpus())
    assert Tags("wikigold").load().name == "wikigold"


def tagger(source, net, loss="SoftmaxCrossEntropy", **more) -> Experiment:
    return Experiment(
        data=source, net=net, loss=loss, optimizer=bl.Adam(lr=0.05), epochs=15, batch_size=6, engine="numpy", **more
    )


def test_sentences_are_learnt(folder):
    source = Tags("tags.txt", parts=(0.2, 0.25))
    size = len(source.load().vocabulary)
    e = tagger(source, bl.Chain(bl.Embedding(size, 8, padding=0), bl.Dense(3)))
    run, test = fit(e), setup(e).parts.test
    assert run.result["test"]["entity_f1"] == 1.0
    train = setup(e).parts.train
    told = majority(train.x[train.mask > 0], train.y[train.mask > 0], test.x[test.mask > 0])
    assert (told == test.y[test.mask > 0]).mean() == pytest.approx(run.result["test"]["accuracy"])


def test_windows_are_learnt(folder):
    source = TagWindows("tags.txt", size=1, parts=(0.2, 0.25), capitals=True)
    size = len(source.load().vocabulary)
    run = fit(tagger(source, bl.Chain(bl.Embedding(size, 6), bl.Flatten(), bl.Dense(8), bl.Tanh(), bl.Dense(3))))
    assert run.result["test"]["accuracy"] > 0.95


def test_true_windows_are_told_from_corrupt_ones(folder):
    source = TagWindows("tags.txt", size=1, parts=(0.2, 0.25), corrupt=2)
    size = len(source.load().vocabulary)
    net = bl.Chain(bl.Embedding(size, 8), bl.Reshape((3, 24)), bl.Dense(12), bl.Tanh(), bl.Dense(1), bl.Flatten())
    run = fit(tagger(source, net, "MaxMargin"))
    assert run.result["test"]["accuracy"] > 0.7
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]


def test_word_vectors_take_the_words_of_the_data(folder):
    (folder / "vectors.txt").write_text("ann 1 2\nrome 3 4\n")
    source = Tags("tags.txt", parts=(0.2, 0.25), vectors="vectors.txt")
    words = source.load().vocabulary
    start = {"type": "WordVectors", "path": str(folder / "vectors.txt"), "vocabulary": []}
    e = tagger(
        source, [{"type": "Embedding", "size": len(words), "units": 2, "W": start}, {"type": "Dense", "units": 3}]
    )
    W = setup(e).params["embedding_1"]["W"]
    np.testing.assert_array_equal(W[[words.index("ann"), words.index("rome")]], [[1, 2], [3, 4]])
    run = fit(e, directory=folder / "run")
    (folder / "vectors.txt").unlink()
    again = bl.open_run(folder / "run")  # needs no file of vectors
    np.testing.assert_array_equal(again.params["embedding_1"]["W"], run.params["embedding_1"]["W"])


def test_conll_2003_has_its_parts_in_files_and_tags_in_any_column(tmp_path):
    for name, word in (("train", "Paris"), ("testa", "Rome"), ("testb", "Paris")):
        lines = f"-DOCSTART- -X- -X- O\n\n{word} NNP B-NP B-LOC\nsleeps VBZ B-VP O\n. . O O\n\nAnn NNP B-NP B-PER\n"
        (tmp_path / f"eng.{name}").write_text(lines)
    files = {"validation": str(tmp_path / "eng.testa"), "test": str(tmp_path / "eng.testb")}
    data = Tags(str(tmp_path / "eng.train"), **files).load()
    assert data.classes == ("O", "B-LOC", "B-PER")
    assert data.y.tolist() == [[1, 0, 0], [2, 0, 0]]
    np.testing.assert_array_equal(data.test.x, data.x)
    assert data.validation.x[0].tolist() == [1, *data.x[0, 1:].tolist()]
    speech = Tags(str(tmp_path / "eng.train"), column=1, **files).load()
    assert speech.classes == (".", "NNP", "VBZ")
    chunks = Tags(str(tmp_path / "eng.train"), column=2, **files).load()
    assert chunks.classes == ("O", "B-NP", "B-VP")
