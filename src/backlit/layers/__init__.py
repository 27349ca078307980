"""All layers, by name. One idea a file, forward above backward."""

from backlit.layers.activation import (
    ELU,
    GELU,
    Activation,
    HardTanh,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftSign,
    Tanh,
)
from backlit.layers.autodiff import Autodiff
from backlit.layers.compose import Branch, Chain, Composite, Residual
from backlit.layers.dense import Dense
from backlit.layers.dropout import Dropout
from backlit.layers.reshape import Flatten, Reshape

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "Autodiff",
    "Branch",
    "Chain",
    "Composite",
    "Dense",
    "Dropout",
    "Flatten",
    "HardTanh",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "Residual",
    "SiLU",
    "Sigmoid",
    "SoftSign",
    "Softmax",
    "Softplus",
    "Tanh",
]
