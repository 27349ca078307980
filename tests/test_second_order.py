"""Second order: curvature against JAX's of independent losses, minima against SciPy's, and the conditions of a line search."""

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import backlit as bl
from backlit import engine
from backlit.engine import tree
from backlit.errors import BacklitError, SettingError
from backlit.optim import (
    BFGS,
    LBFGS,
    GaussNewton,
    HessianFree,
    LevenbergMarquardt,
    Newton,
    NonlinearCG,
    Objective,
    Wolfe,
    minimize,
)
from backlit.optim.flat import ravel
from backlit.optim.rules import Rule
from backlit.optim.second_order.base import Flat
from backlit.settings import build, plain

rng = np.random.default_rng(0)
RULES = [
    LBFGS(memory=5),
    BFGS(),
    NonlinearCG(),
    NonlinearCG(beta="fletcher_reeves"),
    Newton(damping=1e-3),
    Newton(saddle_free=True, search=Wolfe()),
    GaussNewton(damping=1e-3, search=Wolfe()),
    LevenbergMarquardt(),
    HessianFree(iterations=20),
]
COMPILED = [
    BFGS(),
    NonlinearCG(),
    Newton(saddle_free=True),
    GaussNewton(damping=1e-3),
    LevenbergMarquardt(),
    HessianFree(),
]
"""One of each kind (L-BFGS: below): a program takes a second to compile."""


def label(value: Any) -> str | None:
    return f"{type(value).__name__}{value.to_plain() or ''}" if isinstance(value, Rule) else None


# The engines' forward mode


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jvp_is_the_derivative_along_a_tangent(dtype):
    def fn(p):
        xp = p["a"].__array_namespace__()
        return {"y": xp.sin(p["a"]) * p["b"], "z": xp.sum(p["a"] ** 3)}

    params = {"a": np.array([0.3, -1.2, 2.0], dtype), "b": np.array(1.7, dtype)}
    tangent = {"a": np.array([1.0, 0.5, -20.0], dtype), "b": np.array(0.25, dtype)}
    a, b, da, db = params["a"], params["b"], tangent["a"], tangent["b"]
    wanted = {"y": np.cos(a) * da * b + np.sin(a) * db, "z": np.sum(3 * a**2 * da)}
    exact = float(np.finfo(dtype).eps)
    for home, tolerance in ((engine.get("xla"), 20 * exact), (engine.get("numpy"), 10 * exact ** (2 / 3))):
        with home.double():
            value, found = home.jvp(fn, tree.map(home.asarray, params), tree.map(home.asarray, tangent))
        for name in wanted:
            assert found[name].dtype == value[name].dtype == dtype
            np.testing.assert_allclose(value[name], fn(params)[name], rtol=4 * exact)
            np.testing.assert_allclose(found[name], wanted[name], rtol=tolerance, atol=tolerance * 20)


def test_jvp_along_nothing_is_zero():
    for home in (engine.get("numpy"), engine.get("xla")):
        assert home.jvp(lambda p: p * p, home.asarray([1.0, 2.0]), home.asarray([0.0, 0.0]))[1].tolist() == [0.0, 0.0]


# Curvature against JAX's, of losses written anew


def mlp() -> Any:
    """A net, its parameters, rows, and what it computes, written in JAX."""
    net = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3))
    _, params, state = net.init(bl.random.key(0), (2,))
    return (
        net,
        params,
        state,
        rng.normal(size=(5, 2)),
        lambda p, x: _dense(jnp.tanh(_dense(x, p["dense_1"])), p["dense_2"]),
    )


def conv() -> Any:
    net = bl.Chain(bl.Conv(2, 3), bl.Tanh(), bl.Flatten(), bl.Dense(3))
    _, params, state = net.init(bl.random.key(0), (4, 5, 2))

    def outputs(p, x):
        c = next(iter(v for k, v in p.items() if k.startswith("conv")))
        where = jax.lax.conv_dimension_numbers(x.shape, c["W"].shape, ("NHWC", "HWIO", "NHWC"))
        z = jax.lax.conv_general_dilated(x, c["W"], (1, 1), "SAME", dimension_numbers=where) + c["b"]
        d = next(iter(v for k, v in p.items() if k.startswith("dense")))
        return _dense(jnp.tanh(z).reshape(len(x), -1), d)

    return net, params, state, rng.normal(size=(5, 4, 5, 2)), outputs


def _dense(x, p):
    return x @ p["W"] + p["b"]


def cross_entropy(y, target):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), target[:, None], axis=1))


def squares(y, target):
    return 0.5 * jnp.mean(jnp.sum((y - target) ** 2, axis=1))


LOSSES = {
    "cross-entropy": (bl.SoftmaxCrossEntropy(), cross_entropy, np.array([0, 2, 1, 1, 0])),
    "squares": (bl.SquaredError(), squares, rng.normal(size=(5, 3))),
}


@pytest.mark.parametrize(("make", "loss"), [(mlp, "cross-entropy"), (mlp, "squares"), (conv, "cross-entropy")])
def test_products_agree_with_jax(make, loss):
    net, params, state, x, outputs = make()
    ours, theirs, target = LOSSES[loss]
    params = tree.cast(params, np.float64)
    v = tree.map(lambda w: rng.normal(size=w.shape), params)

    def everything(params, v, x):
        o = Objective.of(net, ours, state, x, target, penalty=bl.L1L2(l2=0.3))
        return o(params), o.hvp(params, v), o.gauss_newton(params, v)

    def oracle(params, v, x):
        def value(p):
            l2 = sum(jnp.sum(q["W"] ** 2) for q in p.values() if q)
            return theirs(outputs(p, x), target) + 0.15 * l2

        def half(p):
            return outputs(p, x)

        y, dy = jax.jvp(half, (params,), (v,))
        bend = jax.jvp(jax.grad(lambda y: theirs(y, target)), (y,), (dy,))[1]
        pulled = jax.vjp(half, params)[1](bend)[0]
        weights = tree.map_with_path(lambda path, w: 0.3 * w if path.endswith("W") else 0.0 * w, v)
        hvp = jax.jvp(jax.grad(value), (params,), (v,))[1]
        return jax.value_and_grad(value)(params), hvp, tree.map(lambda a, b: a + b, pulled, weights)

    with jax.enable_x64(True):
        wanted = tree.flatten(jax.jit(oracle)(params, v, x))
        found = tree.flatten(jax.jit(everything)(*tree.map(jnp.asarray, (params, v, x))))
        here = tree.flatten(everything(params, v, x))
    assert wanted.keys() == found.keys() == here.keys()
    for path, value in wanted.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-9, atol=1e-11, err_msg=path)
        np.testing.assert_allclose(here[path], value, rtol=1e-6, atol=1e-8, err_msg=path)


def test_matrices_agree_with_jax():
    net, params, state, x, outputs = mlp()
    params = tree.cast(params, np.float64)
    ours, theirs, target = LOSSES["cross-entropy"]

    def matrices(params, x):
        o = Objective.of(net, ours, state, x, target)
        return o.jacobian(params), o.hessian(params), o.gauss_newton_matrix(params)

    def oracle(w, x):
        J = jax.jacfwd(lambda w: outputs(back(w), x).ravel())(w)
        bend = jax.hessian(lambda y: theirs(y.reshape(5, 3), target))(outputs(back(w), x).ravel())
        return J, jax.hessian(lambda w: theirs(outputs(back(w), x), target))(w), J.T @ bend @ J

    with jax.enable_x64(True):
        there = tree.map(jnp.asarray, params)
        flat, back = ravel(there)
        wanted = tuple(map(np.asarray, jax.jit(oracle)(flat, x)))
        found = tuple(map(np.asarray, jax.jit(matrices)(there, x)))
    here = matrices(params, x)
    for i, (rtol, atol) in enumerate([(1e-12, 1e-14), (1e-6, 1e-9), (1e-6, 1e-9)]):
        np.testing.assert_allclose(found[i], wanted[i], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(here[i], wanted[i], rtol=rtol, atol=atol)
    assert np.linalg.eigvalsh(found[2]).min() > -1e-12
    assert np.linalg.eigvalsh(found[1]).min() < -1e-12


def test_a_product_goes_through_operations_that_have_two_ways_to_be_computed():
    net, params, state, x, _ = conv()
    o = Objective.of(net, bl.SoftmaxCrossEntropy(), state, jnp.asarray(x, jnp.float32), np.array([0, 2, 1, 1, 0]))
    params = tree.map(jnp.asarray, params)
    v = tree.map(jnp.ones_like, params)
    found = ravel(jax.jit(o.hvp)(params, v))[0]
    exact = Objective.of(net, bl.SoftmaxCrossEntropy(), state, x, np.array([0, 2, 1, 1, 0]))
    wanted = ravel(exact.hvp(*(tree.cast(tree.map(np.asarray, t), np.float64) for t in (params, v))))[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_every_call_sees_the_same_random_draws():
    net = bl.Chain(bl.Dense(8), bl.Dropout(0.5), bl.Dense(3))
    _, params, state = net.init(bl.random.key(0), (2,))
    ctx = bl.Context(train=True, root=bl.random.key(1))
    o = Objective.of(net, bl.SoftmaxCrossEntropy(), state, rng.normal(size=(4, 2)), np.array([0, 1, 2, 0]), ctx)
    assert float(o(params)[0]) == float(o(params)[0])


def test_what_needs_outputs_says_so_of_a_plain_function():
    o = Objective(lambda p: (0.0, p))
    with pytest.raises(BacklitError, match="gauss_newton: expected an objective with outputs, got a plain function"):
        o.gauss_newton({"w": np.ones(2)}, {"w": np.ones(2)})
    with pytest.raises(BacklitError, match="jacobian: expected"):
        o.jacobian({"w": np.ones(2)})
    with pytest.raises(BacklitError, match="expected a function or a model, got neither"):
        Objective()({})


# Minima against SciPy's


def rosenbrock(p):
    x = p["x"]
    xp = x.__array_namespace__()
    a, b, nothing = x[:-1], x[1:], xp.zeros_like(x[:1])
    value = xp.sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2)
    left, right = -400.0 * a * (b - a * a) - 2.0 * (1.0 - a), 200.0 * (b - a * a)
    return value, {"x": xp.concat([left, nothing]) + xp.concat([nothing, right])}


def residuals(p):
    x = p["x"]
    xp = x.__array_namespace__()
    return 2.0**0.5 * xp.concat([10.0 * (x[1:] - x[:-1] ** 2), 1.0 - x[:-1]]), {}


def residuals_back(p, cache, dr):
    x, n = p["x"], p["x"].shape[0] - 1
    xp, nothing = x.__array_namespace__(), x[:1] * 0.0
    first, second = 2.0**0.5 * dr[:n], 2.0**0.5 * dr[n:]
    return {"x": xp.concat([-20.0 * x[:-1] * first - second, nothing]) + xp.concat([nothing, 10.0 * first])}


VALLEY = Objective(rosenbrock)
RESIDUALS = Objective.composed(residuals, residuals_back)
STARTS = {2: np.array([-1.2, 1.0]), 10: np.array([1.3, 0.7, 0.8, 1.9, 1.2] * 2)}


def scipys(method: str, start: np.ndarray) -> Any:
    """SciPy's run on Rosenbrock's function."""
    if method == "lm":
        found = scipy.optimize.least_squares(
            lambda x: residuals({"x": x})[0], start, jac=lambda x: RESIDUALS.jacobian({"x": x}), method="lm", gtol=1e-10
        )
        return SimpleNamespace(x=found.x, nfev=found.nfev)
    options = {"L-BFGS-B": {"gtol": 1e-9, "ftol": 0.0}, "Newton-CG": {"xtol": 1e-9}}.get(method, {"gtol": 1e-8})
    more = {"hessp": scipy.optimize.rosen_hess_prod} if method == "Newton-CG" else {}
    return scipy.optimize.minimize(
        scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method=method, options=options, **more
    )


@pytest.mark.parametrize("n", [2, 10])
@pytest.mark.parametrize(
    ("rule", "method", "objective"),
    [
        (LBFGS(), "L-BFGS-B", VALLEY),
        (BFGS(), "BFGS", VALLEY),
        (NonlinearCG(), "CG", VALLEY),
        (NonlinearCG(beta="fletcher_reeves"), "CG", VALLEY),
        (Newton(), "Newton-CG", VALLEY),
        (HessianFree(curvature="hessian"), "Newton-CG", VALLEY),
        (HessianFree(), "Newton-CG", RESIDUALS),
        (GaussNewton(search=Wolfe()), "Newton-CG", RESIDUALS),
        (LevenbergMarquardt(), "lm", RESIDUALS),
        (LevenbergMarquardt(scaling="diagonal"), "lm", RESIDUALS),
    ],
    ids=label,
)
def test_the_valley_of_rosenbrock_costs_no_more_than_scipy(rule, method, objective, n):
    theirs = scipys(method, STARTS[n])
    found = minimize(objective, {"x": STARTS[n]}, rule, steps=500, tolerance=1e-8)
    assert found.converged
    assert float(found.value) < 1e-15
    assert abs(found.params["x"] - theirs.x).max() < 1e-6
    np.testing.assert_allclose(found.params["x"], 1.0, atol=1e-7)
    assert int(found.evaluations) <= 1.5 * theirs.nfev


def logistic() -> tuple[Objective, Any, Any]:
    """A logistic regression with a penalty; value and gradient for SciPy."""
    x = rng.normal(size=(40, 3))
    y = (x @ [1.0, -2.0, 0.5] + rng.normal(size=40) > 0).astype(np.int64)
    o = Objective.of(bl.Dense(1), bl.losses.BinaryCrossEntropy(), {}, x, y, penalty=bl.L1L2(l2=0.1))
    sign = 2.0 * y - 1.0

    def value(w):
        z = sign * (x @ w[:3] + w[3])
        share = -sign / (1.0 + np.exp(z)) / 40
        return np.logaddexp(0, -z).mean() + 0.05 * w[:3] @ w[:3], np.r_[share @ x + 0.1 * w[:3], share.sum()]

    return o, {"W": np.zeros((3, 1)), "b": np.zeros(1)}, value


def line() -> tuple[Objective, Any, Any]:
    """Linear least squares, badly scaled."""
    x = rng.normal(size=(20, 3)) * [1.0, 10.0, 0.1]
    t = x @ [3.0, -1.0, 2.0] + rng.normal(size=20)
    o = Objective.of(bl.Dense(1), bl.SquaredError(), {}, x, t)

    def value(w):
        e = x @ w[:3] + w[3] - t
        return 0.5 * (e @ e) / 20, np.r_[e @ x, e.sum()] / 20

    return o, {"W": np.zeros((3, 1)), "b": np.zeros(1)}, value


@pytest.mark.parametrize("make", [logistic, line])
@pytest.mark.parametrize("rule", RULES, ids=label)
def test_convex_problems_have_the_minimum_that_scipy_finds(make, rule):
    o, start, value = make()
    theirs = scipy.optimize.minimize(value, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-11})
    found = minimize(o, start, rule, steps=300, tolerance=1e-9)
    assert found.converged
    assert float(found.value) - theirs.fun < 1e-8 * theirs.fun
    ours = np.r_[found.params["W"][:, 0], found.params["b"]]
    np.testing.assert_allclose(ours, theirs.x, atol=1e-6)
    assert int(found.evaluations) <= (1.5 * theirs.nfev if isinstance(rule, LBFGS | BFGS) else 300)


def test_newton_solves_a_quadratic_in_one_step_and_gauss_newton_a_linear_fit():
    A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 100.0]])
    b = np.array([1.0, -2.0, 30.0])
    bowl = Objective(lambda p: (0.5 * p["w"] @ A @ p["w"] - b @ p["w"], {"w": A @ p["w"] - b}))
    for rule in (Newton(), Newton(saddle_free=True), Newton(search=Wolfe())):
        found = minimize(bowl, {"w": np.ones(3)}, rule, tolerance=1e-6)
        assert (int(found.steps), int(found.evaluations)) == (1, 2)
        np.testing.assert_allclose(found.params["w"], np.linalg.solve(A, b), rtol=1e-8)
    o, start, _ = line()
    assert int(minimize(o, start, GaussNewton(), tolerance=1e-6).steps) == 1


def test_a_saddle_is_left_or_not_as_documented():
    def saddle(p):
        x, y = p["w"][0], p["w"][1]
        return x * x - y * y + 0.25 * y**4, {"w": np.array([2.0 * x, -2.0 * y + y**3])}

    near = {"w": np.array([1.0, 0.01])}
    stays = minimize(Objective(saddle), near, Newton(), tolerance=1e-9).params["w"]
    np.testing.assert_allclose(stays, [0.0, 0.0], atol=1e-8)
    for rule in (
        Newton(saddle_free=True, search=Wolfe()),
        Newton(damping=3.0),
        LBFGS(),
        HessianFree(curvature="hessian"),
    ):
        leaves = minimize(Objective(saddle), near, rule, tolerance=1e-9, steps=300).params["w"]
        np.testing.assert_allclose(leaves, [0.0, 2.0**0.5], atol=1e-7, err_msg=str(rule))


def test_a_singular_hessian_leads_along_the_gradient():
    flat = Objective(lambda p: (p["w"][0] ** 2, {"w": np.array([2.0 * p["w"][0], 0.0])}))
    update = Newton(lr=0.5).update({}, {}, {"w": np.array([1.0, 3.0])}, 0, flat)[0]["w"]
    np.testing.assert_allclose(update, [-1.0, 0.0])


# The line search


def hills(seed: int) -> tuple[Objective, np.ndarray]:
    """A quartic with waves on it, and a start."""
    draw = np.random.default_rng(seed)
    A, w, c = draw.normal(size=(4, 4)), draw.uniform(1, 9, size=4), draw.normal(size=4) * 3

    def value(p):
        e = A @ p["x"] - c
        return 0.1 * np.sum(e**4) + np.sum(np.cos(w * p["x"])), {"x": A.T @ (0.4 * e**3) - w * np.sin(w * p["x"])}

    return Objective(value), draw.normal(size=4) * 2


@pytest.mark.parametrize("search", [Wolfe(), Wolfe(curvature=0.1), Wolfe(curvature=0.01)], ids=["0.9", "0.1", "0.01"])
def test_accepted_steps_meet_the_strong_wolfe_conditions(search):
    for seed in range(30):
        objective, x = hills(seed)
        loss = Flat(objective, {"x": x})
        here = loss.first()
        p = -here.gradient * np.exp(np.random.default_rng(seed).normal(size=4))
        for first in (1e-4, 1.0, 1e3):
            reached, trial = search.search(loss, here, p, first)
            a, slope = float(trial.step), here.gradient @ p
            value, gradient = loss(here.x + a * p)
            assert a > 0
            assert value <= here.value + search.decrease * a * slope + 1e-12 * abs(here.value)
            assert abs(gradient @ p) <= search.curvature * abs(slope) * (1 + 1e-9)
            np.testing.assert_array_equal(reached.gradient, gradient)
            assert int(reached.evaluations - here.evaluations) <= search.evaluations


def test_a_search_that_meets_infinity_comes_back_and_one_without_a_way_down_fails():
    def wall(p):
        x = p["x"]
        value = np.where(x < 1.0, -np.log(np.maximum(1.0 - x, 1e-300)) - 3.0 * x, np.inf)
        return float(value.sum()), {"x": 1.0 / np.where(x < 1.0, 1.0 - x, np.nan) - 3.0}

    found = minimize(Objective(wall), {"x": np.array([-3.0])}, LBFGS(lr=50.0), tolerance=1e-9)
    np.testing.assert_allclose(found.params["x"], 2.0 / 3.0)
    wrong = Objective(lambda p: (float(p["x"] @ p["x"]), {"x": -2.0 * p["x"]}))  # a gradient with the wrong sign
    lost = minimize(wrong, {"x": np.ones(2)}, LBFGS())
    assert not lost.converged
    assert lost.params["x"].tolist() == [1.0, 1.0]
    assert int(lost.steps) == 2


def test_in_float32_it_goes_down_to_the_last_digits():
    o, start, value = logistic()
    exact = minimize(o, start, LBFGS(), tolerance=1e-10)
    with np.errstate(all="ignore"):
        small = Objective(lambda p: tree.cast(o(p), np.float32))
        found = minimize(small, tree.cast(start, np.float32), LBFGS(), tolerance=1e-6)
    assert found.converged
    assert found.params["W"].dtype == np.float32
    assert value(np.r_[found.params["W"][:, 0], found.params["b"]])[0] / float(exact.value) - 1.0 < 1e-6


# In training, and compiled


@pytest.mark.parametrize("rule", COMPILED, ids=label)
def test_an_update_is_the_same_on_both_engines_keeps_its_state_and_may_be_traced(rule):
    o, start, _ = logistic()
    start = tree.map(lambda w: w + 0.3, start)
    kept = tree.map(np.copy, start)

    def update(lr, state, params, step):
        return replace(rule, lr=lr).update({}, state, params, step, o)

    def run(update, params, state):
        made = []
        for step in range(2):
            updates, state = update(0.5, state, params, step)
            params = tree.map(lambda w, u: np.asarray(w) + np.asarray(u), params, updates)
            made.append((updates, state))
        return made

    here = run(update, start, rule.init(start))
    with jax.enable_x64(True):
        before = jax.eval_shape(rule.init, start)
        there = run(jax.jit(update), start, rule.init(start))
    for _, state in there:
        assert jax.tree.structure(state) == jax.tree.structure(before)
        for old, new in zip(tree.leaves(before), tree.leaves(state), strict=True):
            assert (old.shape, old.dtype) == (new.shape, new.dtype)
    for path, wanted in tree.flatten(here).items():
        found = tree.flatten(there)[path]
        assert (found.shape, found.dtype) == (np.shape(wanted), wanted.dtype)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7, err_msg=path)
    assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(kept), tree.leaves(start), strict=True))


def test_minimize_is_one_program_that_gives_what_numpy_gives():
    o, start, _ = logistic()
    here = minimize(o, start, LBFGS(), tolerance=1e-8)
    with jax.enable_x64(True):
        there = jax.jit(lambda p: minimize(o, p, LBFGS(), tolerance=1e-8))(tree.map(jnp.asarray, start))
    assert [int(n) for n in there[3:]] == [int(n) for n in here[3:]]
    for path, wanted in tree.flatten(here.params).items():
        np.testing.assert_allclose(tree.flatten(there.params)[path], wanted, rtol=1e-9)


def test_minimize_takes_first_order_rules_and_stops_where_told():
    o, start, _ = logistic()
    found = minimize(o, start, bl.SGD(lr=1.0), steps=500, tolerance=1e-6)
    assert found.converged
    assert int(found.evaluations) == int(found.steps) + 1
    short = minimize(o, start, bl.Adam(), steps=3)
    assert (int(short.steps), bool(short.converged)) == (3, False)
    far = Objective(lambda p: (float(p["x"] @ p["x"]), {"x": 2.0 * p["x"]}))
    with np.errstate(all="ignore"):
        blown = minimize(far, {"x": np.ones(1)}, bl.SGD(lr=100.0), steps=10_000)
    assert not blown.converged
    assert int(blown.steps) < 10_000


def test_bad_input_is_one_sentence():
    big = {"W": np.zeros((200, 30), np.float32), "b": np.zeros(30, np.float32)}
    for rule in (BFGS(), Newton(), GaussNewton(), LevenbergMarquardt()):
        name = type(rule).__name__
        text = (
            rf"limit: {name} keeps a matrix of 6030 x 6030 numbers .* 0.135 GiB: expected at most 5000 .* LBFGS or Hess"
        )
        with pytest.raises(SettingError, match=text):
            rule.init(big)
    assert BFGS(limit=6030).init(big).H.shape == (6030, 6030)
    with pytest.raises(BacklitError, match="LBFGS asks for the loss at other points"):
        LBFGS().update({}, LBFGS().init(big), big, 0)
    with pytest.raises(SettingError, match=r"decrease: expected less than curvature, 0.1, got 0.2"):
        Wolfe(decrease=0.2, curvature=0.1)


def test_rules_are_plain_data():
    rule = Newton(search=Wolfe(curvature=0.5), saddle_free=True)
    assert build(Rule, plain(rule)) == rule
    assert build(Rule, {"type": "LBFGS", "memory": 3, "search": {"curvature": 0.5}}).search.curvature == 0.5


def test_a_training_with_the_whole_part_as_its_batch():
    """As a rule of an experiment: the penalty counts, the loss falls at every update, a frozen array stays."""
    given = {"engine": "numpy", "epochs": 12, "batch_size": 105, "penalty": bl.L1L2(l2=0.01), "frozen": ("dense_1.b",)}
    net = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3))
    run = bl.train(net, "iris", optimizer=LBFGS(), split=bl.Split(validation=0, test=45 / 150), **given)
    totals = [line["loss"] + line["penalty"] for line in run.history]
    assert all(b <= a for a, b in itertools.pairwise(totals))
    slow = bl.train(net, "iris", optimizer=bl.SGD(lr=0.1), split=bl.Split(validation=0, test=45 / 150), **given)
    assert totals[-1] < 0.6 * (slow.history[-1]["loss"] + slow.history[-1]["penalty"])
    assert not run.params["dense_1"]["b"].any()
