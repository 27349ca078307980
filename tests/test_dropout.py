"""Which numbers share one draw in the variants of dropout; Dropout itself: test_layers.py."""

import numpy as np
import pytest

import backlit as bl
from backlit.engine import random
from backlit.errors import ShapeError
from backlit.protocol import Context


def run(layer, x, train=True, seed=0):
    return layer.forward({}, {}, x, Context(train=train, root=random.key(seed)))


@pytest.mark.parametrize(
    ("layer", "shape", "shared"),
    [
        (bl.SpatialDropout(0.4), (40, 3, 2, 50), (1, 2)),
        (bl.SpatialDropout(0.4), (40, 6, 50), (1,)),
        (bl.VariationalDropout(0.4), (40, 6, 50), (1,)),
        (bl.VariationalDropout(0.4), (40, 6, 2, 50), (1,)),
    ],
)
def test_what_shares_a_draw(layer, shape, shared):
    y = run(layer, np.full(shape, 3.0))[0]
    first = y[tuple(slice(0, 1) if axis in shared else slice(None) for axis in range(y.ndim))]
    np.testing.assert_array_equal(y, np.broadcast_to(first, shape))
    assert set(np.unique(y)) == {0.0, 5.0}
    assert np.mean(first == 0) == pytest.approx(0.4, abs=4 * (0.24 / first.size) ** 0.5)
    for axis in {0, 2, first.ndim - 1} - set(shared):
        assert np.any(np.diff(first, axis=axis)), f"along axis {axis} each has its own"
    np.testing.assert_array_equal(run(layer, y, train=False)[0], y)


def test_on_sequences_spatial_and_variational_dropout_are_the_same():
    x = np.random.default_rng(0).normal(size=(4, 6, 5))
    np.testing.assert_array_equal(run(bl.SpatialDropout(0.4), x)[0], run(bl.VariationalDropout(0.4), x)[0])


def test_the_gradient_passes_where_the_value_did():
    x = np.ones((4, 6, 5))
    y, _, cache = run(bl.VariationalDropout(0.4), x)
    assert sum(leaf.size for leaf in cache) == 2, "the key draws the mask again"
    np.testing.assert_array_equal(bl.VariationalDropout(0.4).backward({}, cache, x)[0], y)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (bl.SpatialDropout(), "SpatialDropout expected rows (*S, C) with places and channels, got (5,); use Dropout"),
        (bl.VariationalDropout(), "VariationalDropout expected rows (T, ...), sequences, got (5,); use Dropout"),
    ],
)
def test_rows_without_places_are_refused(layer, text):
    with pytest.raises(ShapeError) as caught:
        layer.init(random.key(0), (5,))
    assert str(caught.value) == text
