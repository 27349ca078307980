"""A table of word vectors from a file: where an Embedding starts that others have trained on more text."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit.errors import DataError, ShapeError, received
from backlit.initializers import Initializer, Normal
from backlit.protocol import Array, Shape


@dataclass(frozen=True)
class WordVectors(Initializer):
    """Row i is the vector of word i of the vocabulary, from a text file of GloVe, fastText or word2vec (.txt, .gz).

    A line of the file is a word and its numbers, separated by single spaces. A word that the file lacks is looked up in
    lower case, and drawn from `unknown` when that is missing too. `vocabulary`: the words in the order of their
    tokens, or a text file with one a line; left out, a training takes that of its data.

    Errors: DataError when there is no vocabulary, a file is missing, a line cannot be read, or no word is found;
    ShapeError when the table has another shape than the parameter.
    Source: Pennington, Socher, Manning 2014, https://aclanthology.org/D14-1162

    >>> import backlit as bl, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "glove.txt")
    >>> with open(path, "w") as file: _ = file.write("the 0.5 1\\ncat -1 2\\n")
    >>> vectors = bl.WordVectors(path, vocabulary=("<pad>", "The", "cat"), unknown="Zeros")
    >>> vectors.draw(bl.random.key(0), (3, 2)).tolist()
    [[0.0, 0.0], [0.5, 1.0], [-1.0, 2.0]]
    """

    path: str
    vocabulary: str | tuple[str, ...] = ()
    unknown: Initializer = Normal(0.1)

    def draw(self, key: Array, shape: Shape) -> Array:
        words = self.vocabulary if isinstance(self.vocabulary, tuple) else tuple(_lines(self.vocabulary))
        if not words:
            raise DataError(
                f"{self.path}: expected a vocabulary, got none; name its words, or train on data that has one"
            )
        if len(shape) != 2 or shape[0] != len(words):
            text = f"expected a parameter ({len(words)}, units), a row for each word of the vocabulary, got {shape}"
            raise ShapeError(f"{self.path}: {text}; write Embedding(size={len(words)})")
        found = _read(self.path, {form for word in words for form in (word, word.lower())}, shape[1])
        table, known = np.zeros(shape, np.float32), np.zeros((len(words), 1), bool)
        for i, word in enumerate(words):
            vector = found.get(word, found.get(word.lower()))
            if vector is not None:
                table[i], known[i] = vector, True
        if not known.any():
            text = f"expected vectors of words such as {words[0]!r}, got none of the {len(words)} of the vocabulary"
            raise DataError(f"{self.path}: {text}; use a file of the same language")
        xp = key.__array_namespace__()
        return xp.where(xp.asarray(known), xp.asarray(table), self.unknown.draw(key, shape))  # (size, units)


def _read(path: str, wanted: set[str], width: int) -> dict[str, Any]:
    """{word: (width,)} of those words that the file holds; the first counts where it holds a word twice."""
    found: dict[str, Any] = {}
    first = True
    for number, line in enumerate(_lines(path), start=1):
        # From the right: some words of GloVe hold spaces.
        word, *numbers = line.rsplit(" ", width)
        count = line.count(" ")
        if number == 1 and count == 1 and line.replace(" ", "").isdigit():
            continue  # fastText and word2vec begin with the number of words and their width
        if count < width or (first and count > width):
            text = f"expected {width} numbers after a word, the units of the layer, got {count}"
            raise ShapeError(f"{path}: line {number}: {text}; write units={count} or use another file")
        first = False
        if word in wanted and word not in found:
            found[word] = _vector(numbers, f"{path}: line {number}")
    return found


def _vector(numbers: list[str], where: str) -> Any:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        raise DataError(f"{where}: expected finite numbers, got {received(' '.join(numbers))}; mend the line")
    return vector


def _lines(path: str) -> Iterator[str]:
    """The lines of a text file, unpacked when its name ends in .gz."""
    opened: Any = gzip.open if path.endswith(".gz") else open
    try:
        # Only \n ends a line: some words hold other separators of Unicode.
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n ")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; WordVectors needs text, a line for each word") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected text in UTF-8, plain or .gz, got: {error}") from None
