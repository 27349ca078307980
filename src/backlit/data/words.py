"""A text, word by word: the next one is to be predicted; and what a word is."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.source import Source
from backlit.data.text import text_of
from backlit.data.vocabulary import Vocabulary
from backlit.errors import DataError, SettingError
from backlit.settings import Count, Fraction

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words (letters and digits, with apostrophes within) and, each by itself, all other signs; white space parts them.

    >>> from backlit.data.words import words_of
    >>> words_of("Don't stop, it's 9 o'clock!")
    ["Don't", 'stop', ',', "it's", '9', "o'clock", '!']
    """
    return WORD.findall(text)


@dataclass(frozen=True)
class Words(Source):
    """Your own text, word by word: x (N, length) words and y (N, length), the word that follows each.

    path              a file in UTF-8, or packed by gzip (.gz)
    validation, test  files of these parts; a part without one is the end of `path`, by its share in `parts`: training first,
                      then validation, then test
    length            words a row; row i + 1 goes on where row i ends, and less than a row is left over at each end
    least             words that the training part holds less often are unknown words; with 1 it holds none, so that what a
                      net makes of an unknown word is never trained
    lower, digits     words count in lower case; every digit counts as 0

    The vocabulary, and the classes, are the words of the training part: 0 for padding (never met), 1 for unknown words, then
    by falling frequency. Rows are ordered: with `order: streams`, row b of a batch goes on where row b of the batch before it
    ended. The source makes its own parts, so `split` is not used. Errors: DataError for a file that is missing, no UTF-8 (with
    the line), or shorter than a row.
    Source of the task: Mikolov et al. 2010, https://www.isca-archive.org/interspeech_2010/mikolov10_interspeech.html

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data.words import Words
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> _ = path.write_text("A rose is a rose is a rose.")
    >>> data = Words(str(path), length=3, least=2, parts=(0, 0)).load()
    >>> data.vocabulary, data.x.tolist(), data.y.tolist()
    (('<pad>', '<unknown>', 'a', 'rose', 'is'), [[2, 3, 4], [2, 3, 4]], [[3, 4, 2], [3, 4, 2]])
    """

    aliases: ClassVar[tuple[str, ...]] = ("words",)
    path: str
    validation: str = ""
    test: str = ""
    parts: tuple[Fraction, Fraction] = (0.15, 0.15)
    length: Count = 32
    least: Count = 2
    lower: bool = True
    digits: bool = False

    def check(self) -> None:
        if sum(self.parts) >= 1:
            text = f"expected two shares below 1 together, got {self.parts[0]} + {self.parts[1]}; training needs words"
            raise SettingError([("parts", text)])

    def load(self) -> Dataset:
        path = files.find(self.path)
        train, *held_out = self._cut(words_of(text_of(path)))
        for i, file in enumerate((self.validation, self.test)):
            if file:
                held_out[i] = words_of(text_of(files.find(file)))
        vocabulary = Vocabulary.of(train, self.least, self.lower, self.digits)
        wanted = [bool(share or file) for share, file in zip(self.parts, (self.validation, self.test), strict=True)]
        parts: dict[str, Any] = {
            name: self._rows(words, vocabulary, f"{path.name} ({name} part)")
            for name, words, want in zip(("validation", "test"), held_out, wanted, strict=True)
            if want
        }
        first = self._rows(train, vocabulary, path.name)
        return Dataset(
            first.x, first.y, vocabulary.words, vocabulary=vocabulary.words, ordered=True, name=path.name, **parts
        ).checked()

    def _cut(self, words: list[str]) -> list[list[str]]:
        shares = [0.0 if file else share for share, file in zip(self.parts, (self.validation, self.test), strict=True)]
        validation, test = (int(share * len(words) + 0.5) for share in shares)
        first, second = len(words) - validation - test, len(words) - test
        return [words[:first], words[first:second], words[second:]]

    def _rows(self, words: list[str], vocabulary: Vocabulary, name: str) -> Dataset:
        rows = (len(words) - 1) // self.length
        if rows < 1:
            expected = f"expected at least {self.length + 1} words, a row of {self.length} and the one after it"
            raise DataError(f"{name}: {expected}, got {len(words)}; use a smaller length")
        places = vocabulary.places(words)
        x, y = (places[i : i + rows * self.length].reshape(rows, self.length) for i in (0, 1))
        return Dataset(x, y, vocabulary.words, vocabulary=vocabulary.words, ordered=True, name=name)
