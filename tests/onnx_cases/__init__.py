"""ONNX' own test cases, run through the layers and losses of Backlit: an oracle that shares no code with them.

case.py reads the cases and runs one; the other files hold the adapters, a family each; table.py prints what came of it.
"""

from onnx_cases import activation, attention, convolution, dense, losses, normalization, pooling, recurrent, shape

__all__ = [
    "activation",
    "attention",
    "convolution",
    "dense",
    "losses",
    "normalization",
    "pooling",
    "recurrent",
    "shape",
]
