"""Recurrent layers: against ONNX' operators, padding, truncation in time, dropout, cells, directions, bad inputs."""

from dataclasses import dataclass
from typing import Any

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows.base import label
from rows.recurrent import Mean, OwnLSTM

import backlit as bl
from backlit import engine
from backlit.engine import random, tree
from backlit.errors import BacklitError, SettingError, ShapeError
from backlit.protocol import Context

B, T, D, H = 4, 5, 3, 2
LENGTHS = np.array([5, 2, 0, 4])
MASK = (np.arange(T) < LENGTHS[:, None]).astype(float)
KINDS = pytest.mark.parametrize(
    "layer",
    [bl.RNN(H), bl.RNN(H, activation="relu"), bl.LSTM(H), bl.GRU(H), bl.GRU(H, reset="before")],
    ids=["rnn", "relu", "lstm", "gru", "gru-before"],
)


def start(layer, seed=0, shape=(T, D)):
    """Parameters off their start, state, x and dy, in float64."""
    rng = np.random.default_rng(seed)
    out, params, state = layer.init(random.key(seed), shape)
    params = tree.map(lambda w: w + 0.3 * rng.normal(size=w.shape), params)
    return params, tree.map(np.float64, state), rng.normal(size=(B, *shape)), rng.normal(size=(B, *out))


def both(layer, params, state, x, dy, ctx=Context()):
    """y, dx and the gradients."""
    y, _, cache = layer.forward(params, state, x, ctx)
    dx, grads, _ = layer.backward(params, cache, dy)
    return y, dx, grads


def close(a, b, tolerance=1e-12):
    for one, other in zip(tree.leaves(a), tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


# Every setting by itself


@pytest.mark.parametrize("settings", [
    {}, {"returns": "last"}, {"layer_norm": True}, {"dropout": 0.4}, {"recurrent_dropout": 0.4}, {"stateful": B},
    {"layer_norm": True, "recurrent_dropout": 0.4, "returns": "last"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("kind", "own"), [
    (bl.RNN, {}), (bl.RNN, {"activation": "relu"}), (bl.LSTM, {}), (bl.LSTM, {"peepholes": True}), (bl.GRU, {}),
    (bl.GRU, {"reset": "before"}),
])  # fmt: skip
def test_gradients_agree_with_differences(kind, own, settings):
    layer = kind(3, **own, **settings)
    params, state, x, dy = start(layer)
    state = tree.map(lambda a: a + 0.5, state)
    check = bl.check_gradients(layer, bl.SquaredError(), x, dy, params=params, state=state, mask=MASK)
    assert check.passed, str(check)


# ONNX


def onnx_order(a, order, axis=-1):
    """Blocks of gates in another order."""
    parts = np.split(a, len(order), axis=axis)
    return np.concatenate([parts[i] for i in order], axis=axis)


def onnx_weights(layer, params):
    """One direction's W, R, B and P as ONNX lays them out."""
    order = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}[type(layer).__name__]
    b = params["b"]
    second = np.zeros(len(order) * H)
    if b.size > second.size:  # GRU: the candidate's bias within the reset
        b, second[-H:] = b[:-H], b[-H:]
    W, R = (onnx_order(params[name], order).T for name in ("W", "U"))
    P = onnx_order(params["P"].reshape(-1), [0, 2, 1]) if "P" in params else np.zeros(0)
    return W, R, np.concatenate([onnx_order(b, order), second]), P


def onnx_outputs(layers, all_params, x, lengths):
    """Y (B, T, directions, H) and Y_h (B, directions, H) of ONNX' operator, by onnxruntime."""
    import onnxruntime
    from onnx import TensorProto, helper

    layer = layers[0]
    kind = type(layer).__name__
    weights = [onnx_weights(layer, params) for layer, params in zip(layers, all_params, strict=True)]
    W, R, b, P = (np.stack(a).astype("f") for a in zip(*weights, strict=True))
    feeds = {"X": x.swapaxes(0, 1).astype("f"), "W": W, "R": R, "B": b, "lens": lengths.astype(np.int32)}
    names = ["X", "W", "R", "B", "lens"]
    settings: dict[str, Any] = {"hidden_size": H, "direction": "forward" if len(layers) == 1 else "bidirectional"}
    if kind == "RNN":
        settings["activations"] = [layer.activation.capitalize()] * len(layers)
    if kind == "GRU":
        settings["linear_before_reset"] = int(layer.reset == "after")
    if P.size:
        feeds["P"] = P
        names += ["", "", "P"]
    node = helper.make_node(kind, names, ["Y", "Y_h"], **settings)
    types = {"lens": TensorProto.INT32}
    inputs = [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), a.shape) for n, a in feeds.items()]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("Y", "Y_h")]
    graph = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    Y, Y_h = session.run(None, feeds)
    return Y.transpose(2, 0, 1, 3), Y_h.swapaxes(0, 1)


ONNX = [
    bl.RNN(H), bl.RNN(H, activation="relu"), bl.LSTM(H), bl.LSTM(H, peepholes=True), bl.GRU(H), bl.GRU(H, reset="before"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("layer", ONNX, ids=label)
def test_agrees_with_onnx(layer, seed):
    params, state, x, _ = start(layer, seed)
    Y, Y_h = onnx_outputs([layer], [params], x, LENGTHS)
    y, _, _ = layer.forward(params, state, x, Context(mask=MASK))
    close(y, Y[:, :, 0], 1e-5)
    last = type(layer).from_plain({**layer.to_plain(), "returns": "last"})
    close(last.forward(params, state, x, Context(mask=MASK))[0], Y_h[:, 0], 1e-5)


@pytest.mark.parametrize("layer", ONNX, ids=label)
def test_both_directions_agree_with_onnx(layer):
    net = bl.Bidirectional(layer)
    params, state, x, _ = start(net)
    Y, Y_h = onnx_outputs([layer, layer], [params["forward"], params["backward"]], x, LENGTHS)
    y, _, _ = net.forward(params, state, x, Context(mask=MASK))
    close(y, Y.reshape(B, T, 2 * H), 1e-5)
    last = bl.Bidirectional(type(layer).from_plain({**layer.to_plain(), "returns": "last"}))
    close(last.forward(params, state, x, Context(mask=MASK))[0], Y_h.reshape(B, 2 * H), 1e-5)


# Padding


PADDED = [
    bl.LSTM(H), bl.LSTM(H, returns="last", layer_norm=True), bl.GRU(H), bl.RNN(H), bl.Scan(OwnLSTM(H)),
    bl.Bidirectional(bl.GRU(H)), bl.Bidirectional(bl.LSTM(H, returns="last"), join="add"), bl.LastStep(),
    bl.Chain(bl.Bidirectional(bl.RNN(H)), bl.LSTM(H), bl.LastStep()),
]  # fmt: skip


@pytest.mark.parametrize("layer", PADDED, ids=label)
def test_a_padded_batch_is_each_row_alone(layer):
    params, state, x, dy = start(layer)
    x[MASK == 0] = np.nan  # what stands there has no say
    y, dx, grads = both(layer, params, state, x, dy, Context(mask=MASK))
    total = tree.map(np.zeros_like, params)
    for row, steps in enumerate(LENGTHS):
        if not steps:
            assert not np.any(y[row])
            assert not np.any(dx[row])
            continue
        part = dy[row : row + 1, :steps] if dy.ndim == 3 else dy[row : row + 1]
        y1, dx1, g1 = both(layer, params, state, x[row : row + 1, :steps], part)
        close(y[row, :steps] if y.ndim == 3 else y[row], y1[0])
        close(dx[row, :steps], dx1[0])
        assert not np.any(dx[row, steps:])
        assert y.ndim == 2 or not np.any(y[row, steps:])
        total = tree.map(np.add, total, g1)
    close(grads, total)


@KINDS
def test_padding_may_stand_anywhere(layer):
    params, state, x, _ = start(layer)
    real = np.array([[1, 0, 1, 1, 0]] * B)
    y = layer.forward(params, state, x, Context(mask=real.astype(float)))[0]
    close(y[:, real[0] == 1], layer.forward(params, state, x[:, real[0] == 1], Context())[0])


@KINDS
def test_a_mask_of_rows_hides_no_step(layer):
    params, state, x, _ = start(layer)
    y = layer.forward(params, state, x, Context(mask=np.array([1.0, 1.0, 0.0, 0.0])))[0]
    close(y, layer.forward(params, state, x, Context())[0])


# Truncated back-propagation through time


@KINDS
def test_chunks_of_a_stateful_layer_are_the_whole_sequence(layer):
    params, _, x, _ = start(layer, shape=(6, D))
    whole = layer.forward(params, {}, x, Context(train=True))[0]
    keeps = type(layer).from_plain({**layer.to_plain(), "stateful": B})
    _, _, state = keeps.init(random.key(0), (3, D))
    first, state, _ = keeps.forward(params, state, x[:, :3], Context(train=True))
    second, state, _ = keeps.forward(params, state, x[:, 3:], Context(train=True))
    close(np.concatenate([first, second], axis=1), whole)
    close(state["h"], whole[:, -1])
    fresh, same, _ = keeps.forward(params, state, x[:, :3], Context())
    close(fresh, first)
    close(same, state)


def test_no_gradient_crosses_the_border_of_a_chunk():
    layer = bl.LSTM(H)
    params, _, x, dy = start(layer, shape=(6, D))
    keeps = bl.LSTM(H, stateful=B)
    _, _, begin = keeps.init(random.key(0), (3, D))
    ctx = Context(train=True)
    with jax.enable_x64(True):

        def value(params, cut):
            y1, state, _ = keeps.forward(params, tree.map(jnp.float64, begin), jnp.asarray(x[:, :3]), ctx)
            state = tree.map(jax.lax.stop_gradient, state) if cut else state
            y2, _, _ = keeps.forward(params, state, jnp.asarray(x[:, 3:]), ctx)
            return jnp.sum(y1 * dy[:, :3]) + jnp.sum(y2 * dy[:, 3:])

        cut, full = (jax.jit(jax.grad(value), static_argnums=1)(params, c) for c in (True, False))
    state, total = tree.map(np.float64, begin), tree.map(np.zeros_like, params)
    for part in (slice(0, 3), slice(3, 6)):
        _, state, cache = keeps.forward(params, state, x[:, part], ctx)
        total = tree.map(np.add, total, keeps.backward(params, cache, dy[:, part])[1])
    close(total, cut)
    close(both(layer, params, {}, x, dy)[2], full)
    assert np.max(np.abs(cut["U"] - full["U"])) > 1e-3


def test_a_stateful_layer_wants_the_same_rows_in_every_batch():
    layer = bl.LSTM(H, stateful=3)
    params, state, x, _ = start(layer)
    with pytest.raises(ShapeError, match=r"^LSTM with stateful=3 expected as many rows in every batch, got 4; leave"):
        layer.forward(params, state, x, Context(train=True))
    assert layer.forward(params, state, x, Context())[0].shape == (B, T, H)


# Dropout


@KINDS
def test_dropout_drops_the_same_at_every_step(layer):
    layer = type(layer).from_plain({**layer.to_plain(), "dropout": 0.5, "recurrent_dropout": 0.2})
    params, state, x, _ = start(layer)
    y, _, cache = layer.forward(params, state, x, Context(train=True, root=random.key(1)))
    ratio = cache.x / x.swapaxes(0, 1)  # (T, B, D)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape))
    assert set(np.round(ratio.ravel(), 12)) == {0.0, 2.0}
    assert set(np.round(cache.keep_h.ravel(), 12)) <= {0.0, 1.25}
    other = layer.forward(params, state, x, Context(train=True, root=random.key(2)))[0]
    assert np.any(other != y)
    close(
        layer.forward(params, state, x, Context())[0], type(layer)(H, **own(layer)).forward(params, {}, x, Context())[0]
    )


def own(layer):
    return {k: v for k, v in layer.to_plain().items() if k in ("activation", "reset")}


def test_the_recurrent_mask_does_not_touch_what_the_update_gate_carries():
    layer = bl.GRU(H, recurrent_dropout=0.9)
    params, state, x, _ = start(layer)
    params["b"][H : 2 * H] = 50.0  # z = 1: the state is carried unchanged
    memory = {"h": np.full((B, H), 0.7)}
    _, after = layer.step(params, state, memory, x[:, :1], Context(train=True, root=random.key(0)))
    close(after, memory)


# Step by step


@KINDS
def test_step_of_the_last_state_is_the_last_so_far(layer):
    last = type(layer).from_plain({**layer.to_plain(), "returns": "last"})
    params, state, x, _ = start(last)
    memory = last.memory(params, B, T)
    for t in range(T):
        y, memory = last.step(params, state, memory, x[:, t : t + 1], Context())
        close(y, last.forward(params, state, x[:, : t + 1], Context())[0])


def test_a_padded_step_leaves_the_memory_as_it_was():
    layer = bl.LSTM(H)
    params, state, x, _ = start(layer)
    memory = tree.map(lambda a: a + 1.0, layer.memory(params, B, T))
    y, after = layer.step(params, state, memory, x[:, :1], Context(mask=np.array([[1.0], [0.0], [1.0], [0.0]])))
    assert not np.any(y[[1, 3]])
    close(after["c"][[1, 3]], memory["c"][[1, 3]])
    assert np.all(after["c"][[0, 2]] != memory["c"][[0, 2]])


# Where they start


def test_each_gate_is_drawn_by_itself():
    _, params, _ = bl.LSTM(8).init(random.key(0), (T, D))
    for U in np.split(params["U"], 4, axis=1):
        np.testing.assert_allclose(U @ U.T, np.eye(8), atol=1e-5)
    assert len({float(gate[0, 0]) for gate in np.split(params["W"], 4, axis=1)}) == 4
    assert np.max(np.abs(params["W"])) <= (6 / (D + 8)) ** 0.5
    np.testing.assert_array_equal(np.split(params["b"], 4), [[0] * 8, [1] * 8, [0] * 8, [0] * 8])


def test_weights_come_from_a_file(tmp_path):
    W = np.random.default_rng(0).normal(size=(D, 4 * H)).astype("f")
    np.save(tmp_path / "W.npy", W)
    layer = bl.LSTM(H, W={"type": "FromFile", "path": str(tmp_path / "W.npy")})
    np.testing.assert_array_equal(layer.init(random.key(0), (T, D))[1]["W"], W)


# Cells


def test_a_cell_written_by_hand_is_the_layer():
    layer, scan = bl.LSTM(H), bl.Scan(OwnLSTM(H))
    params, state, x, dy = start(layer)
    for mask in (None, MASK):
        ctx = Context(mask=mask)
        close(both(scan, params, state, x, dy, ctx), both(layer, params, state, x, dy, ctx))


@pytest.mark.parametrize("home", [engine.get("numpy"), engine.get("xla")], ids=["numpy", "xla"])
def test_a_cell_has_state_and_draws_anew_at_every_step(home):
    layer = bl.Scan(Mean(bl.Chain(bl.Dense(20), bl.Dropout(0.5))))
    _, params, state = layer.init(random.key(0), (T, D))
    params["dense_1"]["W"] *= 0.0
    params["dense_1"]["b"] += 1.0
    x, key = home.asarray(np.ones((B, T, D), "f")), home.asarray(random.key(1))
    run = home.compile(lambda p, s, x, k: layer.forward(p, s, x, Context(train=True, root=k))[:2])
    y, after = run(params, state, x, key)
    assert float(after["steps"]) == T
    y = np.asarray(y)
    new = 2 * y[:, 1:] - y[:, :-1]  # what f gave: 0 where dropped, else 2
    assert set(np.round(new.ravel(), 5)) == {0.0, 2.0}
    assert len(np.unique(new.swapaxes(0, 1).reshape(T - 1, -1), axis=0)) == T - 1


@dataclass(frozen=True)
class Picky(OwnLSTM):
    """A cell that wants four features."""

    def init(self, key: Any, shape: Any) -> Any:
        bl.protocol.need(shape == (4,), f"Picky expected 4 features, got {shape}")
        return super().init(key, shape)


def test_the_error_of_a_cell_names_its_place():
    with pytest.raises(ShapeError, match=r"^scan_1\.cell: Picky expected 4 features, got \(3,\)$"):
        bl.Chain(bl.Scan(Picky())).init(random.key(0), (T, D))


# Directions and ends


@pytest.mark.parametrize("returns", ["all", "last"])
def test_a_reversed_sequence_swaps_the_directions(returns):
    net = bl.Bidirectional(bl.GRU(H, returns=returns))
    params, state, x, _ = start(net)
    params["backward"] = params["forward"]
    y = net.forward(params, state, x, Context())[0]
    other = net.forward(params, state, x[:, ::-1], Context())[0]
    other = other if returns == "last" else other[:, ::-1]
    close(y, np.concatenate([other[..., H:], other[..., :H]], axis=-1))


def test_directions_have_parameters_and_places_of_their_own():
    net = bl.Bidirectional(bl.LSTM(H))
    _, params, _ = net.init(random.key(0), (T, D))
    assert np.any(params["forward"]["W"] != params["backward"]["W"])
    assert bl.paths(bl.Chain(net)) == ["bidirectional_1", "bidirectional_1.forward", "bidirectional_1.backward"]
    assert net == bl.Bidirectional(forward=bl.LSTM(H), backward=bl.LSTM(H))
    assert net.to_plain() == {"layers": [{"type": "LSTM", "units": H}]}


def test_both_directions_cannot_go_step_by_step():
    net = bl.Chain(bl.Bidirectional(bl.LSTM(H)))
    params = net.init(random.key(0), (T, D))[1]
    with pytest.raises(BacklitError, match="it cannot go step by step"):
        net.memory(params, B, T)


def test_last_step_takes_the_last_real_one():
    x = np.arange(12.0).reshape(3, 4, 1)
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]], float)
    y, _, cache = bl.LastStep().forward({}, {}, x, Context(mask=mask))
    assert y[:, 0].tolist() == [1.0, 0.0, 10.0]
    dx = bl.LastStep().backward({}, cache, np.ones((3, 1)))[0]
    assert dx[..., 0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


# Bad inputs


@pytest.mark.parametrize(("layer", "shape", "text"), [
    (bl.RNN(H), (D,), r"^RNN expected rows \(T, D\), a sequence of T >= 1 steps with D features, got \(3,\); put an Embed"),
    (bl.LSTM(H), (T, D, 2), r"^LSTM expected rows \(T, D\), .* got \(5, 3, 2\)$"),
    (bl.GRU(H), (0, D), r"^GRU expected rows \(T, D\), a sequence of T >= 1 steps with D features, got \(0, 3\)$"),
    (bl.Scan(OwnLSTM()), (), r"^Scan expected rows \(T, \.\.\.\), a sequence of T >= 1 steps, got \(\)$"),
    (bl.LastStep(), (0, D), r"^LastStep expected rows \(T, \.\.\.\), a sequence of T >= 1 steps, got \(0, 3\)$"),
    (bl.Bidirectional(bl.LSTM(H)), (D,), r"^Bidirectional expected rows \(T, D\), a sequence of T steps, got \(3,\)$"),
    (bl.Bidirectional(forward=bl.LSTM(H), backward=bl.LSTM(3), join="add"), (T, D), r"join='add' expected outputs that fit"),
    (bl.Bidirectional(forward=bl.LSTM(H), backward=bl.LSTM(H, returns="last")), (T, D), r"'concatenate' expected outputs"),
])  # fmt: skip
def test_rows_that_do_not_fit(layer, shape, text):
    with pytest.raises(ShapeError, match=text):
        layer.init(random.key(0), shape)


@pytest.mark.parametrize("layer", [bl.RNN(H), bl.LSTM(H), bl.GRU(H), bl.Scan(OwnLSTM(H)), bl.LastStep()], ids=label)
def test_sequences_and_masks_that_do_not_fit(layer):
    params, state, x, _ = start(layer)
    name = type(layer).__name__
    with pytest.raises(
        ShapeError, match=rf"^{name} expected sequences of at least one step, got x of shape \(4, 0, 3\)"
    ):
        layer.forward(params, state, x[:, :0], Context())
    for mask, got in ((np.ones((B, T + 1)), r"\(4, 6\)"), (np.ones(B + 1), r"\(5,\)"), ({"x": MASK}, "dict")):
        with pytest.raises(ShapeError, match=rf"^{name} expected a mask with one number a step, \(4, 5\), got {got}$"):
            layer.forward(params, state, x, Context(mask=mask))


@pytest.mark.parametrize(("make", "text"), [
    (lambda: bl.LSTM(0), r"^units: expected a number greater than or equal to 1, got 0$"),
    (lambda: bl.GRU(2, reset="never"), r"^reset: expected 'before' or 'after', got 'never'$"),
    (lambda: bl.RNN(2, activation="sigmoid"), r"^activation: expected 'tanh' or 'relu', got 'sigmoid'$"),
    (lambda: bl.LSTM(2, dropout=1.0), r"^dropout: expected a number less than 1, got 1.0$"),
    (lambda: bl.Bidirectional(), r"^layers: expected one layer for both directions, or forward= and backward=, got none$"),
    (lambda: bl.Bidirectional(bl.LSTM(2), bl.LSTM(2)), r"forward= and backward=, got lstm_1, lstm_2$"),
    (lambda: bl.Bidirectional(bl.LSTM(2), join="mean"), r"^join: expected 'add' or 'concatenate', got 'mean'$"),
    (lambda: bl.Scan(bl.Dense(2)), r"^cell: expected a Cell"),
])  # fmt: skip
def test_settings_that_do_not_fit(make, text):
    with pytest.raises(SettingError, match=text):
        make()


# The loop


@pytest.mark.parametrize("home", [engine.get("numpy"), engine.get("xla")], ids=["numpy", "xla"])
def test_scan_runs_backwards(home):
    total, ys = home.scan(
        lambda c, x: (2 * c + x, (c, x)), home.asarray(0.0), home.asarray([1.0, 2.0, 3.0]), reverse=True
    )
    assert float(total) == 1 + 2 * (2 + 2 * 3)
    assert ys[0].tolist() == [8.0, 3.0, 0.0]
    assert ys[1].tolist() == [1.0, 2.0, 3.0]


def test_scan_stays_in_the_namespace_of_its_arrays():
    _, ys = engine.of(strict.ones(2)).scan(lambda c, x: (c + x, c), strict.zeros(3), strict.ones((2, 3)))
    assert ys.__array_namespace__() is strict


def test_it_learns_what_lies_far_back():
    """The sign of the first number, told after the last of twelve."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 12, 1)).astype("f")
    labels = (x[:, 0, 0] > 0).astype(int)
    net = bl.Chain(bl.LSTM(12, returns="last"), bl.Dense(2))
    run = bl.train(net, (x, labels), optimizer=bl.Adam(0.02), epochs=20, batch_size=32, engine="numpy")
    assert max(epoch["accuracy"] for epoch in run.history) > 0.9
