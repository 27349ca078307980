"""Group and instance normalisation: each row by itself, over its places and a group of its channels."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from backlit import engine
from backlit.errors import BacklitError
from backlit.initializers import Constant, Initializer, Zeros
from backlit.layers.normalization.base import Normal, Normalization, times
from backlit.layers.normalization.shares import share_of_steps
from backlit.protocol import Array, Shape, Tree, need
from backlit.settings import Count, Positive


class Grouped(Normalization):
    """Base of GroupNorm and InstanceNorm."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def count(self, channels: int) -> int:
        """How many groups these channels fall into."""

    def rank(self, shape: Shape) -> int:
        name = type(self).__name__
        need(len(shape) >= 1, f"{name} expected rows (*S, C) with a channel axis, got scalars; use Reshape((1,)) first")
        groups = self.count(shape[-1])
        need(
            shape[-1] % groups == 0, f"{name} with groups={groups} expected channels that this divides, got {shape[-1]}"
        )
        each = math.prod(shape) // groups
        need(
            each >= 2, f"{name} expected rows with at least 2 numbers a group, got {shape}; one number has no variance"
        )
        return 1

    def mean(self, x: Array) -> Array:
        return self._of_groups(self._sums(x), x)

    def backward(self, params: Tree, cache: Normal, dy: Array) -> tuple[Array, Tree, Tree]:
        """As the base's, from two sums over places instead of four: gamma is the same in all of them."""
        x, mean, slope, share = cache
        x_hat = (x - mean) * slope  # (B, *S, C)
        sums = {"gamma": self._sums(dy * x_hat), "beta": self._sums(dy)}  # (B, C)
        gamma = params.get("gamma")
        means = {name: self._of_groups(times(gamma, s), x) for name, s in sums.items()}  # (B, *1, C): M(u x̂) and M u
        dx = slope * (times(gamma, dy) - times(share, means["beta"] + x_hat * means["gamma"]))  # (B, *S, C)
        return dx, {name: engine.of(dy).column_sum(sums[name]) for name in params}, {}

    def _sums(self, a: Array) -> Array:
        """(B, *S, C) -> (B, C)."""
        return engine.of(a).column_sum(a.__array_namespace__().reshape(a, (a.shape[0], -1, a.shape[-1])))

    def _of_groups(self, sums: Array, x: Array) -> Array:
        """The mean of each group of x, in the place of each of its channels: (B, C) -> (B, *1, C)."""
        xp, channels = x.__array_namespace__(), x.shape[-1]
        grouped = xp.reshape(sums, (x.shape[0], self.count(channels), -1))  # (B, G, C / G)
        means = xp.mean(grouped, axis=-1, keepdims=True) / math.prod(x.shape[1:-1])  # (B, G, 1)
        return xp.reshape(xp.broadcast_to(means, grouped.shape), (x.shape[0], *(1,) * (x.ndim - 2), channels))

    def share(self, mask: Array | None, x: Array) -> Array | None:
        return share_of_steps(mask, x)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        text = f"{type(self).__name__} averages over all time steps, so it cannot go step by step"
        raise BacklitError(f"{text}; use LayerNorm")


@dataclass(frozen=True)
class GroupNorm(Grouped):
    """As LayerNorm, with mean and variance of each group of C / groups neighbouring channels, over all places of the row.

    Rows do not meet: for images in batches too small for BatchNorm. groups=1 takes all channels together. With a mask
    (B, T) padded time steps do not count.
    Shapes: x and y (B, *S, C), gamma and beta (C,). gamma=None or beta=None leaves it out.
    Errors: ShapeError when groups do not divide the channels, or a group has one number; BacklitError in `memory`.
    Source: Wu, He 2018, https://arxiv.org/abs/1803.08494
    Others: ONNX opset 18 has one gamma a group, since opset 21 one a channel as here.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.GroupNorm(2)
    >>> _, params, state = layer.init(bl.random.key(0), (4,))
    >>> layer.forward(params, state, np.array([[1.0, 3.0, 50.0, 70.0]]), bl.Context())[0].round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("GroupNormalization",)
    groups: Count
    epsilon: Positive = 1e-5
    gamma: Initializer | None = Constant(1.0)
    beta: Initializer | None = Zeros()

    def count(self, channels: int) -> int:
        return self.groups


@dataclass(frozen=True)
class InstanceNorm(Grouped):
    """As GroupNorm with a group for each channel: mean and variance over the places of one row alone.

    An image loses its contrast and colour cast: for the transfer of style.
    Shapes: x and y (B, *S, C), gamma and beta (C,). gamma=None or beta=None leaves it out.
    Errors: ShapeError for rows with one place; BacklitError in `memory`.
    Source: Ulyanov, Vedaldi, Lempitsky 2016, https://arxiv.org/abs/1607.08022
    Others: torch leaves gamma and beta out unless affine=True.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.InstanceNorm()
    >>> _, params, state = layer.init(bl.random.key(0), (2, 1))
    >>> layer.forward(params, state, np.array([[[1.0], [3.0]]]), bl.Context())[0].round(3).tolist()
    [[[-1.0], [1.0]]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("InstanceNormalization",)
    epsilon: Positive = 1e-5
    gamma: Initializer | None = Constant(1.0)
    beta: Initializer | None = Zeros()

    def count(self, channels: int) -> int:
        return channels
