"""Dataset: what it accepts, what it refuses and where it says the fault is."""

from dataclasses import replace

import numpy as np
import pytest

from backlit.data import Dataset
from backlit.errors import DataError


def table(rows: int = 4) -> Dataset:
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    y = np.arange(rows, dtype=np.int32) % 2
    return Dataset(x, y, ("no", "yes"), ("a", "b", "c"), name="table")


def test_a_good_data_set_is_itself_after_the_check():
    data = table()
    assert data.checked() is data
    assert (len(data), data.task) == (4, "classification")
    assert replace(data, y=data.y.astype(np.float32), classes=()).checked().task == "regression"


def test_take_keeps_order_and_names_and_drops_the_test_part():
    data = replace(table(), test=table(2)).take([3, 0])
    assert data.x[:, 0].tolist() == [9.0, 0.0]
    assert data.y.tolist() == [1, 0]
    assert (data.classes, data.features, data.test) == (("no", "yes"), ("a", "b", "c"), None)
    assert len(data.take([])) == 0
    assert data.take(np.array([False, True])).x[0, 0] == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_named_with_row_and_column(value):
    data = table()
    data.x[2, 1] = value
    with pytest.raises(DataError, match=rf"table: x: row 2, column 1 \('b'\) \(from 0\).*got {value}"):
        data.checked()


def test_a_bad_pixel_and_a_bad_target_are_named():
    x = np.zeros((3, 2, 2, 1), np.float32)
    x[1, 0, 1, 0] = np.nan
    y = np.array([0.0, 1.0, np.nan], np.float32)
    with pytest.raises(DataError, match=r"x: row 1, position \(0, 1, 0\)"):
        Dataset(x, np.zeros(3, np.float32)).checked()
    with pytest.raises(DataError, match=r"y: row 2 \(from 0\): expected a finite number"):
        Dataset(np.zeros((3, 1), np.float32), y).checked()


def test_large_but_finite_numbers_pass():
    x = np.full((2, 2), 3e38, np.float32)
    assert len(Dataset(x, np.zeros(2, np.float32)).checked()) == 2


def test_how_many_are_bad_is_said():
    data = table()
    data.x[1:, 0] = np.inf
    with pytest.raises(DataError, match=r"row 1, column 0.*3 such numbers in all"):
        data.checked()


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.array([0, 1, 2, 0], np.int32), r"table: y: row 2 .*expected a label 0\.\.1 \(2 classes\), got 2"),
        (np.array([0, -1, 1, 0], np.int32), r"row 1 .*got -1"),
        (np.array([0, 1, 0.5, 0], np.float32), r"row 2 .*expected integer labels 0\.\.1, got 0.5"),
        (np.array([0, 1, 1, 0], np.float32), r"row 0 .*write y.astype\('int32'\)"),
        (np.zeros((4, 2), np.int32), r"expected one label a row, \(N,\), got the shape \(4, 2\)"),
    ],
)
def test_labels_are_integers_below_the_number_of_classes(labels, text):
    with pytest.raises(DataError, match=text):
        replace(table(), y=labels).checked()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x": np.zeros(4, np.float32)}, r"write x\[:, None\].*got the shape \(4,\)"),
        ({"x": np.zeros((0, 3), np.float32), "y": np.zeros(0, np.int32)}, r"at least one row .*\(0, 3\)"),
        ({"x": np.zeros((4, 0), np.float32), "features": ()}, r"at least one row and one column.*\(4, 0\)"),
        ({"y": np.zeros(5, np.int32)}, r"expected one target a row, got x \(4, 3\) and y \(5,\)"),
        ({"features": ("a", "b")}, r"expected one name a column, got 2 names for rows of 3"),
        ({"test": replace(table(), x=np.zeros((4, 2), np.float32), features=())}, r"shaped like the training rows"),
        ({"test": replace(table(), classes=("yes", "no"))}, r"the same classes in training and test part"),
        ({"test": replace(table(), y=np.full(4, 7, np.int32))}, r"table \(test part\): y: row 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, text):
    with pytest.raises(DataError, match=text):
        replace(table(), **change).checked()


def test_the_fingerprint_sees_every_change():
    data = table()
    changed = data.x.copy()
    changed[3, 2] += 1e-3
    others = [
        replace(data, x=changed),
        replace(data, x=data.x.reshape(4, 3, 1)),
        replace(data, y=data.y[::-1].copy()),
        replace(data, classes=("no", "maybe")),
        replace(data, test=table(2)),
        data.take([0, 1, 3, 2]),
    ]
    prints = {data.fingerprint(), *(other.fingerprint() for other in others)}
    assert len(prints) == len(others) + 1
    assert table().fingerprint() == data.fingerprint()
    assert len(data.fingerprint()) == 64
