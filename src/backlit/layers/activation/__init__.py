"""Activations: each a function of one number, its slope below it; those of a row, with their Jacobian.

An activation is a layer of its own, so the error signal at its input is delta = dL/da * f'(z): always differentiate
at the pre-activation z. Where the slope can be told from the output alone, the output is what the cache keeps.

bounded        Sigmoid, Tanh, HardSigmoid, HardTanh, SoftSign
rectified      ReLU, LeakyReLU, PReLU, ThresholdedReLU, Shrink
exponential    ELU, SELU, CELU, Softplus, LogSigmoid
gated          GELU, SiLU, HardSwish, Mish, GLU
rows           Softmax, LogSoftmax, Maxout
"""

from backlit.layers.activation.base import Activation
from backlit.layers.activation.bounded import HardSigmoid, HardTanh, Sigmoid, SoftSign, Tanh
from backlit.layers.activation.exponential import CELU, ELU, SELU, LogSigmoid, Softplus
from backlit.layers.activation.gated import GELU, GLU, HardSwish, Mish, SiLU
from backlit.layers.activation.rectified import LeakyReLU, PReLU, ReLU, Shrink, ThresholdedReLU
from backlit.layers.activation.rows import LogSoftmax, Maxout, Softmax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Activation",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "PReLU",
    "ReLU",
    "Shrink",
    "SiLU",
    "Sigmoid",
    "SoftSign",
    "Softmax",
    "Softplus",
    "Tanh",
    "ThresholdedReLU",
]
