"""From text, numbers and truth values to labels or numbers."""

import numpy as np
import pytest

from backlit.data.targets import rows, targets
from backlit.errors import DataError


@pytest.mark.parametrize(
    ("given", "labels", "classes"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        (np.array(["x", "y"], dtype=object), [0, 1], ("x", "y")),
        ([b"q", b"p"], [1, 0], ("p", "q")),
        ([True, False], [1, 0], ("False", "True")),
        (np.array([True, False], dtype=object), [1, 0], ("False", "True")),
        ([-1, 1, -1], [0, 1, 0], ("-1", "1")),
        (np.array([[3], [7]]), [0, 1], ("3", "7")),
        (np.array([0, 2], np.uint8), [0, 1], ("0", "2")),
    ],
)
def test_labels_are_numbered_in_sorted_order(given, labels, classes):
    y, found = targets(given)
    assert (y.tolist(), found, y.dtype, y.ndim) == (labels, classes, np.int32, 1)


def test_floats_are_numbers_to_predict():
    y, classes = targets(np.array([1.0, 2.0]))
    assert (y.dtype, classes) == (np.float32, ())


def test_the_task_decides():
    assert targets([1, 2, 1], "regression")[1] == ()
    assert targets(np.array([1.0, 2.0]), "classification")[1] == ("1", "2")


def test_several_integers_a_row_are_several_numbers():
    y, classes = targets(np.eye(3, dtype=int))
    assert (y.shape, y.dtype, classes) == ((3, 3), np.float32, ())


def test_with_names_labels_are_indices_or_the_names():
    assert targets([1, 0], names=("no", "yes"))[0].tolist() == [1, 0]
    assert targets(["yes", "no"], names=("no", "yes"))[0].tolist() == [1, 0]
    assert targets(np.array([1.0, 0.0]), names=("no", "yes"))[0].dtype == np.int32


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ([0, 1, 5], {"names": ("a", "b")}, r"y: row 2 .*expected a label 0\.\.1 \(2 classes\), got 5"),
        (["no", "yess"], {"names": ("no", "yes")}, r"row 1 .*'yess' is no class; did you mean 'yes'"),
        ([0.5, 1.0], {"names": ("a", "b")}, r"row 0 .*expected an integer label, got 0.5"),
        ([0.5, 1.0], {"task": "classification"}, r"row 0 .*got 0.5; for numbers to predict write task='regression'"),
        (["1", "two"], {"task": "regression"}, r"y: row 1 \(from 0\): expected a number, got .*'two'"),
        ([[1, 2], [3]], {}, r"rows of different lengths"),
        (
            np.zeros((2, 2, 2)) + 0.5,
            {"names": ("a", "b")},
            r"row 0, column \(0, 0\) .*expected an integer label, got 0.5",
        ),
        (3, {}, r"one label a row"),
    ],
)
def test_targets_that_cannot_be(given, options, text):
    with pytest.raises(DataError, match=text):
        targets(given, **options)


def test_rows_keep_bytes_and_narrow_the_rest():
    assert rows(np.zeros((2, 2), np.uint8)).dtype == np.uint8
    for dtype in (np.float64, np.int64, np.bool_, np.float16):
        assert rows(np.ones((2, 2), dtype)).dtype == np.float32
    assert rows([["1.5", 2]]).tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([[1, 2], [3, "red"]], r"x: row 1, column 1 \(from 0\): expected a number, got .*'red'"),
        ([[1, 2], [3]], r"rows of equal length"),
        ([[1.0, 1e300]], r"row 0, column 1 .*below 3.4e38 \(float32\), got 1e\+300"),
        ([[1, None]], r"row 0, column 1 .*got None"),
    ],
)
def test_rows_that_are_no_numbers(given, text):
    with pytest.raises(DataError, match=text):
        rows(given)
