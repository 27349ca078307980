"""Layers that bring their inputs to mean 0 and variance 1: over a batch, over a row, over groups of channels."""

from backlit.layers.normalization.batch import BatchNorm
from backlit.layers.normalization.group import GroupNorm, InstanceNorm
from backlit.layers.normalization.layer import LayerNorm
from backlit.layers.normalization.local_response import LocalResponseNorm
from backlit.layers.normalization.rms import RMSNorm

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]
