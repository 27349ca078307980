"""Rules against Optax, on both engines, traced; schedules against their formula; and each rule reaches a minimum."""

import math
from typing import Any

import cases
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml

import backlit as bl
from backlit import engine, optim
from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.rules import Rule, Transform
from backlit.settings import Scheduled, build, hints, known, plain

rules = pytest.mark.parametrize("row", cases.RULES)
schedules = pytest.mark.parametrize("row", cases.SCHEDULES)
descending = pytest.mark.parametrize(
    "rule",
    [
        bl.SGD(lr=0.02),
        bl.Momentum(lr=0.02, momentum=0.9),
        bl.Nesterov(lr=0.02, momentum=0.9),
        bl.Adam(lr=optim.Cosine(0.1, steps=400)),
        bl.AdamW(lr=optim.Cosine(0.1, steps=400), weight_decay=0.0),
        optim.AdaGrad(lr=0.5),
        optim.RMSProp(lr=optim.Cosine(0.05, steps=400)),
        optim.RMSProp(lr=optim.Cosine(0.02, steps=400), centred=True, momentum=0.5, epsilon=0.1),
        optim.AdaDelta(lr=optim.Cosine(1.0, steps=400), decay=0.8, epsilon=1e-3),
        optim.NAdam(lr=optim.Cosine(0.1, steps=400)),
        optim.RAdam(lr=optim.Cosine(0.1, steps=400)),
        optim.AMSGrad(lr=optim.Cosine(0.1, steps=400)),
        optim.AdaMax(lr=optim.Cosine(0.1, steps=400)),
        optim.Lion(lr=optim.Cosine(0.05, steps=400)),
        optim.LARS(lr=optim.Cosine(1.0, steps=400), trust=0.05, momentum=0.5),
        optim.LAMB(lr=optim.Cosine(0.1, steps=400)),
        optim.Adan(lr=optim.Cosine(0.1, steps=400), b1=0.9),
        optim.Adafactor(lr=optim.Cosine(0.1, steps=400)),
        optim.chain(bl.ClipByNorm(1.0), bl.Momentum(lr=0.02)),
    ],
    ids=lambda rule: type(rule).__name__,
)


# Three problems: a parameter tree and its gradient at a point.


def bowl(params: Any) -> Any:
    """Quadratic, another curvature per entry."""
    return tree.map(lambda w: w * (1.0 + 0.1 * np.arange(w.size, dtype=w.dtype).reshape(w.shape)), params)


def saddle(params: Any) -> Any:
    """Gradients that change sign and grow."""
    return tree.map(lambda w: -0.3 * w + w * w * w, params)


def valley(params: Any) -> Any:
    """Weight and bias pull at each other; some gradients are exactly zero."""
    W, b = params["dense"]["W"], params["dense"]["b"]
    return {"dense": {"W": (W + b) * (W > -0.5), "b": W.sum(axis=0) - b}}


problems = pytest.mark.parametrize("slope", [bowl, saddle, valley], ids=lambda f: f.__name__)


def beginning() -> Any:
    rng = np.random.default_rng(0)
    return {"dense": {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}}


@rules
@problems
def test_rule_agrees_with_optax(row, slope):
    with jax.enable_x64(True):
        ours = theirs = beginning()
        state, other = row.rule.init(ours), row.oracle.init(theirs)
        for step in range(20):
            updates, state = row.rule.update(slope(ours), state, ours, step)
            ours = tree.map(lambda w, u: w + u, ours, updates)
            moves, other = row.oracle.update(slope(theirs), other, theirs)
            theirs = tree.map(np.asarray, optax.apply_updates(theirs, moves))
            if abs(theirs["dense"]["W"]).max() > 1e6:
                break  # the clip rows add gradients, they do not descend
        for path, wanted in tree.flatten(theirs).items():
            np.testing.assert_allclose(tree.flatten(ours)[path], wanted, rtol=1e-5, atol=1e-9, err_msg=path)


@rules
def test_rule_gives_the_same_on_both_engines(row):
    here = tree.map(lambda w: w.astype(np.float32), beginning())
    there = tree.map(jnp.asarray, here)
    state, other = row.rule.init(here), row.rule.init(there)
    compiled = jax.jit(row.rule.update)
    for step in range(5):
        updates, state = row.rule.update(bowl(here), state, here, np.int32(step))
        moves, other = compiled(bowl(there), other, there, jnp.int32(step))
        for path, wanted in tree.flatten(updates).items():
            assert wanted.dtype == tree.flatten(moves)[path].dtype == np.float32
            np.testing.assert_allclose(tree.flatten(moves)[path], wanted, rtol=1e-4, atol=1e-6)
        here = tree.map(lambda w, u: w + 0.1 * u, here, updates)
        there = tree.map(jnp.asarray, here)
    for leaf, wanted in zip(tree.leaves(other), tree.leaves(state), strict=True):
        np.testing.assert_allclose(leaf, wanted, rtol=1e-4, atol=1e-6)


@rules
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_keeps_its_structure_shapes_and_dtypes(row, dtype):
    for home in (engine.get("numpy"), engine.get("xla")):
        with home.double():
            params = tree.map(home.asarray, tree.cast(beginning(), dtype))
            before = row.rule.init(params)
            for step in (0, home.asarray(np.int32(1))):
                updates, after = row.rule.update(params, before, params, step)
                assert jax.tree_util.tree_structure(after) == jax.tree_util.tree_structure(before)
                assert jax.tree_util.tree_structure(updates) == jax.tree_util.tree_structure(params)
                for old, new in zip(tree.leaves((before, params)), tree.leaves((after, updates)), strict=True):
                    assert (old.shape, old.dtype) == (new.shape, new.dtype)


@rules
def test_update_leaves_its_arguments_as_they_were(row):
    params = beginning()
    grads, state = bowl(params), row.rule.init(params)
    kept = tree.map(np.copy, (params, grads, state))
    row.rule.update(grads, state, params, 3)
    for old, new in zip(tree.leaves(kept), tree.leaves((params, grads, state)), strict=True):
        np.testing.assert_array_equal(old, new)


def every_number() -> list[Any]:
    """Each number of each rule that may be a schedule or an array."""
    found = []
    for rule in sorted(set(known(Rule).values()), key=lambda cls: cls.__name__):
        for name, hint in hints(rule).items():
            if any(isinstance(mark, Scheduled) for mark in getattr(hint, "__metadata__", ())):
                found.append(pytest.param(rule, name, id=f"{rule.__name__}.{name}"))
    return found


@pytest.mark.parametrize(("rule", "name"), every_number())
def test_any_number_may_be_traced_compiles_once_and_counts(rule, name):
    traces = []
    params = tree.map(lambda w: jnp.asarray(w, jnp.float32), beginning())
    grads = tree.map(lambda w: w - 0.3 * w * w, params)
    state = tree.map(lambda a: a + 0.8, rule(**{name: 0.5}).init(params))

    @jax.jit
    def step(value, t):
        traces.append(1)
        return rule(**{name: value}).update(grads, state, params, t)

    first, second = step(jnp.float32(0.3), jnp.int32(5)), step(jnp.float32(0.6), jnp.int32(5))
    wanted = rule(**{name: 0.6}).update(grads, state, params, jnp.int32(5))
    assert len(traces) == 1
    for found, right in zip(tree.leaves(second), tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-7)
    assert any(np.any(a != b) for a, b in zip(tree.leaves(first), tree.leaves(second), strict=True))


@pytest.mark.parametrize("name", ["ClipByNorm", "L1L2"])
def test_what_stands_around_a_rule_takes_a_traced_number(name):
    grads = {"W": jnp.asarray([3.0, 4.0])}
    if name == "ClipByNorm":
        fn = jax.jit(lambda v: bl.ClipByNorm(v).update(grads, {}, {}, 0)[0]["W"])
        np.testing.assert_allclose(fn(jnp.float32(1.0)), [0.6, 0.8], rtol=1e-6)
        np.testing.assert_allclose(fn(jnp.float32(10.0)), [3.0, 4.0], rtol=1e-6)
    else:
        fn = jax.jit(lambda v: bl.L1L2(l1=v, l2=v)(grads)[1]["W"])
        np.testing.assert_allclose(fn(jnp.float32(0.5)), [2.0, 2.5], rtol=1e-6)


# Each rule reaches a minimum


def descend(rule: Any, slope: Any, start: list[float], steps: int = 400) -> Any:
    params = {"W": np.array(start)}
    state = rule.init(params)
    for step in range(steps):
        updates, state = rule.update({"W": slope(params["W"])}, state, params, step)
        params = tree.map(lambda w, u: w + u, params, updates)
    return params["W"]


@descending
def test_rule_reaches_the_minimum_of_a_convex_quadratic(rule):
    A = np.array([[3.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(descend(rule, lambda w: A @ (w - [1.0, -2.0]), [0.0, 0.0]), [1.0, -2.0], atol=1e-3)


@descending
def test_rule_reaches_the_minimum_of_a_ravine(rule):
    curvature = np.array([40.0, 0.8])  # fifty times steeper across than along
    found = descend(rule, lambda w: curvature * (w - 1.0), [0.9, -1.0], steps=800)
    np.testing.assert_allclose(found, [1.0, 1.0], atol=2e-3)


def test_momentum_is_faster_than_plain_descent_along_a_ravine():
    slope = lambda w: np.array([40.0, 0.4]) * w  # noqa: E731
    far = {rule: np.abs(descend(rule, slope, [1.0, 1.0], steps=60)).max() for rule in (bl.SGD(0.02), bl.Momentum(0.02))}
    assert far[bl.Momentum(0.02)] < 0.3 * far[bl.SGD(0.02)]


# What single rules promise


def test_first_step_of_adam_is_the_learning_rate_whatever_the_gradient():
    for size in (1e-3, 1.0, 1e3):
        params = {"W": np.zeros(2)}
        updates, _ = bl.Adam(lr=0.1).update({"W": np.array([size, -size])}, bl.Adam().init(params), params, 0)
        np.testing.assert_allclose(updates["W"], [-0.1, 0.1], rtol=1e-4)


@pytest.mark.parametrize("name", ["b", "beta", "gamma", "slope"])
def test_decay_and_penalties_leave_biases_and_scales_alone(name):
    params = {"layer": {"W": np.ones(3), name: np.ones(3)}}
    grads = tree.map(np.zeros_like, params)
    rule = bl.AdamW(lr=0.1, weight_decay=0.5)
    updates, _ = rule.update(grads, rule.init(params), params, 0)
    np.testing.assert_allclose(updates["layer"]["W"], -0.05)
    np.testing.assert_array_equal(updates["layer"][name], 0)
    value, slope = bl.L1L2(l1=0.1, l2=1.0)(params)
    assert value == pytest.approx(3 * 0.1 + 1.5)
    np.testing.assert_allclose(slope["layer"]["W"], 1.1)
    np.testing.assert_array_equal(slope["layer"][name], 0)


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
def test_penalty_agrees_with_jax_grad(l1, l2):
    with jax.enable_x64(True):
        params = tree.map(jnp.asarray, beginning())
        penalty = bl.L1L2(l1=l1, l2=l2)
        value, grads = penalty(params)
        oracle, slopes = jax.value_and_grad(lambda p: penalty(p)[0])(params)
        W = beginning()["dense"]["W"]
        assert float(value) == pytest.approx(l1 * np.abs(W).sum() + 0.5 * l2 * (W**2).sum())
        assert float(value) == pytest.approx(float(oracle))
        for path, wanted in tree.flatten(slopes).items():
            np.testing.assert_allclose(tree.flatten(grads)[path], wanted, rtol=1e-12)


def test_a_mapping_without_a_type_clips_by_norm():
    assert build(optim.Clip, {"limit": 2.0}) == bl.ClipByNorm(2.0)
    assert build(optim.Clip, {"type": "AGC", "limit": 0.1}) == optim.AdaptiveClip(0.1)
    assert build(optim.Clip, "ClipEach") == optim.ClipEach(1.0)
    with pytest.raises(SettingError, match="unknown clip 'ClipByNrm'; did you mean 'ClipByNorm'"):
        build(optim.Clip, {"type": "ClipByNrm"})


@pytest.mark.parametrize(
    "clip", [bl.ClipByNorm(0.1), optim.ClipByValue(0.1), optim.ClipEach(0.1), optim.AdaptiveClip(0.1)]
)
def test_a_training_clips_and_its_experiment_goes_through_a_file(clip):
    given = {"epochs": 2, "engine": "numpy", "optimizer": bl.SGD(lr=0.5), "batch_size": 16}
    runs = [bl.train(bl.Chain(bl.Dense(3)), "iris", clip=c, **given) for c in (clip, None)]
    assert abs(runs[0].params["dense_1"]["W"] - runs[1].params["dense_1"]["W"]).max() > 1e-3
    experiment = runs[0].experiment
    assert bl.config.from_plain(yaml.safe_load(yaml.safe_dump(experiment.to_plain()))).clip == clip


def test_clipping_keeps_the_direction_and_bounds_the_length():
    grads = {"a": np.array([3.0]), "b": np.array([0.0, 4.0])}
    clipped, _ = bl.ClipByNorm(1.0).update(grads, {}, {}, 0)
    assert clipped["a"][0] == pytest.approx(0.6)
    np.testing.assert_allclose(clipped["b"], [0.0, 0.8])
    same, _ = bl.ClipByNorm(5.0).update(grads, {}, {}, 0)
    np.testing.assert_array_equal(same["b"], grads["b"])
    zero, _ = bl.ClipByNorm(1.0).update({"a": np.zeros(3)}, {}, {}, 0)
    np.testing.assert_array_equal(zero["a"], 0)


def test_any_number_of_a_rule_may_be_a_schedule():
    rule = bl.Momentum(lr=optim.Cosine(0.1, steps=10), momentum=optim.WarmUp(optim.Constant(0.8), warm_up=4))
    params = {"W": np.ones(1)}
    update, v = rule.update({"W": np.ones(1)}, {"W": np.ones(1)}, params, 1)
    assert v["W"][0] == pytest.approx(0.4 * 1 + 1)
    assert update["W"][0] == pytest.approx(-v["W"][0] * 0.05 * (1 + math.cos(math.pi * 0.1)))


# Schedules


@schedules
def test_schedule_follows_its_formula(row):
    for t in range(15):
        wanted = pytest.approx(row.formula(t), rel=1e-5, abs=1e-7)
        assert float(row.schedule(t)) == wanted
        assert float(row.schedule(np.int32(t))) == wanted


@schedules
def test_schedule_can_be_traced(row):
    traces = []

    @jax.jit
    def value(t):
        traces.append(1)
        return row.schedule(t) + 0.0 * t

    for t in range(10):
        assert float(value(jnp.int32(t))) == pytest.approx(row.formula(t), rel=1e-5, abs=1e-7)
    assert len(traces) == 1


@schedules
def test_schedule_goes_through_a_file(row):
    assert build(optim.Schedule, yaml.safe_load(yaml.safe_dump(plain(row.schedule)))) == row.schedule


def test_an_open_schedule_is_filled_in_by_the_length_of_the_training():
    rule = optim.chain(bl.ClipByNorm(1.0), bl.Adam(lr=optim.WarmUp(optim.Cosine(0.1), warm_up=5)))
    with pytest.raises(SettingError, match="steps: expected a number of steps"):
        rule.transforms[1].lr(3)
    filled = rule.over(50).transforms[1].lr
    assert filled == optim.WarmUp(optim.Cosine(0.1, steps=50), warm_up=5)
    assert bl.SGD(lr=optim.Cosine(0.1, steps=7)).over(50) == bl.SGD(lr=optim.Cosine(0.1, steps=7))
    with pytest.raises(SettingError, match="warm_up: expected a warm-up shorter than the training of 5 steps, got 5"):
        rule.over(5)


@pytest.mark.parametrize("name", ["Linear", "Polynomial", "Step", "OneCycle"])
def test_every_schedule_with_an_end_takes_the_length_of_the_training(name):
    made = getattr(optim, name)(0.1)
    assert made.over(40) == getattr(optim, name)(0.1, steps=40)
    assert made.over(40).over(7).steps == 40
    with pytest.raises(SettingError, match="steps: expected a number of steps"):
        made(3)


def test_the_moments_of_a_step_rise():
    for moments in ((0.5, 0.5), (0.75, 0.5), ()):
        with pytest.raises(SettingError, match="at: expected rising shares of the training"):
            optim.Step(0.1, at=moments)
    with pytest.raises(SettingError, match=r"at\.1: expected a number less than 1, got 1.0"):
        optim.Step(0.1, at=(0.5, 1.0))


# Files


@rules
def test_rule_goes_through_a_file(row):
    assert build(Transform, plain(row.rule)) == row.rule
    assert build(Transform, yaml.safe_load(yaml.safe_dump(plain(row.rule)))) == row.rule


def test_every_public_transform_has_a_row():
    inside = [t for row in cases.RULES for t in (row.rule, *getattr(row.rule, "transforms", ()))]
    missing = {c for c in known(Transform).values() if c.__module__.startswith("backlit.")} - {type(t) for t in inside}
    assert not missing, f"add a row to tests/cases.py for {sorted(cls.__name__ for cls in missing)}"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: bl.SGD(lr=0), "lr: expected a number greater than 0, got 0"),
        (lambda: bl.SGD(lr="fast"), "lr: expected a number, got 'fast'"),
        (lambda: bl.Momentum(momentum=1.0), "momentum: expected a number less than 1, got 1.0"),
        (lambda: bl.Adam(b1=-0.1), "b1: expected a number greater than or equal to 0, got -0.1"),
        (lambda: bl.AdamW(weight_decay=-1), "weight_decay: expected a number greater than or equal to 0, got -1"),
        (lambda: bl.ClipByNorm(0.0), "limit: expected a number greater than 0, got 0.0"),
        (lambda: optim.Cosine(0.1, steps=0), "steps: expected a number greater than or equal to 1, got 0"),
        (lambda: build(optim.Rule, {"type": "Adamm"}), "unknown rule 'Adamm'; did you mean 'Adam'?"),
        (lambda: build(optim.Rule, {"type": "Adam", "eps": 1}), "eps: unknown setting 'eps'; did you mean 'epsilon'?"),
    ],
)
def test_wrong_settings_are_one_sentence(make, sentence):
    with pytest.raises(SettingError) as caught:
        make()
    assert str(caught.value) == sentence
