"""Splits: no row twice, classes in proportion, the same for the same seed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backlit.data import Dataset, Iris, Parts, Split
from backlit.data.folds import Folds, KFold, LeaveOneGroupOut, LeaveOneOut, TimeFolds
from backlit.data.grouping import deal_groups
from backlit.data.splits import apportion
from backlit.errors import DataError, SettingError
from backlit.settings import build, plain


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


def grouped(sizes: list[int], classes: int = 1, seed: int = 0) -> Dataset:
    """Groups of these sizes, their rows scattered; each group leans to a class of its own."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    y = np.where(rng.random(len(groups)) < 0.6, groups % classes, rng.integers(0, classes, len(groups)))
    order = rng.permutation(len(groups))
    x = np.arange(len(groups), dtype=np.float32)[:, None]
    names = np.array([f"group {g}" for g in groups[order]])
    return Dataset(
        x, y[order].astype(np.int32), tuple(f"class {k}" for k in range(classes)) * (classes > 1), groups=names
    )


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=8, max_size=40), classes=st.integers(1, 3), seed=st.integers(0, 9))
def test_no_group_stands_in_two_parts(sizes, classes, seed):
    data = grouped(sizes, classes, seed)
    wanted = np.array([0.6, 0.2, 0.2]) * len(data)
    part = deal_groups(data.groups, data.y if classes > 1 else None, wanted)
    for name in np.unique(data.groups):
        assert len(set(part[data.groups == name].tolist())) == 1
    have = np.bincount(part, minlength=3)
    assert have.min() > 0
    if classes == 1:  # sizes alone: no nearer than half a group could be moved
        assert np.abs(have - wanted).max() <= max(1.0, max(sizes) / 2)
    np.testing.assert_array_equal(part, deal_groups(data.groups, data.y if classes > 1 else None, wanted))


def test_groups_keep_the_classes_in_proportion():
    data = grouped([5] * 60, classes=3)
    parts = Split(0.2, 0.2).apply(data, seed=4)
    assert all_rows(parts) == list(range(300))
    held = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, held)) == len(held[0] | held[1] | held[2]) == 60
    whole = np.bincount(data.y) / len(data)
    for part in parts:
        assert np.abs(np.bincount(part.y) / len(part) - whole).max() < 0.03
    assert [len(part) for part in parts] == [180, 60, 60]
    plain = Split(0.2, 0.2, stratify=False).apply(data, seed=4)
    assert [len(part) for part in plain] == [180, 60, 60]
    other = Split(0.2, 0.2).apply(data, seed=5)
    assert set(other.test.groups.tolist()) != set(parts.test.groups.tolist())


def test_groups_in_time_are_cut_between_groups():
    sizes = [4, 3, 8, 2, 2, 6, 3]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    x = np.arange(28, dtype=np.float32)[:, None]
    parts = Split(0.25, 0.25).apply(Dataset(x, np.zeros(28, "f"), ordered=True, groups=groups), seed=0)
    assert [rows(part) for part in parts] == [list(range(15)), list(range(15, 19)), list(range(19, 28))]
    endless = Dataset(x, np.zeros(28, "f"), ordered=True, groups=np.arange(28) % 2)
    with pytest.raises(DataError, match="expected 2 moments at which no group goes on"):
        Split().apply(endless, seed=0)
    with pytest.raises(DataError, match="at least a group for each of the 3 parts, got 2"):
        Split().apply(replace(endless, ordered=False), seed=0)


@pytest.mark.parametrize("kind", ["mapping", "json", "npz"])
def test_parts_may_be_given_row_by_row(tmp_path, kind):
    held = {"train": [5, 0, 30, 31], "validation": [6, 32], "test": [59]}
    given_rows: object = held
    if kind == "json":
        (tmp_path / "parts.json").write_text(json.dumps(held))
        given_rows = str(tmp_path / "parts.json")
    elif kind == "npz":
        np.savez(tmp_path / "parts.npz", **{name: np.array(places) for name, places in held.items()})
        given_rows = str(tmp_path / "parts.npz")
    split = Split(rows=given_rows)  # type: ignore[arg-type]
    assert [rows(part) for part in split.apply(numbered([30, 30]), seed=0)] == [[5, 0, 30, 31], [6, 32], [59]]
    assert build(Split, plain(split)) == split


@pytest.mark.parametrize(
    ("rows", "change", "says"),
    [
        ({"train": [0, 9], "validation": [2], "test": [9]}, {}, "got row 9 in train and in test"),
        ({"train": [0, 9, 9], "validation": [2], "test": [8]}, {}, "got row 9 in train and in train"),
        ({"train": [0, 60], "validation": [2], "test": [3]}, {}, "train: expected places 0..59, got 60"),
        ({"train": [0, -1], "validation": [2], "test": [3]}, {}, "train: expected places 0..59, got -1"),
        ({"train": [0, 31], "test": [3]}, {}, "expected places for validation, got none; write split.validation: 0"),
        (
            {"train": [0, 31], "validation": [2], "test": [3]},
            {"test": 0.0},
            "expected no rows as split.test is 0, got 1",
        ),
        ("absent.json", {}, "absent.json: no such file"),
    ],
)
def test_wrong_places_are_said(rows, change, says):
    with pytest.raises(DataError, match=says):
        Split(rows=rows, **change).apply(numbered([30, 30]), seed=0)


def test_wrong_parts_are_said(tmp_path):
    with pytest.raises(SettingError, match=r"rows: unknown part 'tset'; did you mean 'test'"):
        Split(rows={"train": (0,), "tset": (1,)})
    with pytest.raises(SettingError, match="expected the places of the training rows, got none"):
        Split(rows={"test": (1,)})
    for text, says in (
        ("[1]", "expected a mapping of parts"),
        ("{", "readable JSON"),
        ('{"train": ["a"]}', "a list of places"),
    ):
        (tmp_path / "parts.json").write_text(text)
        with pytest.raises(DataError, match=says):
            Split(rows=str(tmp_path / "parts.json")).apply(numbered([4, 4]), seed=0)
    data = replace(numbered([4, 4]), groups=np.array(list("aabbccdd")))
    with pytest.raises(DataError, match="got rows of group 'a' in several"):
        Split(rows={"train": (0, 4), "validation": (1,), "test": (2,)}).apply(data, seed=0)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(5, 30), min_size=2, max_size=5), k=st.integers(2, 5), seed=st.integers(0, 99))
def test_stratified_folds_have_the_sizes_of_scikit_learn(counts, k, seed):
    from sklearn.model_selection import StratifiedKFold

    data = numbered(counts)
    folds = KFold(k).folds(data, seed)
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested.tolist()) == list(range(len(data)))
    assert all(sorted([*train, *test]) == list(range(len(data))) for train, test in folds)
    own = np.stack([np.bincount(data.y[test], minlength=len(counts)) for _, test in folds])
    theirs = [np.bincount(data.y[test], minlength=len(counts)) for _, test in StratifiedKFold(k).split(data.x, data.y)]
    np.testing.assert_array_equal(own, theirs)
    assert np.abs(own - np.array(counts) / k).max() < 1


def test_folds_without_strata_are_those_of_scikit_learn():
    from sklearn.model_selection import KFold as Theirs

    data = numbered([11, 12])
    folds = KFold(4, stratify=False, shuffle=False).folds(data, seed=0)
    for (_, own), (_, theirs) in zip(folds, Theirs(4).split(data.x), strict=True):
        np.testing.assert_array_equal(own, theirs)
    first, again, other = (KFold(4).folds(data, seed)[0][1].tolist() for seed in (1, 1, 2))
    assert first == again != other
    repeated = KFold(4, repeats=3).folds(data, seed=1)
    assert len(repeated) == 12
    assert repeated[0][1].tolist() == first != repeated[4][1].tolist()
    singles = LeaveOneOut().folds(data, seed=0)
    assert [test.tolist() for _, test in singles] == [[i] for i in range(23)]
    assert all(len(train) == 22 and test[0] not in train for train, test in singles)


def test_folds_of_groups_are_as_even_as_those_of_scikit_learn():
    from sklearn.model_selection import GroupKFold
    from sklearn.model_selection import LeaveOneGroupOut as Theirs

    data = grouped([1, 2, 3, 9, 4, 4, 7, 1, 5, 2, 6, 3, 8, 2])
    folds = KFold(4).folds(data, seed=3)
    for train, test in folds:
        assert not set(data.groups[train].tolist()) & set(data.groups[test].tolist())
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(len(data)))
    theirs = [len(test) for _, test in GroupKFold(4).split(data.x, data.y, data.groups)]
    own = [len(test) for _, test in folds]
    assert max(own) - min(own) <= max(theirs) - min(theirs)
    single = {tuple(sorted(test.tolist())) for _, test in LeaveOneGroupOut().folds(data, seed=0)}
    assert single == {tuple(test.tolist()) for _, test in Theirs().split(data.x, data.y, data.groups)}


@pytest.mark.parametrize(("settings_", "theirs"), [
    ({}, {}), ({"size": 2}, {"test_size": 2}), ({"gap": 2}, {"gap": 2}), ({"window": 5}, {"max_train_size": 5}),
    ({"window": 4, "gap": 1, "size": 3}, {"max_train_size": 4, "gap": 1, "test_size": 3}),
])  # fmt: skip
def test_folds_in_time_are_those_of_scikit_learn(settings_, theirs):
    from sklearn.model_selection import TimeSeriesSplit

    data = Dataset(np.zeros((23, 1), "f"), np.zeros(23, "f"), ordered=True)
    own = TimeFolds(k=4, **settings_).folds(data, seed=0)
    for (train, test), (their_train, their_test) in zip(own, TimeSeriesSplit(4, **theirs).split(data.x), strict=True):
        np.testing.assert_array_equal(train, their_train)
        np.testing.assert_array_equal(test, their_test)
    late = TimeFolds(k=4).folds(replace(data, overlap=2), seed=0)
    assert all(test[0] - train[-1] == 3 for train, test in late)


def test_what_cannot_be_folded_is_said():
    data, times = numbered([9, 3]), Dataset(np.zeros((9, 1), "f"), np.zeros(9, "f"), ordered=True)
    groups = replace(data, groups=np.arange(12) % 3)
    with pytest.raises(DataError, match=r"at least 4 rows of each class for k = 4, got 3 of 'class 1'"):
        KFold(4).folds(data, 0)
    with pytest.raises(DataError, match="at least 13 rows for k = 13, got 12"):
        KFold(13, stratify=False).folds(data, 0)
    with pytest.raises(DataError, match="at least 4 groups for k = 4, got 3"):
        KFold(4, stratify=False).folds(groups, 0)
    with pytest.raises(DataError, match="KFold, got rows that follow each other in time; use TimeFolds"):
        KFold(2).folds(times, 0)
    with pytest.raises(DataError, match="expected rows without groups for LeaveOneOut"):
        LeaveOneOut().folds(groups, 0)
    with pytest.raises(DataError, match="expected rows with groups for LeaveOneGroupOut, got none"):
        LeaveOneGroupOut().folds(data, 0)
    with pytest.raises(
        DataError, match="expected at least 10 rows for 9 test parts, a gap of 0 and a training row, got 9"
    ):
        TimeFolds(9).folds(times, 0)
    with pytest.raises(DataError, match="got rows of group '2' before and after a cut"):
        TimeFolds(2).folds(replace(times, groups=np.arange(9) // 2 * 2), 0)
    for make in (lambda: KFold(1), lambda: TimeFolds(0), lambda: KFold(repeats=2, shuffle=False)):
        with pytest.raises(SettingError):
            make()
    assert build(Folds, {"k": 3}) == KFold(3)
    assert build(Folds, "leave-one-out") == LeaveOneOut()
