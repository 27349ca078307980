"""Activations: same shape, same layout; only rows of channels move their axis to the end."""

import numpy as np

import backlit as bl
from onnx_cases.case import Case, Work, adapter, refuse, through

PLAIN = {
    "Sigmoid": bl.Sigmoid(),
    "Tanh": bl.Tanh(),
    "Softsign": bl.SoftSign(),
    "Relu": bl.ReLU(),
    "Softplus": bl.Softplus(),
    "HardSwish": bl.HardSwish(),
    "Mish": bl.Mish(),
}
for operator, layer in PLAIN.items():
    adapter(type(layer).__name__, operator)(lambda case, layer=layer: elementwise(case, layer))


def elementwise(case: Case, layer: bl.Layer) -> Work:
    """The first input through `layer` to the first output."""
    (x,), (name,) = case.inputs.values(), case.outputs
    return through(layer, x, name=name)


@adapter("LeakyReLU", "LeakyRelu")
def leaky_relu(case: Case) -> Work:
    return elementwise(case, bl.LeakyReLU(case.settings["alpha"]))


@adapter("ThresholdedReLU", "ThresholdedRelu")
def thresholded_relu(case: Case) -> Work:
    return elementwise(case, bl.ThresholdedReLU(case.settings["alpha"]))


@adapter("ELU", "Elu")
def elu(case: Case) -> Work:
    return elementwise(case, bl.ELU(case.settings["alpha"]))


@adapter("SELU", "Selu")
def selu(case: Case) -> Work:
    return elementwise(case, bl.SELU(case.settings["alpha"], case.settings["gamma"]))


@adapter("CELU", "Celu")
def celu(case: Case) -> Work:
    return elementwise(case, bl.CELU(case.settings["alpha"]))


@adapter("GELU", "Gelu")
def gelu(case: Case) -> Work:
    return elementwise(case, bl.GELU({"none": "exact", "tanh": "tanh"}[case.settings["approximate"]]))


@adapter("SiLU", "Swish")
def swish(case: Case) -> Work:
    return elementwise(case, bl.SiLU(case.settings["alpha"]))


@adapter("HardSigmoid", "HardSigmoid")
def hard_sigmoid(case: Case) -> Work:
    return elementwise(case, bl.HardSigmoid(case.settings["alpha"], case.settings["beta"]))


@adapter("Shrink", "Shrink")
def shrink(case: Case) -> Work:
    """What remains is moved by `bias`: by nothing, or by the threshold."""
    return elementwise(case, bl.Shrink(case.settings["lambd"], form="soft" if case.settings["bias"] else "hard"))


@adapter("PReLU", "PRelu")
def prelu(case: Case) -> Work:
    x, slope = case["X"], case["slope"]
    axis = 1 if case.version < 7 else x.ndim - slope.ndim  # of the channels
    refuse(slope.ndim > 1, "a slope for every number of the batch, rows included")
    layer = bl.PReLU(per="layer" if slope.shape == (1,) else "channel")
    params = {"slope": slope}
    return through(layer, np.moveaxis(x, axis, -1), params, back=lambda y: np.moveaxis(y, -1, axis))


@adapter("GLU(gate=SiLU)", "SwiGLU")
def swiglu(case: Case) -> Work:
    a, b = case.inputs.values()
    return through(bl.GLU(bl.SiLU(case.settings["alpha"])), np.concatenate([b, a], axis=-1))


@adapter("Softmax", "Softmax")
def softmax(case: Case) -> Work:
    return along(case, bl.Softmax())


@adapter("LogSoftmax", "LogSoftmax")
def log_softmax(case: Case) -> Work:
    return along(case, bl.LogSoftmax())


def along(case: Case, layer: bl.Layer) -> Work:
    """The axis that the case names, moved to the end and back."""
    (x,), axis = case.inputs.values(), case.settings["axis"]
    (name,) = case.outputs
    return through(layer, np.moveaxis(x, axis, -1), back=lambda y: np.moveaxis(y, -1, axis), name=name)


@adapter("GLU", "Split > Sigmoid > Mul")
def glu(case: Case) -> Work:
    (x,), (name,) = case.inputs.values(), case.outputs
    axis = 1  # GLU and GLU_dim: the second axis in both
    return through(bl.GLU(), np.moveaxis(x, axis, -1), back=lambda y: np.moveaxis(y, -1, axis), name=name)


@adapter("SoftSign", "Abs > Constant > Add > Div")
def softsign(case: Case) -> Work:
    return elementwise(case, bl.SoftSign())
