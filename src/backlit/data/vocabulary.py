"""Words as places in a list: which words there are, and the place of each, alike for every way of writing it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

PADDING, UNKNOWN = "<pad>", "<unknown>"
SHAPES = ("<lower>", "<Title>", "<UPPER>", "<miXed>", "<other>")
"""How a word is written; `<other>` has no letters."""

DIGITS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their places: 0 is padding, 1 any unknown word.

    lower    words are looked up in lower case
    digits   every digit counts as 0: 1984 and 2001 are one word, 0000
    shapes   how a word is written has places of its own, after the unknown word

    >>> from backlit.data import Vocabulary
    >>> words = Vocabulary.of(["The", "cat", "the", "7"], least=1)
    >>> words.words, words.places(["THE", "dog", "3"]).tolist()
    (('<pad>', '<unknown>', 'the', '0', 'cat'), [2, 1, 3])
    """

    words: tuple[str, ...]
    lower: bool = True
    digits: bool = True
    shapes: bool = False

    @classmethod
    def of(
        cls, words: Iterable[str], least: int = 1, lower: bool = True, digits: bool = True, shapes: bool = False,
        known: frozenset[str] = frozenset(), others: Iterable[str] = (),
    ) -> "Vocabulary":  # fmt: skip
        """The words that occur at least `least` times, the most frequent first, equally frequent ones by alphabet;
        then, by alphabet, those of `others` that are `known` (they have a vector from elsewhere)."""
        form = cls((), lower, digits)
        count = Counter(map(form.form, words))
        found = sorted((word for word, n in count.items() if n >= least or word in known), key=lambda w: (-count[w], w))
        more = sorted({form.form(word) for word in others} & known - count.keys())
        return cls((PADDING, UNKNOWN, *(SHAPES if shapes else ()), *found, *more), lower, digits, shapes)

    def __len__(self) -> int:
        return len(self.words)

    def form(self, word: str) -> str:
        """A word as it is looked up."""
        word = word.lower() if self.lower else word
        return word.translate(DIGITS) if self.digits else word

    def places(self, words: Sequence[str]) -> np.ndarray:
        """(n,) int32; with `shapes` (n, 2): the word's place and that of how it is written."""
        table = self._table
        found = np.array([table.get(self.form(word), 1) for word in words], dtype=np.int32)
        if not self.shapes:
            return found
        written = np.array([2 + SHAPES.index(shape(word)) for word in words], dtype=np.int32)
        return np.stack([found, written], axis=1)

    @property
    def first(self) -> int:
        """The place of the first real word."""
        return 2 + len(SHAPES) if self.shapes else 2

    @cached_property
    def _table(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words) if i >= self.first}


def shape(word: str) -> str:
    """Which of SHAPES a word is.

    >>> from backlit.data.vocabulary import shape
    >>> [shape(word) for word in ("cat", "Paris", "NASA", "McAdam", "1984")]
    ['<lower>', '<Title>', '<UPPER>', '<miXed>', '<other>']
    """
    if not any(letter.isalpha() for letter in word):
        return SHAPES[4]
    if word == word.lower():
        return SHAPES[0]
    if word == word.upper() and len(word) > 1:
        return SHAPES[2]
    return SHAPES[1] if word[0].isupper() and word[1:] == word[1:].lower() else SHAPES[3]
