"""Preprocessing: right numbers, the same on every engine, and no word from the test rows."""

from dataclasses import replace

import array_api_strict
import numpy as np
import pytest

from backlit.data import (
    Center,
    Dataset,
    Log,
    MinMax,
    Preprocessor,
    Scale,
    Split,
    Standardize,
    apply_all,
    fit_all,
    invert_all,
)
from backlit.data.statistics import CHUNK
from backlit.engine import get, random
from backlit.errors import SettingError, ShapeError
from backlit.settings import build, known, plain

EVERY = [
    Center(),
    Center(axis="channel"),
    Standardize(),
    Standardize(axis="channel"),
    Standardize(axis="all"),
    MinMax(-1.0, 2.0),
    MinMax(axis="all"),
    Scale(),
    Scale(0.5),
    Log(1.0),
]
SHAPE = (6, 4, 3, 2)


def images(dtype: type = np.float32) -> np.ndarray:
    return (random.uniform(random.key(1), SHAPE) * 255).astype(dtype)


def test_every_preprocessor_is_in_the_table():
    assert {type(p) for p in EVERY} == set(known(Preprocessor).values())


@pytest.mark.parametrize("p", EVERY)
def test_settings_go_to_plain_data_and_back(p):
    assert build(Preprocessor, plain(p)) == p


@pytest.mark.parametrize("p", EVERY)
def test_no_test_row_changes_what_was_fitted(p):
    data = Dataset(images(), np.arange(6, dtype=np.float32))
    split = Split(validation=0.2, test=0.2)
    parts = split.apply(data, seed=0)
    held_out = sorted({*parts.test.y.astype(int).tolist(), *parts.validation.y.astype(int).tolist()})
    x = data.x.copy()
    x[held_out] = x[held_out] * 7 + 1000
    changed = split.apply(replace(data, x=x), seed=0)
    assert not np.array_equal(changed.test.x, parts.test.x)
    before, after = p.fit(parts.train.x), p.fit(changed.train.x)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    # And a training row does: the comparison above can fail.
    x[parts.train.y.astype(int)[0]] += 1000
    moved = p.fit(split.apply(replace(data, x=x), seed=0).train.x)
    assert before == {} or any(not np.array_equal(moved[name], before[name]) for name in before)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("p", EVERY)
def test_apply_and_invert_undo_each_other(p, dtype):
    x = images(dtype)
    state = p.fit(x)
    y = p.apply(state, x)
    assert (y.dtype, y.shape) == (np.float32, SHAPE)
    assert all(leaf.dtype == np.float32 for leaf in state.values())
    np.testing.assert_allclose(p.invert(state, y), x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("p", EVERY)
def test_engines_agree_also_when_compiled(p):
    xla, x = get("xla"), images(np.uint8)
    state = p.fit(x)
    y = p.apply(state, x)
    compiled = xla.compile(lambda s, rows: p.apply(s, rows))(state, xla.asarray(x))
    np.testing.assert_allclose(np.asarray(compiled), y, rtol=1e-5, atol=1e-5)
    back = xla.compile(lambda s, rows: p.invert(s, rows))(state, compiled)
    np.testing.assert_allclose(np.asarray(back), x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("p", EVERY)
def test_only_the_array_api_standard_is_used(p):
    state = p.fit(images())
    strict = {name: array_api_strict.asarray(leaf) for name, leaf in state.items()}
    y = p.apply(strict, array_api_strict.asarray(images(np.uint8)))
    back = p.invert(strict, y)
    np.testing.assert_allclose(np.asarray(y), p.apply(state, images(np.uint8)), rtol=1e-6)
    assert back.dtype == array_api_strict.float32


def test_float64_stays_float64_for_gradient_checks():
    x = images(np.float64)
    assert all(p.apply(p.fit(x), x).dtype == np.float64 for p in EVERY)


@pytest.mark.parametrize(("axis", "over"), [("feature", 0), ("channel", (0, 1, 2)), ("all", None)])
def test_statistics_are_those_of_numpy(axis, over):
    x = images(np.float64)
    state = Standardize(axis=axis).fit(x)
    np.testing.assert_allclose(state["shift"], x.mean(axis=over), rtol=1e-6)
    np.testing.assert_allclose(state["scale"], x.std(axis=over), rtol=1e-6)
    y = Standardize(axis=axis).apply(state, x)
    np.testing.assert_allclose(y.mean(axis=over), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=over), 1, rtol=1e-6)
    low_high = MinMax(-1, 3, axis=axis).apply(MinMax(-1, 3, axis=axis).fit(x), x)
    np.testing.assert_allclose(low_high.min(axis=over), -1, atol=1e-5)
    np.testing.assert_allclose(low_high.max(axis=over), 3, atol=1e-5)


def test_many_chunks_give_what_one_would():
    rows = 3 * CHUNK // 1024 + 5
    x = (np.arange(rows * 1024, dtype=np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8).reshape(rows, 1024)
    state = Standardize().fit(x)
    np.testing.assert_allclose(state["shift"], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(state["scale"], x.std(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(MinMax().fit(x)["shift"], x.min(axis=0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.3, -3e-30, 1e-42])
def test_a_constant_column_is_not_divided_by_zero(value):
    x = np.full((7, 2), value, np.float32)
    x[:, 1] = np.arange(7)
    for p, expected in ((Standardize(), 0.0), (Center(), 0.0), (MinMax(), 0.0), (MinMax(-1, 1), -1.0)):
        state = p.fit(x)
        assert state["scale"][0] in (1.0, 0.5)
        np.testing.assert_allclose(p.apply(state, x)[:, 0], expected, atol=1e-6)


def test_a_large_mean_loses_no_digits():
    x = (1e4 + random.normal(random.key(0), (500, 1))).astype(np.float32)
    assert Standardize().fit(x)["scale"][0] == pytest.approx(x.astype(np.float64).std(), rel=1e-6)


def test_each_is_fitted_on_what_those_before_it_leave():
    x = images(np.uint8)
    steps = (Scale(), Standardize(axis="channel"), MinMax(-1, 1))
    states = fit_all(steps, x)
    y = apply_all(steps, states, x)
    by_hand = x
    for p, state in zip(steps, states, strict=True):
        assert all(np.array_equal(p.fit(by_hand)[name], state[name]) for name in state)
        by_hand = p.apply(state, by_hand)
    np.testing.assert_array_equal(y, by_hand)
    assert (float(y.min()), float(y.max())) == (pytest.approx(-1, abs=1e-5), pytest.approx(1, abs=1e-5))
    np.testing.assert_allclose(invert_all(steps, states, y), x, atol=1e-2)


def test_no_preprocessing_still_gives_floats():
    assert fit_all((), images(np.uint8)) == ()
    assert apply_all((), (), images(np.uint8)).dtype == np.float32


@pytest.mark.parametrize("p", [Center(), Standardize(axis="channel"), MinMax()])
def test_rows_of_another_shape_are_refused(p):
    state = p.fit(images())
    with pytest.raises(ShapeError, match=rf"{type(p).__name__}: expected rows like those it was fitted on"):
        p.apply(state, images()[..., :1])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MinMax(1.0, 1.0), r"high: expected a number above low \(1.0\), got 1.0"),
        (lambda: Scale(0.0), r"factor: expected a number greater than 0, got 0.0"),
        (lambda: Center(axis="row"), r"axis: expected 'feature', 'channel' or 'all', got 'row'"),
        (lambda: build(Preprocessor, "standardise it"), r"unknown preprocessor 'standardise it'; did you mean"),
    ],
)
def test_wrong_settings_are_named(make, text):
    with pytest.raises(SettingError, match=text):
        make()
