"""Blocks of residual nets against the same written out with single layers."""

import numpy as np
import pytest

import backlit as bl
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.evaluation.cost import costs
from backlit.gradcheck import check_gradients
from backlit.protocol import Context, gradient, paths, signals

X = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("f")
TRAIN = Context(train=True)


def forward(layer, params, state, x, ctx=TRAIN):
    return layer.forward(params, state, x, ctx)[0]


def inside(net, params, state, x):
    """x through the layers of a Chain that stand in `params`, and where it stops."""
    for name, layer in net.children():
        x = forward(layer, params[name], state[name], x)
    return x


@pytest.mark.parametrize(
    ("block", "convolutions"),
    [
        (bl.BasicBlock(6, stride=2), [(3, 3, 3, 6), (3, 3, 6, 6)]),
        (bl.BottleneckBlock(8, stride=2), [(1, 1, 3, 2), (3, 3, 2, 2), (1, 1, 2, 8)]),
        (bl.PreActivationBlock(6, stride=2), [(3, 3, 3, 6), (3, 3, 6, 6)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_block_is_a_shortcut_and_its_convolutions(block, convolutions):
    shape, params, state = block.init(random.key(0), X.shape[1:])
    main, way = params["sum"]["main"], params["sum"]["shortcut"]
    assert shape == (3, 2, block.channels)
    assert [leaf["W"].shape for name, leaf in main.items() if name.startswith("conv")] == convolutions
    assert way["conv"]["W"].shape == (1, 1, 3, block.channels)
    assert not any(path.endswith(".b") for path in tree.flatten(params)), "normalisation has the biases"
    both = dict(block.children())["sum"]
    f, s = both["main"], both["shortcut"]
    y = inside(f, main, state["sum"]["main"], X) + forward(s, way, state["sum"]["shortcut"], X)
    y = y if isinstance(block, bl.PreActivationBlock) else np.maximum(y, 0)
    np.testing.assert_allclose(forward(block, params, state, X), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "block",
    [
        bl.BasicBlock(5, stride=2),
        bl.BasicBlock(4, shortcut="pad"),
        bl.BottleneckBlock(4, stride=2),
        bl.PreActivationBlock(3),
    ],
    ids=lambda block: type(block).__name__,
)
@pytest.mark.parametrize("train", [True, False], ids=["train", "evaluate"])
def test_gradients_on_images(block, train):
    x, y = np.random.default_rng(0).normal(size=(3, 4, 3, 2)), block.init(random.key(0), (4, 3, 2))[0]
    check = check_gradients(block, bl.SquaredError(), x, np.ones((3, *y)), train=train)
    assert check.passed, str(check)


@pytest.mark.parametrize("kind", ["projection", "pad"])
@pytest.mark.parametrize("cls", [bl.BasicBlock, bl.BottleneckBlock, bl.PreActivationBlock])
def test_the_shortcut_is_the_identity_where_the_shape_stays(cls, kind):
    block, x = cls(4, shortcut=kind), np.abs(np.random.default_rng(0).normal(size=(2, 4, 4, 4))).astype("f")
    _, params, state = block.init(random.key(0), (4, 4, 4))
    assert not tree.leaves(params["sum"]["shortcut"])
    nothing = tree.map_with_path(lambda path, w: w * 0 if "gamma" in path or "conv" in path else w, params)
    np.testing.assert_array_equal(forward(block, nothing, state, x), x)


def test_pad_shortcut_takes_every_second_pixel_and_adds_channels():
    layer = bl.layers.PadShortcut(5, stride=2)
    y, _, cache = layer.forward({}, {}, X, TRAIN)
    np.testing.assert_array_equal(y[..., :3], X[:, ::2, ::2])
    assert y.shape == (2, 3, 2, 5)
    assert not y[..., 3:].any()
    wanted = np.zeros_like(X)
    wanted[:, ::2, ::2] = 2.0
    np.testing.assert_array_equal(layer.backward({}, cache, np.full_like(y, 2.0))[0], wanted)


def test_a_deep_stack_of_blocks_carries_the_signal():
    net = bl.Chain(*[bl.PreActivationBlock(3) for _ in range(20)])
    _, params, state = net.init(random.key(0), X.shape[1:])
    zero = tree.map_with_path(lambda path, w: w * 0 if path.endswith("conv_2.W") else w, params)
    *_, trace = gradient(net, bl.SquaredError(), zero, state, X, np.zeros_like(X), TRAIN)
    np.testing.assert_allclose(trace.dx, trace.deltas.here, rtol=1e-5)


def test_blocks_show_what_is_within_and_are_counted():
    net = bl.Chain(bl.BasicBlock(4, stride=2), bl.SqueezeExcite(2), bl.PreActivationBlock(4), bl.GlobalAveragePool())
    _, params, state = net.init(random.key(0), (8, 8, 3))
    x = np.ones((2, 8, 8, 3), "f")
    seen = signals(gradient(net, bl.SquaredError(), params, state, x, np.zeros((2, 4), "f"), TRAIN)[3])
    assert "basic_block_1.sum.main.conv_1" in seen
    assert "squeeze_excite_1.excite" in seen
    assert set(seen) <= set(paths(net))
    found = costs(net, (8, 8, 3))
    assert found["basic_block_1"].parameters == tree.size(params["basic_block_1"])
    assert found.parameters == tree.size(params)


@pytest.mark.parametrize(
    ("make", "error", "wanted"),
    [
        (lambda: bl.BottleneckBlock(6), SettingError, "channels: expected a multiple of 4, got 6"),
        (lambda: bl.BasicBlock(4, shortcut="none"), SettingError, "shortcut: expected 'projection' or 'pad', got 'none'"),
        (lambda: bl.layers.PadShortcut(2).init(random.key(0), (4, 4, 3)), ShapeError,
         "PadShortcut expected rows with at most 2 channels, got (4, 4, 3)"),
        (lambda: bl.Gate(bl.Dense(2)).init(random.key(0), (4, 3)), ShapeError,
         "Gate multiplies its input, expected layers that give (4, 3), got (4, 2)"),
        (lambda: bl.Gate().init(random.key(0), (3,)), ShapeError, "Gate multiplies its input, expected layers that give (3,)"),
        (lambda: bl.layers.PadShortcut(4, stride=2).memory({}, 2, 3), BacklitError,
         "PadShortcut needs the whole sequence, so it cannot go step by step"),
    ],
)  # fmt: skip
def test_what_cannot_be(make, error, wanted):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(wanted)


# Gates


def test_squeeze_excite_is_a_weight_for_each_channel():
    layer = bl.SqueezeExcite(2)
    x = np.concatenate([X, X + 1], axis=-1)  # (2, 5, 4, 6)
    _, params, state = layer.init(random.key(0), x.shape[1:])
    (W1, b1), (W2, b2) = ([params[name][p] for p in ("W", "b")] for name in ("squeeze", "excite"))
    s = 1 / (1 + np.exp(-(np.maximum(x.mean(axis=(1, 2)) @ W1 + b1, 0) @ W2 + b2)))
    assert W1.shape == (6, 3)
    np.testing.assert_allclose(forward(layer, params, state, x), x * s[:, None, None, :], rtol=1e-5)


def test_a_gate_sums_over_what_it_repeated():
    gate = bl.Gate(bl.Dense(1))
    _, params, state = gate.init(random.key(0), (4, 3))
    x = X[:, :4, 0]
    y, _, cache = gate.forward(params, state, x, TRAIN)
    dx, grads, _ = gate.backward(params, cache, np.ones_like(y))
    W = params["dense_1"]["W"]
    np.testing.assert_allclose(y, x * (x @ W), rtol=1e-5)
    np.testing.assert_allclose(grads["dense_1"]["W"][:, 0], np.einsum("btc,bt->c", x, x.sum(axis=2)), rtol=1e-4)
    np.testing.assert_allclose(dx, (x @ W) + x.sum(axis=2, keepdims=True) * W[:, 0], rtol=1e-4, atol=1e-5)
