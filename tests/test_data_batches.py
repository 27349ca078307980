"""Batches: every row once, and the same rows for the same key and epoch."""

import numpy as np
import pytest

from backlit.data import epoch_indices, epochs_indices
from backlit.engine import random
from backlit.errors import DataError

KEY = random.key(3)


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (13, 4), (3, 2), (5, 5), (7, 1), (1, 1)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_counts_once(n, batch_size, shuffle):
    indices, weight = epoch_indices(KEY, n, batch_size, epoch=2, shuffle=shuffle)
    assert (indices.shape, indices.dtype) == ((-(-n // batch_size), batch_size), np.int32)
    assert (weight is None) == (n % batch_size == 0)
    counted = indices if weight is None else indices[weight == 1]
    assert sorted(counted.ravel().tolist()) == list(range(n))
    if weight is not None:
        assert (weight.shape, weight.dtype, weight.sum()) == (indices.shape, np.float32, n)
        assert set(indices[weight == 0].tolist()) == {0}
        assert weight[:-1].min(initial=1) == 1  # only the last batch is filled up


def test_the_order_is_a_function_of_key_and_epoch():
    first, again = (epoch_indices(KEY, 50, 10, epoch=4)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != epoch_indices(KEY, 50, 10, epoch=5)[0].tolist()
    assert first.tolist() != epoch_indices(random.key(4), 50, 10, epoch=4)[0].tolist()
    assert epoch_indices(KEY, 6, 3, epoch=1, shuffle=False)[0].ravel().tolist() == list(range(6))


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (13, 4)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_several_epochs_at_once_are_the_epochs_one_by_one(n, batch_size, shuffle):
    indices, weight = epochs_indices(KEY, n, batch_size, first=3, epochs=4, shuffle=shuffle)
    assert (indices.shape, indices.dtype) == ((4, -(-n // batch_size), batch_size), np.int32)
    for i in range(4):
        alone, alone_weight = epoch_indices(KEY, n, batch_size, 3 + i, shuffle)
        np.testing.assert_array_equal(indices[i], alone)
        np.testing.assert_array_equal(None if weight is None else weight[i], alone_weight)


def test_the_order_is_the_permutation_of_the_folded_key():
    order = epoch_indices(KEY, 40, 10, epoch=7)[0].ravel()
    np.testing.assert_array_equal(order, random.permutation(random.fold(KEY, 7), 40))


def test_the_order_does_not_depend_on_the_batch_size():
    one, two = epoch_indices(KEY, 12, 4, 0)[0], epoch_indices(KEY, 12, 6, 0)[0]
    assert one.ravel().tolist() == two.ravel().tolist()


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(DataError, match=r"batch_size: expected at most the 5 training rows and at least 1, got 6"):
        epoch_indices(KEY, 5, 6, 0)
    with pytest.raises(DataError, match=r"got 0"):
        epoch_indices(KEY, 5, 0, 0)
