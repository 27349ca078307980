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
        "CELU", "ELU", "GELU", "GLU", "GRU", "LSTM", "RNN", "SELU", "AdaptiveAveragePool", "Autodiff", "AveragePool",
        "BasicBlock", "BatchNorm", "Bidirectional", "BottleneckBlock", "Branch", "Cell", "Chain", "Columns", "Conv",
        "ConvTranspose", "Crop", "Dense", "DepthwiseConv", "DropConnect", "Dropout", "Embedding", "Flatten", "Gate",
        "GlobalAveragePool", "GlobalMaxPool", "GroupNorm", "HardSigmoid", "HardSwish", "HardTanh", "InstanceNorm",
        "LastStep", "LayerNorm", "LeakyReLU", "LocalResponseNorm", "LogSigmoid", "LogSoftmax", "MaxPool", "Maxout",
        "Mish", "PReLU", "Pad", "Parallel", "PreActivationBlock", "RMSNorm", "ReLU", "Remat", "Reshape", "Residual",
        "Scan", "Select", "Shrink", "SiLU", "Sigmoid", "SoftSign", "Softmax", "Softplus", "SpatialDropout",
        "SqueezeExcite", "Tanh", "ThresholdedReLU", "Tied", "Transpose", "UpSample", "VariationalDropout",
        "WeightNorm", "WordWindow",
        "AdditiveAttention", "CrossAttention", "DotProductAttention", "FeedForward", "LearnedPositions",
        "MultiHeadAttention", "RotaryPositions", "SinusoidalPositions", "TransformerDecoderBlock", "TransformerEncoderBlock",
    ],
    "backlit.word_vectors": ["WordVectors"],
    "backlit.losses": [
        "KL", "AbsoluteError", "BinaryCrossEntropy", "BinaryHinge", "Huber", "MaxMargin", "MultiClassHinge",
        "MultiLabelCrossEntropy", "NegativeLogLikelihood", "SoftmaxCrossEntropy", "SquaredError",
    ],
    "backlit.optim": ["L1L2", "SGD", "Adam", "AdamW", "ClipByNorm", "Constant", "Cosine", "Momentum", "Nesterov",
                      "OneCycle", "WarmUp"],
    "backlit.data": [
        "Affine", "AirlinePassengers", "Arrays", "Balanced", "BreastCancer", "Brightness", "Buckets", "Center",
        "CentreCrop", "Characters", "Cifar10", "ClipOutliers", "ColourJitter", "Contrast", "Csv", "CutMix",
        "CutOut", "Dataset", "DateParts", "Dates", "Diabetes", "Digits", "DropConstant", "DropDuplicates",
        "DropMissing", "ExchangeRates", "FashionMnist", "FiveCrop", "Flip", "FlipAverage", "Grey", "Hue", "Idx",
        "ImageFolder", "Impute", "Iris", "Jitter", "KFold", "LeaveOneGroupOut", "LeaveOneOut", "Log", "MinMax",
        "Mixup", "Mnist", "Noise", "Npy", "Npz", "OneHot", "Ordinal", "PCA", "Parquet", "ParquetStream",
        "Polynomial", "Power", "RandAugment", "RandomCrop", "RandomErasing", "RandomResizedCrop", "Rare",
        "Reconstruct", "RobustScale", "Rotate", "Saturation", "Scale", "Series", "Shear", "Split",
        "Standardize", "SwapNoise", "TagWindows", "Tags", "TenCrop", "Texts", "TimeFolds", "TimeMasking",
        "TinyShakespeare", "TokenDropping", "Translate", "TrivialAugment", "UnitNorm", "Vocabulary", "Weighted",
        "Whiten", "Wine", "Words", "Zoom", "load_dataset",
    ],
    "backlit.description": ["describe"],
    "backlit.evaluation.cross_validation": ["cross_validate"],
    "backlit.api": ["train"],
    "backlit.config": ["Checkpointing", "Experiment"],
    "backlit.training.run": ["Run", "open_run"],
    "backlit.training.stopping": ["Halving", "Stopping"],
    "backlit.gradcheck": ["check_gradients"],
    "backlit.generation": ["beam_search", "generate"],
    "backlit.plots": ["plot_loss_and_accuracy"],
    "backlit.rate_finder": ["lr_find"],
    "backlit.estimators": ["Classifier", "Regressor"],
    "backlit.engine": ["random", "tree"],
}  # fmt: skip
_HOME = {name: module for module, names in _WHERE.items() for name in names}
_MODULES = ("engine", "initializers", "layers", "losses", "optim", "config", "data", "errors", "lab")

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
