"""The protocol: one pass, everything seen on the way, keys folded by name, errors with the layer's path."""

from dataclasses import FrozenInstanceError
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import backlit as bl
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.protocol import Context, Seen, gradient, paths, signals

X = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])


def one_pass(net: Any, train: bool = False) -> Any:
    _, params, state = net.init(random.key(0), (5,))
    ctx = Context(train=train, root=random.key(1))
    return params, gradient(net, bl.SoftmaxCrossEntropy(), params, state, X, LABELS, ctx)


# The pass


def test_two_layers_by_hand():
    net = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3))
    params, (value, grads, state, trace) = one_pass(net)
    W1, b1, W2, b2 = (params[n][p] for n in ("dense_1", "dense_2") for p in ("W", "b"))
    z1 = X @ W1 + b1
    a1 = np.tanh(z1)
    z2 = a1 @ W2 + b2
    p = np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True)
    assert float(value) == pytest.approx(-np.log(p[np.arange(7), LABELS]).mean(), rel=1e-5)
    delta2 = (p - np.eye(3)[LABELS]) / 7
    delta1 = delta2 @ W2.T * (1 - a1**2)
    wanted = {
        "dense_1": {"W": X.T @ delta1, "b": delta1.sum(axis=0)},
        "dense_2": {"W": a1.T @ delta2, "b": delta2.sum(axis=0)},
        "tanh_1": {},
    }
    for path, leaf in tree.flatten(wanted).items():
        np.testing.assert_allclose(tree.flatten(grads)[path], leaf, rtol=1e-4, atol=1e-6, err_msg=path)
    seen = signals(trace)
    for path, (y, delta) in {"dense_1": (z1, delta1), "tanh_1": (a1, delta2 @ W2.T), "dense_2": (z2, delta2)}.items():
        np.testing.assert_allclose(seen[path][0], y, rtol=1e-4, atol=1e-6, err_msg=path)
        np.testing.assert_allclose(seen[path][1], delta, rtol=1e-4, atol=1e-6, err_msg=path)
    np.testing.assert_allclose(trace.dx, delta1 @ W1.T, rtol=1e-4, atol=1e-6)
    assert state == {"dense_1": {}, "tanh_1": {}, "dense_2": {}}


def test_sample_weights_reach_the_gradient():
    net = bl.Chain(bl.Dense(3))
    _, params, state = net.init(random.key(0), (5,))
    some = np.array([1, 0, 1, 0, 0, 0, 1], dtype=np.float32)
    keep = some > 0
    weighted = gradient(net, bl.SoftmaxCrossEntropy(), params, state, X, LABELS, Context(), some)
    fewer = gradient(net, bl.SoftmaxCrossEntropy(), params, state, X[keep], LABELS[keep])
    assert float(weighted[0]) == pytest.approx(float(fewer[0]), rel=1e-5)
    np.testing.assert_allclose(weighted[1]["dense_1"]["W"], fewer[1]["dense_1"]["W"], rtol=1e-4, atol=1e-6)


def test_a_pass_changes_nothing_it_was_given():
    net = bl.Chain(bl.Dense(4), bl.ReLU(), bl.Dense(3))
    _, params, state = net.init(random.key(0), (5,))
    kept, x = tree.map(np.copy, params), X.copy()
    gradient(net, bl.SoftmaxCrossEntropy(), params, state, x, LABELS)
    np.testing.assert_array_equal(x, X)
    for old, new in zip(tree.leaves(kept), tree.leaves(params), strict=True):
        np.testing.assert_array_equal(old, new)


def test_layers_hold_no_arrays_and_cannot_be_changed():
    layer = bl.Dense(3)
    layer.init(random.key(0), (5,))
    assert vars(layer).keys() == {"units", "W", "b"}
    with pytest.raises(FrozenInstanceError):
        layer.units = 4


# The tap


DEEP = bl.Chain(
    bl.Dense(4),
    bl.Residual(bl.Dense(4), bl.Chain(bl.Tanh())),
    fork=bl.Branch(bl.Dense(2), bl.Chain(bl.Dense(3), bl.ReLU()), join="concatenate"),
    out=bl.Dense(3),
)


def test_signals_of_a_deep_net_name_every_layer():
    _, (_, _, _, trace) = one_pass(DEEP)
    seen = signals(trace)
    assert set(seen) == set(paths(DEEP))
    for path, (y, delta) in seen.items():
        assert y.shape == delta.shape, path
        assert y.shape[0] == 7, path
    assert seen["fork"][0].shape == (7, 5)
    assert seen["fork.dense_1"][0].shape == (7, 2)
    assert seen["fork.chain_1.relu_1"][0].shape == (7, 3)


def test_paths_come_in_the_order_of_the_forward_pass():
    assert paths(DEEP) == [
        "dense_1", "residual_1", "residual_1.dense_1", "residual_1.chain_1", "residual_1.chain_1.tanh_1",
        "fork", "fork.dense_1", "fork.chain_1", "fork.chain_1.dense_1", "fork.chain_1.relu_1", "out",
    ]  # fmt: skip
    assert paths(bl.Dense(3)) == []


def test_signals_of_a_single_layer():
    _, (_, _, _, trace) = one_pass(bl.Dense(3))
    y, delta = signals(trace)[""]
    assert y.shape == delta.shape == (7, 3)


def test_deltas_are_gradients_at_the_outputs():
    """Each delta is dL/dy of its layer: moving that output by a constant changes the loss by delta's sum."""
    _, (_, _, _, trace) = one_pass(DEEP)
    _, params, state = DEEP.init(random.key(0), (5,))
    with jax.enable_x64(True):
        as64 = lambda t: tree.map(lambda a: jnp.asarray(a, jnp.float64), t)  # noqa: E731
        shifted = as64(params)

        def loss(b):
            moved = {**shifted, "dense_1": {**shifted["dense_1"], "b": b}}
            return bl.SoftmaxCrossEntropy()(DEEP.forward(moved, state, as64(X), Context())[0], jnp.asarray(LABELS))[0]

        wanted = jax.grad(loss)(shifted["dense_1"]["b"])
    np.testing.assert_allclose(signals(trace)["dense_1"][1].sum(axis=0), wanted, rtol=1e-4, atol=1e-6)


def test_signals_work_inside_a_compiled_step():
    _, params, state = DEEP.init(random.key(0), (5,))

    @jax.jit
    def spread(params, x):
        trace = gradient(DEEP, bl.SoftmaxCrossEntropy(), params, state, x, jnp.asarray(LABELS))[3]
        return {path: (y.std(), delta.std()) for path, (y, delta) in signals(trace).items()}

    found = spread(tree.map(jnp.asarray, params), jnp.asarray(X))
    _, (_, _, _, trace) = one_pass(DEEP)
    for path, (y, delta) in signals(trace).items():
        np.testing.assert_allclose(found[path], (y.std(), delta.std()), rtol=1e-3, atol=1e-6)


def test_caches_hold_no_parameters():
    _, (_, _, _, trace) = one_pass(DEEP)
    params, _ = one_pass(DEEP)
    held = {id(leaf) for leaf in tree.leaves(trace.cache)}
    assert not held & {id(leaf) for leaf in tree.leaves(params)}
    assert isinstance(trace.cache, Seen)


# Keys


def test_a_child_draws_by_its_name():
    ctx = Context(train=True, root=random.key(0))
    np.testing.assert_array_equal(ctx.key, random.key(0))
    np.testing.assert_array_equal(ctx.at("a").at("b").key, random.fold(random.fold(random.key(0), "a"), "b"))
    assert ctx.at("a").train


def test_an_added_layer_changes_no_other_mask():
    small = bl.Chain(bl.Dense(5), drop=bl.Dropout(0.5))
    large = bl.Chain(bl.Dense(5), bl.Residual(bl.Dropout(0.0)), drop=bl.Dropout(0.5))
    masks = []
    for net in (small, large):
        _, params, state = net.init(random.key(0), (5,))
        y, _, _ = net.forward(params, state, X, Context(train=True, root=random.key(3)))
        masks.append(y == 0)
    np.testing.assert_array_equal(*masks)


def test_two_dropouts_draw_two_masks():
    net = bl.Branch(bl.Dropout(0.5), bl.Dropout(0.5), join="concatenate")
    y, _, _ = net.forward(*net.init(random.key(0), (5,))[1:], X, Context(train=True, root=random.key(3)))
    assert np.any((y[:, :5] == 0) != (y[:, 5:] == 0))


def test_a_draw_without_a_key_says_which_layer_and_what_to_write():
    net = bl.Chain(bl.Dense(3), block=bl.Chain(bl.Dropout(0.5)))
    _, params, state = net.init(random.key(0), (5,))
    with pytest.raises(
        BacklitError, match=r"^block\.dropout_1: this layer draws random numbers; pass Context\(train=Tr"
    ):
        net.forward(params, state, X, Context(train=True))
    net.forward(params, state, X, Context(train=False))


# Composition


def test_names_are_kinds_and_numbers():
    net = bl.Chain(bl.Dense(4), bl.LeakyReLU(), bl.Dense(4), head=bl.Dense(2))
    assert [name for name, _ in net.layers] == ["dense_1", "leaky_relu_1", "dense_2", "head"]
    assert net["head"] == bl.Dense(2)
    assert net["dense_2"] == bl.Dense(4)
    with pytest.raises(SettingError, match=r"unknown layer 'dense_3'; did you mean 'dense_2'\?"):
        net["dense_3"]


def test_an_empty_chain_is_the_identity():
    net = bl.Chain()
    y, state, cache = net.forward({}, {}, X, Context())
    np.testing.assert_array_equal(y, X)
    assert net.backward({}, cache, X)[0] is X
    assert (state, cache) == ({}, {})


def test_residual_adds_the_error_signal():
    net = bl.Residual(bl.Dense(5, W="Zeros"))
    _, params, state = net.init(random.key(0), (5,))
    y, _, cache = net.forward(params, state, X, Context())
    np.testing.assert_array_equal(y, X)
    dx, grads, _ = net.backward(params, cache, X)
    np.testing.assert_array_equal(dx, X)
    assert np.any(grads["dense_1"]["W"] != 0)


def test_branch_adds_or_concatenates():
    add = bl.Branch(bl.Chain(), bl.Residual())
    y, _, _ = add.forward(*add.init(random.key(0), (5,))[1:], X, Context())
    np.testing.assert_allclose(y, X + (X + X), rtol=1e-6)
    side = bl.Branch(bl.Dense(2), bl.Dense(3), join="concatenate")
    assert side.init(random.key(0), (4, 5))[0] == (4, 5)


@pytest.mark.parametrize(
    ("net", "shape", "wanted"),
    [
        (bl.Chain(bl.Dense(3), block=bl.Residual(bl.Dense(4))), (5,),
         "block: Residual adds its input, expected layers that keep the shape (3,), got (4,)"),
        (bl.Chain(deep=bl.Chain(bl.Reshape((4,)))), (5,),
         "deep.reshape_1: Reshape expected rows that fit (4,), got rows of shape (5,) with 5 values"),
        (bl.Chain(bl.Reshape((2, -1))), (5,),
         "reshape_1: Reshape expected rows that fit (2, -1), got rows of shape (5,) with 5 values"),
        (bl.Chain(bl.Dense(2)), (),
         "dense_1: Dense expected rows with at least one feature axis, got scalars; use Reshape((1,)) first"),
        (bl.Branch(bl.Dense(2), bl.Dense(3)), (5,),
         "Branch with join='add' expected outputs that fit, got [(2,), (3,)]"),
        (bl.Branch(bl.Chain(), bl.Flatten(), join="concatenate"), (4, 5),
         "Branch with join='concatenate' expected outputs that fit, got [(4, 5), (20,)]"),
        (bl.Branch(), (5,), "Branch expected at least one layer, got none"),
        (bl.Chain(bl.Dense(3, b="Orthogonal")), (5,),
         "dense_1: Orthogonal needs a parameter with at least two axes, got (3,); use Normal or Uniform"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_told_with_the_path_of_the_layer(net, shape, wanted):
    with pytest.raises(ShapeError) as caught:
        net.init(random.key(0), shape)
    assert str(caught.value) == wanted
