"""Entities and their scores against seqeval."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from backlit.errors import DataError
from backlit.evaluation.entities import are_tags, find_entities, majority, score_entities, sentences

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC"))]
sequences = st.lists(st.sampled_from(TAGS), max_size=9)


@settings(max_examples=400, deadline=None)
@given(sequences)
def test_entities_are_those_of_seqeval(tags):
    """In any order of tags, good or not."""
    wanted = [(kind, start, end + 1) for kind, start, end in get_entities(tags)]
    assert [tuple(e) for e in find_entities(tags)] == wanted


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(sequences, sequences), min_size=1, max_size=4))
def test_scores_are_those_of_seqeval(pairs):
    true = [a[: min(len(a), len(b))] for a, b in pairs]
    said = [b[: min(len(a), len(b))] for a, b in pairs]
    found = score_entities(true, said)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where nothing was said
        for average, score in (("micro", found.micro), ("macro", found.macro)):
            for measure, ours in zip((precision_score, recall_score, f1_score), score, strict=False):
                wanted = measure(true, said, average=average)
                assert ours == pytest.approx(0.0 if np.isnan(wanted) else wanted)
        if found.types:
            each = f1_score(true, said, average=None)
            np.testing.assert_allclose([score.f1 for score in found.types.values()], each)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["I-PER", "I-PER", "O", "I-LOC"], [("PER", 0, 2), ("LOC", 3, 4)]),  # IO
        (["I-PER", "B-PER", "I-LOC"], [("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 3)]),  # IOB
        (["B-PER", "I-PER", "B-PER"], [("PER", 0, 2), ("PER", 2, 3)]),  # IOB2
        (["S-PER", "B-PER", "E-PER", "I-PER"], [("PER", 0, 1), ("PER", 1, 3), ("PER", 3, 4)]),  # IOBES
        (["U-PER", "B-PER", "I-PER", "L-PER", "U-LOC"], [("PER", 0, 1), ("PER", 1, 4), ("LOC", 4, 5)]),  # BILOU
        (["PER", "PER", "O"], [("PER", 0, 2)]),  # without prefixes
        ([], []),
    ],
)
def test_schemes(tags, spans):
    assert [tuple(e) for e in find_entities(tags)] == spans


def test_scores_by_hand():
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]]
    said = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "B-LOC"]]
    found = score_entities(true, said)
    assert found.types["PER"] == (0.5, 1.0, pytest.approx(2 / 3), 1)
    assert found.types["LOC"] == (0.5, 0.5, 0.5, 2)
    assert found.micro == (0.5, pytest.approx(2 / 3), pytest.approx(4 / 7), 3)
    assert found.macro == (0.5, 0.75, pytest.approx(7 / 12), 3)


def test_sentences_that_do_not_pair_up():
    with pytest.raises(DataError, match="got 1 sentences with 2 tags and 1 with 1"):
        score_entities([["O", "O"]], [["O"]])


def test_nothing_to_find():
    assert score_entities([["O"]], [["O"]]).micro == (0.0, 0.0, 0.0, 0)


def test_tags_are_told_from_other_classes():
    assert are_tags(("O", "B-PER", "I-PER"))
    assert not are_tags(("O",))
    assert not are_tags(("O", "NOUN"))
    assert not are_tags(("B-PER", "I-PER"))


def test_only_real_words_count():
    classes = ("O", "I-PER")
    labels, mask = np.array([[1, 1, 0], [0, 1, 1]]), np.array([[1, 1, 0], [1, 0, 0]])
    assert sentences(labels, mask, classes) == [["I-PER", "I-PER"], ["O"]]
    assert sentences(labels, None, classes) == [["I-PER", "I-PER", "O"], ["O", "I-PER", "I-PER"]]


def test_the_majority_of_each_word():
    words, labels = np.array([4, 4, 4, 8, 8, 3]), np.array([2, 2, 0, 1, 0, 0])
    assert majority(words, labels, [4, 8, 3, 99]).tolist() == [2, 0, 0, 0]
    assert majority(words[::-1], labels[::-1], [4, 8, 3, 99]).tolist() == [2, 0, 0, 0]
