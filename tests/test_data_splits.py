"""Splits: no row twice, classes in proportion, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backlit.data import Dataset, Iris, Parts, Split
from backlit.data.splits import apportion
from backlit.errors import DataError, SettingError


def numbered(counts: list[int]) -> Dataset:
    """Rows that hold their own number, sorted by class."""
    n = sum(counts)
    y = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    x = np.arange(n, dtype=np.float32)[:, None]
    return Dataset(x, y, tuple(f"class {i}" for i in range(len(counts))))


def rows(part: Dataset) -> list[int]:
    return part.x[:, 0].astype(int).tolist()


def all_rows(parts: Parts) -> list[int]:
    return sorted(rows(parts.train) + rows(parts.validation) + rows(parts.test))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(4, 40), min_size=2, max_size=6),
    validation=st.floats(0.1, 0.3),
    test=st.floats(0.1, 0.3),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_stratified_parts_are_disjoint_and_in_proportion(counts, validation, test, shuffle, seed):
    data = numbered(counts)
    parts = Split(validation, test, shuffle=shuffle).apply(data, seed)
    n = len(data)
    assert all_rows(parts) == list(range(n))
    assert len(parts.validation) == int(validation * n + 0.5)
    assert len(parts.test) == int(test * n + 0.5)
    # Less than a row away from the exact share of what the part was taken from.
    taken = np.bincount(parts.test.y, minlength=len(counts))
    left = np.array(counts) - taken
    assert np.abs(taken - len(parts.test) * np.array(counts) / n).max() < 1
    found = np.bincount(parts.validation.y, minlength=len(counts))
    assert np.abs(found - len(parts.validation) * left / left.sum()).max() < 1


@pytest.mark.parametrize("stratify", [True, False])
def test_the_seed_decides(stratify):
    split, data = Split(stratify=stratify), numbered([30, 30])
    first, again, other = (split.apply(data, seed) for seed in (1, 1, 2))
    assert [rows(a) for a in first] == [rows(a) for a in again]
    assert rows(first.test) != rows(other.test)


def test_known_sizes():
    parts = Split(0.15, 0.15).apply(Iris().load(), seed=0)
    assert [len(part) for part in parts] == [104, 23, 23]
    assert all(np.bincount(part.y, minlength=3).min() >= 7 for part in parts)
    assert parts.train.classes == parts.test.classes == Iris().load().classes


def test_parts_keep_their_names_and_fractions_of_zero_are_empty():
    parts = Split(0.0, 0.0).apply(replace(numbered([3, 3]), features=("number",)), 0)
    assert [len(part) for part in parts] == [6, 0, 0]
    assert parts.test.features == ("number",)


def test_without_shuffle_the_order_stays_and_the_test_comes_last():
    data = replace(numbered([10]), classes=(), y=np.zeros(10, np.float32))
    parts = Split(0.2, 0.3, shuffle=False).apply(data, 0)
    assert [rows(part) for part in parts] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]


def test_with_shuffle_the_training_rows_are_mixed():
    train = rows(Split().apply(numbered([40, 40]), 0).train)
    assert train != sorted(train)


def test_a_fixed_test_part_is_the_test():
    fixed = numbered([2, 1])
    parts = Split(0.25, 0.5).apply(replace(numbered([4, 4]), test=fixed), 0)
    assert parts.test is fixed
    assert (len(parts.train), len(parts.validation)) == (6, 2)


def test_a_rare_class_stays_in_training():
    parts = Split(0.3, 0.3).apply(numbered([20, 1, 2]), 0)
    assert set(parts.train.y.tolist()) == {0, 1, 2}


def test_shares_are_whole_and_add_up():
    assert apportion(7, np.array([10, 10, 10])).tolist() == [3, 2, 2]
    assert apportion(3, np.array([1, 1, 9])).tolist() == [0, 0, 3]
    assert apportion(0, np.array([5, 5])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("split", "data", "text"),
    [
        (
            Split(0.15, 0.15),
            numbered([1, 2]),
            r"split\.validation: .*at least one row, got none of 3 at a fraction of 0.15",
        ),
        (Split(0.0, 0.05), numbered([4, 4]), r"split\.test: .*use a larger fraction, or 0 to go without"),
        (Split(0.4, 0.5), numbered([1, 1]), r"split: expected at least one row for each of the 3 parts, got 2 rows"),
        (Split(0.0, 0.0), numbered([6]), r"training part: .*at least two classes, got 6 rows of 'class 0' only"),
        (Split(0.0, 0.0), numbered([3, 0, 3]), r"rows of all 3 classes, got none of 'class 1'"),
        (Split(0.0, 0.5, False, False), numbered([6, 2]), r"at least two classes, got 4 rows of 'class 0' only"),
        (Split(0.0, 0.5), numbered([1, 1, 1, 1]), r"a row of each class for training and 2 rows to spare"),
    ],
)
def test_a_split_that_cannot_be_trained_on_is_refused(split, data, text):
    with pytest.raises(DataError, match=text):
        split.apply(data, 0)


def test_fractions_must_leave_rows_for_training():
    with pytest.raises(SettingError, match=r"validation: expected validation \+ test below 1, got 0.5 \+ 0.5"):
        Split(0.5, 0.5)
    with pytest.raises(SettingError, match=r"test: expected a number"):
        Split(test=1.0)
