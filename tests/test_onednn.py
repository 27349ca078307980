"""oneDNN in place of XLA's kernels: the same numbers, chosen by measurement, and XLA wherever oneDNN is not to be had.

What needs the library stands in `TestKernels`, which is collected where the extra [onednn] is installed.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from backlit.engine import convolution_xla, onednn
from backlit.engine.onednn import backend, choice, library, primitives, selftest
from backlit.engine.onednn.library import Unavailable
from backlit.engine.onednn.operation import operation
from backlit.engine.operations import flops
from backlit.engine.window import Window
from backlit.errors import SettingError

SAME = Window((1, 1), ((1, 1), (1, 1)), (1, 1))
X, W = (8, 16, 16, 12), (3, 3, 12, 16)  # 7 million operations


def like(*shapes):
    return [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape, dtype=np.float32)) for shape in shapes]


def xla_computes(x, W):
    return convolution_xla.convolve(x, W, SAME)


def lowered(*arrays, window=SAME):
    """A program with one convolution, lowered but not compiled."""
    return jax.jit(lambda x, W: onednn.convolve(x, W, window)).lower(*arrays)


def uses_onednn(program):
    return backend.TARGET in program.as_text()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty memory of choices, on disk and in this process."""
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "_known", {})
    return tmp_path


@pytest.fixture
def unstarted(monkeypatch):
    """As before the first use; what a test starts, or fails to start, is forgotten."""
    monkeypatch.setattr(backend, "_started", [])
    known = backend.versions, backend._installed
    for each in known:
        each.cache_clear()
    yield
    for each in known:
        each.cache_clear()


# Without oneDNN


def test_without_the_packages_xla_computes_and_one_line_says_so(cache, unstarted, monkeypatch, caplog):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    caplog.set_level(logging.INFO, "backlit")
    x, kernel = draw(X, W)
    program, _ = lowered(x, kernel), lowered(x, kernel)
    assert not uses_onednn(program)
    np.testing.assert_array_equal(program.compile()(x, kernel), jax.jit(xla_computes)(x, kernel))
    assert onednn.describe() == "not installed"
    said = [r.getMessage() for r in caplog.records]
    assert said == ["oneDNN is not installed, XLA computes convolutions: pip install 'backlit[onednn]'"]


@pytest.mark.parametrize("error", [Unavailable("libgomp.so.1: no such file"), OSError("broken"), RuntimeError("LLVM")])
def test_a_library_that_does_not_start_leaves_it_to_xla(cache, unstarted, monkeypatch, caplog, error):
    def broken():
        raise error

    monkeypatch.setattr(backend, "versions", lambda: "some")
    monkeypatch.setattr(library, "load", broken)
    programs = [lowered(*like(X, W)), lowered(*like(X, W))]
    assert not any(map(uses_onednn, programs))
    assert [r.getMessage() for r in caplog.records] == [f"oneDNN is not used ({error})"]


def test_a_wheel_without_its_files_is_not_there(monkeypatch):
    monkeypatch.setattr(metadata, "files", lambda name: [])
    with pytest.raises(Unavailable, match="onednn-cpu-gomp is not installed"):
        library.load()


def test_off_does_not_ask(unstarted, monkeypatch):
    monkeypatch.setenv("BACKLIT_ONEDNN", "off")
    assert not uses_onednn(lowered(*like(X, W)))
    assert backend._started == []
    assert onednn.describe() == "off"


def test_an_unknown_setting_is_an_error(monkeypatch):
    monkeypatch.setenv("BACKLIT_ONEDNN", "of")
    with pytest.raises(SettingError, match="unknown BACKLIT_ONEDNN 'of'; did you mean 'off'"):
        lowered(*like(X, W))


def test_little_work_does_not_start_the_library(unstarted, monkeypatch):
    monkeypatch.setattr(backend, "versions", lambda: "some")
    lowered(*like((2, 5, 5, 3), (3, 3, 3, 4)))
    assert backend._started == []


def test_other_dtypes_stay_with_xla(monkeypatch):
    monkeypatch.setattr(backend, "versions", lambda: "some")
    x, kernel = (a.astype(jnp.bfloat16) for a in draw(X, W))
    assert "backlit_either" not in str(jax.make_jaxpr(lambda x, W: onednn.convolve(x, W, SAME))(x, kernel))


# With oneDNN

WINDOWS = [
    # shape, kernel with channels, window
    ((3, 9, 8, 6), (3, 2, 6, 10), Window((1, 1), ((1, 1), (0, 1)), (1, 1))),
    ((2, 11, 9, 5), (3, 3, 5, 7), Window((2, 3), ((2, 0), (1, 2)), (1, 1))),
    ((2, 12, 13, 3), (3, 4, 3, 16), Window((1, 1), ((2, 2), (0, 3)), (2, 1))),
    ((4, 10, 10, 8), (3, 3, 8, 24), Window((2, 2), ((0, 0), (0, 0)), (3, 2))),
    ((2, 7, 7, 12), (3, 3, 4, 9), Window((1, 1), ((1, 1), (1, 1)), (1, 1), 3)),
    ((2, 8, 6, 10), (3, 3, 1, 10), Window((2, 1), ((1, 0), (1, 1)), (1, 1), 10)),
    ((2, 17, 5), (4, 5, 3), Window((2,), ((3, 0),), (1,))),
    ((2, 5, 6, 7, 4), (2, 3, 3, 4, 6), Window((1, 2, 1), ((1, 0), (1, 1), (0, 0)), (1, 1, 1))),
]


def operations(shape, kernel, window):
    """The three operations of one convolution."""
    space = kernel[:-2]
    result = (shape[0], *window.sizes(shape[1:-1], space), kernel[-1])
    plain = convolution_xla
    return {
        "y": operation(plain.convolve, primitives.convolve, (window,), *like(shape, kernel)),
        "dx": operation(plain.convolve_dx, primitives.convolve_dx, (window, shape[1:-1]), *like(result, kernel)),
        "dW": operation(plain.convolve_dW, primitives.convolve_dW, (window, space), *like(shape, result)),
    }


def run(program, *env, cache):
    """What a program prints in a new process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XLA_", "JAX_", "BACKLIT_", "OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**kept, "BACKLIT_CACHE": str(cache), "JAX_PLATFORMS": "cpu", **dict(env)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestKernels:
    """What needs the library itself."""

    __test__ = backend.versions() is not None

    @pytest.mark.parametrize("which", ["y", "dx", "dW"])
    @pytest.mark.parametrize(("shape", "kernel", "window"), WINDOWS)
    def test_the_numbers_are_those_of_xla(self, shape, kernel, window, which):
        tested = operations(shape, kernel, window)[which]
        xla, one = jax.jit(tested.by_xla), jax.jit(tested.by_onednn(backend.backend()))
        for seed in range(2):
            arrays = choice.numbers(tested, seed)
            assert choice.difference(xla(*arrays), one(*arrays)) < 3e-6

    @pytest.mark.parametrize(
        ("kernel", "padding", "reason"),
        [(W, ((0, -1), (0, 0)), "negative padding"), ((1, 1, *W[2:]), ((0, 0), (0, 0)), "1 x 1 kernels")],
    )
    def test_what_is_left_to_xla(self, kernel, padding, reason):
        with pytest.raises(Unavailable, match=reason):
            operations(X, kernel, Window((1, 1), padding, (1, 1)))["y"].by_onednn(backend.backend())

    def test_on_computes_with_it_inside_loops_and_out(self, cache, monkeypatch):
        monkeypatch.setenv("BACKLIT_ONEDNN", "on")
        x, kernel = draw(X, (3, 3, 12, 12))

        def net(convolve, x, kernel):
            step = lambda x, _: (0.1 * convolve(x, kernel, SAME), jnp.sum(x))  # noqa: E731
            return jax.lax.scan(step, x, None, length=3)

        program = jax.jit(lambda x, W: net(onednn.convolve, x, W)).lower(x, kernel)
        assert uses_onednn(program)
        y, sums = program.compile()(x, kernel)
        wanted, wanted_sums = net(convolution_xla.convolve, x, kernel)
        np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sums, wanted_sums, rtol=1e-4)
        np.testing.assert_allclose(onednn.convolve(x, kernel, SAME), xla_computes(x, kernel), atol=1e-5)

    def test_several_devices_batches_and_derivatives_stay_with_xla(self, cache, monkeypatch):
        monkeypatch.setenv("BACKLIT_ONEDNN", "on")
        x, kernel = draw(X, W)
        assert uses_onednn(lowered(x, kernel))
        mesh = jax.sharding.Mesh(jax.devices(), ("data",))
        split = [jax.device_put(a, jax.NamedSharding(mesh, s)) for a, s in ((x, jax.P("data")), (kernel, jax.P()))]
        assert len(jax.devices()) > 1
        program = lowered(*split)
        assert not uses_onednn(program)
        expected = xla_computes(x, kernel)
        np.testing.assert_allclose(program.compile()(*split), expected, atol=1e-5)

        one = jax.jit(jax.vmap(lambda x: onednn.convolve(x[None], kernel, SAME)[0])).lower(x)
        assert not uses_onednn(one)
        np.testing.assert_allclose(one.compile()(x), expected, atol=1e-5)

        dy = jnp.ones_like(expected)
        found = jax.vjp(lambda x, W: onednn.convolve(x, W, SAME), x, kernel)[1](dy)
        wanted = jax.vjp(xla_computes, x, kernel)[1](dy)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, wanted)

    def test_without_compilation_xla_computes(self, cache, monkeypatch):
        monkeypatch.setenv("BACKLIT_ONEDNN", "on")
        x, kernel = draw(X, W)
        with jax.disable_jit():
            y = onednn.convolve(x, kernel, SAME)
        np.testing.assert_allclose(y, xla_computes(x, kernel), atol=1e-5)

    def test_counting_sees_the_operations_behind_it(self):
        x, kernel = like(X, W)
        with_it = flops(lambda x, W: onednn.convolve(x, W, SAME), x, kernel)
        assert with_it == flops(xla_computes, x, kernel) == 2 * 8 * 256 * 108 * 16

    def test_many_threads_share_the_plans(self):
        ways, expected = [], []
        for shape, kernel in ((X, W), ((4, 9, 9, 16), (3, 3, 16, 8))):
            tested = operations(shape, kernel, SAME)["y"]
            ways.append((jax.jit(tested.by_onednn(backend.backend())), tested))
        arrays = {(i, seed): choice.numbers(t, seed) for i, (_, t) in enumerate(ways) for seed in range(3)}
        expected = {key: np.asarray(ways[key[0]][0](*values)[0]) for key, values in arrays.items()}
        wrong = []

        def work(start):
            keys = list(arrays)
            for n in range(30):
                key = keys[(start + n) % len(keys)]
                if not np.array_equal(ways[key[0]][0](*arrays[key])[0], expected[key]):
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_a_compiled_program_from_the_disk_finds_its_plans(self, tmp_path):
        program = """
import numpy as np, jax
from pathlib import Path
from backlit.engine import devices, onednn
from backlit.engine.window import Window
x, W = (np.random.default_rng(0).standard_normal(s, dtype=np.float32) for s in ((8, 16, 16, 12), (3, 3, 12, 16)))
step = jax.jit(lambda x, W: onednn.convolve(x, W, Window((1, 1), ((1, 1), (1, 1)), (1, 1))))
step = step.lower(x, W)
assert "backlit_onednn" in step.as_text()
y = step.compile()(x, W)
print(float(np.sum(np.asarray(y) ** 2)), len(list(Path(devices.cache_directory()).glob("xla/*/*-cache"))))
"""
        first, second = (run(program, ("BACKLIT_ONEDNN", "on"), cache=tmp_path) for _ in range(2))
        assert first == second
        assert int(first.split()[1]) > 0

    def test_denormal_numbers_are_zero_as_in_xla(self):
        tested = operations(X, W, SAME)["y"]
        x, kernel = (np.asarray(a) for a in choice.numbers(tested, 0))
        x = x * np.float32(1e-39)
        assert np.any(x)
        for way in (tested.by_xla, tested.by_onednn(backend.backend())):
            assert not np.any(jax.jit(way)(x, kernel)[0])

    def test_an_unknown_plan_is_an_error_not_a_crash(self):
        with pytest.raises(jax.errors.JaxRuntimeError, match="a oneDNN plan that this process has not made"):
            jax.block_until_ready(backend.call(like((2,)), 12345, 1, jnp.ones(2)))

    def test_another_number_of_arguments_is_an_error_not_a_crash(self):
        tested = operations(X, W, SAME)["y"]
        _, key, scratch = tested.by_onednn(backend.backend()).args
        with pytest.raises(jax.errors.JaxRuntimeError, match="a oneDNN plan that this process has not made"):
            jax.block_until_ready(backend.call(tested.results, key, scratch, *draw(X)))


class TestChoice:
    """Which of the two is taken, and what is remembered."""

    __test__ = TestKernels.__test__

    @pytest.mark.parametrize(
        ("found", "mode", "taken"),
        [
            (choice.Found(1.0, 0.90, 0.0), "auto", True),
            (choice.Found(1.0, 0.97, 0.0), "auto", False),
            (choice.Found(1.0, 2.00, 0.0), "on", True),
            (choice.Found(1.0, 0.50, 0.1), "auto", False),
            (choice.Found(1.0, 0.50, 0.1), "on", False),
            (choice.Found(1.0, 0.50, float("nan")), "auto", False),
        ],
    )
    def test_the_faster_one_that_agrees(self, cache, monkeypatch, caplog, found, mode, taken):
        monkeypatch.setenv("BACKLIT_ONEDNN", mode)
        monkeypatch.setattr(choice, "measured", lambda *_: found)
        assert uses_onednn(lowered(*like(X, W))) is taken
        warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warned) == (0 if found.difference == 0 else 1)

    def test_a_measurement_that_fails_leaves_it_to_xla(self, cache, monkeypatch, caplog):
        def fails(*_):
            raise jax.errors.JaxRuntimeError("INTERNAL: a primitive failed")

        monkeypatch.setattr(choice, "measured", fails)
        assert not uses_onednn(lowered(*like(X, W)))
        (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
        assert record.getMessage().endswith("XLA, because INTERNAL: a primitive failed")

    def test_a_measurement_is_kept_for_the_next_process(self, cache, monkeypatch):
        calls = []

        def measured(tested, way):
            calls.append(tested.name)
            return choice.Found(2.0, 1.0, 0.0)

        monkeypatch.setattr(choice, "measured", measured)
        for _ in range(2):
            assert uses_onednn(lowered(*like(X, W)))
        choice._known.clear()
        assert uses_onednn(lowered(*like(X, W)))
        assert len(calls) == 1
        (known,) = json.loads((cache / "onednn.json").read_text()).values()
        assert list(known.values()) == [[2.0, 1.0, 0.0]]

    @pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "{", "\x00"])
    def test_a_damaged_memory_is_measured_anew(self, cache, monkeypatch, text):
        (cache / "onednn.json").write_text(text)
        monkeypatch.setattr(choice, "measured", lambda *_: choice.Found(2.0, 1.0, 0.0))
        assert uses_onednn(lowered(*like(X, W)))

    def test_a_real_measurement_counts_every_call(self):
        tested = operations(X, W, SAME)["dW"]
        way = tested.by_onednn(backend.backend())
        found = choice.measured(tested, way)
        assert found.difference < 1e-5
        assert min(found.xla, found.onednn) > 0
        loop = choice._loop(way, tested.results, 3)
        text = loop.lower(*choice.numbers(tested, 0)).compile().as_text()
        body = text[: text.index("ENTRY")]
        assert backend.TARGET in body  # not computed once, before the loop

    def test_the_self_test_passes_and_is_remembered(self, cache, monkeypatch):
        selftest.check(backend.backend())
        (known,) = json.loads((cache / "onednn.json").read_text()).values()
        assert known[selftest.NAME][2] < 1e-5
        monkeypatch.setattr(selftest, "CASES", ())
        selftest.check(backend.backend())

    def test_the_self_test_notices_wrong_numbers(self, cache, monkeypatch):
        monkeypatch.setattr(primitives, "convolve", None)
        wrong = [
            (lambda x, W, window: 1.01 * convolution_xla.convolve(x, W, window), *case[1:])
            for case in selftest.CASES[:1]
        ]
        monkeypatch.setattr(selftest, "CASES", wrong)
        with pytest.raises(Unavailable, match=r"self-test: a result differs from XLA's by 0\.01"):
            selftest.check(backend.backend())

    def test_loading_leaves_the_environment_as_it_was(self, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        before = dict(os.environ)
        library.load()
        assert dict(os.environ) == before

    def test_a_team_that_may_come_out_smaller_is_refused(self, tmp_path):
        program = (
            "from backlit.engine.onednn import library\ntry: library.load()\nexcept library.Unavailable as e: print(e)"
        )
        for name, value in (("OMP_DYNAMIC", "true"), ("OMP_THREAD_LIMIT", "1")):
            said = run(program, (name, value), ("OMP_NUM_THREADS", "2"), cache=tmp_path)
            assert said.strip() == "OMP_DYNAMIC or OMP_THREAD_LIMIT is set"
