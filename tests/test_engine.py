"""Both engines have the same face and give the same numbers; random bits are those of jax.random."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from backlit import engine
from backlit.engine import devices, random, tree
from backlit.errors import BacklitError, SettingError

ENGINES = {name: engine.get(name) for name in engine.NAMES}
both = pytest.mark.parametrize("home", list(ENGINES.values()), ids=list(ENGINES))


# The same face


def public(module: ModuleType) -> dict[str, Any]:
    """The module's own public functions."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {name: f for name, f in functions if f.__module__ == module.__name__ and not name.startswith("_")}


def test_both_engines_have_the_same_functions():
    assert public(ENGINES["numpy"]).keys() == public(ENGINES["xla"]).keys()


@pytest.mark.parametrize("name", sorted(public(ENGINES["numpy"]).keys() | public(ENGINES["xla"]).keys()))
def test_parameters_and_defaults_are_the_same(name):
    here, there = (inspect.signature(public(ENGINES[e])[name]).parameters.values() for e in ("numpy", "xla"))
    assert [(p.name, p.kind, p.default) for p in here] == [(p.name, p.kind, p.default) for p in there]
    assert all(public(e)[name].__doc__ for e in ENGINES.values())


def test_engines_are_found_by_name_and_by_array():
    assert engine.get("numpy").name == "numpy"
    assert engine.get("xla").name == "xla"
    assert engine.of(np.ones(2)) is engine.get("numpy")
    assert engine.of(strict.ones(2)) is engine.get("numpy")
    assert engine.of(jnp.ones(2)) is engine.get("xla")
    traced = []
    jax.jit(lambda x: traced.append(engine.of(x)) or x)(jnp.ones(2))
    assert traced == [engine.get("xla")]
    with pytest.raises(SettingError, match=r"unknown engine 'numpi'; did you mean 'numpy'\?"):
        engine.get("numpi")


# The same numbers


@both
def test_asarray(home):
    x = home.asarray([1, 2], dtype=np.float32)
    assert engine.of(x) is home
    assert x.dtype == np.float32
    assert home.asarray(x).tolist() == [1, 2]


@both
def test_compile_takes_settings_and_gives_the_function(home):
    def power(x, n, y):
        assert isinstance(n, int)
        return x**n + y

    fn = home.compile(power, donate=(2,), static=(1,))
    assert fn(home.asarray([2.0, 3.0]), 3, home.asarray([1.0, 1.0])).tolist() == [9.0, 28.0]


@both
def test_scan_carries_and_stacks_trees(home):
    class Pair(NamedTuple):
        a: Any
        b: Any

    xs = {"p": home.asarray(np.arange(12.0).reshape(4, 3)), "q": home.asarray([1.0, 2, 3, 4])}

    def step(carry, x):
        total = carry["sum"] + x["p"] * x["q"]
        return {"sum": total}, Pair(total, (2 * x["q"], {}))

    carry, ys = home.scan(step, {"sum": home.asarray([0.0, 0.0, 0.0])}, xs)
    totals = np.cumsum(np.arange(12.0).reshape(4, 3) * np.array([[1.0], [2], [3], [4]]), axis=0)
    np.testing.assert_allclose(carry["sum"], totals[-1])
    assert isinstance(ys, Pair)
    np.testing.assert_allclose(ys.a, totals)
    np.testing.assert_allclose(ys.b[0], [2, 4, 6, 8])
    assert ys.b[1] == {}


@both
def test_scan_without_results(home):
    carry, ys = home.scan(lambda c, x: (c + x, ()), home.asarray(0.0), home.asarray([1.0, 2.0]))
    assert float(carry) == 3.0
    assert ys == ()


@both
def test_repeat_counts_and_stops(home):
    add = lambda i, total: total + i  # noqa: E731
    assert int(home.repeat(5, add, home.asarray(0), lambda _: home.asarray(True))) == 10
    assert int(home.repeat(5, add, home.asarray(0), lambda total: total < 3)) == 3
    assert int(home.repeat(0, add, home.asarray(7), lambda _: home.asarray(True))) == 7


@both
def test_branch_takes_one_way(home):
    for condition, wanted in ((True, 3.0), (False, -2.0)):
        found = home.branch(home.asarray(condition), lambda x: x + 1.0, lambda x: -x, home.asarray(2.0))
        assert float(found) == wanted


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_agrees_with_scipy_and_keeps_the_dtype(home, dtype):
    x = np.linspace(-5, 5, 41, dtype=dtype)
    with home.double():
        y = home.erf(home.asarray(x))
        assert y.dtype == dtype
        np.testing.assert_allclose(y, scipy.special.erf(x), rtol=3e-7 if dtype == np.float32 else 1e-13)


@both
def test_double_keeps_float64_within_and_only_within(home):
    with home.double():
        assert home.asarray(np.ones(2)).dtype == np.float64
    assert jnp.asarray(np.ones(2)).dtype == np.float32


@both
def test_prepare_gives_the_function_and_its_seconds(home):
    fn, seconds = home.prepare(lambda x, y: {"sum": x + y}, home.asarray([1.0]), home.asarray([2.0]))
    assert fn(home.asarray([1.0]), home.asarray([2.0]))["sum"].tolist() == [3.0]
    assert seconds >= 0.0


@both
def test_place_keeps_the_numbers(home):
    values = {"x": np.arange(12.0, dtype=np.float32).reshape(6, 2)}
    np.testing.assert_array_equal(home.place(values)["x"], values["x"])
    cores = min(2, home.width())
    for axis in (None, 0, 1):
        np.testing.assert_array_equal(home.place(values, cores, axis)["x"], values["x"])


@both
def test_what_is_shareable_keeps_its_numbers(home):
    values = {"x": np.arange(3.0 * 2**16, dtype=np.float32).reshape(-1, 3)[1:], "few": np.ones(3), "none": None}
    shared = home.shareable(values)
    np.testing.assert_array_equal(shared["x"], values["x"])
    np.testing.assert_array_equal(shared["few"], values["few"])
    assert shared["none"] is None


def test_devices_of_a_cpu_read_one_copy():
    home = engine.get("xla")
    whole = np.zeros(2**20 + 128, np.uint8)
    start = 64 - whole.ctypes.data % 64 + 16  # not a multiple of 64, as NumPy's own large arrays
    rows = home.shareable(whole[start : start + 2**20])
    placed = home.place(rows, min(2, home.width()))
    assert {shard.data.unsafe_buffer_pointer() for shard in placed.addressable_shards} == {rows.ctypes.data}


@both
def test_barrier_and_ready_pass_values_through(home):
    values = {"x": home.asarray([1.0, 2.0])}
    assert home.barrier(values)["x"].tolist() == [1.0, 2.0]
    assert home.ready(values)["x"].tolist() == [1.0, 2.0]


@both
def test_describe_names_the_engine_its_library_and_devices(home):
    found = home.describe()
    assert found["engine"] == home.name
    assert found["devices"]
    assert any(key in found for key in ("numpy", "jax"))


@both
def test_output_shape_of_a_function(home):
    W = home.asarray(np.ones((3, 4), np.float32))
    assert home.output_shape(lambda p, x: x @ p["W"], {"W": W}, (2, 3)) == (2, 4)


def test_vjp_differentiates_on_xla_and_says_so_on_numpy():
    grads, dx = ENGINES["xla"].vjp(lambda p, x: p * x * x, jnp.asarray(3.0), jnp.asarray(2.0), jnp.asarray(1.0))
    assert (float(grads), float(dx)) == (4.0, 12.0)
    with pytest.raises(BacklitError, match="NumPy cannot differentiate a function"):
        ENGINES["numpy"].vjp(lambda p, x: p * x, np.ones(1), np.ones(1), np.ones(1))


# Random


def of_jax(key: Any) -> Any:
    """Our key as one of jax.random's, in the partitionable form."""
    return jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")


@pytest.fixture
def key() -> Any:
    with jax.threefry_partitionable(True):
        yield random.key(42)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 + 5])
def test_key_is_the_two_words_of_the_seed(seed):
    words = random.key(seed)
    assert words.dtype == np.uint32
    assert int(words[0]) * 2**32 + int(words[1]) == seed
    if seed < 2**31:
        np.testing.assert_array_equal(words, jax.random.key_data(jax.random.key(seed)))


def test_threefry_gives_the_published_numbers():
    # Known answers of the Random123 distribution for 20 rounds.
    for words, counter, wanted in [
        ([0, 0], [0, 0], [0x6B200159, 0x99BA4EFE]),
        ([0xFFFFFFFF] * 2, [0xFFFFFFFF] * 2, [0x1CB996FC, 0xBB002BE7]),
        ([0x13198A2E, 0x03707344], [0x243F6A88, 0x85A308D3], [0xC4923A9C, 0x483DF7A0]),
    ]:
        counter = np.array(counter, np.uint32)
        first, second = random.threefry(np.array(words, np.uint32), counter[:1], counter[1:])
        assert [int(first[0]), int(second[0])] == wanted


@both
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (1001,)])
def test_bits_and_uniform_are_those_of_jax(home, key, shape):
    mine = home.asarray(key)
    np.testing.assert_array_equal(random.bits(mine, shape), jax.random.bits(of_jax(key), shape, "uint32"))
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        ours = random.uniform(mine, shape, low, high)
        assert ours.dtype == np.float32
        assert ours.shape == shape
        np.testing.assert_array_equal(ours, jax.random.uniform(of_jax(key), shape, minval=low, maxval=high))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 7.5), (-0.05, 0.05), (-0.173, 0.173)])
def test_uniform_is_the_same_bit_by_bit_eager_and_compiled(key, low, high):
    here = random.uniform(key, (3000,), low, high)
    mine = jnp.asarray(key)
    np.testing.assert_array_equal(random.uniform(mine, (3000,), low, high), here)
    np.testing.assert_array_equal(jax.jit(lambda k: random.uniform(k, (3000,), low, high))(mine), here)
    theirs = jax.random.uniform(of_jax(key), (3000,), minval=low, maxval=high)
    np.testing.assert_allclose(here, theirs, rtol=0, atol=2.0**-24 * (abs(low) + abs(high)) * 2)


@both
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_split_is_that_of_jax(home, key, n):
    np.testing.assert_array_equal(
        random.split(home.asarray(key), n), jax.random.key_data(jax.random.split(of_jax(key), n))
    )


@both
@pytest.mark.parametrize("data", [0, 1, 77, 2**31, 2**32 - 1])
def test_fold_is_that_of_jax(home, key, data):
    wanted = jax.random.key_data(jax.random.fold_in(of_jax(key), np.uint32(data)))
    np.testing.assert_array_equal(random.fold(home.asarray(key), data), wanted)
    np.testing.assert_array_equal(random.fold(home.asarray(key), home.asarray(np.uint32(data))), wanted)


def test_fold_takes_a_traced_number_and_a_name(key):
    folded = jax.jit(random.fold)(jnp.asarray(key), jnp.asarray(5))
    np.testing.assert_array_equal(folded, random.fold(key, 5))
    names = {name: tuple(random.fold(key, name).tolist()) for name in ("dense_1", "dense_2", "W", "b")}
    assert len(set(names.values())) == 4
    assert names["W"] == tuple(np.asarray(random.fold(jnp.asarray(key), "W")).tolist())


@both
def test_normal_is_close_to_that_of_jax_and_normal(home, key):
    ours = np.asarray(random.normal(home.asarray(key), (5000,)))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, jax.random.normal(of_jax(key), (5000,)), rtol=2e-5, atol=1e-6)
    assert scipy.stats.kstest(ours, "norm").pvalue > 0.01


@both
def test_uniform_is_uniform_and_within_its_bounds(home, key):
    ours = np.asarray(random.uniform(home.asarray(key), (5000,), 2.0, 5.0))
    assert ours.min() >= 2.0
    assert ours.max() < 5.0
    assert scipy.stats.kstest(ours, "uniform", args=(2.0, 3.0)).pvalue > 0.01


@pytest.mark.parametrize("n", [0, 1, 2, 50, 999])
def test_permutation_holds_every_number_once_and_is_equal_on_both_engines(key, n):
    here = random.permutation(key, n)
    assert here.dtype == np.int32
    assert sorted(here.tolist()) == list(range(n))
    np.testing.assert_array_equal(here, random.permutation(jnp.asarray(key), n))
    np.testing.assert_array_equal(here, jax.jit(random.permutation, static_argnums=1)(jnp.asarray(key), n))
    if n > 2:
        assert here.tolist() != random.permutation(random.key(43), n).tolist()


@both
def test_erfinv_agrees_with_scipy(home):
    x = np.concatenate([np.linspace(-0.9999, 0.9999, 999), [0.0, 1e-6, -1e-6, 1 - 2.0**-23, -1 + 2.0**-23]])
    x = x.astype(np.float32)
    np.testing.assert_allclose(random.erfinv(home.asarray(x)), scipy.special.erfinv(x.astype(float)), rtol=1e-5)


def test_draws_of_other_layers_stay_when_a_layer_is_added():
    from backlit import Chain, Dense

    _, small, _ = Chain(a=Dense(3), c=Dense(2)).init(random.key(0), (4,))
    _, large, _ = Chain(a=Dense(3), b=Dense(3), c=Dense(2)).init(random.key(0), (4,))
    np.testing.assert_array_equal(small["a"]["W"], large["a"]["W"])
    np.testing.assert_array_equal(small["c"]["W"], large["c"]["W"])


def test_one_draw_has_a_limit():
    with pytest.raises(ValueError, match="at most"):
        random.bits(random.key(0), (2**32,))


# Trees


class Moments(NamedTuple):
    m: Any
    v: Any


TREE = {
    "net": {"b": np.ones(2, np.float32), "a": (np.zeros((2, 3), np.float32), None)},
    "count": np.array(3),
    "pair": Moments(np.full(1, 2.0, np.float32), {}),
    "list": [np.array([True])],
}


def test_flatten_names_every_leaf_in_sorted_order():
    assert list(tree.flatten(TREE)) == ["count", "list.0", "net.a.0", "net.b", "pair.m"]
    assert [leaf.size for leaf in tree.leaves(TREE)] == [1, 1, 6, 2, 1]
    assert tree.size(TREE) == 11
    assert tree.flatten(np.ones(2)).keys() == {""}
    assert tree.flatten({}) == {}


def test_the_order_of_leaves_is_that_of_jax():
    ours = tree.leaves(TREE)
    theirs = jax.tree_util.tree_leaves(TREE)
    assert [id(leaf) for leaf in ours] == [id(leaf) for leaf in theirs]


def test_map_keeps_the_structure_and_its_types():
    doubled = tree.map(lambda a: a * 2, TREE)
    assert jax.tree_util.tree_structure(doubled) == jax.tree_util.tree_structure(TREE)
    assert isinstance(doubled["pair"], Moments)
    assert isinstance(doubled["list"], list)
    assert doubled["net"]["a"][1] is None
    assert doubled["count"] == 6
    summed = tree.map(lambda a, b, c: a + b + c, TREE, doubled, doubled)
    np.testing.assert_array_equal(summed["net"]["b"], [5, 5])


def test_map_with_path_gives_the_path():
    assert tree.flatten(tree.map_with_path(lambda path, leaf: path, TREE)) == {p: p for p in tree.flatten(TREE)}


def test_unflatten_is_the_way_back():
    back = tree.unflatten(TREE, tree.flatten(TREE))
    assert jax.tree_util.tree_structure(back) == jax.tree_util.tree_structure(TREE)
    with pytest.raises(KeyError, match=r"net\.b"):
        tree.unflatten(TREE, {p: leaf for p, leaf in tree.flatten(TREE).items() if p != "net.b"})


def test_map_refuses_trees_that_do_not_fit():
    with pytest.raises(KeyError):
        tree.map(lambda a, b: a, {"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1)})


@both
def test_cast_changes_floating_leaves_only(home):
    values = tree.map(home.asarray, {"w": np.ones(2, np.float32), "n": np.array([1], np.int32), "k": np.array([True])})
    half = tree.cast(values, np.float16)
    assert [leaf.dtype for leaf in tree.leaves(half)] == [np.bool_, np.int32, np.float16]


# Devices: what must be settled before the backend starts


def fresh(code: str, folder: Path, **env: str) -> str:
    """What `code` prints in a new process with its own cache."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_", "BACKLIT_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**kept, "BACKLIT_CACHE": str(folder), "JAX_PLATFORMS": "cpu", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_flag_is_appended_to_the_flags_of_the_user(tmp_path):
    code = "import os; from backlit import engine; engine.get('xla'); print(os.environ['XLA_FLAGS'])"
    flags = fresh(code, tmp_path, XLA_FLAGS="--xla_cpu_enable_fast_math=false").split()
    ours = [devices.FLAG] if devices.flag_is_known() else []
    assert flags == ["--xla_cpu_enable_fast_math=false", *ours]
    for flag in ours:
        own = flag.split("=")[0] + "=individual_dot,reduce"
        assert fresh(code, tmp_path, XLA_FLAGS=own).split() == [own], "the user's own choice stands"


def test_the_backend_starts_with_a_device_per_core_and_a_cache(tmp_path):
    code = (
        "from backlit import engine; xla = engine.get('xla'); import jax; "
        "float(xla.compile(lambda x: x * 3 + 1)(xla.asarray(2.0))); "
        "print(len(jax.devices()), jax.config.jax_compilation_cache_dir)"
    )
    count, cache = fresh(code, tmp_path).split()
    assert int(count) == devices.cores()
    assert Path(cache).parent == tmp_path / "xla"
    assert any(Path(cache).iterdir()), "the compiled program is kept"
    count, cache = fresh(
        code, tmp_path, JAX_NUM_CPU_DEVICES="3", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")
    ).split()
    assert (int(count), Path(cache)) == (3, tmp_path / "own"), "the user's own choice stands"


def test_a_backend_that_runs_already_is_left_alone_and_it_is_said(tmp_path):
    code = (
        "import logging, os, sys; logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s'); "
        "import jax; jax.devices(); from backlit import engine; engine.get('xla'); "
        "print(os.environ.get('XLA_FLAGS', ''))"
    )
    told = fresh(code, tmp_path)
    said = f"JAX was started before backlit: {devices.FLAG} could not be set" in told
    assert said == devices.flag_is_known(), "an older jaxlib has nothing to miss"
    assert told.splitlines()[-1:] != [devices.FLAG]


def test_numpy_alone_does_not_load_jax(tmp_path):
    code = (
        "import sys, numpy as np, backlit as bl; net = bl.Chain(bl.Dense(2), bl.ReLU()); "
        "net.init(bl.random.key(0), (3,)); print('jax' in sys.modules)"
    )
    assert fresh(code, tmp_path) == "False"


def test_an_older_jaxlib_does_not_get_a_flag_it_does_not_know(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine=1")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.9.2")
    devices.prepare(already_started=False)
    assert os.environ["XLA_FLAGS"] == "--mine=1"
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.0")
    devices.prepare(already_started=False)
    assert os.environ["XLA_FLAGS"] == f"--mine=1 {devices.FLAG}"
    devices.prepare(already_started=False)
    assert os.environ["XLA_FLAGS"] == f"--mine=1 {devices.FLAG}"


def test_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "mine"))
    assert devices.cache_directory() == tmp_path / "mine"
    monkeypatch.delenv("BACKLIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert devices.cache_directory() == tmp_path / "backlit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert devices.cache_directory() == tmp_path / "home" / ".cache" / "backlit"
