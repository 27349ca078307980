"""Update rules in one pass over memory: NumPy's numbers, XLA's bits, and XLA alone wherever a loop is not to be had."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import backlit as bl
from backlit import engine, optim
from backlit.engine import fused, tree
from backlit.errors import SettingError
from backlit.optim import rules
from backlit.optim.partition import grouped

pytest.importorskip("llvmlite")

from backlit.engine.fused import groups, handler, primitive, selftest, words

SIZES = {"empty": (0, 3), "one": (1,), "odd": (7,), "vector": (16,), "matrix": (67, 67), "long": (handler.PIECE + 5,)}

EACH = [
    bl.Momentum(), bl.Nesterov(), bl.Adam(), bl.AdamW(weight_decay=0.1), optim.NAdam(), optim.RAdam(), optim.AMSGrad(),
    optim.AdaMax(), optim.RMSProp(centred=True, momentum=0.5), optim.AdaGrad(), optim.AdaDelta(), optim.Adan(),
    optim.Lion(weight_decay=0.1), optim.LAMB(), optim.chain(bl.ClipByNorm(0.5), bl.Adam()), optim.EMA(0.9)(bl.Momentum()),
    grouped(bl.Adam(), [optim.Group("odd", lr_scale=0.5), optim.Group("long", optimizer=bl.Momentum())]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_arrays_too(monkeypatch):
    """The least size is a matter of speed: here nothing is too small."""
    monkeypatch.setattr(fused, "LEAST", 0)
    monkeypatch.setenv("BACKLIT_FUSED", "auto")


def drawn(shapes: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return {k: rng.normal(size=shape).astype(np.float32) for k, shape in shapes.items()}


def steps(rule, params, grads, count=3, first=1000):
    """Parameters and state after some updates, by whichever engine has the arrays."""
    state = rule.init(params)
    for i in range(count):  # from 1000 on, since 1 - 0.999^t has few digits in float32 while t is small
        params, state = rules.stepped(rule, grads, state, params, first + i, None)
    return params, state


def compiled(rule, count=3):
    """The same in one program."""
    unknown = jax.lax.optimization_barrier
    return jax.jit(lambda params, grads: steps(rule, params, grads, count, unknown(jnp.int32(1000))))


def calls(program, *arrays):
    """How many calls of loops a program has."""
    return program.lower(*arrays).as_text().count("@backlit_")


def agree(found, expected, rtol=2e-5):
    for path, a in tree.flatten(expected).items():
        np.testing.assert_allclose(tree.flatten(found)[path], a, rtol=rtol, atol=1e-6, err_msg=path)


def same(found, expected):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# What it computes


@pytest.mark.parametrize("rule", EACH, ids=lambda rule: type(rule).__name__)
def test_rules_are_one_call_an_update_with_numpy_s_numbers(rule):
    params, grads = drawn(SIZES), drawn(SIZES, 1)
    program = compiled(rule)
    assert calls(program, params, grads) == 3
    agree(program(params, grads), steps(rule, params, grads))


def both_ways(monkeypatch, rule, params, grads, count=2):
    by_loops = compiled(rule, count)
    assert calls(by_loops, params, grads) > 0
    found = by_loops(params, grads)
    monkeypatch.setenv("BACKLIT_FUSED", "off")
    by_xla = compiled(rule, count)
    assert calls(by_xla, params, grads) == 0
    return found, by_xla(params, grads)


@pytest.mark.parametrize("rule", [optim.Lion(), optim.AMSGrad()], ids=lambda rule: type(rule).__name__)
def test_numbers_that_are_none_or_nearly_nothing_are_xla_s(rule, monkeypatch):
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 1e-30, 3e38, -3e38, 1.0, -1.0], np.float32)
    w, g = (np.ascontiguousarray(a) for a in np.meshgrid(odd, np.concatenate([odd, odd[::-1]])))
    found, expected = both_ways(monkeypatch, rule, {"w": w}, {"w": g})
    same(found, expected)
    assert np.isnan(np.asarray(found[0]["w"])).any()


def test_eight_bits_are_the_same_codes(monkeypatch):
    rule = optim.AdamW8bit(least=1000, weight_decay=0.1)
    shapes = {"W": (37, 131), "columns": (200, 9), "b": (9,)}  # blocks: rows, columns, none
    (params, state), (params_x, state_x) = both_ways(monkeypatch, rule, drawn(shapes), drawn(shapes, 1), count=1)
    agree(params, params_x)
    for name in ("W", "columns"):
        codes, codes_x = (np.asarray(s[name].codes).astype(int) for s in (state, state_x))
        assert np.mean(codes != codes_x) < 1e-3  # a scale that differs in its last bit may turn a rounding
        agree(state[name]._asdict() | {"codes": codes}, state_x[name]._asdict() | {"codes": codes})


def test_a_formula_may_read_values_of_the_program_around():
    xla, w, g = engine.get("xla"), drawn({"w": (50,)})["w"], drawn({"w": (50,)}, 1)["w"]

    def outer(w, g, c):
        c = jnp.cos(c)
        return xla.renewed(lambda old, g: (old[0] * c + g, old[1] - c * g), (w, w), g)

    program = jax.jit(outer)
    assert calls(program, w, g, 0.5) == 1
    c = np.float32(np.cos(0.5))
    agree(program(w, g, 0.5), (w * c + g, w - c * g))


def test_a_training_comes_to_the_same_parameters(monkeypatch):
    made = []
    monkeypatch.setattr(handler, "call", lambda *args, plain=handler.call: made.append(1) or plain(*args))
    found = [
        bl.train(
            bl.Chain(bl.Dense(3)), "iris", epochs=1, engine=name, optimizer=bl.Adam(lr=0.01), clip=bl.ClipByNorm(1.0)
        )
        for name in engine.NAMES
    ]
    assert made
    agree(found[1].params, found[0].params, rtol=1e-4)


# Where it computes


def test_nothing_is_copied_within_a_loop_even_where_the_last_gradient_reads_old_weights():
    n = 64
    params = {"a": jnp.ones((n, n)), "b": jnp.ones((n, n)), "c": jnp.ones((n, n))}
    rule = bl.Adam()

    def once(carry, x):
        (params, state), h = carry, x @ carry[0]["a"]
        y = h @ params["b"]
        dy = y @ params["c"]
        dh = dy @ params["c"].T
        grads = {"a": x.T @ (dh @ params["b"].T), "b": h.T @ dh, "c": y.T @ dy}
        return rules.stepped(rule, grads, state, params, 1, None), jnp.sum(dy)

    xs = jnp.ones((4, n, n))
    program = jax.jit(lambda carry, xs: jax.lax.scan(once, carry, xs), donate_argnums=(0,)).lower(
        (params, rule.init(params)), xs
    )
    text = program.compile().as_text()
    body = text[: text.index("ENTRY")]
    assert "backlit_" in body
    assert f"f32[{n},{n}]{{1,0}} copy(" not in body


def test_a_result_takes_no_memory_that_another_loop_reads():
    def swapped(old, g):
        (a, b, c), s = old, g + 1.0
        return (b + s * g, a * 2.0 - s, c * g + b)

    old, g = tuple(np.arange(5000, dtype=np.float32) + i for i in range(3)), np.full(5000, 0.5, np.float32)
    xla = engine.get("xla")
    program = jax.jit(lambda old, g: xla.renewed(swapped, old, g), donate_argnums=(0,))
    expected = swapped(old, g)
    assert calls(program, old, g) == 1
    same(program(tuple(map(jnp.asarray, old)), g), expected)


def test_a_program_has_no_address_and_the_same_formula_one_loop(monkeypatch):
    params = drawn({f"w{i}": (40 + i,) for i in range(20)})
    monkeypatch.setattr(jax.ffi, "register_ffi_target", lambda *_, **__: None)
    texts, made = [], []
    for _ in range(2):
        monkeypatch.setattr(handler, "_made", {})
        texts.append(jax.jit(lambda p, g: steps(bl.Adam(), p, g, 1)).lower(params, params).as_text())
        made += [plan for _, plan in handler._made.values()]
    assert texts[0] == texts[1]
    assert [len(plan.loops) for plan in made] == [1, 1]
    assert made[0].pieces.ctypes.data != made[1].pieces.ctypes.data


def test_threads_may_call_the_same_loop_at_once():
    params, grads = drawn({"w": (5 * handler.PIECE,)}), drawn({"w": (5 * handler.PIECE,)}, 1)
    program = compiled(bl.Adam())
    expected = program(params, grads)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: program(params, grads), range(16)):
            same(found, expected)


# Where XLA computes


def others(monkeypatch):
    """Programs that no loop may stand in, each with its arguments."""
    rule, params = bl.Adam(), drawn({"w": (4, 8)})
    one = compiled(rule)
    stacked = tree.map(lambda w: np.stack([w, w]), params)
    yield "vmap", jax.jit(jax.vmap(lambda p, g: steps(rule, p, g))), (stacked, stacked)
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("data",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    if len(jax.devices()) > 1:
        yield "devices", compiled(rule), (jax.device_put(params, everywhere),) * 2
    yield "half", compiled(rule), (tree.map(lambda w: w.astype(jnp.bfloat16), params),) * 2
    yield "SGD", compiled(bl.SGD()), (params, params)
    with monkeypatch.context() as changed:
        changed.setattr(fused, "LEAST", 1 << 16)
        yield "small", compiled(rule), (params, params)
    with monkeypatch.context() as changed:
        changed.setattr(fused, "version", lambda: None)
        yield "no llvmlite", compiled(rule), (params, params)
    assert calls(one, params, params) == 3


def test_xla_computes_what_loops_cannot(monkeypatch):
    seen = []
    for name, program, arrays in others(monkeypatch):
        seen.append(name)
        assert calls(program, *arrays) == 0, name
    assert len(seen) >= 5


def test_derivatives_are_xla_s():
    w, g = (drawn({"w": (40,)}, seed)["w"] for seed in range(2))

    def moved(g):
        return jnp.sum(steps(bl.Momentum(lr=0.1), {"w": w}, {"w": g}, 1)[0]["w"] ** 2)

    found = jax.jit(lambda g: jax.jvp(moved, (g,), (jnp.ones_like(g),))[1])(g)
    np.testing.assert_allclose(found, np.sum(2 * (w - 0.1 * g) * -0.1), rtol=1e-4)


def test_a_self_test_that_fails_leaves_all_to_xla_and_says_so(monkeypatch, caplog):
    def fails():
        raise RuntimeError("wrong by 1")

    monkeypatch.setattr(primitive, "_tested", [])
    monkeypatch.setattr(selftest, "check", fails)
    params = drawn({"w": (40,)})
    with caplog.at_level(logging.WARNING, logger="backlit"):
        assert calls(compiled(bl.Adam()), params, params) == 0
    assert [r.getMessage() for r in caplog.records] == ["update rules are computed by XLA alone (wrong by 1)"]


def test_the_self_test_notices_a_wrong_loop(monkeypatch):
    selftest.check()
    monkeypatch.setitem(words.FLOATS, "mul", "fadd")
    with pytest.raises(RuntimeError, match="self-test: a result is wrong by"):
        selftest.check()


def test_a_setting_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("BACKLIT_FUSED", "of")
    with pytest.raises(SettingError, match="unknown BACKLIT_FUSED 'of'; did you mean 'off'"):
        fused.wanted()


def test_a_step_that_reads_a_result_from_afar_comes_after_the_call():
    def formula(old, g):
        m, v = old
        m, v = 0.5 * m + g, v + g * g
        return m, v / jnp.sum(m)  # the sum needs all of m: v is of another level

    program = jax.make_jaxpr(formula)((jnp.ones(8), jnp.ones(8)), jnp.ones(8))
    order = list(groups._ordered(groups.flat(program).jaxpr, 2, 0))
    assert not any(isinstance(item, groups.Call) for item in order)  # one result a level: nothing to share
    made = jax.core.eval_jaxpr(program.jaxpr, program.consts, jnp.ones(8), jnp.ones(8), jnp.ones(8))
    same(groups.way(groups.flat(program), 2, 0)(jnp.ones(8), jnp.ones(8), jnp.ones(8)), made)
