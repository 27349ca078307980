"""The contract of every layer, loss and initialiser, over the rows of cases.py. Nothing here is skipped."""

from dataclasses import dataclass, replace
from typing import Any

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
from backlit.errors import BacklitError
from backlit.gradcheck import check_gradients
from backlit.initializers import Initializer
from backlit.protocol import Context, Layer, Loss, gradient
from backlit.settings import build, known, plain

xla = engine.get("xla")
layers = pytest.mark.parametrize("row", cases.LAYERS)
all_layers = pytest.mark.parametrize("row", cases.LAYERS + cases.XLA_LAYERS)
losses = pytest.mark.parametrize("row", cases.LOSSES)
weights = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.fixture(autouse=True, scope="module")
def no_cache() -> Any:
    """A thousand small programs that nobody needs again: writing them to the disk would take a third of the time."""
    jax.config.update("jax_enable_compilation_cache", False)
    yield
    jax.config.update("jax_enable_compilation_cache", True)


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
    mask = row.masked()
    return Context(row.train, asarray(random.key(3)), None if mask is None else asarray(mask.astype(np.float32)))


def close(a: Any, b: Any, tolerance: float) -> None:
    """The same structure, and every leaf equal within `tolerance` of its largest number."""
    left, right = tree.flatten(a), tree.flatten(b)
    assert left.keys() == right.keys()
    for path, wanted in right.items():
        one, other = np.asarray(left[path]), np.asarray(wanted)
        assert one.shape == other.shape, path
        scale = max(1.0, np.max(np.abs(other), initial=0.0))
        assert np.max(np.abs(one - other), initial=0.0) <= tolerance * scale, path


def differentiable(t: Any) -> Any:
    """The floating leaves by path: a layer may do as it likes with the gradient of integers."""
    return {path: leaf for path, leaf in tree.flatten(t).items() if np.asarray(leaf).dtype.kind == "f"}


# Layers


@all_layers
def test_layer_gradients_agree_with_differences(row):
    params, state, x, dy = start(row, np.float64)
    home = "xla" if row in cases.XLA_LAYERS else "numpy"
    check = check_gradients(
        row.layer, Along(), x, dy, params=params, state=state, train=row.train, mask=row.masked(), engine=home
    )
    assert check.passed, str(check)
    assert sum(leaf.kinks for leaf in check.leaves) == 0, str(check)
    assert set(check_paths(params, x)) == {leaf.path for leaf in check.leaves}


def check_paths(params: Any, x: Any) -> list[str]:
    inputs = [f"x.{p}" if p else "x" for p in differentiable(x)]
    return [*inputs, *tree.flatten(params), "y"]


@all_layers
@dtypes
def test_layer_backward_agrees_with_jax_vjp(row, dtype):
    with jax.enable_x64(dtype is np.float64):
        params, state, x, dy = (as_arrays(t, dtype, jnp.asarray) for t in start(row, dtype))
        ctx = context(row, jnp.asarray)
        flat = differentiable(x)

        def forward(params, flat):
            given = tree.map_with_path(lambda path, leaf: flat.get(path, leaf), x)
            return row.layer.forward(params, state, given, ctx)[0]

        def by_hand(params, x, dy):
            _, _, cache = row.layer.forward(params, state, x, ctx)
            return row.layer.backward(params, cache, dy)

        grads, dx = jax.jit(lambda params, flat, dy: jax.vjp(forward, params, flat)[1](dy))(params, flat, dy)
        ours_dx, ours, _ = jax.jit(by_hand)(params, x, dy)
        tolerance = 1e-5 if dtype is np.float32 else 1e-12
        close(ours, grads, tolerance)
        close({path: tree.flatten(ours_dx)[path] for path in flat}, dx, tolerance)


@layers
@dtypes
def test_layer_gives_the_same_on_both_engines(row, dtype):
    with jax.enable_x64(dtype is np.float64):
        loss = Along()
        params, state, x, dy = start(row, dtype)
        here = gradient(row.layer, loss, params, state, x, dy, context(row))
        sent = (as_arrays(t, dtype, jnp.asarray) for t in (params, state, x, dy))
        there = jax.jit(lambda *args: gradient(row.layer, loss, *args, context(row, jnp.asarray)))(*sent)
        close(there, here, 1e-5 if dtype is np.float32 else 1e-12)


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
    homes = [xla] if row in cases.XLA_LAYERS else [engine.get("numpy"), xla]

    def both(params, state, x, dy, key):
        y, after, cache = row.layer.forward(params, state, x, replace(context(row), root=key))
        return y, after, row.layer.backward(params, cache, dy)

    with jax.enable_x64(dtype is np.float64):
        for home in homes:
            params, state, x, dy = (as_arrays(t, dtype, home.asarray) for t in start(row, dtype))
            y, after, (dx, grads, _) = home.compile(both)(params, state, x, dy, home.asarray(random.key(3)))
            assert {path: a.dtype for path, a in tree.flatten(after).items()} == {
                path: a.dtype for path, a in tree.flatten(state).items()
            }
            found = {f"y.{p}": a.dtype for p, a in tree.flatten(y).items()}
            found |= {f"x.{p}": tree.flatten(dx)[p].dtype for p in differentiable(x)}
            found |= {path: leaf.dtype for path, leaf in tree.flatten(grads).items()}
            assert found == dict.fromkeys(found, np.dtype(dtype))


@all_layers
def test_layer_is_compiled_once(row):
    traces = []

    def step(params, state, x, dy, key):
        traces.append(1)
        return gradient(row.layer, Along(), params, state, x, dy, replace(context(row), root=key))

    compiled = jax.jit(step)
    params, state, x, dy = (as_arrays(t, np.float32, jnp.asarray) for t in start(row))
    _, grads, state, _ = compiled(params, state, x, dy, jnp.asarray(random.key(0)))
    params = tree.map(lambda w, g: w - 0.1 * g, params, grads)
    compiled(params, state, x, dy, jnp.asarray(random.key(1)))
    assert len(traces) == 1


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
    memory, found = row.layer.memory(params, cases.B, row.shape[0]), []
    for t in range(row.shape[0]):
        y, memory = row.layer.step(params, state, memory, x[:, t : t + 1], Context())
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


@losses
@weights
@dtypes
def test_loss_gradient_agrees_with_jax_grad(row, weighted, dtype):
    with jax.enable_x64(dtype is np.float64):
        y, target, weight = (as_arrays(t, dtype, jnp.asarray) for t in row.batch())
        weight = weight if weighted else None
        value, dy = jax.jit(row.loss)(y, target, weight)
        oracle, slope = jax.jit(jax.value_and_grad(lambda y: row.loss(y, target, weight)[0]))(y)
        close({"value": value, "dy": dy}, {"value": oracle, "dy": slope}, 1e-5 if dtype is np.float32 else 1e-12)


@losses
@weights
@dtypes
def test_loss_agrees_on_both_engines_and_keeps_the_dtype(row, weighted, dtype):
    with jax.enable_x64(dtype is np.float64):
        y, target, weight = as_arrays(row.batch(), dtype)
        here = row.loss(y, target, weight if weighted else None)
        y, target, weight = as_arrays(row.batch(), dtype, jnp.asarray)
        there = row.loss(y, target, weight if weighted else None)
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
