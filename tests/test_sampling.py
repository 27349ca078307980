"""Sampling: classes as often as asked for, every row of a bucket or a block once, all of it a function of (key, epoch)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backlit.data import Dataset
from backlit.data.batches import bucket_batches
from backlit.data.draws import draw_rows, shares
from backlit.data.sampling import Balanced, Buckets, Sampling, Weighted
from backlit.data.table import Table
from backlit.engine import random
from backlit.errors import DataError, SettingError
from backlit.settings import build, plain

KEY = random.key(5)


def rows(*counts: int) -> Dataset:
    y = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[::-1].copy()
    x = np.stack([np.arange(len(y)), y + 1.0], axis=1).astype(np.float32)
    return Dataset(x, y, tuple(f"class {k}" for k in range(len(counts))), ("place", "weight"))


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=5), batch=st.integers(1, 9), first=st.integers(0, 6))
def test_balanced_epochs_have_each_class_equally_often_and_rows_take_turns(counts, batch, first):
    data = rows(*counts)
    batch = min(batch, len(data))
    indices, weight = Balanced().indices(data, KEY, batch, first, 5)
    steps = -(-len(data) // batch)
    assert (weight, indices.shape, indices.dtype) == (None, (5, steps, batch), np.int32)
    per_epoch = np.stack([np.bincount(data.y[epoch.ravel()], minlength=len(counts)) for epoch in indices])
    assert np.abs(per_epoch - steps * batch / len(counts)).max() < 1
    # Over all epochs so far no row of a class is two rounds ahead of another: the oracle of sampling in turns.
    everything = Balanced().indices(data, KEY, batch, 0, first + 5)[0]
    np.testing.assert_array_equal(everything[first:], indices)
    seen = np.bincount(everything.ravel(), minlength=len(data))
    for k in range(len(counts)):
        assert np.ptp(seen[data.y == k]) <= 1


def test_weights_of_classes_count_rows():
    data = rows(60, 30, 10)
    indices = Weighted({"class 2": 6.0}).indices(data, KEY, 10, 0, 3)[0]
    for epoch in indices:
        np.testing.assert_array_equal(
            np.bincount(data.y[epoch.ravel()]), [40, 20, 40]
        )  # 60 : 30 : 6 times 10, of 100 rows
    same = Weighted((1.0, 1.0, 6.0)).indices(data, KEY, 10, 0, 3)[0]
    np.testing.assert_array_equal(same, indices)
    equal = Weighted((2.0, 2.0, 2.0)).indices(data, KEY, 10, 0, 1)[0]
    assert sorted(equal.ravel().tolist()) == list(range(100))  # equal weights: every row once


@pytest.mark.parametrize("table", [False, True])
def test_a_column_of_weights_decides_how_often_a_row_is_drawn(table):
    data = rows(6, 3)
    if table:
        columns = {name: data.x[:, i].astype(np.float64) for i, name in enumerate(data.features)}
        data = Dataset(Table(columns), data.y, data.classes)
    indices = Weighted(column="weight").indices(data, KEY, 4, 0, 50)[0]
    seen = np.stack([np.bincount(epoch.ravel(), minlength=9) for epoch in indices])  # (50, 9), 12 places of weight 12
    np.testing.assert_array_equal(seen, np.tile(data.y + 1, (50, 1)))
    uneven = draw_rows(KEY, np.array([1.0, 2.5, 0.0, 3.5]), 10, 0, 300)
    seen = np.stack([np.bincount(epoch, minlength=4) for epoch in uneven])
    exact = np.array([1.0, 2.5, 0.0, 3.5]) / 7 * 10
    assert np.abs(seen - exact).max() < 1
    np.testing.assert_allclose(seen.mean(axis=0), exact, atol=0.12)  # standard error below 0.03


@given(weight=st.lists(st.floats(0.001, 100), min_size=1, max_size=8), total=st.integers(1, 500), u=st.floats(0, 0.999))
@settings(max_examples=100, deadline=None)
def test_shares_are_whole_and_exact_to_one(weight, total, u):
    weight = np.array(weight)
    found = shares(weight, total, np.array([u]))[0]
    assert found.sum() == total
    assert found.min() >= 0
    assert np.abs(found - total * weight / weight.sum()).max() < 1 + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    edges=st.lists(st.integers(1, 30), max_size=4, unique=True),
    batch=st.integers(1, 8),
    run=st.integers(1, 4),
)
def test_bucket_batches_hold_every_row_once_within_their_width(lengths, edges, batch, run):
    lengths, edges = np.array(lengths), tuple(sorted(edges))
    batch = min(batch, len(lengths))
    indices, weight, width = bucket_batches(KEY, lengths, batch, 3, edges, run)
    real = np.ones(indices.shape, bool) if weight is None else weight > 0
    assert sorted(indices[real].tolist()) == list(range(len(lengths)))
    assert (lengths[indices] <= width[:, None]).all()
    bucket = np.searchsorted(edges, lengths)
    assert (bucket[indices] == bucket[indices[:, :1]]).all()  # what fills a batch up is of its bucket too
    again = bucket_batches(KEY, lengths, batch, 3, edges, run)
    np.testing.assert_array_equal(indices, again[0])
    other = bucket_batches(KEY, lengths, batch, 4, edges, run)
    assert sorted(other[2].tolist()) == sorted(width.tolist())  # the same programs, another order


def test_batches_of_a_bucket_come_in_runs_and_epochs_differ():
    lengths = np.repeat([5, 20], 400)
    indices, weight, width = bucket_batches(KEY, lengths, 10, 0, (10, 20), run=8)
    assert weight is None
    changes = int((np.diff(width) != 0).sum())
    alone = int((np.diff(bucket_batches(KEY, lengths, 10, 0, (10, 20), run=1)[2]) != 0).sum())
    assert changes <= 9 < alone
    assert indices.tolist() != bucket_batches(KEY, lengths, 10, 1, (10, 20))[0].tolist()


def test_buckets_read_the_lengths_from_the_mask():
    mask = (np.arange(9) < np.array([[3], [9], [1], [5]])).astype(np.float32)
    data = Dataset(np.zeros((4, 9), np.int32), np.zeros(4, np.int32), mask=mask, vocabulary=("a",))
    indices, _, width = Buckets(width=4).batches(data, KEY, 1, 0)
    assert dict(zip(indices.ravel().tolist(), width.tolist(), strict=True)) == {0: 3, 1: 9, 2: 3, 3: 5}
    with pytest.raises(DataError, match="expected sequences of different lengths, with a mask"):
        Buckets(width=4).batches(rows(3, 3), KEY, 1, 0)


def test_settings_read_and_write():
    for sampling in (Balanced(), Weighted({"a": 2.0}), Weighted(column="w"), Buckets(edges=(4, 8), run=2)):
        assert build(Sampling, plain(sampling)) == sampling
    assert build(Sampling, "balanced") == Balanced()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Weighted, "expected weights of the classes or a column of weights, got neither"),
        (lambda: Weighted((1.0,), "w"), "got both"),
        (lambda: Weighted((0.0, 1.0)), "greater than 0"),
        (Buckets, "expected a width of all buckets or their edges, got neither"),
        (lambda: Buckets(edges=(4, 4)), "expected lengths that rise"),
    ],
)
def test_wrong_settings_are_said(make, says):
    with pytest.raises(SettingError, match=says):
        make()


@pytest.mark.parametrize(
    ("sampling", "data", "says"),
    [
        (Balanced(), Dataset(np.zeros((4, 1), "f"), np.zeros(4, "f")), "with a class each for Balanced, got numbers"),
        (Balanced(), Dataset(np.zeros((4, 1), "f"), np.zeros(4, "i"), ("a", "b")), "got none of 'b'"),
        (Weighted({"clas 1": 2.0}), rows(2, 2), "no class 'clas 1'; did you mean 'class 1'"),
        (Weighted((1.0,)), rows(2, 2), "expected one weight for each of the 2 classes, got 1"),
        (Weighted(column="weigth"), rows(2, 2), "no column 'weigth'; did you mean 'weight'"),
    ],
)
def test_what_cannot_be_sampled_is_said(sampling, data, says):
    with pytest.raises(DataError, match=says):
        sampling.indices(data, KEY, 2, 0, 1)


def test_weights_below_0_are_said_with_their_row():
    data = rows(2, 2)
    data.x[2, 1] = -1.0
    with pytest.raises(DataError, match=r"got -1.0 in row 2 \(from 0\)"):
        Weighted(column="weight").indices(data, KEY, 2, 0, 1)
    with pytest.raises(DataError, match="batch_size: expected at most the 4 training rows"):
        Balanced().indices(data, KEY, 5, 0, 1)
