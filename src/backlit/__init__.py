"""Backlit trains neural networks with the lights on.

    import backlit as bl
    net = bl.Chain(bl.Dense(64), bl.ReLU(), bl.Dense(10))
    run = bl.train(net, "digits")

Names are loaded when they are first used, so `import backlit` and `backlit --help` are quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "backlit.protocol": ["Context", "Layer", "Loss", "Seen", "Trace", "gradient", "paths", "signals"],
    "backlit.layers": [
        "ELU", "GELU", "Autodiff", "Branch", "Chain", "Dense", "Dropout", "Flatten", "HardTanh", "LeakyReLU", "ReLU",
        "Reshape", "Residual", "SiLU", "Sigmoid", "SoftSign", "Softmax", "Softplus", "Tanh",
    ],
    "backlit.losses": [
        "KL", "AbsoluteError", "BinaryCrossEntropy", "BinaryHinge", "Huber", "MaxMargin", "MultiClassHinge",
        "MultiLabelCrossEntropy", "SoftmaxCrossEntropy", "SquaredError",
    ],
    "backlit.optim": ["L1L2", "SGD", "Adam", "AdamW", "ClipByNorm", "Constant", "Cosine", "Momentum", "Nesterov", "WarmUp"],
    "backlit.data": [
        "Arrays", "BreastCancer", "Center", "Csv", "Dataset", "Diabetes", "Digits", "FashionMnist", "Idx", "Iris", "MinMax",
        "Mnist", "Npz", "Polynomial", "Scale", "Split", "Standardize", "Wine", "load_dataset",
    ],
    "backlit.api": ["train"],
    "backlit.config": ["Checkpointing", "Experiment"],
    "backlit.training.run": ["Run", "open_run"],
    "backlit.training.stopping": ["Halving", "Stopping"],
    "backlit.gradcheck": ["check_gradients"],
    "backlit.plots": ["plot_loss_and_accuracy"],
    "backlit.estimators": ["Classifier", "Regressor"],
    "backlit.engine": ["random", "tree"],
}  # fmt: skip
_HOME = {name: module for module, names in _WHERE.items() for name in names}
_MODULES = ("engine", "initializers", "layers", "losses", "optim", "config", "data", "errors")

__all__ = [*sorted(_HOME), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"backlit.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'backlit' has no attribute {name!r}")
    home = import_module(_HOME[name])
    return getattr(home, name) if hasattr(home, name) else import_module(f"{_HOME[name]}.{name}")


def __dir__() -> list[str]:
    return __all__
