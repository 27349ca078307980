"""How well names are found in text: whole entities, not single tags.

A tag is "O" (outside), or a prefix and a type, such as B-PER. B begins an entity, I is inside one, E ends one, S is one by
itself (L and U are E and S). So IO, IOB, IOB2, IOBES and BILOU are all read: an entity also begins where a tag inside
has no entity of its type before it, and ends where none goes on.

Source: Tjong Kim Sang, De Meulder 2003, https://aclanthology.org/W03-0419 (the evaluation of CoNLL-2003)
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from backlit.errors import DataError

OUTSIDE = "O"
PREFIXES = frozenset("BIESLU")


class Entity(NamedTuple):
    """A type and the words from `start` to before `end`."""

    type: str
    start: int
    end: int


class Score(NamedTuple):
    """precision = right / said, recall = right / true, F1 their harmonic mean; 0 where a quotient is 0 / 0."""

    precision: float
    recall: float
    f1: float
    support: int


class EntityScores(NamedTuple):
    """By type; over all entities (micro); and the mean over the types (macro)."""

    types: dict[str, Score]
    micro: Score
    macro: Score


def find_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence.

    >>> [tuple(e) for e in find_entities(["I-PER", "I-PER", "O", "B-LOC", "B-LOC", "E-LOC"])]
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 6)]
    """
    found: list[Entity] = []
    start, kind, last = 0, "", ""  # the entity that is open, kind "" for none, and the prefix before this tag
    for i, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = _parts(tag)
        goes_on = kind == type_ and prefix in "IEL" and last not in "ESLU"
        if kind and not goes_on:
            found.append(Entity(kind, start, i))
        if not goes_on:
            start = i
        kind, last = type_, prefix
    return found


def score_entities(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> EntityScores:
    """Precision, recall and F1 of the entities of many sentences: right is one of the same type and the same words.

    Errors: DataError when the sentences do not pair up.
    Others: the same numbers as seqeval gives (mode=None); scikit-learn scores single tags.

    >>> found = score_entities([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-LOC"]])
    >>> round(found.micro.f1, 2), found.types["LOC"].f1, found.types["PER"].f1
    (0.5, 1.0, 0.0)
    """
    if [len(tags) for tags in true] != [len(tags) for tags in predicted]:
        found = f"{len(true)} sentences with {sum(map(len, true))} tags and {len(predicted)} with {sum(map(len, predicted))}"
        raise DataError(f"score_entities: expected a predicted tag for each true one, got {found}")
    right, said, real = Counter[str](), Counter[str](), Counter[str]()
    for own, other in zip(true, predicted, strict=True):
        wanted, given = set(find_entities(own)), set(find_entities(other))
        for counter, spans in ((real, wanted), (said, given), (right, wanted & given)):
            counter.update(entity.type for entity in spans)
    types = {kind: _score(right[kind], said[kind], real[kind]) for kind in sorted(real.keys() | said.keys())}
    micro = _score(right.total(), said.total(), real.total())
    columns = np.array([score[:3] for score in types.values()] or [(0.0, 0.0, 0.0)])
    precision, recall, f1 = columns.mean(axis=0).tolist()
    return EntityScores(types, micro, Score(precision, recall, f1, real.total()))


def are_tags(classes: Sequence[str]) -> bool:
    """Whether classes are the tags of entities: "O", and others with a prefix.

    >>> are_tags(["O", "I-LOC", "B-LOC"]), are_tags(["cat", "dog"])
    (True, False)
    """
    others = [name for name in classes if name != OUTSIDE]
    return len(others) == len(classes) - 1 > 0 and all(n[1:2] == "-" and n[0] in PREFIXES for n in others)


def sentences(labels: Any, mask: Any, classes: Sequence[str]) -> list[list[str]]:
    """The tags of each row of class numbers (N, T) where the mask (N, T; None: everywhere) is 1.

    >>> sentences([[1, 0], [1, 1]], [[1, 0], [1, 1]], ["O", "I-LOC"])
    [['I-LOC'], ['I-LOC', 'I-LOC']]
    """
    rows, names = np.asarray(labels), np.asarray(classes)
    kept = np.ones(rows.shape, bool) if mask is None else np.asarray(mask) > 0
    return [names[row[real]].tolist() for row, real in zip(rows, kept, strict=True)]


def majority(words: Any, labels: Any, others: Any) -> np.ndarray[Any, Any]:
    """What a list of words would say: for each of the words `others` the label it has most often in training.

    words and labels are numbers of one shape, those of the real words of the training part; a word that is not among
    them gets the label that is the most frequent of all. Of equally frequent labels, the smallest.

    >>> majority([5, 5, 5, 7], [1, 1, 0, 2], [[5, 7], [9, 5]]).tolist()
    [[1, 2], [1, 1]]
    """
    w, t = np.asarray(words).ravel(), np.asarray(labels).ravel()
    most = int(np.bincount(t).argmax())
    count: dict[int, Counter[int]] = defaultdict(Counter)
    for word, label in zip(w.tolist(), t.tolist(), strict=True):
        count[word][label] += 1
    best = {word: min(own, key=lambda label: (-own[label], label)) for word, own in count.items()}
    found = np.asarray(others)
    return np.array([best.get(word, most) for word in found.ravel().tolist()], np.int64).reshape(found.shape)


def _parts(tag: str) -> tuple[str, str]:
    """Prefix and type; ("O", "") outside, and I for a type without a prefix."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    return (tag[0], tag[2:]) if tag[1:2] == "-" and tag[0] in PREFIXES else ("I", tag)


def _score(right: int, said: int, real: int) -> Score:
    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return Score(share(right, said), share(right, real), share(2 * right, said + real), real)
