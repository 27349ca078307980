"""Texts with a label each, for a net that reads a whole text: mails, reviews, headlines."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.source import Source
from backlit.data.splits import Split
from backlit.data.tables import place_of
from backlit.data.targets import Task, targets
from backlit.data.text import text_of
from backlit.data.vocabulary import Vocabulary
from backlit.data.words import words_of
from backlit.errors import DataError, SettingError, received
from backlit.settings import Count, Fraction


class Labelled(NamedTuple):
    """A text and its label, and where an error says it stands."""

    text: str
    label: str
    where: str


@dataclass(frozen=True)
class Texts(Source):
    """Texts and labels: x (N, T) words or characters, y (N,) labels, mask (N, T); T is the length of the longest text.

    path              a table (.csv, .tsv, also .gz), or a folder with one folder a label: spam/1.txt, spam/2.txt, ham/1.txt
    text, label       the columns of a table, by name or position
    validation, test  files or folders of these parts; a part without one is drawn from `path`, with the labels in
                      proportion and the same ones whatever the experiment's seed
    parts, seed       which share of the texts is drawn for validation and test, and with which seed
    tokens            "words" (with punctuation, each sign by itself) or "characters"
    longest           so many tokens of a text are read, from its beginning; by default all
    least             tokens that the training part holds less often are unknown; with 1 it holds none
    lower, digits     words count in lower case; every digit counts as 0
    separator         of the columns; by default a tab in a .tsv file, else a comma. Where it is a tab, quotes are letters
    header            False: the first line is data, and the columns are called '0', '1', ...
    task              "regression": labels are numbers to predict

    The vocabulary is that of the training part: 0 for padding, 1 for unknown tokens, then by falling frequency. The source
    makes its own parts, so `split` is not used. Errors: DataError, with the file and the line, for no UTF-8, a text without a
    label, a label without a text, lines of different lengths; for an empty file or folder, a missing column, one label only.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data.texts import Texts
    >>> path = Path(tempfile.mkdtemp()) / "mails.csv"
    >>> _ = path.write_text('text,label\\n"Win, win now!",spam\\nSee you,ham\\n')
    >>> data = Texts(str(path), parts=(0, 0)).load()
    >>> data.vocabulary, data.x.tolist(), data.y.tolist(), data.classes
    (('<pad>', '<unknown>', 'win', '!', ',', 'now', 'see', 'you'), [[2, 4, 2, 5, 3], [6, 7, 0, 0, 0]], [1, 0], ('ham', 'spam'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("texts",)
    path: str
    text: int | str = "text"
    label: int | str = "label"
    validation: str = ""
    test: str = ""
    parts: tuple[Fraction, Fraction] = (0.15, 0.15)
    seed: int = 0
    tokens: Literal["words", "characters"] = "words"
    longest: Count | None = None
    least: Count = 1
    lower: bool = True
    digits: bool = False
    separator: str = ""
    header: bool = True
    task: Task | None = None

    def check(self) -> None:
        if sum(self.parts) >= 1:
            text = f"expected two shares below 1 together, got {self.parts[0]} + {self.parts[1]}; training needs texts"
            raise SettingError([("parts", text)])
        if len(self.separator) > 1:
            raise SettingError([("separator", f"expected one character, got {self.separator!r}")])

    def load(self) -> Dataset:
        path = files.find(self.path)
        given = self._read(path)
        held_out = [self._read(files.find(file)) if file else [] for file in (self.validation, self.test)]
        everything = [one for part in (given, *held_out) for one in part]
        y, classes = self._targets(everything, path)
        if len(classes) == 1:
            raise DataError(f"{path}: expected at least two labels, got {classes[0]!r} only")
        parts = self._drawn(len(given), y[: len(given)], classes, path)
        for i, part in enumerate(held_out):
            if part:
                start = len(given) + i * len(held_out[0])
                parts[i + 1] = np.arange(start, start + len(part))
        tokens = [self._tokens(one) for one in everything]
        vocabulary = Vocabulary.of((t for i in parts[0] for t in tokens[i]), self.least, self.lower, self.digits)
        width = max(map(len, tokens))
        train, validation, test = (
            self._rows([tokens[i] for i in part], y[part], width, vocabulary, classes, path.name) if len(part) else None
            for part in parts
        )
        if train is None:
            raise DataError(f"{path}: expected texts for training, got none; write other parts")
        fields: dict[str, Any] = {"validation": validation, "test": test}
        return Dataset(
            train.x, train.y, classes, mask=train.mask, vocabulary=vocabulary.words, name=path.name, **fields
        ).checked()

    def _read(self, path: Path) -> list[Labelled]:
        found = list(read_folder(path) if path.is_dir() else self._table(path))
        if not found:
            text = "folders of .txt files, one folder a label" if path.is_dir() else "lines with a text and its label"
            raise DataError(f"{path}: expected {text}, got none")
        return found

    def _table(self, path: Path) -> Iterator[Labelled]:
        """The texts of a table, line by line."""
        separator = self.separator or ("\t" if ".tsv" in path.name.lower() else ",")
        lines = read_lines(path, separator)
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path}: expected lines with a text and its label, got an empty file")
        names = first[1] if self.header else [str(i) for i in range(len(first[1]))]
        text, label = (place_of(name, getattr(self, name), names, path) for name in ("text", "label"))
        if text == label:
            raise DataError(
                f"{path}: expected two columns, one of texts and one of labels, got {names[text]!r} for both"
            )
        for number, cells in lines if self.header else _again(first, lines):
            where = f"{path}: line {number}"
            if len(cells) != len(names):
                raise DataError(f"{where}: expected {len(names)} columns, got {len(cells)}")
            for name, place in (("text", text), ("label", label)):
                if not cells[place].strip():
                    other = "label" if name == "text" else "text"
                    got = f"none beside the {other} {received(cells[label if name == 'text' else text], 40)}"
                    raise DataError(f"{where}, column {names[place]!r}: expected a {name}, got {got}; remove the line")
            yield Labelled(cells[text], cells[label].strip(), where)

    def _targets(self, everything: list[Labelled], path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        if self.task != "regression":
            return targets([one.label for one in everything], where=str(path))
        values = np.empty(len(everything), np.float32)
        for i, one in enumerate(everything):
            try:
                values[i] = float(one.label)
            except ValueError:
                raise DataError(f"{one.where}: expected a number to predict, got {received(one.label)}") from None
        return values, ()

    def _drawn(self, n: int, y: np.ndarray, classes: tuple[str, ...], path: Path) -> list[np.ndarray]:
        """The places of the training, validation and test texts among those of `path`, each in the order of the file."""
        shares = [0.0 if file else share for share, file in zip(self.parts, (self.validation, self.test), strict=True)]
        if not any(shares):
            return [np.arange(n), np.zeros(0, np.intp), np.zeros(0, np.intp)]
        places = Dataset(np.arange(n)[:, None], y, classes)
        try:
            drawn = Split(validation=shares[0], test=shares[1]).apply(places, self.seed)
        except DataError as error:
            raise DataError(f"{path}: parts {shares}: {str(error).removeprefix('split: ')}") from None
        return [np.sort(part.x[:, 0]) for part in drawn]

    def _tokens(self, one: Labelled) -> list[str]:
        found = words_of(one.text) if self.tokens == "words" else list(one.text)
        if not found:
            raise DataError(f"{one.where}: expected a text with a word, got {received(one.text, 40)}; remove it")
        return found[: self.longest]

    def _rows(
        self,
        tokens: list[list[str]],
        y: np.ndarray,
        width: int,
        vocabulary: Vocabulary,
        classes: tuple[str, ...],
        name: str,
    ) -> Dataset:
        x = np.zeros((len(tokens), width), np.int32)
        mask = np.zeros((len(tokens), width), np.float32)
        for i, own in enumerate(tokens):
            x[i, : len(own)] = vocabulary.places(own)
            mask[i, : len(own)] = 1.0
        return Dataset(x, y, classes, mask=mask, vocabulary=vocabulary.words, name=name)


def read_lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record with the line it ends in; empty lines are passed over. DataError for an open quote."""
    text = io.StringIO(text_of(path).removeprefix("\ufeff"), newline="")
    if separator == "\t":
        reader = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{path}: line {reader.line_num}: expected cells parted by {separator!r}, got: {error}"
        ) from None


def read_folder(path: Path) -> Iterator[Labelled]:
    """The .txt files of the folders of a folder, by name; each is labelled by its folder."""
    for folder in sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")):
        for file in sorted([*folder.glob("*.txt"), *folder.glob("*.txt.gz")]):
            text = text_of(file)
            if not text.strip():
                raise DataError(f"{file}: expected a text labelled {folder.name!r}, got an empty file; remove it")
            yield Labelled(text, folder.name, str(file))


def _again(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest
