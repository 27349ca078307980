"""What stands around a rule: wrappers, groups, rules that keep other parameters than they train; alone and in a training."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
import yaml

import backlit as bl
from backlit import optim
from backlit.config import Experiment
from backlit.data import Arrays, Source, Split
from backlit.engine import tree
from backlit.errors import BacklitError, SettingError
from backlit.optim import Objective
from backlit.optim.partition import grouped
from backlit.optim.wrappers import Wrapper, wrapped
from backlit.settings import build, known, plain
from backlit.training.loop import fit

RNG = np.random.default_rng(5)
X = RNG.normal(size=(80, 4)).astype("f")
LABELS = (X @ RNG.normal(size=(4, 3))).argmax(axis=1)
NET = bl.Chain(bl.Dense(6), bl.Tanh(), bl.Dense(3))

WRAPPERS = [
    optim.Centralize(), optim.GradientNoise(0.1), optim.SpectralPenalty(0.1), optim.MaxNorm(0.8), optim.Lookahead(every=3),
    optim.EMA(0.9), optim.SWA(begin=0.5, every=2), optim.Accumulate(3), optim.SAM(0.1), optim.SAM(0.1, adaptive=True),
    optim.WeightNoise(0.05),
]  # fmt: skip
each = pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda w: type(w).__name__)


def experiment(**changes) -> Experiment:
    fields = {"data": Arrays(X, LABELS), "net": NET, "loss": bl.SoftmaxCrossEntropy(), "optimizer": bl.SGD(lr=0.2),
              "batch_size": 16, "epochs": 2, "engine": "numpy", "split": Split(validation=0, test=0.2)}  # fmt: skip
    return Experiment(**fields | changes)


def beginning() -> Any:
    rng = np.random.default_rng(0)
    return {"dense": {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}}


def curved(params: Any) -> Any:
    """The gradient of a quadratic, another curvature per number."""
    return tree.map(lambda w: w * (1.0 + 0.1 * np.arange(w.size, dtype=w.dtype).reshape(w.shape)), params)


def bowl(params: Any) -> tuple[Any, Any]:
    grads = curved(params)
    return sum(0.5 * (w * g).sum() for w, g in zip(tree.leaves(params), tree.leaves(grads), strict=True)), grads


def walk(rule: Any, steps: int = 12, start: Any = None) -> tuple[Any, Any, list[Any]]:
    """Parameters and state after so many updates, and the parameters after each."""
    params = beginning() if start is None else start
    state, seen = rule.init(params), []
    for step in range(steps):
        updates, state = rule.update(curved(params), state, params, step, Objective(bowl))
        params = tree.map(lambda w, u: w + u, params, updates)
        seen.append(params)
    return params, state, seen


def optax_walk(rule: Any, steps: int = 12) -> tuple[Any, Any]:
    with jax.enable_x64(True):
        params = beginning()
        state, update = rule.init(params), jax.jit(rule.update)
        for _ in range(steps):
            updates, state = update(curved(params), state, params)
            params = tree.map(lambda w, u: w + np.asarray(u), params, updates)
    return params, state


def close(found: Any, wanted: Any, **tolerance: float) -> None:
    for path, value in tree.flatten(wanted).items():
        np.testing.assert_allclose(tree.flatten(found)[path], value, err_msg=path, **{"rtol": 1e-6, **tolerance})


def apart(a: Any, b: Any) -> float:
    return max(float(abs(x - y).max()) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


# Every wrapper


def test_every_wrapper_is_tested_here():
    inside = {type(w) for w in WRAPPERS}
    assert {c for c in known(Wrapper).values() if c.__module__.startswith("backlit.")} == inside


@each
def test_wrapper_gives_the_same_on_both_engines_and_keeps_dtypes(wrapper):
    rule = (
        replace(wrapper, steps=6)(bl.Momentum(lr=0.1)) if isinstance(wrapper, optim.SWA) else wrapper(bl.Momentum(0.1))
    )
    here = tree.map(lambda w: w.astype(np.float32), beginning())
    there = tree.map(jnp.asarray, here)
    mine, other = rule.init(here), rule.init(there)
    step_there = jax.jit(lambda p, s, t: rule.update(curved(p), s, p, t, Objective(bowl)))
    for step in range(6):
        updates, mine = rule.update(curved(here), mine, here, np.int32(step), Objective(bowl))
        moves, other = step_there(there, other, jnp.int32(step))
        here, there = (tree.map(lambda w, u: w + u, p, u) for p, u in ((here, updates), (there, moves)))
        assert all(a.dtype == np.float32 for a in tree.leaves((updates, moves)))
    close(there, here, rtol=1e-4, atol=1e-5)
    close(rule.kept(there, other), rule.kept(here, mine), rtol=1e-4, atol=1e-5)
    for a, b in zip(tree.leaves(mine), tree.leaves(other), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert jax.tree_util.tree_structure(mine) == jax.tree_util.tree_structure(rule.init(here))


@each
def test_it_changes_a_training_and_goes_through_a_file(wrapper):
    e = experiment(wrappers=(wrapper,))
    plainly, with_it = fit(experiment()), fit(e)
    assert apart(plainly.params, with_it.params) > 1e-4
    named = replace(e, data=build(Source, "digits"))
    assert Experiment.from_plain(yaml.safe_load(yaml.safe_dump(named.to_plain()))) == named
    assert build(Wrapper, yaml.safe_load(yaml.safe_dump(plain(wrapper)))) == wrapper


def test_order_in_an_experiment_does_not_matter():
    wrappers = (optim.EMA(0.9), optim.SAM(0.1), optim.Accumulate(2), optim.MaxNorm(0.8))
    first, second = (fit(experiment(wrappers=w)).params for w in (wrappers, wrappers[::-1]))
    assert apart(first, second) == 0.0
    rule = wrapped(bl.SGD(), wrappers)
    names = []
    while hasattr(rule, "wrapper"):
        names.append(type(rule.wrapper).__name__)
        rule = rule.rule
    assert names == ["SAM", "Accumulate", "EMA", "MaxNorm"]


@pytest.mark.parametrize("wrapper", [optim.SAM(), optim.WeightNoise()], ids=lambda w: type(w).__name__)
def test_what_needs_the_objective_says_so(wrapper):
    params = beginning()
    with pytest.raises(BacklitError, match=r"takes gradients elsewhere: expected update\(.*objective\), got none"):
        wrapper(bl.SGD()).update(curved(params), {}, params, 0)


# Against Optax and closed forms


def test_accumulate_agrees_with_optax():
    found = walk(optim.Accumulate(3)(bl.Adam(lr=0.05)), 13)[0]
    close(found, optax_walk(optax.MultiSteps(optax.adam(0.05), 3), 13)[0])


def test_accumulated_batches_are_one_large_batch():
    given = {"data": Arrays(X[:64], LABELS[:64]), "split": Split(validation=0, test=0), "order": "given", "epochs": 3}
    small = fit(experiment(batch_size=16, wrappers=(optim.Accumulate(4),), **given))
    close(small.params, fit(experiment(batch_size=64, **given)).params, rtol=1e-4, atol=1e-6)


def test_a_batch_that_grows_and_the_clock_of_the_rule():
    growing = optim.Accumulate(optim.Piecewise((1, 2, 4), at=(3, 5)))
    assert growing.updates(20) == 3 + 2 + 3  # 3 of one batch, 2 of two, 3 of four, one batch left over
    rule = growing(bl.SGD(lr=optim.Linear(1.0))).over(20)
    assert rule.rule.lr == optim.Linear(1.0, steps=8)
    params = {"w": np.zeros(1)}
    state, moved = rule.init(params), []
    for step in range(20):
        updates, state = rule.update({"w": np.full(1, float(step))}, state, params, step)
        moved.append(float(updates["w"][0]))
    wanted = np.zeros(20)
    for update, (begin, end) in enumerate([(0, 1), (1, 2), (2, 3), (3, 5), (5, 7), (7, 11), (11, 15), (15, 19)]):
        wanted[end - 1] = -np.mean(np.arange(begin, end)) * (1 - update / 8)
    np.testing.assert_allclose(moved, wanted, rtol=1e-6)
    assert float(rule.rate(state, 19)) == pytest.approx(1 / 8)


def test_lookahead_agrees_with_optax():
    params, state, _ = walk(optim.Lookahead(every=4, share=0.5)(bl.Momentum(lr=0.05)), 10)
    theirs = optax.lookahead(optax.sgd(0.05, momentum=0.9), sync_period=4, slow_step_size=0.5)
    with jax.enable_x64(True):
        start = optax.LookaheadParams.init_synced(beginning())
        other, update = theirs.init(start), jax.jit(theirs.update)
        for _ in range(10):
            updates, other = update(curved(start.fast), other, start)
            start = tree.map(lambda w, u: w + np.asarray(u), start, updates)
    close(params, start.fast)
    close(optim.Lookahead(every=4)(bl.Momentum()).kept(params, state), start.slow)


def test_exponential_average_follows_its_formula_and_leaves_the_path_alone():
    params, state, seen = walk(optim.EMA(0.8)(bl.Adam(lr=0.05)))
    close(params, walk(bl_unwrapped(bl.Adam(lr=0.05)))[0], rtol=0)
    mean = beginning()
    for t, after in enumerate(seen, start=1):
        d = min(0.8, t / (9 + t))
        mean = tree.map(lambda m, w, d=d: d * m + (1 - d) * w, mean, after)
    close(state.mean, mean)


def bl_unwrapped(rule: Any) -> Any:
    """The rule, taking an objective that it does not ask for."""
    return optim.chain(rule)


def test_stochastic_average_is_the_mean_of_the_last_part():
    _, state, seen = walk(optim.SWA(begin=0.5, every=2, steps=12)(bl.SGD(lr=0.3)))
    close(state.mean, tree.map(lambda *w: sum(w) / 3, seen[6], seen[8], seen[10]))
    early = walk(optim.SWA(begin=0.5, steps=12)(bl.SGD(lr=0.3)), 5)
    close(early[1].mean, early[0])


@pytest.mark.parametrize(
    ("wrapper", "engine"),
    [
        (optim.EMA(0.9), "numpy"),
        (optim.SWA(begin=0.5), "numpy"),
        (optim.Lookahead(every=3), "numpy"),
        (optim.EMA(0.9), "xla"),
    ],
)
def test_the_average_is_validated_kept_and_its_statistics_are_its_own(wrapper, engine):
    net = bl.Chain(bl.Dense(6), bl.BatchNorm(momentum=0.5), bl.ReLU(), bl.Dense(3))
    part = Split(validation=0.25, test=0)
    e = experiment(net=net, wrappers=(wrapper,), split=part, epochs=4, optimizer=bl.SGD(lr=1.0), engine=engine)
    run, alone = fit(e), fit(replace(e, wrappers=()))
    assert apart(run.params, alone.params) > 1e-3
    first, last = run.history[run.result["best_epoch"] - 1]["validation"], run.evaluate(run_part(run))
    assert last["loss"] == pytest.approx(first["loss"], rel=1e-4)
    # z of the averaged net over many batches: its mean and variance are what the running statistics hold, roughly.
    z = X[:60] @ run.params["dense_1"]["W"] + run.params["dense_1"]["b"]
    assert abs(run.state["batch_norm_1"]["mean"] - z.mean(axis=0)).max() < 0.5 * z.std()


def run_part(run: Any) -> Any:
    """The validation rows of a run."""
    from backlit.training.setup import setup

    return setup(run.experiment).parts.validation


@pytest.mark.parametrize("adaptive", [False, True])
def test_sharpness_aware_minimisation_takes_the_gradient_at_the_worst_point(adaptive):
    params = beginning()
    g = curved(params)
    by = tree.map(lambda g, w: g * abs(w), g, params) if adaptive else g
    length = np.sqrt(sum((a * a).sum() for a in tree.leaves(by)))
    e = tree.map(lambda b, w: 0.3 * b * (abs(w) if adaptive else 1.0) / length, by, params)
    wanted = tree.map(lambda g: -0.1 * g, curved(tree.map(lambda w, e: w + e, params, e)))
    rule = optim.SAM(0.3, adaptive=adaptive)(bl.SGD(lr=0.1))
    close(rule.update(g, {}, params, 0, Objective(bowl))[0], wanted)


def test_sam_agrees_with_optax():
    theirs = optax.contrib.sam(
        optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.2)), sync_period=2, opaque_mode=True
    )
    params = beginning()
    state = theirs.init(params)
    for _ in range(5):
        grad_fn = lambda p, _: tree.map(jnp.asarray, curved(tree.map(np.asarray, p)))  # noqa: E731
        updates, state = theirs.update(curved(params), state, params, grad_fn=grad_fn)
        params = tree.map(np.asarray, optax.apply_updates(params, updates))
    close(walk(optim.SAM(0.2)(bl.SGD(lr=0.1)), 5)[0], params, rtol=1e-4)


def test_centralized_gradients_agree_with_optax():
    """Optax takes the first axis for the units, as torch's weights have it: here it is the last."""
    kernel = {"W": RNG.normal(size=(3, 3, 2, 5)), "b": RNG.normal(size=5)}
    rule = optim.Centralize()(bl.SGD(lr=1.0))
    found = rule.update(kernel, {}, kernel, 0)[0]
    turned = tree.map(lambda a: np.moveaxis(a, -1, 0), kernel)
    with jax.enable_x64(True):
        wanted = optax.centralize().update(turned, optax.EmptyState())[0]
    close(found, tree.map(lambda a: -np.moveaxis(np.asarray(a), 0, -1), wanted))


def test_gradient_noise_fades_and_depends_on_the_seed():
    params = {"w": np.zeros(20000)}

    def noise(step: int, seed: int | None = 1) -> Any:
        rule = optim.GradientNoise(variance=0.25, fade=1.0, seed=seed)(bl.SGD(lr=1.0))
        return rule.update(params, {}, params, step)[0]["w"]

    assert noise(0).std() == pytest.approx(0.5, rel=0.03)
    assert noise(99).std() == pytest.approx(0.05, rel=0.03)
    assert abs(np.corrcoef(noise(0), noise(1))[0, 1]) < 0.03
    runs = [fit(experiment(wrappers=(optim.GradientNoise(1.0, seed=s),), seed=1)).params for s in (None, 1, 2)]
    assert apart(runs[0], runs[1]) == 0.0
    assert apart(runs[0], runs[2]) > 1e-3


def test_spectral_penalty_agrees_with_jax_grad():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        params = {"W": rng.normal(size=(6, 4)), "kernel": rng.normal(size=(3, 3, 2, 4)), "b": rng.normal(size=4)}
        zero = tree.map(np.zeros_like, params)
        rule = optim.SpectralPenalty(0.3, iterations=200)(bl.SGD(lr=1.0))
        found = rule.update(zero, {}, params, 0)[0]

        def penalty(p: Any) -> Any:
            return 0.15 * sum(jnp.linalg.norm(p[k].reshape(-1, 4), ord=2) ** 2 for k in ("W", "kernel"))

        close(found, tree.map(lambda g: -np.asarray(g), jax.grad(penalty)(params)), atol=1e-9)


def test_no_unit_is_longer_than_the_bound():
    run = fit(experiment(optimizer=bl.SGD(lr=2.0), wrappers=(optim.MaxNorm(0.8),), epochs=5))
    lengths = [np.linalg.norm(run.params[name]["W"], axis=0) for name in ("dense_1", "dense_2")]
    assert max(map(np.max, lengths)) <= 0.8 * (1 + 1e-5)
    assert min(map(np.max, lengths)) > 0.79
    free = fit(experiment(optimizer=bl.SGD(lr=2.0), epochs=5))
    assert np.linalg.norm(free.params["dense_2"]["W"], axis=0).max() > 1.0


# Rules that keep other parameters than they train


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optim.ScheduleFreeSGD(lr=0.2), optax.contrib.schedule_free_sgd(0.2)),
        (optim.ScheduleFreeAdamW(lr=0.1), optax.contrib.schedule_free_adamw(0.1)),
    ],
)
def test_schedule_free_rules_agree_with_optax(ours, theirs):
    with jax.enable_x64(True):
        params, state, _ = walk(bl_unwrapped(ours), 20)
        others, other = optax_walk(theirs, 20)
        close(params, others, rtol=1e-5, atol=1e-9)
        close(ours.kept(params, state[0]), optax.contrib.schedule_free_eval_params(other, others), rtol=1e-5, atol=1e-9)


def test_a_schedule_free_training_keeps_the_average():
    e = experiment(optimizer=optim.ScheduleFreeAdamW(lr=0.05), epochs=30, split=Split(0.2, 0.2))
    run = fit(e)
    assert run.history[-1]["validation"]["loss"] < 0.4
    assert run.evaluate(run_part(run))["loss"] == pytest.approx(
        min(h["validation"]["loss"] for h in run.history), rel=1e-4
    )


def test_sophia_follows_the_paper_where_the_hessian_is_diagonal():
    """Random signs cancel there: the estimate is exact. (Optax steps with the curvature of before, so it is not the oracle.)"""
    lr, b1, b2, gamma, decay, every = 0.05, 0.965, 0.99, 0.4, 0.1, 3
    found = walk(optim.Sophia(lr=lr, every=every, weight_decay=decay, gamma=gamma), 15)[0]
    for path, w in tree.flatten(beginning()).items():
        diagonal = 1.0 + 0.1 * np.arange(w.size).reshape(w.shape)
        m, h = np.zeros_like(w), np.zeros_like(w)
        for t in range(15):
            g = diagonal * w
            m = b1 * m + (1 - b1) * g
            if t % every == 0:
                h = b2 * h + (1 - b2) * diagonal
            step = np.clip(m / (1 - b1 ** (t + 1)) / np.maximum(gamma * h, 1e-8), -1, 1)
            w = w - lr * step - (lr * decay * w if path.endswith("W") else 0)
        np.testing.assert_allclose(tree.flatten(found)[path], w, rtol=1e-6)


def test_sophia_trains_a_net_the_same_on_both_engines():
    e = experiment(optimizer=optim.Sophia(lr=0.02, every=2), epochs=4, net=bl.Chain(bl.Dense(3)))
    runs = [fit(replace(e, engine=engine)) for engine in ("numpy", "xla")]
    assert runs[0].history[-1]["loss"] < 0.8 * runs[0].history[0]["loss"]
    # NumPy's curvature is a difference of gradients in float32; where it decides, a step may be another.
    assert runs[1].history[-1]["loss"] == pytest.approx(runs[0].history[-1]["loss"], rel=0.05)


# Groups


def test_groups_have_their_own_settings():
    groups = (
        optim.Group("dense_1", lr=0.02),
        optim.Group(["*.b"], lr_scale=0.5),
        optim.Group("dense_2.W", optimizer=bl.Adam(lr=0.01)),
    )
    params = {name: {"W": np.ones((2, 2)), "b": np.ones(2)} for name in ("dense_1", "dense_2", "dense_3")}
    rule = grouped(bl.SGD(lr=optim.Linear(0.2)), groups).over(10)
    updates, state = rule.update(params, rule.init(params), params, 5)
    means = {path: round(float(u.mean()), 6) for path, u in tree.flatten(updates).items()}
    assert means == {
        "dense_1.W": -0.02, "dense_1.b": -0.02, "dense_2.W": means["dense_2.W"], "dense_2.b": -0.05,
        "dense_3.W": -0.1, "dense_3.b": -0.05,
    }  # fmt: skip
    assert -0.01 < means["dense_2.W"] < 0
    assert set(tree.flatten(state)) == {"2.m.dense_2.W", "2.v.dense_2.W"}
    assert float(rule.rate(state, 5)) == pytest.approx(0.1)
    assert rule.kept(params, state) is params


@pytest.mark.parametrize("rule", [optim.Muon(lr=0.01), optim.Shampoo(lr=0.01), optim.SOAP(lr=0.01)])
def test_a_group_may_hold_vectors_alone_where_the_rule_wants_matrices(rule):
    run = fit(experiment(optimizer=rule, groups=(optim.Group("*.b", lr_scale=0.5),)))
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_frozen_parameters_have_no_state_and_stay():
    e = experiment(optimizer=bl.Adam(lr=0.1), groups=(optim.Group("dense_1", frozen=True),), frozen=("*_2.b",))
    run = fit(e)
    from backlit.training.setup import setup

    start = setup(e).params
    np.testing.assert_array_equal(run.params["dense_1"]["W"], start["dense_1"]["W"])
    np.testing.assert_array_equal(run.params["dense_2"]["b"], start["dense_2"]["b"])
    assert apart(run.params["dense_2"]["W"], start["dense_2"]["W"]) > 0.01


@pytest.mark.parametrize("wrappers", [(), (optim.SAM(0.1), optim.EMA(0.9), optim.Accumulate(2), optim.Lookahead())])
def test_a_training_with_all_of_it_resumes_to_the_same_bits(tmp_path, wrappers):
    path = tmp_path / "data.npz"
    np.savez(path, x=X, y=LABELS)
    e = experiment(
        data={"type": "npz", "path": str(path)}, wrappers=wrappers, epochs=4, frozen=("dense_1.b",), clip={"limit": 0.5},
        groups=(optim.Group("dense_2", lr_scale=0.5), optim.Group("*.b", optimizer="Adam")),
        optimizer=optim.ScheduleFreeAdamW(lr=0.1) if not wrappers else bl.AdamW(lr=optim.Cosine(0.1)),
    )  # fmt: skip
    whole = fit(e)
    fit(replace(e, epochs=2, optimizer=e.optimizer), directory=tmp_path / "other")  # another training does not matter

    class Stop(Exception):
        pass

    def listener(event: Any) -> None:
        if type(event).__name__ == "EpochEnded" and event.record["epoch"] == 2:
            raise Stop

    e = replace(e, checkpoint={"every_epochs": 1})
    with pytest.raises(Stop):
        fit(e, directory=tmp_path / "cut", listener=listener)
    again = fit(e, directory=tmp_path / "cut", resume=True)
    assert apart(whole.params, again.params) == 0.0


def test_learning_rates_that_go_with_the_batch():
    e = experiment(optimizer=bl.SGD(lr=optim.ForBatch(0.4, reference=64)), wrappers=(optim.Accumulate(2),))
    assert fit(e).history[-1]["lr"] == pytest.approx(0.4 * 32 / 64)


def test_halving_reaches_the_rule_itself():
    """What is halved is the learning rate, not the update: a slow average of it follows too."""
    e = experiment(
        halving=bl.Halving(patience=1, factor=0.1), split=Split(0.2, 0.2), epochs=8, optimizer=bl.SGD(lr=3.0)
    )
    for wrappers in ((), (optim.Lookahead(every=2),)):
        history = fit(replace(e, wrappers=wrappers)).history
        assert history[0]["lr"] == 3.0
        assert history[-1]["lr"] < 3.0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: optim.Accumulate(0), "every: expected a number greater than or equal to 1, got 0"),
        (lambda: optim.EMA(1.0), "decay: expected a number less than 1, got 1.0"),
        (lambda: optim.Group("a"), "expected lr, lr_scale, weight_decay, optimizer or frozen, got only paths"),
        (lambda: optim.Group("a", lr=0.1, lr_scale=2), "lr_scale: expected either lr or lr_scale, got both"),
        (lambda: optim.Group("a", lr=-0.1), "lr: expected a number greater than 0, got -0.1"),
        (lambda: optim.Group("a", lr=0.1, frozen=True), "lr: expected nothing beside frozen: true"),
        (lambda: optim.ScheduleFreeSGD(b1=0.0), "b1: expected a number greater than 0"),
        (lambda: fit(experiment(groups=({"paths": "dense_9", "lr": 0.1},))), "groups.0.paths: unknown parameter 'dense_9'"),
        (lambda: fit(experiment(groups=({"paths": "*", "weight_decay": 0.1},))), "groups.0.weight_decay: expected a rule with"),
        (lambda: fit(experiment(wrappers=("Accumulate(9)",))), "wrappers.0: unknown wrapper 'Accumulate(9)'"),
        (lambda: fit(experiment(wrappers=(optim.Accumulate(99),))), "wrappers.0.every: expected at most the 8 batches"),
        (
            lambda: fit(experiment(optimizer=bl.SGD(lr=optim.Linear(0.1, steps=4)))),
            "optimizer.lr: expected a schedule for all 8 updates of the training, got one that is 0 before its end",
        ),
        (
            lambda: fit(experiment(optimizer=bl.SGD(lr=optim.WarmUp(optim.Cosine(0.1), 9)))),
            "optimizer.lr.warm_up: expected a warm-up shorter than the training of 8 steps, got 9",
        ),
        (
            lambda: fit(experiment(groups=({"paths": "*.b", "frozen": True}, {"paths": "*.W", "weight_decay": 0.1}))),
            "groups.1.weight_decay: expected a rule with weight_decay, such as AdamW, got SGD",
        ),
        (lambda: optim.ForBatch(0.1)(0), "batch: expected the rows of an update"),
    ],
)  # fmt: skip
def test_wrong_settings_are_one_sentence(make, sentence):
    with pytest.raises(SettingError) as caught:
        make()
    assert sentence in str(caught.value)


# What comes from Optax


def test_any_transformation_of_optax_trains_and_is_scaled_by_schedules():
    given = {"engine": "xla", "epochs": 3, "split": Split(0.2, 0.2)}
    ours = fit(experiment(optimizer=bl.AdamW(lr=optim.Linear(0.1), weight_decay=0.0), **given))
    theirs = fit(
        experiment(
            optimizer=replace(optim.from_optax(optax.adamw(1.0, weight_decay=0.0)), lr=optim.Linear(0.1)), **given
        )
    )
    close(theirs.params, ours.params, rtol=1e-3, atol=1e-5)
    assert theirs.history[-1]["lr"] == ours.history[-1]["lr"]


@pytest.mark.parametrize("given", [{"engine": "numpy"}, {"directory": True}])
def test_where_optax_cannot_go(given, tmp_path):
    rule, path = optim.from_optax(optax.sgd(0.1)), given.pop("directory", None) and tmp_path / "run"
    with pytest.raises(BacklitError, match=r"expected the XLA engine, got NumPy|cannot be written to a file"):
        fit(experiment(optimizer=rule, **({"engine": "xla"} | given)), directory=path)
    assert not path or not path.exists()
