"""Dense, Embedding, Dropout."""

from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, refuse, through


@adapter("Dense", "Gemm")
def gemm(case: Case) -> Work:
    a, b, c, settings = case["A"], case["B"], case.get("C"), case.settings
    x = a.T if settings["transA"] else a  # (rows, I)
    params = {"W": settings["alpha"] * (b.T if settings["transB"] else b)}  # (I, units)
    if c is not None:
        refuse(c.ndim == 2 and c.shape[0] > 1, "a bias of its own for every row of the batch")
        units = params["W"].shape[1]
        params["b"] = settings["beta"] * np.broadcast_to(c.reshape(-1), (units,))  # (units,)
    return through(bl.Dense(params["W"].shape[1], b=None if c is None else "Zeros"), x, params)


@adapter("Dense", "MatMul")
def matmul(case: Case) -> Work:
    a, b = case["A"], case["B"]
    refuse(b.ndim > 2, "the second factor is no matrix that all rows share")
    x, weight = (a if a.ndim > 1 else a[None]), b.reshape(b.shape[0], -1)  # (..., I), (I, units)
    wanted = case.outputs["Y"].shape
    return through(bl.Dense(weight.shape[1], b=None), x, {"W": weight}, back=lambda y: y.reshape(wanted))


@adapter("Dense", "Transpose > MatMul")
def linear(case: Case) -> Work:
    weight, x = case.inputs.values()
    (name,) = case.outputs
    return through(bl.Dense(weight.shape[0], b=None), x, {"W": weight.T}, name=name)


@adapter("Embedding", "Gather")
def gather(case: Case) -> Work:
    """What lies at one place of `axis` is a row of the table."""
    data, tokens, axis = case["data"], case["indices"], case.settings["axis"]
    refuse((tokens < 0).any(), "a negative token counts from the end")
    table = np.moveaxis(data, axis, 0)  # (size, ...)
    params = {"W": table.reshape(table.shape[0], -1)}  # (size, units)
    layer = bl.Embedding(*params["W"].shape)

    def back(y: Any) -> Any:
        y = y.reshape(*tokens.shape, *table.shape[1:])
        return np.moveaxis(y, range(tokens.ndim), range(axis, axis + tokens.ndim))

    return through(layer, tokens, params, back=back, name="output")


@adapter("Dropout", "Dropout")
def dropout(case: Case) -> Work:
    rate = float(case.get("ratio")) if case.get("ratio") is not None else 0.5
    train = bool(case.get("training_mode"))
    refuse(train and rate > 0, "which numbers drop depends on the generator: ONNX' case holds one draw of NumPy's")
    return through(bl.Dropout(rate), case["data"], name="output", train=train)
