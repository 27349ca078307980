"""What each layer computes, against formulas written elsewhere; that gradients are right is test_contract.py's part."""

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

import backlit as bl
from backlit.engine import random
from backlit.errors import BacklitError, ShapeError
from backlit.protocol import Context

Z = np.linspace(-4, 4, 33)
EXTREME = np.array([-1e4, -800.0, -90.0, 0.0, 90.0, 800.0, 1e4], dtype=np.float32)

ORACLES = [
    (bl.Sigmoid(), scipy.special.expit),
    (bl.Tanh(), np.tanh),
    (bl.HardTanh(), lambda z: np.where(z < -1, -1.0, np.where(z > 1, 1.0, z))),
    (bl.SoftSign(), jax.nn.soft_sign),
    (bl.ReLU(), jax.nn.relu),
    (bl.LeakyReLU(0.3), lambda z: jax.nn.leaky_relu(z, 0.3)),
    (bl.ELU(0.7), lambda z: jax.nn.elu(z, 0.7)),
    (bl.GELU(), lambda z: z * scipy.stats.norm.cdf(z)),
    (bl.GELU("tanh"), lambda z: jax.nn.gelu(z, approximate=True)),
    (bl.SiLU(), jax.nn.silu),
    (bl.Softplus(), lambda z: np.logaddexp(z, 0.0)),
    (bl.Softmax(), lambda z: scipy.special.softmax(z, axis=-1)),
    (bl.SELU(), jax.nn.selu),
    (bl.CELU(0.7), lambda z: jax.nn.celu(z, 0.7)),
    (bl.HardSigmoid(), jax.nn.hard_sigmoid),
    (bl.HardSwish(), jax.nn.hard_swish),
    (bl.Mish(), jax.nn.mish),
    (bl.LogSigmoid(), scipy.special.log_expit),
    (bl.ThresholdedReLU(), lambda z: np.where(z > 1, z, 0.0)),
    (bl.Shrink(), lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0.0)),
    (bl.Shrink(form="hard"), lambda z: np.where(np.abs(z) > 0.5, z, 0.0)),
    (bl.LogSoftmax(), lambda z: scipy.special.log_softmax(z, axis=-1)),
]
named = [type(layer).__name__ + getattr(layer, "form", "") for layer, _ in ORACLES]


def run(layer, x, train=False, seed=0):
    return layer.forward({}, {}, x, Context(train=train, root=random.key(seed)))


@pytest.mark.parametrize(("layer", "oracle"), ORACLES, ids=named)
def test_activation_agrees_with_its_formula(layer, oracle):
    with jax.enable_x64(True):
        np.testing.assert_allclose(run(layer, Z)[0], oracle(Z), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", [layer for layer, _ in ORACLES], ids=named)
def test_activation_overflows_for_no_number(layer):
    y, _, cache = run(layer, EXTREME)
    dx, _, _ = layer.backward({}, cache, np.ones_like(EXTREME))
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(dx))
    assert y.dtype == dx.dtype == np.float32


def test_slopes_at_the_kinks_are_as_the_docstrings_say():
    at = np.array([-1.0, 0.0, 1.0])
    found = [
        (bl.ReLU(), [0, 0, 1]),
        (bl.HardTanh(), [0, 1, 0]),
        (bl.LeakyReLU(0.2), [0.2, 0.2, 1]),
        (bl.HardSigmoid(0.5, 0.5), [0, 0.5, 0]),
        (bl.ThresholdedReLU(), [0, 0, 0]),
        (bl.Shrink(1.0), [0, 0, 0]),
    ]
    for layer, slopes in found:
        _, _, cache = run(layer, at)
        assert layer.backward({}, cache, np.ones(3))[0].tolist() == slopes


def test_prelu_has_a_slope_for_each_channel_or_one():
    x = np.array([[[-1.0, -2.0], [3.0, -4.0]]])
    y, _, cache = bl.PReLU().forward({"slope": np.array([0.5, 0.1])}, {}, x, Context())
    np.testing.assert_allclose(y, [[[-0.5, -0.2], [3.0, -0.4]]])
    np.testing.assert_allclose(bl.PReLU().backward({"slope": np.ones(2)}, cache, np.ones_like(x))[1]["slope"], [-1, -6])
    layer = bl.PReLU(per="layer")
    _, params, _ = layer.init(random.key(0), (2, 2))
    np.testing.assert_array_equal(params["slope"], [0.25])
    np.testing.assert_allclose(layer.backward(params, cache, np.ones_like(x))[1]["slope"], [-7])


def test_glu_gates_the_first_half_by_the_second():
    x = np.random.default_rng(0).normal(size=(3, 8))
    u, v = np.split(x, 2, axis=-1)
    np.testing.assert_allclose(run(bl.GLU(), x)[0], u * scipy.special.expit(v))
    np.testing.assert_allclose(run(bl.GLU("SiLU"), x)[0], u * v * scipy.special.expit(v))


def test_maxout_takes_the_first_of_equal_pieces():
    x = np.array([[1.0, 1.0, 0.0, 2.0]])
    y, _, cache = run(bl.Maxout(2), x)
    assert y.tolist() == [[1.0, 2.0]]
    assert bl.Maxout(2).backward({}, cache, np.array([[5.0, 7.0]]))[0].tolist() == [[5.0, 0.0, 0.0, 7.0]]


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (
            bl.GLU(),
            (3,),
            r"GLU expected rows with an even number of channels, a half for the gate, got the shape \(3,\)",
        ),
        (bl.GLU([bl.Tanh()]), (4,), "GLU expected a gate that works number by number, got Chain"),
        (bl.Maxout(2), (4, 3), "Maxout expected rows whose channels divide into groups of 2"),
        (bl.PReLU(), (), r"PReLU expected rows with a channel axis, got scalars; use Reshape\(\(1,\)\) first"),
    ],
)
def test_activation_says_what_rows_it_expected(layer, shape, text):
    with pytest.raises(ShapeError, match=text):
        layer.init(random.key(0), shape)


def test_softmax_is_a_distribution_over_the_last_axis():
    y = run(bl.Softmax(), np.random.default_rng(0).normal(size=(2, 3, 4)) * 50)[0]
    np.testing.assert_allclose(y.sum(axis=-1), 1.0)
    np.testing.assert_allclose(run(bl.Softmax(), y + 1000)[0], run(bl.Softmax(), y)[0], rtol=1e-9)


# Dense


def test_dense_multiplies_and_adds():
    layer = bl.Dense(3, W="Xavier", b={"type": "Constant", "value": 0.5})
    shape, params, state = layer.init(random.key(0), (4, 2))
    x = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)
    assert (shape, state) == ((4, 3), {})
    assert {k: v.shape for k, v in params.items()} == {"W": (2, 3), "b": (3,)}
    np.testing.assert_allclose(layer.forward(params, state, x, Context())[0], x @ params["W"] + 0.5, rtol=1e-6)
    assert bl.Dense(3, b=None).init(random.key(0), (2,))[1].keys() == {"W"}
    np.testing.assert_array_equal(bl.Dense(3).init(random.key(0), (2,))[1]["b"], 0)


# Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("form", ["inverted", "classic"])
def test_dropout_drops_its_share_and_keeps_the_mean(rate, form):
    layer, x = bl.Dropout(rate, form=form), np.full((100, 100), 3.0, dtype=np.float32)
    y = run(layer, x, train=True)[0]
    kept = 3.0 / (1 - rate) if form == "inverted" else 3.0
    assert np.all((y == 0) | np.isclose(y, kept))
    assert np.mean(y == 0) == pytest.approx(rate, abs=4 * (rate * (1 - rate)) ** 0.5 / 100)
    in_evaluation = run(layer, x)[0]
    np.testing.assert_allclose(in_evaluation, 3.0 if form == "inverted" else 3.0 * (1 - rate), rtol=1e-6)
    assert y.mean() == pytest.approx(float(in_evaluation.mean()), rel=0.1)


def test_dropout_draws_its_mask_from_the_key():
    x = np.ones((20, 20), dtype=np.float32)
    first, again, other = (run(bl.Dropout(0.5), x, True, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_dropout_keeps_no_mask():
    _, _, cache = run(bl.Dropout(0.5), np.ones((20, 20)), train=True)
    assert sum(leaf.size for leaf in cache) == 2, "the key draws it again"
    dx, _, _ = bl.Dropout(0.5).backward({}, cache, np.ones((20, 20)))
    np.testing.assert_array_equal(dx, run(bl.Dropout(0.5), np.ones((20, 20)), train=True)[0])


def test_dropout_of_nothing_is_the_identity_and_needs_no_key():
    x = np.ones((2, 3))
    assert bl.Dropout(0.0).forward({}, {}, x, Context(train=True))[0] is x


# Shapes


def test_flatten_and_reshape_are_row_major():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(run(bl.Flatten(), x)[0], x.reshape(2, 12))
    np.testing.assert_array_equal(run(bl.Reshape((4, 3)), x)[0], x.reshape(2, 4, 3))
    np.testing.assert_array_equal(run(bl.Reshape((2, -1, 2)), x)[0], x.reshape(2, 2, 3, 2))
    assert bl.Reshape((2, -1, 2)).init(random.key(0), (3, 4))[0] == (2, 3, 2)
    y, _, cache = run(bl.Flatten(), x)
    np.testing.assert_array_equal(bl.Flatten().backward({}, cache, y)[0], x)


@pytest.mark.parametrize("empty", [bl.Flatten(), bl.Reshape((12,)), bl.Reshape((-1,))])
def test_a_batch_without_rows_keeps_its_shape(empty):
    assert run(empty, np.ones((0, 3, 4)))[0].shape == (0, 12)


# A user's own layer


def test_autodiff_starts_with_the_parameters_of_its_function():
    layer = bl.Autodiff(lambda p, x: x @ p["W"], lambda key, shape: {"W": random.normal(key, (shape[-1], 2))})
    shape, params, _ = layer.init(random.key(0), (4, 3))
    assert shape == (4, 2)
    assert params["W"].shape == (3, 2)
    with pytest.raises(BacklitError, match="expected the XLA engine, got NumPy; use engine: xla"):
        layer.forward(params, {}, np.ones((2, 4, 3)), Context())


@pytest.mark.parametrize(
    ("net", "shape", "mask", "text"),
    [
        (bl.Chain(bl.BatchNorm()), (3,), None, "batch_norm_1: BatchNorm expected at least 2 rows"),
        (bl.Chain(bl.Residual(bl.LSTM(3))), (5, 3), (1, 4), "residual_1.lstm_1: LSTM expected a mask"),
        (bl.Chain(bl.Bidirectional(bl.GRU(2))), (5, 3), (1, 4), "bidirectional_1.forward: GRU expected a mask"),
        (bl.Branch(bl.MultiHeadAttention(1)), (5, 3), (1, 4), "multi_head_attention_1: expected a mask"),
        (bl.Chain(bl.Reshape((2, 3)), bl.Chain(bl.BatchNorm(), bl.Flatten())), (6,), None, None),
    ],
    ids=["batch", "residual", "bidirectional", "branch", "enough"],
)
def test_what_does_not_fit_in_forward_is_told_with_the_path_of_the_layer(net, shape, mask, text):
    _, params, state = net.init(bl.random.key(0), shape)
    ctx = bl.Context(train=True, mask=None if mask is None else np.ones(mask, "f"))
    if text is None:
        net.forward(params, state, np.ones((1, *shape), "f"), ctx)
        return
    with pytest.raises(ShapeError, match=f"^{text}"):
        net.forward(params, state, np.ones((1, *shape), "f"), ctx)
