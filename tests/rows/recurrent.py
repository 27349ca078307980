"""Rows of recurrent layers, of a cell run over time, of both directions, and of the last step."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import backlit as bl
from backlit.layers.recurrent.gates import blocks, sigmoid
from rows.base import B, I, LayerRow, O, lengths

T = 3
SHAPE = (T, I)
PADDED = lengths(3, 2, 0, 1, longest=T)


@dataclass(frozen=True)
class OwnLSTM(bl.Cell):
    """An LSTM cell as a user writes it: one step, forwards and backwards; layout and order of gates as in LSTM."""

    units: int = O

    def init(self, key: Any, shape: Any) -> Any:
        _, params, _ = bl.LSTM(self.units).init(key, (1, *shape))
        return (self.units,), params, {}

    def start(self, params: Any, rows: int) -> Any:
        U = params["U"]
        zeros = U.__array_namespace__().zeros((rows, self.units), dtype=U.dtype)
        return zeros, zeros

    def forward(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        x, (h, c) = x
        xp = x.__array_namespace__()
        z_i, z_f, z_g, z_o = blocks(x @ params["W"] + h @ params["U"] + params["b"], 4)
        i, f, g, o = sigmoid(z_i), sigmoid(z_f), xp.tanh(z_g), sigmoid(z_o)
        new = f * c + i * g
        y = o * xp.tanh(new)
        return (y, (y, new)), state, (x, h, c, i, f, g, o)

    def backward(self, params: Any, cache: Any, dy: Any) -> Any:
        x, h, c, i, f, g, o = cache
        xp, (dy, (dh, dc)) = x.__array_namespace__(), dy
        dh, t = dh + dy, xp.tanh(f * c + i * g)
        dc = dc + dh * o * (1.0 - t * t)
        delta = xp.concat(
            [dc * g * i * (1.0 - i), dc * c * f * (1.0 - f), dc * i * (1.0 - g * g), dh * t * o * (1.0 - o)], axis=-1
        )
        grads = {"W": x.T @ delta, "U": h.T @ delta, "b": xp.sum(delta, axis=0)}
        return (delta @ params["W"].T, (delta @ params["U"].T, dc * f)), grads, {}


@dataclass(frozen=True)
class Mean(bl.Cell):
    """Layers within a cell: y = h' = (h + f(x)) / 2, and a count of its steps as state."""

    f: bl.Layer = bl.Chain(bl.Dense(O), bl.Tanh())

    def init(self, key: Any, shape: Any) -> Any:
        out, params, state = self.f.init(key, shape)
        return out, params, {"f": state, "steps": np.zeros((), "f")}

    def start(self, params: Any, rows: int) -> Any:
        b = params["dense_1"]["b"]
        return {"h": b.__array_namespace__().zeros((rows, *b.shape), dtype=b.dtype)}

    def forward(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        x, h = x
        y, inner, cache = self.f.forward(params, state["f"], x, ctx)
        y = 0.5 * (h["h"] + y)
        return (y, {"h": y}), {"f": inner, "steps": state["steps"] + 1.0}, cache

    def backward(self, params: Any, cache: Any, dy: Any) -> Any:
        d = 0.5 * (dy[0] + dy[1]["h"])
        dx, grads, _ = self.f.backward(params, cache, d)
        return (dx, {"h": d}), grads, {}


MANY = {"returns": "last", "dropout": 0.3, "recurrent_dropout": 0.4, "stateful": B}
"""Settings one by one, and layer_norm for all, are in test_recurrent.py, where nothing is compiled."""

LAYERS = [
    LayerRow(bl.RNN(O), SHAPE, mask=PADDED, steps=True),
    LayerRow(bl.RNN(6, **MANY, activation="relu"), SHAPE, train=True),
    LayerRow(bl.LSTM(O), SHAPE, mask=PADDED, steps=True),
    LayerRow(bl.LSTM(12, **MANY, layer_norm=True, peepholes=True), SHAPE, train=True),
    LayerRow(bl.GRU(O), SHAPE, mask=PADDED, steps=True),
    LayerRow(bl.GRU(6, **MANY), SHAPE, train=True),
    LayerRow(bl.GRU(O, reset="before"), SHAPE, steps=True),
    LayerRow(bl.GRU(6, reset="before", layer_norm=True, recurrent_dropout=0.4), SHAPE, train=True, mask=PADDED),
    LayerRow(bl.Scan(OwnLSTM()), SHAPE, steps=True),
    LayerRow(bl.Scan(Mean()), SHAPE, train=True, mask=PADDED),
    LayerRow(bl.Bidirectional(bl.GRU(O), join="add"), SHAPE, mask=PADDED),
    LayerRow(bl.Bidirectional(forward=bl.RNN(O, returns="last"), backward=bl.LSTM(2, returns="last")), SHAPE),
    LayerRow(bl.LastStep(), SHAPE),
    LayerRow(bl.LastStep(), (T, 2, I), mask=PADDED, note="padded"),
]  # fmt: skip
