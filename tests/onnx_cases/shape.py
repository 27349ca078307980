"""What moves numbers about. ONNX has no batch axis here, so a whole array is one row where that makes a difference."""

import math
from typing import Any

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, refuse, through


@adapter("Flatten", "Flatten")
def flatten(case: Case) -> Work:
    """The axes before `axis` are those of the rows."""
    x, axis = case["input"], case.settings["axis"]
    axis = axis + x.ndim if axis < 0 else axis
    rows = x.reshape(math.prod(x.shape[:axis]), *x.shape[axis:])
    return through(bl.Flatten(), rows, name="output")


@adapter("Reshape", "Reshape")
def reshape(case: Case) -> Work:
    x, shape = case["data"], case["shape"].tolist()
    refuse(0 in x.shape, "an axis of length 0")
    return one_row(bl.Reshape(tuple(x.shape[i] if n == 0 else n for i, n in enumerate(shape))), x, "reshaped")


@adapter("Transpose", "Transpose")
def transpose(case: Case) -> Work:
    x = case["data"]
    order = case.settings.get("perm", range(x.ndim)[::-1])
    return one_row(bl.Transpose(tuple(axis + 1 for axis in order)), x, "transposed")


@adapter("Pad", "Pad")
def pad(case: Case) -> Work:
    x, settings = case["data"], case.settings
    refuse(settings["mode"] != "constant", "padded with numbers of the array, not with a constant")
    pads = np.asarray(case["pads"] if "pads" in case.inputs else settings["pads"]).reshape(2, -1).T
    axes = case["axes"].tolist() if "axes" in case.inputs else range(x.ndim)
    widths = [(0, 0)] * x.ndim
    for axis, ends in zip(axes, pads.tolist(), strict=True):
        widths[axis] = tuple(ends)
    value = case["constant_value"] if "constant_value" in case.inputs else settings.get("value", 0.0)
    return one_row(bl.Pad(tuple(widths), value=float(value)), x, "output")


@adapter("Crop, Pad", "CenterCropPad")
def center(case: Case) -> Work:
    x = case["input_data"]
    widths = [[(0, 0)] * x.ndim, [(0, 0)] * x.ndim]  # to crop, to pad
    for axis, size in zip(case.settings.get("axes", range(x.ndim)), case["shape"].tolist(), strict=True):
        more = abs(size - x.shape[axis])
        widths[int(size > x.shape[axis])][axis] = (more // 2, more - more // 2)
    return one_row(bl.Chain(bl.Crop(tuple(widths[0])), bl.Pad(tuple(widths[1]))), x, "output_data")


@adapter("Branch(join=concatenate)", "Concat")
def concat(case: Case) -> Work:
    axis, parts = case.settings["axis"], tuple(case.inputs.values())
    layer = bl.Branch(*(bl.Select(i) for i in range(len(parts))), join="concatenate")
    rows = tuple(np.moveaxis(part[None], axis + 1 if axis >= 0 else axis, -1) for part in parts)
    back = lambda y: np.moveaxis(y, -1, axis + 1 if axis >= 0 else axis)[0]  # noqa: E731
    return through(layer, rows, back=back, name="concat_result")


@adapter("Branch", "Sum")
def total(case: Case) -> Work:
    parts = tuple(case.inputs.values())
    return through(bl.Branch(*(bl.Select(i) for i in range(len(parts)))), parts, name="sum")


def one_row(layer: bl.Layer, x: Any, name: str) -> Work:
    """The whole array is a batch of one."""
    return through(layer, x[None], back=lambda y: y[0], name=name)
