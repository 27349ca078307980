"""Names in text: a list of words, windows of words by softmax and by two maximum margins, and a bidirectional LSTM.

    python examples/named_entities.py [DIRECTORY] [--quick]

The text is WikiGold (1 696 sentences of Wikipedia; persons, places, organisations, others), the word vectors GloVe's where
BACKLIT_DATA has them. `--quick` makes up sentences of its own. All models learn from the same documents and are scored on
the same others: F1 of whole entities, right only with the right type and the right first and last word.

- majority       each word gets the tag it had most often in training; no net
- softmax        a window of five words, through two layers, to a distribution over the tags of the middle one
- margin, tags   the same net; the score of the true tag is to beat those of the others by a margin (MultiClassHinge)
- margin, windows  a net with one output: the score of a window around a name is to beat those of corrupt windows, whose
                 middle is no name (MaxMargin). It finds names but not their types, so its F1 is that of the last column,
                 where types do not count
- BiLSTM         sees the whole sentence, in both directions
"""

import argparse
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import backlit as bl
from backlit.data import Dataset, Tags, TagWindows, files
from backlit.errors import DataError
from backlit.evaluation.entities import majority, score_entities

GLOVE = "glove_twitter_25d/glove.twitter.27B.25d.subset12k.txt.gz"
SIZE, CORRUPT, VECTOR = 2, 4, 25
MIDDLE = SIZE


class Text(NamedTuple):
    """Where the sentences are, how words are told apart, where their vectors are ("": none), and how to train."""

    path: str
    settings: dict[str, Any]
    vectors: str
    epochs: int
    engine: str = "xla"

    def windows(self, **more: Any) -> TagWindows:
        return TagWindows(self.path, size=SIZE, **self.settings, **more)

    def embedding(self, words: int) -> bl.Embedding:
        """A word and how it is written (cat, Cat, CAT, ...) are two tokens, so two vectors."""
        W = {"W": bl.WordVectors(self.vectors)} if self.vectors else {}
        return bl.Embedding(words, VECTOR, padding=0, **W)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=None, help="where to store the runs")
    parser.add_argument("--quick", action="store_true", help="made-up sentences, few epochs")
    given = parser.parse_args()
    text = made_up() if given.quick else wikigold()
    data = text.windows().load()
    print(f"{len(data)} words to learn from, {len(data.vocabulary)} in the vocabulary, tags {', '.join(data.classes)}")
    print(f"\n{'':18}{'F1':>7} {'precision':>10} {'recall':>7} {'F1 of any type':>15} {'seconds':>8}")

    test, tags = data.test, np.asarray(data.classes)
    words, true = test.x[:, MIDDLE, 0], tags[test.y]
    guess = majority(data.x[:, MIDDLE, 0], data.y, words)
    show("majority", tags[guess], true, test)
    for name, loss in (("softmax", "SoftmaxCrossEntropy"), ("margin, tags", "MultiClassHinge")):
        run = window_classifier(text, data, loss, given.directory)
        show(name, run.predict(test.x), true, test, run)
    run, threshold = window_scorer(text, data, given.directory)
    found = np.where(scores(run, test.x) > threshold, "I-NAME", "O")
    show("margin, windows", found, np.where(true == "O", "O", "I-NAME"), test, run)
    run = tagger(text, given.directory)
    sentences = Tags(text.path, longest=64, **text.settings).load().test
    tagged = run.predict(sentences.x, sentences.mask)[sentences.mask > 0]
    show("BiLSTM", tagged, true, test, run)

    print("\nA sentence of the test part, as the BiLSTM reads it:")
    say(data.vocabulary, test, tagged, true)


def window_classifier(text: Text, data: Dataset, loss: str, directory: Path | None) -> bl.Run:
    """(B, 5, 2) tokens -> (B, 5, 2, 25) -> (B, 250) -> the score of each tag."""
    net = bl.Chain(
        text.embedding(len(data.vocabulary)), bl.Flatten(), bl.Dropout(0.3),
        bl.Dense(150), bl.Tanh(), bl.Dropout(0.5), bl.Dense(len(data.classes)),
    )  # fmt: skip
    return train(text, net, text.windows(), loss, 64, directory)


def window_scorer(text: Text, data: Dataset, directory: Path | None) -> tuple[bl.Run, float]:
    """(B, 1 + C, 5, 2) windows, the first around a name -> (B, 1 + C) scores; and the score from which a window has one.

    A margin between scores says nothing about their height: the threshold is the best one for the validation part.
    """
    source = text.windows(corrupt=CORRUPT, against="tag")  # of the same words, so with the same vocabulary
    net = bl.Chain(
        text.embedding(len(data.vocabulary)), bl.Reshape((1 + CORRUPT, -1)), bl.Dropout(0.3),
        bl.Dense(150), bl.Tanh(), bl.Dropout(0.5), bl.Dense(1), bl.Flatten(),
    )  # fmt: skip
    run = train(text, net, source, "MaxMargin", 64, directory)
    held_out = data.validation
    found, name = scores(run, held_out.x), held_out.y > 0
    order = np.argsort(-found)
    right, real = np.cumsum(name[order]), name.sum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + real)  # of words, if the first k by score are called names
    return run, float(found[order[f1.argmax()]]) - 1e-6


def scores(run: bl.Run, windows: np.ndarray) -> np.ndarray:
    """(N,) scores of windows (N, 5, 2): the net takes 1 + C at a time, and scores each by itself."""
    missing = -len(windows) % (1 + CORRUPT)
    rows = np.concatenate([windows, windows[:missing]]).reshape(-1, 1 + CORRUPT, *windows.shape[1:])
    return run.outputs(rows).ravel()[: len(windows)]


def tagger(text: Text, directory: Path | None) -> bl.Run:
    """(B, T, 2) tokens -> (B, T, 50) -> (B, T, 2 H) -> the score of each tag at each word."""
    source = Tags(text.path, longest=64, **text.settings)
    data = source.load()
    net = bl.Chain(
        text.embedding(len(data.vocabulary)), bl.Reshape((data.x.shape[1], -1)), bl.Dropout(0.4),
        bl.Bidirectional(bl.LSTM(64)), bl.Dropout(0.5), bl.Dense(len(data.classes)),
    )  # fmt: skip
    return train(text, net, source, "SoftmaxCrossEntropy", 16, directory)


def train(text: Text, net: bl.Chain, data: Any, loss: str, batch: int, directory: Path | None) -> bl.Run:
    name = f"{type(data).__name__}-{loss}"
    rule = bl.AdamW(lr=bl.OneCycle(0.004), weight_decay=0.02)
    return bl.train(
        net, data, loss, optimizer=rule, epochs=text.epochs, batch_size=batch, engine=text.engine, layout="one",
        directory=None if directory is None else directory / name,
    )  # fmt: skip


def show(name: str, found: np.ndarray, true: np.ndarray, test: Dataset, run: bl.Run | None = None) -> None:
    """A line of the table."""
    score = score_entities(sentences(true, test), sentences(found, test)).micro
    any_type = [sentences(np.where(tags == "O", "O", "I-NAME"), test) for tags in (true, found)]
    seconds = f"{run.history[-1]['seconds']:8.1f}" if run else ""
    typed = [f"{100 * value:.1f}" if set(true) - {"O"} != {"I-NAME"} else "" for value in (score.f1, *score[:2])]
    found_at_all = 100 * score_entities(*any_type).micro.f1
    print(f"{name:18}{typed[0]:>7} {typed[1]:>10} {typed[2]:>7} {found_at_all:15.1f} {seconds}")


def sentences(tags: np.ndarray, test: Dataset) -> list[list[str]]:
    """The tags of all words cut into sentences: one ends where the next word of the window is padding."""
    ends = np.flatnonzero(test.x[:, MIDDLE + 1, 0] == 0) + 1
    return [part.tolist() for part in np.split(tags, ends)[:-1]]


def say(vocabulary: Sequence[str], test: Dataset, found: np.ndarray, true: np.ndarray) -> None:
    """The sentence with the most names of those up to fifteen words: each word, its tag, and the right one if another."""
    ends = [0, *(np.flatnonzero(test.x[:, MIDDLE + 1, 0] == 0) + 1)]
    spans = [slice(a, b) for a, b in pairwise(ends) if b - a <= 15]
    best = max(spans, key=lambda span: int((true[span] != "O").sum()))
    for word, tag, wanted in zip(test.x[best, MIDDLE, 0], found[best], true[best], strict=True):
        print(f"  {vocabulary[word]:20}{tag:8}{'' if tag == wanted else f'(right: {wanted})'}")


def wikigold() -> Text:
    """Words that occur once count as unknown, unless GloVe knows them; how a word is written is kept beside it."""
    try:
        vectors = str(files.find(GLOVE))
    except DataError:
        vectors = ""
    return Text("wikigold", {"least": 2, "capitals": True, "vectors": vectors}, vectors, epochs=20)


def made_up() -> Text:
    """Sentences put together from a few names, so that the example runs without a download."""
    people, places = ("Ada", "Emmy", "Alan", "Grace", "Sofia"), ("Paris", "Oslo", "Lima", "Kyoto", "Accra")
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(300):
        person, place = rng.choice(people), rng.choice(places)
        form = ("{p} lives in {q} .", "in {q} there is {p} .", "they met {p} {p} near {q} .")[rng.integers(3)]
        words = form.format(p=person, q=place).split()
        tags = ("I-PER" if w in people else "I-LOC" if w in places else "O" for w in words)
        lines += [*(f"{word} {tag}" for word, tag in zip(words, tags, strict=True)), ""]
    path = Path(tempfile.mkdtemp()) / "sentences.txt"
    path.write_text("\n".join(lines))
    return Text(str(path), {"least": 2, "capitals": True}, "", epochs=3, engine="numpy")


if __name__ == "__main__":
    main()
