"""Recurrent layers: ONNX keeps W and R transposed, has two biases, other orders of gates, and time first.

Each runs as `stateful`, which starts from the given state and returns the last one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, through


@adapter("RNN, Bidirectional", "RNN")
def rnn(case: Case) -> Work:
    return run(case, bl.RNN, [0], lambda W, R: W + R)


@adapter("LSTM, Bidirectional", "LSTM")
def lstm(case: Case) -> Work:
    return run(case, bl.LSTM, [0, 2, 3, 1], lambda W, R: W + R, peepholes=case.get("P") is not None)  # i o f c


@adapter("GRU, Bidirectional", "GRU")
def gru(case: Case) -> Work:
    after = bool(case.settings["linear_before_reset"])

    def bias(W: Any, R: Any) -> Any:
        """b of r, z, n; where the product comes first, the candidate keeps its two apart."""
        return np.concatenate([(W + R)[:2], W[2:], R[2:]]) if after else W + R

    return run(case, bl.GRU, [1, 0, 2], bias, reset="after" if after else "before")  # z r h


def run(case: Case, kind: Any, order: list[int], bias: Callable[[Any, Any], Any], **more: Any) -> Work:
    """`order`: where ONNX has each of our gates; `bias`: ours (gates, H) from ONNX' two."""
    settings, H, batch_first = case.settings, case.settings["hidden_size"], case.settings.get("layout") == 1
    x = case["X"] if batch_first else np.swapaxes(case["X"], 0, 1)  # (B, T, D)
    rows, steps, _ = x.shape
    both, turned = (settings["direction"] == word for word in ("bidirectional", "reverse"))
    names = ["forward", "backward"] if both else ["forward"]
    layer = kind(H, stateful=rows, **more)

    def gates(array: Any) -> Any:
        """(gates H, ...) with our order of gates."""
        return np.concatenate([array.reshape(-1, H, *array.shape[1:])[place] for place in order])

    def params(side: int) -> Any:
        own = {"W": gates(case["W"][side]).T, "U": gates(case["R"][side]).T}
        b = case.get("B")
        W, R = np.zeros((2, len(order), H), x.dtype) if b is None else b[side].reshape(2, len(order), H)
        own["b"] = bias(W[order], R[order]).reshape(-1)
        if case.get("P") is not None:
            own["P"] = case["P"][side].reshape(3, H)[[0, 2, 1]]  # i o f -> i f o
        return own

    def state(side: int) -> Any:
        given = {"h": case.get("initial_h"), "c": case.get("initial_c")}
        start = {name: np.zeros((rows, H), x.dtype) if a is None else stacked(a)[side] for name, a in given.items()}
        return {name: start[name] for name in kind.carried}

    def stacked(a: Any) -> Any:
        """(directions, B, H), or back."""
        return np.swapaxes(a, 0, 1) if batch_first else a

    lengths = case.get("sequence_lens")
    mask = None if lengths is None else (np.arange(steps) < lengths[:, None]).astype(x.dtype)  # (B, T)
    own, start = ([f(side) for side in range(len(names))] for f in (params, state))
    if both:
        layer = bl.Bidirectional(layer)
        own, start = [dict(zip(names, own, strict=True))], [dict(zip(names, start, strict=True))]

    def back(y: Any) -> Any:
        y = y[:, ::-1] if turned else y  # reverse: the sequence is given, and the outputs read, from the end
        y = y.reshape(rows, steps, len(names), H)
        return y if batch_first else np.moveaxis(y, 0, 2)  # (T, directions, B, H)

    def after(new: Any) -> dict[str, Any]:
        sides = [new[name] for name in names] if both else [new]
        return {f"Y_{name}": stacked(np.stack([side[name] for side in sides])) for name in kind.carried}

    x = x[:, ::-1] if turned else x
    return through(layer, x, own[0], start[0], back=back, train=True, mask=mask, after=after)
