"""Bad targets are told before training, with the row and the value; good ones pass."""

import numpy as np
import pytest

from backlit.errors import DataError
from backlit.labels import check_labels, check_weights

GOOD = [
    ("classification", [0, 1, 2, 0], 3),
    ("classification", [[0], [2]], 3),
    ("classification", np.array([0.0, 2.0]), 3),
    ("classification", np.array([True, False]), 2),
    ("classification", np.array([255, 0], dtype=np.uint8), 256),
    ("classification", [[0, 2], [1, 1]], (2, 3)),
    ("classification", [[2, 0, 1], [1, 1, 2]], 3),
    ("classification", np.eye(3), 3),
    ("classification", [[1, 0], [0, 1]], 2),
    ("classification", [[0.25, 0.75]], (2,)),
    ("classification", np.full((2, 4, 5), 0.2, dtype=np.float32), (4, 5)),
    ("binary", [0, 1, 1], 1),
    ("binary", [-1, 1], 1),
    ("binary", [[0.0], [0.3]], 1),
    ("binary", np.array([True, False]), 1),
    ("multilabel", [[0, 1, 1]], 3),
    ("multilabel", [[0.5, 1.0]], 2),
    ("regression", [[1.5, -7.0]], 2),
    ("regression", [3, -4], 1),
    ("of my own", [-17.0], 1),
]


@pytest.mark.parametrize(("task", "labels", "outputs"), GOOD)
def test_good_labels_pass(task, labels, outputs):
    check_labels(task, labels, outputs)


FILL = "fill the gap or leave the row out"
REGRESSION = "for values to predict use a regression loss"
YES_NO = "write 0 for no and 1 for yes"
NUMBER = "number names with numpy.unique(names, return_inverse=True)[1]"
BAD = [
    ("classification", [0, 2, 3], 3, "0..2 (3 classes), got 3 in row 2; mend it or use 4 outputs"),
    ("classification", [0, -1, 2], 3, "0..2 (3 classes), got -1 in row 1; mend it"),
    ("classification", [1, 3, 2], 3, "0..2 (3 classes), got 3 in row 1; labels start at 0, so subtract 1"),
    (
        "classification",
        [[0, 1], [1, 5]],
        (2, 3),
        "0..2 (3 classes), got 5 in row 1, column 1; mend it or use 6 outputs",
    ),
    ("classification", [0.0, 1.5], 3, f"whole numbers 0..2 (3 classes), got 1.5 in row 1; {REGRESSION}"),
    ("classification", [0.0, np.nan], 3, f"finite numbers, got nan in row 1; {FILL}"),
    ("classification", ["cat", "dog"], 2, f"numbers, got 'cat' in row 0; {NUMBER}"),
    ("classification", [[0.5, 0.5], [0.5, 0.2]], 2, "probabilities with sum 1, got sum 0.7 in row 1; divide by it"),
    ("classification", [[1.5, -0.5]], 2, f"probabilities from 0 to 1, got 1.5 in row 0, column 0; {YES_NO}"),
    ("classification", [[[0.5, 0.0]]], (1, 2), "probabilities with sum 1, got sum 0.5 in row 0, step 0; divide by it"),
    ("binary", [0, 1, 2], 1, f"0, 1, or a probability between them, got 2 in row 2; {YES_NO}"),
    ("binary", [1, -1, 0], 1, "-1 or +1 (other labels are -1), got 0 in row 2; write 0 and 1, or -1 and +1"),
    ("binary", [None, 1], 1, f"numbers, got None in row 0; {NUMBER}"),
    ("multilabel", [[0, 1], [1, -1]], 2, f"0, 1, or a probability between them, got -1 in row 1, column 1; {YES_NO}"),
    ("regression", [[1.0, 2.0], [np.inf, 0.0]], 2, f"finite numbers, got inf in row 1, column 0; {FILL}"),
    ("regression", np.full((1, 1, 2), np.nan), (1, 2), f"finite numbers, got nan in row 0, position (0, 0); {FILL}"),
    ("regression", [], 1, "at least one row, got shape (0,); check the file or the split"),
    ("regression", 3.0, 1, "one entry a row, got 3.0; write a list or an array"),
    ("regression", [[1.0], [1.0, 2.0]], 1, "rows of one length, got rows of several; pad them to one length"),
]


@pytest.mark.parametrize(("task", "labels", "outputs", "text"), BAD)
def test_bad_labels_are_told_in_one_sentence(task, labels, outputs, text):
    with pytest.raises(DataError) as error:
        check_labels(task, labels, outputs)
    assert str(error.value) == f"labels: expected {text}"


def test_the_sentence_names_the_source():
    with pytest.raises(DataError, match=r"^train\.csv: class: expected 0\.\.1"):
        check_labels("classification", [2], 2, name="train.csv: class")


@pytest.mark.parametrize("weight", [[1, 0, 2.5], np.array([0.0, 0.0, 1.0])])
def test_good_weights_pass(weight):
    check_weights(weight, 3)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([1.0, 2.0], "weights: expected one number for each of 3 rows, shape (3,), got (2,)"),
        ([1.0, -2.0, 0.0], "weights: expected numbers >= 0, got -2.0 in row 1; 0 leaves a row out"),
        ([1.0, np.nan, 0.0], "weights: expected finite numbers, got nan in row 1; fill the gap or leave the row out"),
        ([0.0, 0.0, 0.0], "weights: expected a weight above 0, got only zeros; leave the weights out"),
    ],
)
def test_bad_weights_are_told_in_one_sentence(weight, text):
    with pytest.raises(DataError) as error:
        check_weights(weight, 3)
    assert str(error.value) == text
