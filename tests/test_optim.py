"""Rules against Optax, on both engines, traced; schedules against their formula; and each rule reaches a minimum."""

import math
from typing import Any

import cases
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rule_oracles as oracles
import yaml

import backlit as bl
from backlit import engine, optim
from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim import blockwise
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
        optim.Adam8bit(lr=optim.Cosine(0.1, steps=400), least=1),
        optim.AdamW8bit(lr=optim.Cosine(0.1, steps=400), weight_decay=0.0, least=1),
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
    def looked_at(home, fn, *given):
        """What XLA would make of it, which needs no compilation; NumPy computes it."""
        return fn(*given) if home.name == "numpy" else jax.eval_shape(fn, *given)

    for home in (engine.get("numpy"), engine.get("xla")):
        with home.double():
            params = tree.map(home.asarray, tree.cast(beginning(), dtype))
            before = looked_at(home, row.rule.init, params)
            for step in (0, home.asarray(np.int32(1))):
                updates, after = looked_at(home, lambda p, s, t: row.rule.update(p, s, p, t), params, before, step)
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


def every_number(rule: Any) -> dict[str, Any]:
    """Each number of a rule that may be a schedule or an array, and its default; 1/2 where that is 0 or None, and 0.9 where it
    is 0.999, from which float32 cannot subtract 1 well."""
    marked = {
        n for n, hint in hints(rule).items() if any(isinstance(m, Scheduled) for m in getattr(hint, "__metadata__", ()))
    }
    defaults = {name: getattr(rule(), name) or 0.5 for name in sorted(marked)}
    return {name: 0.9 if 0.9 < value < 1 else value for name, value in defaults.items()}


RULES = sorted({rule for rule in known(Rule).values() if not rule.asks}, key=lambda rule: rule.__name__)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_any_number_may_be_traced_compiles_once_and_counts(rule):
    traces = []
    numbers = every_number(rule)
    params = tree.map(lambda w: w.astype(np.float32), beginning())
    grads = tree.map(lambda w: w - np.float32(0.3) * w * w, params)
    state = tree.map(lambda a: a + np.float32(0.8), rule(**numbers).init(params))

    @jax.jit
    def step(values, t):
        traces.append(1)
        return rule(**values).update(*tree.map(jnp.asarray, (grads, state, params)), t)

    def traced(values):
        return step({name: jnp.float32(value) for name, value in values.items()}, jnp.int32(5))

    for name in numbers:
        first, second = (traced({**numbers, name: value}) for value in (0.3, 0.6))
        wanted = rule(**{**numbers, name: 0.6}).update(grads, state, params, np.int32(5))
        for found, right in zip(tree.leaves(second), tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6, err_msg=name)
        assert any(np.any(a != b) for a, b in zip(tree.leaves(first), tree.leaves(second), strict=True)), name
    assert len(traces) == (1 if numbers else 0)


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


def descend(rule: Any, slope: Any, start: Any, steps: int = 400) -> Any:
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


# Rules that treat a weight array as a matrix

on_matrices = pytest.mark.parametrize(
    "rule",
    [
        optim.Muon(lr=optim.Cosine(0.1, steps=400), momentum=0.9),
        optim.Shampoo(lr=optim.Cosine(0.1, steps=400), b2=0.9, every=1),
        optim.Shampoo(lr=optim.Cosine(3.0, steps=400), b1=0.5, b2=1.0, graft="none", every=1),
        optim.SOAP(lr=optim.Cosine(0.1, steps=400), weight_decay=0.0),
    ],
    ids=lambda rule: f"{type(rule).__name__}-{getattr(rule, 'graft', '')}",
)


@on_matrices
def test_rule_on_matrices_reaches_the_minimum_of_a_ravine(rule):
    rng = np.random.default_rng(3)
    wanted, mixed = rng.normal(size=(4, 3)), np.linalg.qr(rng.normal(size=(4, 4))).Q
    steep = mixed @ np.diag([10.0, 4.0, 1.0, 0.2]) @ mixed.T  # of the rows
    found = descend(rule, lambda W: steep @ (W - wanted) * np.array([1.0, 2.0, 0.5]), np.zeros((4, 3)))
    np.testing.assert_allclose(found, wanted, atol=5e-3)


@pytest.mark.parametrize("shape", [(6, 6), (40, 5), (5, 40), (3, 3, 2, 7)])
def test_muon_keeps_the_directions_and_makes_them_equally_long(shape):
    G = {"W": np.random.default_rng(0).normal(size=shape)}
    rule = optim.Muon(lr=1.0, scale="adam")
    updates, _ = rule.update(G, rule.init(G), G, 0)
    flat = G["W"].reshape(-1, shape[-1])
    U, s, V = np.linalg.svd(flat, full_matrices=False)
    core = U.T @ updates["W"].reshape(flat.shape) @ V.T / (-0.2 * max(flat.shape) ** 0.5)
    np.testing.assert_allclose(core, np.diag(np.diag(core)), atol=1e-9)
    assert (np.diag(core) > 0.3).all()
    assert (np.diag(core) < 1.3).all()
    assert np.diag(core)[s > 0.1 * s[0]].min() > 0.65


def test_muon_agrees_with_optax():
    with jax.enable_x64(True):
        ours = theirs = {"W": np.random.default_rng(1).normal(size=(3, 5)), "b": np.ones(5)}
        rule = optim.Muon(lr=0.1, momentum=0.8, nesterov=False, adam_lr=0.02, epsilon=1e-8)
        oracle = optax.contrib.muon(0.1, beta=0.8, nesterov=False, adam_learning_rate=0.02)
        state, other, move = rule.init(ours), oracle.init(theirs), jax.jit(oracle.update)
        for step in range(3):
            updates, state = rule.update(ours, state, ours, step)
            ours = tree.map(lambda w, u: w + u, ours, updates)
            moves, other = move(theirs, other, theirs)
            theirs = tree.map(lambda w, u: w + np.asarray(u), theirs, moves)
        for name, wanted in theirs.items():
            np.testing.assert_allclose(ours[name], wanted, rtol=1e-6)


def test_muon_leaves_embeddings_and_what_is_named_to_adamw():
    rng = np.random.default_rng(0)
    params = {name: {"W": rng.normal(size=(4, 3))} for name in ("embedding_1", "dense_1", "dense_2")}
    params["block"] = {"embedding_1": {"W": rng.normal(size=(4, 3))}, "gamma": rng.normal(size=(2, 3))}
    rule = optim.Muon(adam_lr=0.01, weight_decay=0.1, others=(*optim.Muon().others, "dense_2"))
    adam = bl.AdamW(lr=0.01, weight_decay=0.1)
    ours, theirs = (rule.update(params, rule.init(params), params, 0)[0] for rule in (rule, adam))
    same = {p: np.allclose(u, tree.flatten(theirs)[p], rtol=1e-9) for p, u in tree.flatten(ours).items()}
    assert [path for path, equal in same.items() if not equal] == ["dense_1.W"]
    twice = rule.rescaled(2.0).update(params, rule.init(params), params, 0)[0]
    for path, update in tree.flatten(ours).items():
        np.testing.assert_allclose(tree.flatten(twice)[path], 2 * update, rtol=1e-9)


def test_shampoo_by_hand_after_one_update():
    G = np.random.default_rng(2).normal(size=(3, 5))
    rule = optim.Shampoo(lr=1.0, b1=0.0, b2=1.0, graft="none", damping=0.01)
    updates, _ = rule.update({"W": G}, rule.init({"W": G}), {"W": G}, 0)
    by_hand = oracles.root(G @ G.T, 2, 0.01) @ G @ oracles.root(G.T @ G, 2, 0.01)
    np.testing.assert_allclose(updates["W"], -by_hand, rtol=1e-6)
    square = G[:, :3]
    exact = optim.Shampoo(lr=1.0, b1=0.0, graft="none", damping=1e-12)
    updates, _ = exact.update({"W": square}, exact.init({"W": square}), {"W": square}, 0)
    U, _, V = np.linalg.svd(square)
    np.testing.assert_allclose(updates["W"], -(U @ V), rtol=1e-6)  # the orthogonal factor of G


@pytest.mark.parametrize("rule", [optim.Shampoo(every=3), optim.SOAP(every=3)], ids=lambda rule: type(rule).__name__)
def test_bases_are_computed_every_so_many_updates(rule):
    rng = np.random.default_rng(0)
    params = {"W": np.zeros((4, 3))}
    state, changed = rule.init(params), []
    for step in range(8):
        _, after = rule.update({"W": rng.normal(size=(4, 3))}, state, params, step)
        changed.append(bool(np.any(after.sides["W"].left != state.sides["W"].left)))
        state = after
    assert changed == [True, False, False, True, False, False, True, False]
    Q = state.sides["W"].left
    if isinstance(rule, optim.SOAP):
        np.testing.assert_allclose(Q.T @ Q, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    "rule", [optim.Shampoo(largest=3), optim.SOAP(largest=3)], ids=lambda rule: type(rule).__name__
)
def test_a_long_axis_keeps_no_matrix_of_its_own(rule):
    state = rule.init({"W": np.zeros((4, 3)), "V": np.zeros((4, 5)), "b": np.zeros(3)})
    assert (state.sides["V"], state.sides["b"], state.sides["W"].left) == (None, None, None)
    assert state.sides["W"].right.shape == (3, 3)


@pytest.mark.parametrize("name", ["Muon", "Shampoo", "SOAP"])
def test_a_net_without_a_matrix_is_one_sentence(name):
    params = {"norm": {"gamma": np.ones((2, 3)), "b": np.ones(3)}, "W": np.ones((4, 1))}
    with pytest.raises(SettingError) as caught:
        getattr(optim, name)().init(params)
    assert str(caught.value) == (
        f"{name} expected at least one matrix among the parameters it is given, "
        "got W (4, 1), norm.b (3,), norm.gamma (2, 3); use AdamW here"
    )


@pytest.mark.parametrize("name", ["Shampoo", "SOAP"])
def test_a_gradient_that_is_not_finite_shows_in_the_update(name):
    params = {"W": np.ones((3, 2))}
    rule = getattr(optim, name)(every=1)
    _, state = rule.update({"W": np.ones((3, 2))}, rule.init(params), params, 0)
    updates, _ = rule.update({"W": np.full((3, 2), np.nan)}, state, params, 1)
    assert np.isnan(updates["W"]).all()


# Means in 8 bits


@pytest.mark.parametrize("shape", [(64, 64), (10, 1000), (5000,), (257, 100), (3, 3, 32, 48), (4, 5, 6, 70)])
def test_means_in_8_bits_take_a_quarter_of_the_memory(shape):
    params = {"W": np.zeros(shape, np.float32)}
    counts = [sum(a.nbytes for a in tree.leaves(r.init(params))) for r in (optim.Adam8bit(), bl.Adam())]
    assert counts[0] <= 0.27 * counts[1]


@pytest.mark.parametrize("axis", [-1, 0])
def test_codes_are_near_what_they_stand_for_at_every_magnitude(axis):
    """m within 1/8 of itself and 2^-19 of the scale, v within 1/8 down to 2^-32 of it; 0 and the largest are exact."""
    rng = np.random.default_rng(0)
    for size in (1e-12, 1e-3, 1.0, 1e9):
        values = (size * 10.0 ** -rng.uniform(0, 12, size=(64, 80)) * rng.choice([-1, 1], size=(64, 80))).astype("f")
        values[:, 5] = values[5, :] = 0
        g = values if axis == -1 else np.ascontiguousarray(values[:, :60])
        for step in range(5):
            blocks = blockwise.packed(blockwise.empty(g), g, g, g * g, 0.0, 0.0, step)
            m, v = blockwise.mean(blocks), blockwise.mean_square(blocks)
            top = abs(g).max(axis=axis, keepdims=True)
            assert (abs(m - g) <= abs(g) / 7.99 + 2.0**-19 * 1.13 * top).all()
            assert (abs(v - g * g) <= g * g / 7.99 + 2.0**-32 * 1.13 * top**2).all()
            np.testing.assert_array_equal(m[g == 0], 0)
            assert (np.sign(m) * np.sign(g) >= 0).all()
            np.testing.assert_array_equal(v > 0, np.broadcast_to(top > 0, v.shape))
            np.testing.assert_allclose(m[abs(g) == top], g[abs(g) == top], rtol=0.126)


def test_rounding_of_codes_has_no_side():
    """Over many steps the mean of what a code stands for is the number, to a tenth of a step of the code."""
    g = np.random.default_rng(0).normal(size=(64, 64)).astype("f")
    kept = [blockwise.packed(blockwise.empty(g), g, g, g * g, 0.0, 0.0, step) for step in range(200)]
    m, v = (sum(read(b) for b in kept) / 200 for read in (blockwise.mean, blockwise.mean_square))
    assert abs(m / g - 1).max() < 0.006
    assert abs(v / g**2 - 1).max() < 0.006


def test_adam_in_8_bits_goes_adams_way():
    """200 updates of a noisy problem: it ends within 8 % of the way that Adam went, and as near the minimum."""
    rng = np.random.default_rng(0)
    wanted, steepness = rng.normal(size=(50, 100)), np.exp(rng.normal(size=(50, 100)))
    ends = {}
    for rule in (bl.Adam(lr=0.01), optim.Adam8bit(lr=0.01)):
        noise, w = np.random.default_rng(1), {"W": np.zeros((50, 100), "f")}
        state = rule.init(w)
        for step in range(200):
            g = steepness * (w["W"] - wanted + noise.normal(size=wanted.shape))
            updates, state = rule.update({"W": g.astype("f")}, state, w, step)
            w = tree.map(lambda w, u: w + u, w, updates)
        ends[type(rule).__name__] = w["W"]
    away = np.linalg.norm(ends["Adam8bit"] - ends["Adam"]) / np.linalg.norm(ends["Adam"])
    left = [np.linalg.norm(end - wanted) for end in ends.values()]
    assert away < 0.08
    assert left[1] == pytest.approx(left[0], rel=0.02)


def test_a_mean_in_8_bits_does_not_stand_still():
    """v follows gradients that grow tenfold, although a step of b2 = 0.999 is far smaller than a step of its code."""
    rng, params = np.random.default_rng(0), {"W": np.zeros((64, 64), "f")}
    size = np.exp(rng.normal(size=(64, 64)))
    rules = (bl.Adam(), optim.Adam8bit(least=1))
    states = [rule.init(params) for rule in rules]
    for step in range(600):
        g = {"W": ((size if step < 100 else 10.0 / size) * rng.normal(size=size.shape)).astype("f")}
        states = [rule.update(g, s, params, step)[1] for rule, s in zip(rules, states, strict=True)]
    share = np.sqrt(blockwise.mean_square(states[1]["W"]) / states[0].v["W"])
    assert abs(share.mean() - 1) < 0.03
    assert share.std() < 0.15


def test_means_in_8_bits_show_what_is_not_finite():
    params = {"W": np.ones((64, 64), "f")}
    rule, bad = optim.Adam8bit(), {"W": np.ones((64, 64), "f")}
    bad["W"][3, 4] = np.nan
    updates, state = rule.update(bad, rule.init(params), params, 0)
    assert np.isnan(updates["W"][3, 4])
    assert np.isfinite(updates["W"][4]).all()
    assert np.isnan(rule.update(params, state, params, 1)[0]["W"][3]).all()


@pytest.mark.parametrize(
    "rule",
    [bl.Adam(lr=0.01), optim.Adam8bit(lr=0.01, least=1), optim.Muon(lr=0.05, adam_lr=0.01),
     optim.Shampoo(lr=0.01), optim.SOAP(lr=0.01)],
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
def test_a_small_net_learns(rule):
    net = bl.Chain(bl.Dense(16), bl.Tanh(), bl.Dense(3))
    run = bl.train(net, "iris", epochs=25, engine="numpy", optimizer=rule, batch_size=16)
    assert run.history[-1]["accuracy"] > 0.92


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
    short = optim.Cosine(0.1, end=0.01, steps=7)
    assert bl.SGD(lr=short).over(50) == bl.SGD(lr=short)
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
    ours = {c for c in known(Transform).values() if c.__module__.startswith("backlit.") and not c.asks}
    missing = ours - {type(t) for t in inside}
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
