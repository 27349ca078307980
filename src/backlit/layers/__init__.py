"""All layers, by name. One idea a file, forward above backward."""

from backlit.layers.activation import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Activation,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Maxout,
    Mish,
    PReLU,
    ReLU,
    Shrink,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftSign,
    Tanh,
    ThresholdedReLU,
)
from backlit.layers.attention import (
    AdditiveAttention,
    CrossAttention,
    DotProductAttention,
    FeedForward,
    LearnedPositions,
    MultiHeadAttention,
    RotaryPositions,
    SinusoidalPositions,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from backlit.layers.autodiff import Autodiff
from backlit.layers.blocks import BasicBlock, BottleneckBlock, PreActivationBlock
from backlit.layers.compose import Branch, Chain, Composite, Residual
from backlit.layers.convolution import Conv, DepthwiseConv
from backlit.layers.dense import Dense
from backlit.layers.drop_connect import DropConnect
from backlit.layers.dropout import Dropout, SpatialDropout, VariationalDropout
from backlit.layers.embedding import Embedding
from backlit.layers.gate import Gate, SqueezeExcite
from backlit.layers.global_pooling import AdaptiveAveragePool, GlobalAveragePool, GlobalMaxPool
from backlit.layers.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RMSNorm
from backlit.layers.pad import Crop, Pad
from backlit.layers.pooling import AveragePool, MaxPool
from backlit.layers.recurrent import GRU, LSTM, RNN, Bidirectional, Cell, LastStep, Recurrent, Scan
from backlit.layers.remat import Remat
from backlit.layers.reshape import Flatten, Reshape, Transpose
from backlit.layers.route import Columns, Parallel, Select
from backlit.layers.shortcuts import PadShortcut, Projection
from backlit.layers.tied import Tied
from backlit.layers.transposed import ConvTranspose
from backlit.layers.upsample import UpSample
from backlit.layers.weight_norm import WeightNorm
from backlit.layers.window import WordWindow

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "Activation",
    "AdaptiveAveragePool",
    "AdditiveAttention",
    "Autodiff",
    "AveragePool",
    "BasicBlock",
    "BatchNorm",
    "Bidirectional",
    "BottleneckBlock",
    "Branch",
    "Cell",
    "Chain",
    "Columns",
    "Composite",
    "Conv",
    "ConvTranspose",
    "Crop",
    "CrossAttention",
    "Dense",
    "DepthwiseConv",
    "DotProductAttention",
    "DropConnect",
    "Dropout",
    "Embedding",
    "FeedForward",
    "Flatten",
    "Gate",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "InstanceNorm",
    "LastStep",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool",
    "Maxout",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Pad",
    "PadShortcut",
    "Parallel",
    "PreActivationBlock",
    "Projection",
    "RMSNorm",
    "ReLU",
    "Recurrent",
    "Remat",
    "Reshape",
    "Residual",
    "RotaryPositions",
    "Scan",
    "Select",
    "Shrink",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "SoftSign",
    "Softmax",
    "Softplus",
    "SpatialDropout",
    "SqueezeExcite",
    "Tanh",
    "ThresholdedReLU",
    "Tied",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "Transpose",
    "UpSample",
    "VariationalDropout",
    "WeightNorm",
    "WordWindow",
]
