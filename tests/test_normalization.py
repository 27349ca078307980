"""What the normalising layers and the wrappers of weights compute, against formulas written elsewhere."""

import math

import hypothesis.extra.numpy as arrays
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.preprocessing
from hypothesis import given, settings
from hypothesis import strategies as st

import backlit as bl
from backlit import engine
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.layers.normalization.batch import Batch, Running
from backlit.protocol import Context, gradient, paths, signals

rng = np.random.default_rng(0)
XLA, NUMPY = engine.get("xla"), engine.get("numpy")
both = pytest.mark.parametrize("home", [NUMPY, XLA], ids=["numpy", "xla"])


def start(layer, shape, dtype=np.float64):
    """Parameters and state in double precision."""
    _, params, state = layer.init(random.key(0), shape)
    return tree.cast(params, dtype), tree.cast(state, dtype)


def passes(layer, x, dy, mask=None, train=True, params=None, state=None):
    """y, the new state, dx and the gradients."""
    fresh, zero = start(layer, x.shape[1:], x.dtype)
    params, state = fresh if params is None else params, zero if state is None else state
    y, after, cache = layer.forward(params, state, x, Context(train=train, mask=mask, root=random.key(1)))
    dx, grads, _ = layer.backward(params, cache, dy)
    return y, after, dx, grads


def affine(size, seed=1):
    rng = np.random.default_rng(seed)
    return {"gamma": rng.normal(size=size), "beta": rng.normal(size=size)}


def equal(a, b, tolerance=1e-12):
    for path, wanted in tree.flatten(b).items():
        np.testing.assert_allclose(tree.flatten(a)[path], wanted, rtol=tolerance, atol=tolerance, err_msg=path)


# BatchNorm


@given(
    arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
                  elements=st.floats(-100, 100)),
    st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_batch_norm_gives_each_channel_mean_beta_and_deviation_gamma(x, seed):
    x = x + np.random.default_rng(seed).normal(size=x.shape)  # no channel is constant
    params = affine(x.shape[-1], seed)
    y = passes(bl.BatchNorm(epsilon=1e-12), x, x, params=params)[0].reshape(-1, x.shape[-1])
    np.testing.assert_allclose(y.mean(axis=0), params["beta"], atol=1e-8)
    np.testing.assert_allclose(y.std(axis=0), np.abs(params["gamma"]), rtol=1e-6)


def test_batch_norm_standardises_as_scikit_learn():
    x = rng.normal(2.0, 3.0, size=(50, 4))
    y = passes(bl.BatchNorm(epsilon=1e-15, gamma=None, beta=None), x, x)[0]
    np.testing.assert_allclose(y, sklearn.preprocessing.scale(x), rtol=1e-12, atol=1e-12)


@both
def test_running_statistics_after_some_batches(home):
    layer, batches = bl.BatchNorm(momentum=0.7), rng.normal(1.5, 2.0, size=(5, 8, 3, 2)).astype("f")
    params, state = start(layer, (3, 2), np.float32)
    mean, variance = np.zeros(2), np.ones(2)
    for x in batches:
        _, state, cache = layer.forward(params, state, home.asarray(x), Context(train=True))
        assert isinstance(cache, Batch)
        mean = 0.7 * mean + 0.3 * x.astype(float).mean(axis=(0, 1))
        variance = 0.7 * variance + 0.3 * x.astype(float).var(axis=(0, 1))
    equal(state, {"mean": mean, "variance": variance}, 1e-6)
    y, after, cache = layer.forward(params, state, home.asarray(batches[0, :1]), Context())
    assert isinstance(cache, Running)
    assert after is state
    np.testing.assert_allclose(y, (batches[0, :1] - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-5)


def test_in_training_a_row_moves_all_others_in_evaluation_none():
    x, dy = rng.normal(size=(6, 3)), np.zeros((6, 3))
    dy[0] = 1.0
    assert np.all(passes(bl.BatchNorm(), x, dy)[2][1:] != 0)
    assert not np.any(passes(bl.BatchNorm(), x, dy, train=False)[2][1:])


def test_a_bias_before_batch_norm_has_no_effect():
    net = bl.Chain(bl.Dense(4), bl.BatchNorm())
    _, params, state = net.init(random.key(0), (3,))
    x = rng.normal(size=(9, 3))
    moved = {**params, "dense_1": {**params["dense_1"], "b": np.full(4, 5.0)}}
    ctx = Context(train=True)
    np.testing.assert_allclose(net.forward(moved, state, x, ctx)[0], net.forward(params, state, x, ctx)[0], atol=1e-6)
    grads = gradient(net, bl.SquaredError(), params, state, x, rng.normal(size=(9, 4)), ctx)[1]
    np.testing.assert_allclose(grads["dense_1"]["b"], 0.0, atol=1e-6)


MASKS = [
    ((9, 4), np.array([1, 0, 1, 1, 0, 1, 1, 1, 0.0])),
    ((9, 5, 3, 4), np.array([1, 0, 1, 1, 0, 1, 1, 1, 0.0])),
    ((3, 4, 4), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0.0]])),
    ((3, 4, 5, 2), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0.0]])),
]


@both
@pytest.mark.parametrize(("shape", "mask"), MASKS, ids=["rows", "images", "steps", "images-steps"])
def test_a_mask_is_as_leaving_rows_out(home, shape, mask):
    layer, keep = bl.BatchNorm(), mask > 0
    x, dy, params = rng.normal(size=shape), rng.normal(size=shape), affine(shape[-1])
    dy[~keep] = 0.0  # as a loss that does not see padded rows
    fewer = passes(layer, x[keep], dy[keep], params=params)
    with home.double():
        x, dy, mask, params = (tree.map(home.asarray, t) for t in (x, dy, mask, params))
        y, state, dx, grads = home.compile(lambda *a: passes(layer, *a[:3], params=a[3]))(x, dy, mask, params)
        found = (np.asarray(y)[keep], state, np.asarray(dx)[keep], grads)
        equal(found, fewer)
        assert not np.any(np.asarray(dx)[~keep])


def test_a_row_is_real_when_one_of_its_steps_is():
    x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    steps = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0.0]])
    equal(passes(bl.BatchNorm(), x, dy, steps), passes(bl.BatchNorm(), x, dy, np.array([1, 0, 1.0])))


def test_nothing_real_gives_no_nan():
    for layer, shape in ((bl.BatchNorm(), (3, 2)), (bl.GroupNorm(1), (3, 4, 2))):
        y, state, dx, _ = passes(
            layer, rng.normal(size=shape), np.ones(shape), np.zeros(shape[:2] if len(shape) > 2 else 3)
        )
        assert all(np.all(np.isfinite(a)) for a in tree.leaves((y, state, dx)))


@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 1, 4), (0, 4)])
def test_one_value_a_channel_has_no_variance(shape):
    text = r"^BatchNorm expected at least 2 rows while training, got x of shape \({}.*: one value.* use LayerNorm or"
    with pytest.raises(ShapeError, match=text.format(shape[0])):
        passes(bl.BatchNorm(), np.ones(shape), np.ones(shape))
    passes(bl.BatchNorm(), np.ones(shape), np.ones(shape), train=False)


def test_one_image_has_a_variance():
    x = rng.normal(size=(1, 3, 2, 4))
    assert passes(bl.BatchNorm(), x, x)[0].std(axis=(0, 1, 2)) == pytest.approx(1.0, abs=1e-3)


LARGE = [(64, 3), (8, 16, 16, 5), (4, 8, 8, 70), (4, 300, 64), (8, 64, 64, 3), (3, 31, 33, 40)]
"""Both below and above the sizes from which the XLA engine sums in another form."""


def batch_norm(home, x, gamma, beta, share, dy):
    y, mean, variance = home.batch_norm(x, gamma, beta, share, 1e-5)
    return y, mean, variance, *home.batch_norm_backward(x, mean, variance, gamma, share, dy, 1e-5)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("axes", [0, 1, 2], ids=["alike", "rows", "steps"])
def test_the_fast_form_computes_the_formula(shape, axes):
    share = None if axes == 0 else rng.uniform(size=shape[: min(axes, len(shape) - 1)])
    share = None if share is None else share / share.mean()
    given = (rng.normal(size=shape), *affine(shape[-1]).values(), share, rng.normal(size=shape))
    there = XLA.compile(lambda *a: batch_norm(XLA, *a))(*tree.cast(given, "f"))
    names = ("y", "mean", "variance", "dx", "dgamma", "dbeta")
    for name, wanted, found in zip(names, batch_norm(NUMPY, *given), there, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-6 * max(1.0, np.abs(wanted).max()), err_msg=name)


@both
@pytest.mark.parametrize("shape", [(300, 4), (8, 64, 64, 3), (64, 80)])
def test_a_large_offset_costs_no_more_than_x_has_lost(home, shape):
    """x = 10000 +- 1 is known to 0.0005, and so is its mean."""
    exact = rng.normal(size=shape)
    x, dy, params = (1e4 + exact).astype("f"), rng.normal(size=shape).astype("f"), affine(shape[-1])
    wanted = passes(bl.BatchNorm(), x.astype(float), dy.astype(float), params=params)
    sent = (tree.map(home.asarray, tree.cast(t, np.float32)) for t in (x, dy, params))
    y, state, dx, grads = home.compile(lambda x, dy, p: passes(bl.BatchNorm(), x, dy, params=p))(*sent)
    np.testing.assert_allclose(y, wanted[0], atol=5e-3)
    np.testing.assert_allclose(state["variance"], wanted[1]["variance"], rtol=1e-4)
    np.testing.assert_allclose(dx, wanted[2], atol=5e-3)
    size = np.abs(dy).sum() / shape[-1]
    np.testing.assert_allclose(grads["gamma"], wanted[3]["gamma"], atol=1e-3 * size)


def test_the_statistics_are_those_of_the_whole_batch_on_several_devices():
    layer, x, dy = bl.BatchNorm(), rng.normal(size=(8, 40, 3)).astype("f"), rng.normal(size=(8, 40, 3)).astype("f")
    cores = min(2, XLA.width())
    step = XLA.compile(lambda x, dy: passes(layer, x, dy))
    equal(step(*XLA.place((x, dy), cores, 0)), passes(layer, x, dy), 1e-5)


# LayerNorm, GroupNorm, InstanceNorm, RMSNorm


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layer_norm_over_the_last_axes(axes):
    x, last = rng.normal(3.0, 2.0, size=(5, 4, 3, 6)), tuple(range(-axes, 0))
    layer = bl.LayerNorm(axes=axes)
    params = {k: v.reshape(x.shape[-axes:]) for k, v in affine(math.prod(x.shape[-axes:])).items()}
    y = passes(layer, x, x, params=params)[0]
    wanted = (x - x.mean(last, keepdims=True)) / np.sqrt(x.var(last, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, wanted * params["gamma"] + params["beta"], rtol=1e-12, atol=1e-12)


def test_group_norm_stands_between_layer_norm_and_instance_norm():
    x, dy, off = rng.normal(size=(5, 4, 3, 6)), rng.normal(size=(5, 4, 3, 6)), {"gamma": None, "beta": None}
    equal(passes(bl.GroupNorm(1, **off), x, dy), passes(bl.LayerNorm(axes=3, **off), x, dy))
    equal(passes(bl.GroupNorm(6), x, dy), passes(bl.InstanceNorm(), x, dy))
    parts = [passes(bl.GroupNorm(1, **off), a, b) for a, b in zip(np.split(x, 3, -1), np.split(dy, 3, -1), strict=True)]
    y, dx = (np.concatenate([part[i] for part in parts], axis=-1) for i in (0, 2))
    equal(passes(bl.GroupNorm(3, **off), x, dy), (y, {}, dx, {}))


@pytest.mark.parametrize("layer", [bl.GroupNorm(2), bl.InstanceNorm()])
def test_padded_steps_do_not_count_within_a_row(layer):
    x, dy, mask = rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 5, 3, 4)), np.array([[1, 1, 1, 0, 0.0], [1] * 5])
    dy[0, 3:] = 0.0
    y, _, dx, grads = passes(layer, x, dy, mask)
    short, whole = passes(layer, x[:1, :3], dy[:1, :3]), passes(layer, x[1:], dy[1:])
    for i, found in ((0, y), (2, dx)):
        np.testing.assert_allclose(found[:1, :3], short[i], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found[1:], whole[i], rtol=1e-12, atol=1e-12)
    equal(grads, tree.map(np.add, short[3], whole[3]))


@both
@pytest.mark.parametrize("shape", LARGE)
def test_means_of_rows_and_sums_of_columns(home, shape):
    x = rng.normal(size=shape)
    sent = home.asarray(x.astype("f"))
    np.testing.assert_allclose(home.row_mean(sent), x.mean(-1, keepdims=True), atol=1e-5)
    wanted = x.reshape(shape[0], -1, shape[-1]).sum(1)
    np.testing.assert_allclose(home.column_sum(sent.reshape(shape[0], -1, shape[-1])), wanted, rtol=1e-4, atol=1e-3)


def test_rms_norm_gives_rows_of_length_root_d():
    x = rng.normal(size=(5, 4))
    y = passes(bl.RMSNorm(epsilon=1e-15), x, x)[0]
    np.testing.assert_allclose(y, sklearn.preprocessing.normalize(x) * 2.0, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_local_response_norm_against_loops(size):
    x, layer = rng.normal(size=(2, 3, 6)), bl.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=1.5)
    wanted = np.empty_like(x)
    for c in range(6):
        near = range(max(0, c - (size - 1) // 2), min(5, c + size // 2) + 1)
        wanted[..., c] = x[..., c] / (1.5 + 0.3 / size * sum(x[..., j] ** 2 for j in near)) ** 0.6
    np.testing.assert_allclose(passes(layer, x, x)[0], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("net", "shape", "wanted"),
    [
        (bl.BatchNorm(), (), "batch_norm_1: BatchNorm expected rows with a channel axis, got scalars; use Reshape((1,)) first"),
        (bl.LayerNorm(), (1,), "layer_norm_1: LayerNorm with axes=1 expected rows with at least 2 numbers along as many axes, "
         "got (1,); one number has no variance"),
        (bl.LayerNorm(axes=3), (4, 5), "layer_norm_1: LayerNorm with axes=3 expected rows with at least 2 numbers along as "
         "many axes, got (4, 5); one number has no variance"),
        (bl.GroupNorm(4), (3, 6), "group_norm_1: GroupNorm with groups=4 expected channels that this divides, got 6"),
        (bl.InstanceNorm(), (6,), "instance_norm_1: InstanceNorm expected rows with at least 2 numbers a group, got (6,); "
         "one number has no variance"),
        (bl.RMSNorm(), (), "rmsnorm_1: RMSNorm expected rows with a feature axis, got scalars; use Reshape((1,)) first"),
        (bl.WeightNorm(bl.Tanh()), (6,), "weight_norm_1: WeightNorm expected a layer with weights 'W', got Tanh with the "
         "parameters: none; set names"),
        (bl.DropConnect(bl.Dense(2), names=("b",)), (6,), "drop_connect_1: DropConnect expected a layer with weights 'b', got "
         "Dense with the parameters: W, b; set names"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, bl.Layer) else "",
)  # fmt: skip
def test_rows_that_do_not_fit_are_told(net, shape, wanted):
    with pytest.raises(ShapeError) as caught:
        bl.Chain(net).init(random.key(0), shape)
    assert str(caught.value) == wanted


def test_what_looks_at_all_steps_cannot_go_step_by_step():
    with pytest.raises(BacklitError, match=r"^GroupNorm averages over all time steps.*; use LayerNorm$"):
        bl.GroupNorm(2).memory({}, 3, 5)
    layer = bl.LayerNorm(axes=2)
    params, state = start(layer, (5, 4))
    with pytest.raises(BacklitError, match=r"^LayerNorm with axes=2 averages over all time steps.*; use axes=1$"):
        layer.step(params, state, {}, np.ones((3, 1, 4)), Context())


# WeightNorm


def test_weight_norm_starts_as_the_layer_and_has_columns_of_length_g():
    layer = bl.WeightNorm(bl.Dense(3))
    _, params, state = layer.init(random.key(0), (5,))
    x = rng.normal(size=(4, 5)).astype("f")
    W = bl.Dense(3).init(random.fold(random.key(0), "layer"), (5,))[1]["W"]
    np.testing.assert_allclose(layer.forward(params, state, x, Context())[0], x @ W, rtol=1e-5, atol=1e-6)
    inner = params["layer"]
    longer = {"layer": {**inner, "W": {"v": inner["W"]["v"] * 7.0, "g": np.full(3, 2.0, "f")}}}
    found = layer.forward(longer, state, np.eye(5, dtype="f"), Context())[0]
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 2.0, rtol=1e-6)


def test_weight_norm_moves_v_at_right_angles():
    layer = bl.WeightNorm(bl.Dense(3, b=None))
    params, state = start(layer, (5,))
    x, dy = rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
    grads = passes(layer, x, dy, params=params, state=state)[3]["layer"]["W"]
    W = params["layer"]["W"]["v"]
    np.testing.assert_allclose((grads["v"] * W).sum(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(grads["g"], (W / np.linalg.norm(W, axis=0) * (x.T @ dy)).sum(axis=0), rtol=1e-6)


def test_weights_of_zero_get_a_direction():
    layer = bl.WeightNorm(bl.Dense(3, W="Zeros"))
    params, _ = start(layer, (5,))
    x, dy = rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
    y, _, _, grads = passes(layer, x, dy, params=params)
    assert not np.any(y)
    assert np.all(grads["layer"]["W"]["g"] != 0)


def test_wrapped_layers_are_seen_by_their_paths():
    net = bl.Chain(bl.WeightNorm(bl.Dense(4)), bl.DropConnect(bl.Dense(3)))
    assert paths(net) == ["weight_norm_1", "weight_norm_1.layer", "drop_connect_1", "drop_connect_1.layer"]
    _, params, state = net.init(random.key(0), (5,))
    x, ctx = rng.normal(size=(6, 5)), Context(train=True, root=random.key(1))
    trace = gradient(net, bl.SquaredError(), params, state, x, np.zeros((6, 3)), ctx)[3]
    seen = signals(trace)
    assert set(seen) == set(paths(net))
    assert seen["drop_connect_1.layer"][1].shape == (6, 3)


@pytest.mark.parametrize("wrapper", [bl.WeightNorm, bl.DropConnect])
def test_a_layer_that_holds_layers_is_refused(wrapper):
    name = wrapper.__name__
    text = f"^layer: expected a layer with weights of its own, got Chain, which holds layers; put {name} around those within"
    with pytest.raises(SettingError, match=text):
        wrapper(bl.Chain(bl.Dense(3)))


# DropConnect


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_drop_connect_drops_its_share_of_the_weights_and_of_their_gradients(rate):
    layer = bl.DropConnect(bl.Dense(60), rate)
    params, state = start(layer, (50,))
    eye, W = np.eye(50), params["layer"]["W"]
    y, _, _, grads = passes(layer, eye, np.ones((50, 60)), params=params, state=state)
    dropped = y == 0
    assert np.mean(dropped) == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 3000) ** 0.5)
    np.testing.assert_allclose(y, np.where(dropped, 0.0, W / (1 - rate)))
    np.testing.assert_allclose(grads["layer"]["W"], np.where(dropped, 0.0, 1 / (1 - rate)))
    np.testing.assert_allclose(grads["layer"]["b"], 50.0)
    np.testing.assert_allclose(passes(layer, eye, y, train=False, params=params)[0], W)


def test_drop_connect_draws_by_the_name_of_the_weights():
    layer = bl.DropConnect(bl.RNN(20), names=("W", "U"))
    params, _ = start(layer, (4, 20))
    used = layer.used(params["layer"], random.key(0))
    assert np.any((used["W"] == 0) != (used["U"] == 0))
    np.testing.assert_array_equal(used["b"], params["layer"]["b"])


# XLA


def test_a_compiled_loop_trains_with_running_statistics():
    """The state goes through a scan as the trainer's does."""
    layer = bl.BatchNorm()
    params, state = tree.map(jnp.asarray, start(layer, (4,), np.float32))
    x = rng.normal(2.0, 3.0, size=(30, 64, 4)).astype("f")

    def step(state, x):
        return layer.forward(params, state, x, Context(train=True))[1], ()

    state, _ = XLA.compile(lambda s, x: XLA.scan(step, s, x))(state, x)
    np.testing.assert_allclose(state["mean"], 2.0, atol=0.5)
    np.testing.assert_allclose(state["variance"], 9.0, rtol=0.2)
