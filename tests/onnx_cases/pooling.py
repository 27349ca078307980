"""Pools: images have their channels last."""

from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, refuse, through
from onnx_cases.convolution import per_axis
from onnx_cases.layouts import channels_first, channels_last, padding


@adapter("MaxPool", "MaxPool")
def max_pool(case: Case) -> Work:
    window = case.settings["kernel_shape"]
    return slide(case, bl.MaxPool, dilation=per_axis(case, "dilations", window))


@adapter("AveragePool", "AveragePool")
def average_pool(case: Case) -> Work:
    window = case.settings["kernel_shape"]
    refuse(set(per_axis(case, "dilations", window)) != {1}, "a dilated mean")
    return slide(case, bl.AveragePool, count_padding=bool(case.settings.get("count_include_pad", 0)))


@adapter("AveragePool", "Unsqueeze > AveragePool > Squeeze")
def average_pool_1d(case: Case) -> Work:
    (x,), (name,) = case.inputs.values(), case.outputs
    return through(bl.AveragePool(2), channels_last(x), back=channels_first, name=name)


@adapter("GlobalAveragePool", "GlobalAveragePool")
def global_average(case: Case) -> Work:
    return whole(case, bl.GlobalAveragePool())


@adapter("GlobalMaxPool", "GlobalMaxPool")
def global_max(case: Case) -> Work:
    return whole(case, bl.GlobalMaxPool())


def slide(case: Case, pool: Any, **more: Any) -> Work:
    """Whole numbers are pooled as floats."""
    x = channels_last(case["X"])
    x = x if x.dtype.kind == "f" else x.astype(np.float32)
    window = tuple(case.settings["kernel_shape"])
    stride = per_axis(case, "strides", window)
    sides = padding(case, x.shape[1:-1], window, stride, per_axis(case, "dilations", window))
    layer = pool(window, stride, sides, ceil=bool(case.settings.get("ceil_mode", 0)), **more)
    return through(layer, x, back=channels_first)


def whole(case: Case, pool: bl.Layer) -> Work:
    """(B, *S, C) -> (B, C), which ONNX keeps as (B, C, 1, ...)."""
    wanted = case.outputs["Y"].shape
    return through(pool, channels_last(case["X"]), back=lambda y: y.reshape(wanted))
