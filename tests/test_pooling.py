"""Pools on both engines, against JAX's windows, loops and published formulas; what happens at ties and behind masks."""

import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax

import backlit as bl
from backlit.engine import random
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.layers import pooling, tiles

few = settings(max_examples=20, deadline=None)


@st.composite
def windows(draw):
    """The spatial shape, and window, stride, padding and dilation of a pool that fits it."""
    rank = draw(st.integers(1, 2))
    each = [st.tuples(*[st.integers(low, high)] * rank) for low, high in ((3, 7), (1, 3), (1, 3), (1, 2))]
    shape, window, stride, dilation = map(draw, each)
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    assume(all(n > r for n, r in zip(shape, reach, strict=True)))
    padding = tuple((draw(st.integers(0, min(r, 2))), draw(st.integers(0, min(r, 2)))) for r in reach)
    return shape, window, stride, padding, dilation


def run(pool, x, dy=None, mask=None):
    """y, and dL/dx for dy (all ones where there is none)."""
    y, _, cache = pool.forward({}, {}, x, bl.Context(mask=mask))
    dy = y.__array_namespace__().ones_like(y) if dy is None else dy
    return y, pool.backward({}, cache, dy)[0]


def different(shape, seed=0):
    """Whole numbers, no two of them equal."""
    return np.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape).astype(float) - 7.0


def reduced(x, start, combine, window, stride, padding, dilation):
    """What JAX's reduce_window gives."""
    return lax.reduce_window(
        x, start, combine, (1, *window, 1), (1, *stride, 1), ((0, 0), *padding, (0, 0)), None, (1, *dilation, 1)
    )


@few
@given(windows())
def test_max_pool_agrees_with_jax(case):
    shape, *settings_ = case
    x = different((2, *shape, 3))
    dy = np.random.default_rng(1).normal(size=run(bl.MaxPool(*settings_), x)[0].shape)

    def passes(x, dy):
        y, back = jax.vjp(lambda x: reduced(x, -np.inf, lax.max, *settings_), x)
        # JAX differentiates a maximum without dilation only.
        return (y, *back(dy)) if all(d == 1 for d in settings_[3]) else (y,)

    with jax.enable_x64(True):
        y, *dx = jax.jit(passes)(x, dy)
    found = run(bl.MaxPool(*settings_), x, dy)
    np.testing.assert_array_equal(found[0], y)
    if dx:
        np.testing.assert_allclose(found[1], dx[0], atol=1e-12)


@few
@given(windows(), st.booleans())
def test_average_pool_agrees_with_jax(case, count_padding):
    shape, window, stride, padding, _ = case
    once = (1,) * len(shape)
    pool = bl.AveragePool(window, stride, padding, count_padding)
    assume(all(n + lo + hi >= k for n, (lo, hi), k in zip(shape, padding, window, strict=True)))
    assume(all(lo < k and hi < k for (lo, hi), k in zip(padding, window, strict=True)))
    x = different((2, *shape, 3))
    y, dx = run(pool, x)
    with jax.enable_x64(True):
        counts = (
            math.prod(window)
            if count_padding
            else reduced(np.ones_like(x), 0.0, lax.add, window, stride, padding, once)
        )
        wanted = reduced(x, 0.0, lax.add, window, stride, padding, once) / counts
    np.testing.assert_allclose(y, wanted, atol=1e-12)
    probe = np.random.default_rng(2).normal(size=x.shape)
    assert math.isclose(np.sum(dx * probe), np.sum(run(pool, probe)[0]), abs_tol=1e-9)


def first_maxima(x, window, stride):
    """dL/dx for dL/dy = 1, 2, 3, ...: a loop over windows and, in each, over its places in row-major order."""
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], window, stride, strict=True)]
    dx, value = np.zeros_like(x), 0.0
    for b, *o, c in itertools.product(range(x.shape[0]), *map(range, sizes), range(x.shape[-1])):
        value += 1.0
        places = [
            tuple(i * s + k for i, s, k in zip(o, stride, at, strict=True))
            for at in itertools.product(*map(range, window))
        ]
        dx[(b, *max(places, key=lambda place: x[(b, *place, c)]), c)] += value  # max takes the first of several
    return dx


@pytest.mark.parametrize(("window", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 2)), ((2, 3), (3, 1))])
def test_at_ties_the_first_in_row_major_order_gets_all(window, stride):
    x = np.random.default_rng(0).integers(0, 3, size=(2, 7, 6, 3)).astype("f")
    pool = bl.MaxPool(window, stride)
    y = run(pool, x)[0]
    dy = np.arange(1, y.size + 1, dtype="f").reshape(y.shape)
    wanted = first_maxima(x, window, stride)
    np.testing.assert_array_equal(run(pool, x, dy)[1], wanted)
    np.testing.assert_array_equal(jax.jit(lambda x, dy: run(pool, x, dy)[1])(x, dy), wanted)


def test_padding_never_is_the_maximum():
    y, dx = run(bl.MaxPool(3, 2, "same"), np.full((1, 5, 1), -9.0))
    assert y.ravel().tolist() == [-9.0, -9.0, -9.0]
    assert dx.sum() == 3.0


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_ceil_gives_the_sizes_of_torch(n, window, stride, padding):
    """torch.nn.MaxPool1d: ceil((n + 2 padding - window) / stride) + 1, less a window that begins in the padding behind."""
    assume(padding <= window // 2 and n + 2 * padding >= window)
    size = -(-(n + 2 * padding - window) // stride) + 1
    size -= (size - 1) * stride >= n + padding
    for kind in (bl.MaxPool, bl.AveragePool):
        assert kind(window, stride, padding, ceil=True).init(random.key(0), (n, 2))[0] == (size, 2)


def test_ceil_counts_what_is_there():
    x = np.array([[[2.0], [4.0], [9.0]]])
    assert run(bl.MaxPool(2, ceil=True), x)[0].ravel().tolist() == [4.0, 9.0]
    assert run(bl.AveragePool(2, ceil=True), x)[0].ravel().tolist() == [3.0, 9.0]
    counted = bl.AveragePool(2, 2, padding=((1, 1),), count_padding=True, ceil=True)
    assert run(counted, x)[0].ravel().tolist() == [1.0, 6.5, 0.0][:2] + run(counted, x)[0].ravel().tolist()[2:]


def test_stride_is_the_window():
    assert bl.MaxPool((2, 3)).init(random.key(0), (6, 9, 1))[0] == (3, 3, 1)
    assert bl.AveragePool(3).init(random.key(0), (9, 1))[0] == (3, 1)


@pytest.mark.parametrize(("n", "m"), [(6, 3), (7, 3), (5, 4), (3, 5), (4, 1)])
def test_adaptive_means_are_over_the_parts_of_torch(n, m):
    x = different((2, n, 3))
    wanted = [x[:, math.floor(i * n / m) : math.ceil((i + 1) * n / m)].mean(axis=1) for i in range(m)]
    np.testing.assert_allclose(run(bl.AdaptiveAveragePool(m), x)[0], np.stack(wanted, axis=1), atol=1e-12)


def test_adaptive_takes_one_size_for_each_axis():
    x = different((2, 4, 6, 3))
    y = run(bl.AdaptiveAveragePool((2, 3)), x)[0]
    np.testing.assert_allclose(y, run(bl.AveragePool(2), x)[0], atol=1e-12)


@pytest.mark.parametrize(("pool", "reduce"), [(bl.GlobalAveragePool(), np.mean), (bl.GlobalMaxPool(), np.max)])
def test_global_pools_see_real_steps_only(pool, reduce):
    x, mask = different((3, 5, 2)) - 40.0, np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "f")
    y, dx = run(pool, x, mask=mask)
    np.testing.assert_allclose(y, [reduce(x[0, :2], axis=0), reduce(x[1], axis=0), [0.0, 0.0]], atol=1e-12)
    assert y.dtype == np.float64
    assert not np.any(dx[mask == 0])
    np.testing.assert_allclose(dx.sum(axis=1), [[1, 1], [1, 1], [0, 0]], atol=1e-12)


@pytest.mark.parametrize(("pool", "reduce"), [(bl.GlobalAveragePool(), np.mean), (bl.GlobalMaxPool(), np.max)])
def test_global_pools_see_all_axes(pool, reduce):
    x = different((2, 3, 4, 2, 5))
    np.testing.assert_allclose(run(pool, x)[0], reduce(x, axis=(1, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(run(pool, x, mask=np.ones(2))[0], reduce(x, axis=(1, 2, 3)), atol=1e-12)


def test_global_max_gives_all_to_the_first():
    assert run(bl.GlobalMaxPool(), np.array([[[1.0], [4.0], [4.0]]]))[1].ravel().tolist() == [0.0, 1.0, 0.0]


ERRORS = [
    (bl.MaxPool(), (784,), r"MaxPool expected rows \(T, C\), \(H, W, C\) or \(D, H, W, C\), got \(784,\)"),
    (bl.MaxPool((2, 2)), (28, 28), r"MaxPool expected one kernel for all or one for each of 1 spatial axis"),
    (bl.AveragePool(5), (4, 9, 2), r"at most the padded input, \(4, 9\), got one that spans \(5, 5\)"),
    (bl.MaxPool(2, padding=2), (5, 2), "windows that see at least one number of the rows .* along axis 0; use less"),
    (bl.GlobalMaxPool(), (4,), "GlobalMaxPool expected rows"),
    (bl.AdaptiveAveragePool((2, 2)), (6, 2), "one size for all or one for each of 1 spatial axis"),
]


@pytest.mark.parametrize(("pool", "shape", "text"), ERRORS, ids=[str(pool)[:60] for pool, _, _ in ERRORS])
def test_shapes_that_do_not_fit(pool, shape, text):
    with pytest.raises(ShapeError, match=text):
        pool.init(random.key(0), shape)


def test_a_mask_of_another_length():
    with pytest.raises(ShapeError, match="expected a mask of 5 steps, got 4; use a layer that keeps"):
        run(bl.GlobalAveragePool(), np.ones((2, 5, 3)), mask=np.ones((2, 4)))


def test_a_window_holds_something():
    with pytest.raises(SettingError, match="window: expected"):
        bl.MaxPool(0)


@pytest.mark.parametrize("pool", [bl.MaxPool(), bl.AveragePool(), bl.GlobalMaxPool(), bl.AdaptiveAveragePool()])
def test_pools_cannot_go_step_by_step(pool):
    with pytest.raises(BacklitError, match="needs the whole sequence"):
        pool.memory({}, 2, 6)


@pytest.mark.parametrize(("shape", "window"), [((6,), 3), ((4, 6), 2), ((6, 4), (3, 2)), ((2, 4, 6), 2)])
def test_windows_side_by_side_have_a_shorter_way_that_gives_the_same(shape, window, monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.integers(3, size=(2, *shape, 5)).astype(float)  # many ties
    pool = bl.MaxPool(window)
    dy = rng.normal(size=run(pool, x)[0].shape)
    short = run(pool, x, dy)
    assert tiles.tiled(pool.axes(x.shape[1:]))
    monkeypatch.setattr(pooling, "tiled", lambda axes: False)
    for one, other in zip(short, run(pool, x, dy), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("settings_", [{"stride": 1}, {"padding": 1}, {"dilation": 2, "stride": 2}, {"stride": 3}])
def test_other_windows_are_not_side_by_side(settings_):
    assert not tiles.tiled(bl.MaxPool(2, **settings_).axes((6, 6, 1)))
    assert not tiles.tiled(bl.MaxPool(2).axes((5, 6, 1)))
