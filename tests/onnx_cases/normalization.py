"""Normalisations: channels last; gamma and beta are what ONNX calls scale and bias."""

from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, through
from onnx_cases.layouts import channels_first, channels_last


@adapter("BatchNorm", "BatchNormalization")
def batch_norm(case: Case) -> Work:
    x, gamma, beta, mean, variance = case.inputs.values()
    layer = bl.BatchNorm(momentum=case.settings["momentum"], epsilon=case.settings["epsilon"])
    params, state = {"gamma": gamma, "beta": beta}, {"mean": mean, "variance": variance}
    train = bool(case.settings.get("training_mode", 0))

    def after(new: Any) -> dict[str, Any]:
        return {"running_mean": new["mean"], "running_var": new["variance"]}

    return through(layer, channels_last(x), params, state, back=channels_first, train=train, after=after)


@adapter("BatchNorm", "MeanVarianceNormalization")
def mean_variance(case: Case) -> Work:
    """That of a batch, with an epsilon that does not show."""
    layer, x = bl.BatchNorm(epsilon=1e-12, gamma=None, beta=None), channels_last(case["X"])
    state = {"mean": np.zeros(x.shape[-1:], x.dtype), "variance": np.ones(x.shape[-1:], x.dtype)}
    return through(layer, x, {}, state, back=channels_first, train=True)


@adapter("LayerNorm", "LayerNormalization")
def layer_norm(case: Case) -> Work:
    """Over the axes from `axis` on; where that is the first, the whole array is one row."""
    x, axes = case["X"], normalised(case)
    layer = bl.LayerNorm(epsilon=case.settings["epsilon"], axes=axes)
    params = {"gamma": case["Scale"], "beta": case["B"]}
    if axes == x.ndim:
        return through(layer, x[None], params, back=lambda y: y[0])
    return through(layer, x, params)


@adapter("RMSNorm", "RMSNormalization")
def rms_norm(case: Case) -> Work:
    """The axes from `axis` on, as one axis of features."""
    x = case["X"]
    flat = x.reshape(*x.shape[: x.ndim - normalised(case)] or (1,), -1)
    params = {"gamma": case["scale"].reshape(-1)}
    return through(bl.RMSNorm(epsilon=case.settings["epsilon"]), flat, params, back=lambda y: y.reshape(x.shape))


def normalised(case: Case) -> int:
    """How many axes there are from `axis` on."""
    axis = case.settings["axis"]
    return -axis if axis < 0 else case["X"].ndim - axis


@adapter("GroupNorm", "GroupNormalization")
def group_norm(case: Case) -> Work:
    layer = bl.GroupNorm(case.settings["num_groups"], epsilon=case.settings["epsilon"])
    params = {"gamma": case["scale"], "beta": case["bias"]}
    return through(layer, channels_last(case["X"]), params, back=channels_first)


@adapter("InstanceNorm", "InstanceNormalization")
def instance_norm(case: Case) -> Work:
    layer, params = bl.InstanceNorm(epsilon=case.settings["epsilon"]), {"gamma": case["scale"], "beta": case["B"]}
    return through(layer, channels_last(case["input"]), params, back=channels_first, name="output")


@adapter("LocalResponseNorm", "LRN")
def local_response_norm(case: Case) -> Work:
    size, alpha, beta, k = (case.settings[name] for name in ("size", "alpha", "beta", "bias"))
    layer = bl.LocalResponseNorm(size=size, alpha=alpha, beta=beta, k=k)
    return through(layer, channels_last(case["X"]), back=channels_first)
