"""Initialisers against their formulas, against JAX's, and against files that are not what they should be."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import scipy.stats

import backlit as bl
from backlit.engine import random
from backlit.errors import DataError, SettingError, ShapeError
from backlit.initializers import (
    Constant,
    FromFile,
    He,
    Initializer,
    LeCun,
    Normal,
    Orthogonal,
    Uniform,
    Xavier,
    Zeros,
    fans,
)
from backlit.settings import build, plain

KEY = random.key(7)
SCALED = [  # initialiser, Var(W) as a function of fan_in I and fan_out O, JAX's (scale, mode)
    (Xavier, lambda i, o: 2 / (i + o), (1.0, "fan_avg")),
    (lambda distribution: Xavier(distribution, fan="in"), lambda i, o: 1 / i, (1.0, "fan_in")),
    (He, lambda i, o: 2 / i, (2.0, "fan_in")),
    (LeCun, lambda i, o: 1 / i, (1.0, "fan_in")),
]
scaled = pytest.mark.parametrize(("make", "variance", "jaxs"), SCALED, ids=["Xavier", "Xavier-in", "He", "LeCun"])
shapes = pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"), [((60, 20), 60, 20), ((3, 5, 8, 10), 120, 150)], ids=["matrix", "kernel"]
)


def compiled(draw, shape):
    """One program: eager JAX compiles each of its operations apart."""
    return jax.jit(draw, static_argnums=1)(jnp.asarray(KEY), shape)


@shapes
@scaled
def test_uniform_form(make, variance, jaxs, shape, fan_in, fan_out):
    W = make("uniform").draw(KEY, shape)
    limit = math.sqrt(3 * variance(fan_in, fan_out))
    assert 0.98 * limit < np.abs(W).max() <= limit * (1 + 1e-6)
    assert scipy.stats.kstest(W.ravel() / limit, scipy.stats.uniform(-1, 2).cdf).pvalue > 0.01


@shapes
@scaled
def test_normal_form(make, variance, jaxs, shape, fan_in, fan_out):
    W = make("normal").draw(KEY, shape)
    std = math.sqrt(variance(fan_in, fan_out))
    assert scipy.stats.kstest(W.ravel() / std, "norm").pvalue > 0.01


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@scaled
def test_the_same_numbers_as_jax(make, variance, jaxs, distribution):
    # Matrices only: JAX needs seconds to compile a draw of four axes. Our draws are flat, then reshaped.
    oracle = compiled(jax.nn.initializers.variance_scaling(*jaxs, distribution), (30, 20))
    np.testing.assert_allclose(make(distribution).draw(KEY, (30, 20)), oracle, atol=1e-5)
    kernel = make(distribution).draw(KEY, (2, 3, 5, 20))
    ratio = math.sqrt(variance(30, 120) / variance(30, 20))
    np.testing.assert_allclose(kernel.reshape(30, 20), ratio * np.asarray(oracle), atol=1e-5)


def test_he_keeps_the_signal_alive_where_the_naive_start_lets_it_fade():
    x = random.normal(random.key(1), (64, 100))
    for start, low, high in ((He(), 0.3, 3.0), (Normal(0.01), 0.0, 1e-6)):
        net = bl.Chain(*[layer for _ in range(10) for layer in (bl.Dense(100, W=start), bl.ReLU())])
        _, params, state = net.init(random.key(2), (100,))
        y = net.forward(params, state, x, bl.Context())[0]
        assert low <= float(np.mean(y * y)) / float(np.mean(x * x)) <= high


def test_fans():
    assert fans((4, 6)) == (4, 6)
    assert fans((3, 3, 4, 6)) == (36, 54)
    assert fans((5,)) == (5, 5)
    assert fans(()) == (1, 1)
    assert fans((0, 3)) == (1, 3)


def test_naive_starts():
    np.testing.assert_array_equal(Zeros().draw(KEY, (2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(Constant(-0.5).draw(KEY, (2, 3)), np.full((2, 3), -0.5))
    W = Normal(std=0.2, mean=1.0).draw(KEY, (50, 40))
    assert scipy.stats.kstest((W.ravel() - 1) / 0.2, "norm").pvalue > 0.01
    W = Uniform(-1.0, 0.5).draw(KEY, (50, 40))
    assert scipy.stats.kstest(W.ravel(), scipy.stats.uniform(-1, 1.5).cdf).pvalue > 0.01
    assert np.ptp(Uniform(0.25, 0.25).draw(KEY, (9,))) == 0
    assert Normal(std=0).draw(KEY, (3,)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 3, 5), (3, 2, 4, 6)])
def test_orthogonal(shape):
    W = Orthogonal(gain=1.5).draw(KEY, shape)
    assert W.dtype == np.float32
    matrix = W.reshape(-1, shape[-1])
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False), 1.5, rtol=1e-5)
    np.testing.assert_allclose(compiled(Orthogonal(gain=1.5).draw, shape), W, atol=1e-5)


def test_orthogonal_matrices_are_drawn_evenly():
    # A QR without its signs fixed never gives a positive first entry: LAPACK's reflections decide it.
    corners = [float(Orthogonal().draw(random.key(seed), (2, 2))[0, 0]) for seed in range(60)]
    assert 15 < sum(corner > 0 for corner in corners) < 45


def test_orthogonal_needs_two_axes():
    with pytest.raises(ShapeError, match=r"at least two axes, got \(3,\); use Normal or Uniform"):
        Orthogonal().draw(KEY, (3,))


# Names and settings


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("he", He()),
        ("Kaiming", He()),
        ("msra", He()),
        ("Glorot", Xavier()),
        ("lecun", LeCun()),
        ("orthogonal", Orthogonal()),
        ("zeros", Zeros()),
        ({"type": "xavier", "distribution": "normal", "fan": "in"}, Xavier("normal", "in")),
        ({"type": "Normal", "std": 0.1}, Normal(0.1)),
    ],
)
def test_initialisers_by_name(name, rule):
    layer = bl.Dense(3, W=name)
    assert rule == layer.W
    assert build(Initializer, plain(rule)) == rule


def test_biases_start_at_zero():
    params = bl.Dense(3, W="he").init(KEY, (4,))[1]
    assert params["b"].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(params["W"], He().draw(random.fold(KEY, "W"), (4, 3)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Normal(std=-1.0), "std: expected a number greater than or equal to 0, got -1.0"),
        (lambda: Uniform(1.0, 0.5), "low: expected at most high = 0.5, got 1; swap the two"),
        (lambda: He("cauchy"), "distribution: expected 'uniform' or 'normal', got 'cauchy'"),
        (lambda: Xavier(fan="out"), "fan: expected 'average' or 'in', got 'out'"),
        (lambda: bl.Dense(3, W="hee"), "W: unknown initializer 'hee'; did you mean 'He'?"),
    ],
)
def test_wrong_settings(make, text):
    with pytest.raises(SettingError) as error:
        make()
    assert str(error.value) == text


# Values from a file


def test_values_from_each_kind_of_file(tmp_path):
    W = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "one.npy", W)
    np.savez(tmp_path / "one.npz", W=W)
    np.savez(tmp_path / "two.npz", W=W, b=np.ones(3, dtype=np.int8))
    safetensors.numpy.save_file({"layer.W": W, "b": np.ones(3)}, tmp_path / "two.safetensors")
    for file, name in (
        ("one.npy", ""),
        ("one.npz", ""),
        ("one.npz", "W"),
        ("two.npz", "W"),
        ("two.safetensors", "layer.W"),
    ):
        for key in (KEY, jnp.asarray(KEY)):
            drawn = FromFile(str(tmp_path / file), name).draw(key, (2, 3))
            assert drawn.dtype == np.float32
            assert isinstance(drawn, type(key))
            np.testing.assert_array_equal(drawn, W)
    layer = bl.Dense(3, W=FromFile(str(tmp_path / "two.npz"), "W"), b=FromFile(str(tmp_path / "two.npz"), "b"))
    assert layer.init(KEY, (2,))[1]["b"].tolist() == [1, 1, 1]


def test_a_wrong_shape_is_told_with_the_path_of_the_layer(tmp_path):
    np.save(tmp_path / "W.npy", np.ones((3, 2)))
    net = bl.Chain(bl.Dense(4), head=bl.Dense(3, W=FromFile(str(tmp_path / "W.npy"))))
    with pytest.raises(ShapeError) as error:
        net.init(KEY, (2,))
    text = "expected an array of the parameter's shape (4, 3), got (3, 2); change the layer's units or choose another"
    assert str(error.value) == f"head: {tmp_path}/W.npy: {text} array"


def test_files_that_cannot_be_a_start(tmp_path):
    np.savez(tmp_path / "two.npz", W=np.ones(2), b=np.ones(3))
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    np.save(tmp_path / "objects.npy", np.array([print, None]), allow_pickle=True)
    np.save(tmp_path / "whole.npy", np.ones(1000))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:500])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:200])
    (tmp_path / "noise.safetensors").write_bytes(bytes(range(200)))
    (tmp_path / "folder").mkdir()
    for file, name, text in (
        ("missing.npy", "", "no such file; FromFile needs a .npy, .npz or .safetensors file"),
        ("missing.safetensors", "W", "no such file; FromFile needs a .npy, .npz or .safetensors file"),
        ("two.npz", "V", "expected an array called 'V', got none; the file holds W, b"),
        ("two.npz", "", "expected the name of an array, got none; the file holds W, b"),
        ("none.npz", "W", "expected an array called 'W', got none; the file holds nothing"),
        ("nan.npy", "", "expected finite numbers, got nan at (1,); use an older checkpoint"),
        ("text.npy", "", "expected numbers, got an array of <U1; save it as float32"),
        ("objects.npy", "", "not a readable .npy, .npz or .safetensors file (Object arrays cannot be loaded"),
        ("cut.npy", "", "not a readable .npy, .npz or .safetensors file"),
        ("cut.npz", "W", "not a readable .npy, .npz or .safetensors file"),
        ("noise.safetensors", "W", "not a readable .npy, .npz or .safetensors file"),
        ("folder", "W", "not a readable .npy, .npz or .safetensors file"),
    ):
        with pytest.raises(DataError) as error:
            FromFile(str(tmp_path / file), name).draw(KEY, (2,))
        assert str(error.value).startswith(f"{tmp_path}/{file}: {text}")
