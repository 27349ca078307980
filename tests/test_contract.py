"""The contract of every layer, loss and initialiser, over the rows of cases.py. Nothing here is skipped."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import array_api_strict as strict
import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from rows.base import each

import backlit as bl
from backlit import engine, optim
from backlit.engine import random, tree
from backlit.errors import BacklitError, join
from backlit.gradcheck import check_gradients
from backlit.initializers import Initializer
from backlit.protocol import Context, Layer, Loss, gradient
from backlit.settings import build, known, plain

xla = engine.get("xla")
ROWS = {row.id: row for row in cases.LAYERS + cases.XLA_LAYERS}


def of_layers(rows: list[cases.LayerRow]) -> Any:
    """A test for every row; those of one row run in one process."""
    return pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.xdist_group(row.id)) for row in rows])


layers, all_layers = of_layers(cases.LAYERS), of_layers(cases.LAYERS + cases.XLA_LAYERS)
losses = pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.xdist_group(f"loss {row.id}")) for row in cases.LOSSES]
)
weights = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@dataclass(frozen=True)
class Along(Loss):
    """sum y * direction: its gradient reaches every output with another number, so that no error cancels."""

    def __call__(self, y: Any, target: Any, weight: Any = None) -> tuple[Any, Any]:
        parts = [a.__array_namespace__().sum(a * t) for a, t in zip(tree.leaves(y), tree.leaves(target), strict=True)]
        return sum(parts[1:], parts[0]), target


def start(row: cases.LayerRow, dtype: Any = np.float32) -> tuple[Any, Any, Any, Any]:
    """Parameters off their start (biases are not zero), state, x, and a direction shaped like y."""
    rng = np.random.default_rng(1)
    shape, params, state = row.layer.init(random.key(1), row.shape)
    params = tree.map(lambda w: w + 0.1 * rng.normal(size=w.shape), params)
    dy = each(lambda s: rng.normal(size=(cases.B, *s)), shape)
    return as_arrays(params, dtype), as_arrays(state, dtype), as_arrays(row.batch(), dtype), as_arrays(dy, dtype)


def as_arrays(values: Any, dtype: Any, asarray: Any = np.asarray) -> Any:
    """The same tree with floating leaves in `dtype`, made by another engine."""
    return tree.map(lambda a: asarray(np.asarray(a, dtype=dtype if np.asarray(a).dtype.kind == "f" else None)), values)


def context(row: cases.LayerRow, asarray: Any = np.asarray) -> Context:
    mask = tree.map(lambda m: asarray(m.astype(np.float32)), row.masked())
    return Context(row.train, asarray(random.key(3)), mask)


def close(a: Any, b: Any, tolerance: float) -> None:
    """The same structure, and every leaf equal within `tolerance` of its largest number."""
    left, right = tree.flatten(a), tree.flatten(b)
    assert left.keys() == right.keys()
    for path, wanted in right.items():
        one, other = (np.asarray(a, dtype=np.float64) for a in (left[path], wanted))
        assert one.shape == other.shape, path
        scale = max(1.0, np.max(np.abs(other), initial=0.0))
        assert np.max(np.abs(one - other), initial=0.0) <= tolerance * scale, path


def differentiable(t: Any, like: Any = None) -> Any:
    """The leaves by path where those of `like` (t itself) are floating: of integers a layer may do as it likes."""
    kept = {path for path, a in tree.flatten(t if like is None else like).items() if a.dtype.kind == "f"}
    return {path: leaf for path, leaf in tree.flatten(t).items() if path in kept}


def kinds(t: Any) -> dict[str, Any]:
    """The dtype of every leaf."""
    return {path: np.dtype(leaf.dtype) for path, leaf in tree.flatten(t).items()}


class Compiled(NamedTuple):
    """What one compiled program found, and how often it was traced for two calls."""

    ours: Any
    traces: int


def passes(row: cases.LayerRow, dtype: Any) -> tuple[Any, tuple[Any, ...]]:
    """The passes of a row as a function for XLA, and its arguments."""

    def by_hand(params: Any, state: Any, x: Any, dy: Any, key: Any) -> Any:
        return gradient(row.layer, Along(), params, state, x, dy, replace(context(row, jnp.asarray), root=key))

    return by_hand, (*(as_arrays(t, dtype, jnp.asarray) for t in start(row, dtype)), jnp.asarray(random.key(3)))


@cache
def compiled(name: str) -> Compiled:
    """The passes of a row in float32, compiled once for all the tests of the row, which therefore share a worker."""
    by_hand, given = passes(ROWS[name], np.float32)
    traces = []

    def counted(*given: Any) -> Any:
        traces.append(1)
        return by_hand(*given)

    program = jax.jit(counted)
    ours = program(*given)
    params, _, x, dy, _ = given
    moved = tree.map(lambda w, g: w - 0.1 * g, params, ours[1])
    program(moved, ours[2], x, dy, jnp.asarray(random.key(1)))
    return Compiled(tree.map(np.asarray, ours), len(traces))


@cache
def exact(name: str) -> Any:
    """The passes of a row in float64, by NumPy where it can."""
    row = ROWS[name]
    if row not in cases.XLA_LAYERS:
        return gradient(row.layer, Along(), *start(row, np.float64), context(row))
    with jax.enable_x64(True):
        by_hand, given = passes(row, np.float64)
        return tree.map(np.asarray, jax.jit(by_hand)(*given))


QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""An oracle runs once: it need not be fast."""


@cache
def oracle(name: str) -> tuple[Any, Any]:
    """dL/dparams, and dL/dx by path, as jax.vjp of the forward pass alone has them in float64."""
    row = ROWS[name]

    def back(params: Any, flat: Any, state: Any, x: Any, dy: Any) -> Any:
        def forward(params: Any, flat: Any) -> Any:
            given = tree.map_with_path(lambda path, leaf: flat.get(path, leaf), x)
            return row.layer.forward(params, state, given, context(row, jnp.asarray))[0]

        return jax.vjp(forward, params, flat)[1](dy)

    with jax.enable_x64(True):
        params, state, x, dy = (as_arrays(t, np.float64, jnp.asarray) for t in start(row, np.float64))
        program = jax.jit(back, compiler_options=QUICKLY)
        found: tuple[Any, Any] = tree.map(np.asarray, program(params, differentiable(x), state, x, dy))
        return found


@all_layers
def test_layer_gradients_agree_with_differences(row):
    params, state, x, dy = start(row, np.float64)
    home = "xla" if row in cases.XLA_LAYERS else "numpy"
    check = check_gradients(
        row.layer, Along(), x, dy, params=params, state=state, train=row.train, mask=row.masked(), engine=home
    )
    assert check.passed, str(check)
    assert sum(leaf.kinks for leaf in check.leaves) == 0, str(check)
    assert set(check_paths(params, x, dy)) == {leaf.path for leaf in check.leaves}


def check_paths(params: Any, x: Any, y: Any) -> list[str]:
    return [*(join("x", p) for p in differentiable(x)), *tree.flatten(params), *(join("y", p) for p in tree.flatten(y))]


@all_layers
def test_layer_backward_agrees_with_jax_vjp(row):
    wanted, wanted_dx = oracle(row.id)
    for found, tolerance in ((exact(row.id), 1e-12), (compiled(row.id).ours, 1e-5)):
        _, grads, _, trace = found
        close(grads, wanted, tolerance)
        close({path: tree.flatten(trace.dx)[path] for path in wanted_dx}, wanted_dx, tolerance)


@layers
def test_layer_gives_the_same_on_both_engines(row):
    close(compiled(row.id).ours, exact(row.id), 1e-5)
    close(gradient(row.layer, Along(), *start(row), context(row)), exact(row.id), 1e-5)


@layers
def test_layer_needs_only_the_array_standard(row):
    params, state, x, dy = start(row)
    here = gradient(row.layer, Along(), params, state, x, dy, context(row))
    sent = (as_arrays(t, np.float32, strict.asarray) for t in (params, state, x, dy))
    there = gradient(row.layer, Along(), *sent, context(row, strict.asarray))
    y, dx, grads = there[3].cache.here, there[3].dx, there[1]
    for leaf in tree.leaves((y, dx, grads)):
        assert leaf.__array_namespace__() is strict
    close(as_arrays((y, dx, grads), np.float32), (here[3].cache.here, here[3].dx, here[1]), 1e-6)


@all_layers
def test_layer_claims_its_real_shape(row):
    shape, params, state = row.layer.init(random.key(1), row.shape)
    asarray = jnp.asarray if row in cases.XLA_LAYERS else np.asarray
    x = as_arrays(row.batch(), np.float32, asarray)
    ctx = context(row, asarray)
    y, after, cache = row.layer.forward(as_arrays(params, np.float32, asarray), state, x, ctx)
    assert tree.map(lambda a: tuple(a.shape), y) == each(lambda s: (cases.B, *s), shape)
    assert all(isinstance(n, int) for s in tree.leaves(each(np.asarray, shape)) for n in s.tolist())
    shapes = tree.map(lambda a: tuple(a.shape), state)
    assert tree.map(lambda a: tuple(a.shape), after) == shapes
    dx, grads, _ = row.layer.backward(params, cache, y)
    assert tree.map(lambda a: tuple(a.shape), grads) == tree.map(lambda a: tuple(a.shape), params)
    assert tree.map(lambda a: tuple(a.shape), dx) == tree.map(lambda a: tuple(a.shape), x)


@all_layers
@dtypes
def test_layer_keeps_the_dtype(row, dtype):
    with jax.enable_x64(dtype is np.float64):
        by_hand, given = passes(row, dtype)
        found = [jax.eval_shape(by_hand, *given)]
    if row not in cases.XLA_LAYERS:
        found.append(gradient(row.layer, Along(), *start(row, dtype), context(row)))
    _, state, x, _ = start(row, dtype)
    for _, grads, after, trace in found:
        assert kinds(after) == kinds(state)
        floats = {**kinds({"y": trace.cache.here, "grads": grads}), **kinds(differentiable(trace.dx, x))}
        assert floats == dict.fromkeys(floats, np.dtype(dtype))


@all_layers
def test_layer_is_compiled_once(row):
    assert compiled(row.id).traces == 1


@layers
def test_layer_goes_through_a_file(row):
    there_and_back(Layer, row.layer)


@pytest.mark.parametrize("row", cases.XLA_LAYERS)
def test_layer_without_a_backward_says_where_it_can_run(row):
    params, state, x, _ = start(row)
    with pytest.raises(BacklitError, match="expected the XLA engine, got NumPy"):
        row.layer.forward(params, state, x, context(row))
    with pytest.raises(BacklitError, match="cannot be written to a file"):
        plain(row.layer)


@layers
def test_layer_draws_anew_with_a_new_key_only(row):
    params, state, x, _ = start(row)
    first = row.layer.forward(params, state, x, context(row))[0]
    again = row.layer.forward(params, state, x, context(row))[0]
    for one, other in zip(tree.leaves(first), tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    if row.train and "Dropout" in str(plain(row.layer)) and "0.0" not in row.id:
        other = row.layer.forward(params, state, x, replace(context(row), root=random.key(4)))[0]
        assert any(np.any(a != b) for a, b in zip(tree.leaves(other), tree.leaves(first), strict=True))


@pytest.mark.parametrize("row", [row for row in cases.LAYERS if row.steps])
@pytest.mark.parametrize("home", [engine.get("numpy"), xla], ids=["numpy", "xla"])
def test_layer_step_by_step_gives_what_the_whole_sequence_gives(row, home):
    params, state, x, _ = (as_arrays(t, np.float32, home.asarray) for t in start(row))
    whole = row.layer.forward(params, state, x, Context())[0]
    step = home.compile(lambda params, state, memory, x: row.layer.step(params, state, memory, x, Context()))
    length = tree.leaves(x)[0].shape[1]
    memory, found = row.layer.memory(params, cases.B, length), []
    for t in range(length):
        now = tree.map(lambda a: a[:, t : t + 1], x)  # noqa: B023
        y, memory = step(params, state, memory, now)
        found.append(np.asarray(y))
    close(np.concatenate(found, axis=1), np.asarray(whole), 1e-5)


# Losses


@losses
@weights
def test_loss_gradient_agrees_with_differences(row, weighted):
    y, target, weight = row.batch()
    check = check_gradients(bl.Chain(), row.loss, y, target, weight=weight if weighted else None)
    assert check.passed, str(check)
    assert sum(leaf.kinks for leaf in check.leaves) == 0, str(check)
    assert not check["y"].note, str(check)


LOSSES = {row.id: row for row in cases.LOSSES}


@cache
def compiled_loss(name: str, weighted: bool, dtype: Any) -> tuple[Any, Any]:
    """Value and gradient of a row's batch, by hand and by jax.grad, from one program."""
    loss = LOSSES[name].loss

    def both(y: Any, target: Any, weight: Any) -> tuple[Any, Any]:
        return loss(y, target, weight), jax.value_and_grad(lambda y: loss(y, target, weight)[0])(y)

    with jax.enable_x64(dtype is np.float64):
        y, target, weight = (as_arrays(t, dtype, jnp.asarray) for t in LOSSES[name].batch())
        found: tuple[Any, Any] = jax.jit(both)(y, target, weight if weighted else None)
        return tree.map(np.asarray, found)


@losses
@weights
@dtypes
def test_loss_gradient_agrees_with_jax_grad(row, weighted, dtype):
    (value, dy), (oracle, slope) = compiled_loss(row.id, weighted, dtype)
    close({"value": value, "dy": dy}, {"value": oracle, "dy": slope}, 1e-5 if dtype is np.float32 else 1e-12)


@losses
@weights
@dtypes
def test_loss_agrees_on_both_engines_and_keeps_the_dtype(row, weighted, dtype):
    with jax.enable_x64(dtype is np.float64):
        y, target, weight = as_arrays(row.batch(), dtype)
        here = row.loss(y, target, weight if weighted else None)
        there = compiled_loss(row.id, weighted, dtype)[0]
        close(there, here, 1e-5 if dtype is np.float32 else 1e-12)
        assert [a.dtype for a in (*here, *there)] == [np.dtype(dtype)] * 4
        assert here[0].shape == ()
        assert here[1].shape == y.shape


@losses
@weights
def test_loss_needs_only_the_array_standard(row, weighted):
    y, target, weight = as_arrays(row.batch(), np.float32, strict.asarray)
    value, dy = row.loss(y, target, weight if weighted else None)
    assert value.__array_namespace__() is strict
    y, target, weight = as_arrays(row.batch(), np.float32)
    close(as_arrays((value, dy), np.float32), row.loss(y, target, weight if weighted else None), 1e-6)


@losses
def test_loss_is_a_weighted_mean(row):
    y, target, weight = row.batch()
    close(row.loss(y, target, np.full(row.rows, 3.0)), row.loss(y, target), 1e-12)
    each = row.rows // cases.B
    weight[:each] = 0.0
    value, dy = row.loss(y, target, weight)
    rest, slope = row.loss(y[1:], target[1:], weight[each:])
    close({"value": value, "dy": dy[1:]}, {"value": rest, "dy": slope}, 1e-12)
    assert not np.any(dy[0]), "a row of weight 0 has no say"


@losses
def test_loss_is_compiled_once(row):
    traces = []

    def call(y, target, weight):
        traces.append(1)
        return row.loss(y, target, weight)

    compiled = jax.jit(call)
    compiled(*as_arrays(row.batch(0), np.float32, jnp.asarray))
    compiled(*as_arrays(row.batch(1), np.float32, jnp.asarray))
    assert len(traces) == 1


@losses
def test_loss_goes_through_a_file(row):
    there_and_back(Loss, row.loss)


# Initialisers


@pytest.mark.parametrize("row", cases.INITIALIZERS)
def test_initializer_draws_what_it_promises(row, tmp_path):
    rule = row.make(tmp_path)
    drawn = rule.draw(random.key(5), row.shape)
    assert drawn.shape == row.shape
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, rule.draw(random.key(5), row.shape))
    size = drawn.size**0.5
    if row.mean is not None:
        assert abs(float(drawn.mean()) - row.mean) <= 4 * (row.std or 0.0) / size + 1e-6
    if row.std is not None:
        assert abs(float(drawn.std()) - row.std) <= 0.1 * row.std + 1e-6
    if row.std:
        assert np.any(drawn != rule.draw(random.key(6), row.shape))


@pytest.mark.parametrize("row", cases.INITIALIZERS)
def test_initializer_gives_the_same_on_both_engines(row, tmp_path):
    rule = row.make(tmp_path)
    here = rule.draw(random.key(5), row.shape)
    there = rule.draw(jnp.asarray(random.key(5)), row.shape)
    assert isinstance(there, jax.Array)
    assert there.dtype == np.float32
    close(there, here, 1e-5)
    close(jax.jit(rule.draw, static_argnums=1)(jnp.asarray(random.key(5)), row.shape), here, 1e-5)


@pytest.mark.parametrize("row", cases.INITIALIZERS)
def test_initializer_needs_only_the_array_standard(row, tmp_path):
    rule = row.make(tmp_path)
    drawn = rule.draw(strict.asarray(random.key(5)), row.shape)
    assert drawn.__array_namespace__() is strict
    close(np.asarray(drawn), rule.draw(random.key(5), row.shape), 1e-6)


@pytest.mark.parametrize("row", cases.INITIALIZERS)
def test_initializer_goes_through_a_file(row, tmp_path):
    there_and_back(Initializer, row.make(tmp_path))


# Every public class has a row


def there_and_back(kind: Any, value: Any) -> None:
    """The same settings from plain data, and from the text of a file."""
    assert build(kind, plain(value)) == value
    assert build(kind, yaml.safe_load(yaml.safe_dump(plain(value)))) == value


def public(kind: Any) -> set[type]:
    """The final classes of the library itself: tests and users may define more."""
    return {cls for cls in known(kind).values() if cls.__module__.split(".")[0] == "backlit"}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (Layer, [row.layer for row in cases.LAYERS + cases.XLA_LAYERS]),
        (Loss, [row.loss for row in cases.LOSSES]),
        (optim.Rule, [row.rule for row in cases.RULES]),
        (optim.Schedule, [row.schedule for row in cases.SCHEDULES]),
    ],
    ids=["layers", "losses", "rules", "schedules"],
)
def test_every_public_class_has_a_row(kind, rows):
    missing = public(kind) - {type(row) for row in rows}
    missing -= {cls for cls in missing if getattr(cls, "asks", False)}  # test_second_order.py and test_wrappers.py
    assert not missing, f"add a row to tests/cases.py for {sorted(cls.__name__ for cls in missing)}"


def test_every_public_initializer_has_a_row(tmp_path):
    missing = public(Initializer) - {type(row.make(tmp_path)) for row in cases.INITIALIZERS}
    assert not missing, f"add a row to tests/cases.py for {sorted(cls.__name__ for cls in missing)}"


def test_every_public_name_is_listed_by_its_module():
    for module, kind in ((bl.layers, Layer), (bl.optim, optim.Rule), (bl.optim, optim.Schedule)):
        assert {cls.__name__ for cls in public(kind)} <= set(module.__all__)


def test_names_of_rows_are_unique():
    for rows in (cases.LAYERS + cases.XLA_LAYERS, cases.LOSSES, cases.INITIALIZERS, cases.RULES, cases.SCHEDULES):
        names = [row.id for row in rows]
        assert len(names) == len(set(names))
