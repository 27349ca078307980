"""Convolutions: images have their channels last, kernels are (*K, C / groups, O)."""

from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, through
from onnx_cases.layouts import channels_first, channels_last, padding


@adapter("Conv, DepthwiseConv", "Conv")
def conv(case: Case) -> Work:
    x, W, b = channels_last(case["X"]), case["W"], case.get("B")  # (B, *S, C), (O, C / groups, *K), (O,)
    groups, channels, kernel = case.settings["group"], x.shape[-1], W.shape[2:]
    stride, dilation = per_axis(case, "strides", kernel), per_axis(case, "dilations", kernel)
    bias = {} if b is None else {"b": b}
    sliding = {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding(case, x.shape[1:-1], kernel, stride, dilation),
        "b": None if b is None else "Zeros",
    }
    if groups == channels > 1:
        layer: bl.Layer = bl.DepthwiseConv(multiplier=W.shape[0] // channels, **sliding)
    else:
        layer = bl.Conv(W.shape[0], groups=groups, **sliding)
    params = {"W": np.moveaxis(W, (1, 0), (-2, -1)), **bias}  # (*K, C / groups, O)
    return through(layer, x, params, back=channels_first)


@adapter("ConvTranspose", "ConvTranspose")
def conv_transpose(case: Case) -> Work:
    x, W, b = channels_last(case["X"]), case["W"], case.get("B")  # (B, *S, C), (C, O / groups, *K), (O,)
    groups, bias = case.settings["group"], None if b is None else "Zeros"
    space, kernel = x.shape[1:-1], W.shape[2:]
    stride, dilation = per_axis(case, "strides", kernel), per_axis(case, "dilations", kernel)
    extra = list(case.settings.get("output_padding", [0] * len(kernel)))
    if "output_shape" in case.settings:
        sides = []
        for i, wanted in enumerate(case.settings["output_shape"]):
            more = (space[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 + extra[i] - wanted
            extra[i] += max(0, -more)
            sides.append((max(0, more) - max(0, more) // 2, max(0, more) // 2))
    else:
        sides = padding(case, space, kernel, stride, dilation)
    W = np.reshape(W, (groups, -1, *W.shape[1:]))  # (G, C / G, O / G, *K)
    W = np.moveaxis(W, (1, 0, 2), (-3, -2, -1))  # (*K, C / G, G, O / G)
    W = W.reshape(*W.shape[:-2], -1)  # (*K, C / G, O)
    layer = bl.ConvTranspose(W.shape[-1], kernel, stride, sides, tuple(extra), dilation, groups, b=bias)
    return through(layer, x, {"W": W, **({} if b is None else {"b": b})}, back=channels_first)


@adapter("DepthwiseConv, SiLU", "CausalConvWithState")
def causal(case: Case) -> Work:
    """What went before is the front of the sequence."""
    x, W, b, past = case["input"], case["weight"], case.get("bias"), case.get("past_state")
    padding = ((0 if past is not None else W.shape[2] - 1, 0),)
    x = channels_last(x if past is None else np.concatenate([past, x], axis=2))
    layer = bl.DepthwiseConv(W.shape[2], padding=padding, b=None if b is None else "Zeros")
    activation = bl.Chain() if case.settings["activation"] == "none" else bl.SiLU()
    own = {"W": np.moveaxis(W, (1, 0), (-2, -1)), **({} if b is None else {"b": b})}
    net, params = bl.Chain(conv=layer, activation=activation), {"conv": own, "activation": {}}
    return through(net, x, params, back=channels_first, name="output")


def per_axis(case: Case, name: str, kernel: Any) -> tuple[int, ...]:
    """Strides or dilations, 1 unless given."""
    return tuple(case.settings.get(name, [1] * len(kernel)))
