"""Layers that summarise what a window sees: its maximum or its mean, channel by channel.

Both are done along one axis after the other, from the last to the first: k + k values to look at in place of k k. The
maximum of windows that neither overlap nor leave anything out has a shorter way: tiles.py.
"""

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

from backlit.engine.window import fit
from backlit.errors import BacklitError
from backlit.layers.convolution import Padding, PerAxis
from backlit.layers.tiles import largest, tiled, tiles, to_largest
from backlit.layers.views import Axis
from backlit.protocol import Array, Context, Layer, Shape, Tree, need


class Pool(Layer):
    """Base of the pools. Its fields stand in the final classes, in their order."""

    abstract: ClassVar[bool] = True
    window: PerAxis
    stride: PerAxis | None
    padding: Padding
    ceil: bool

    def axes(self, shape: Shape) -> list[Axis]:
        """The spatial axes of rows of `shape`."""
        stride = self.window if self.stride is None else self.stride
        kernel, window = fit(type(self).__name__, shape, self.window, stride, self.padding, self.spread())
        numbers = zip(shape, kernel, window.strides, window.dilation, window.padding, strict=False)
        return [Axis(i, n, k, s, d, lo, hi, self.ceil) for i, (n, k, s, d, (lo, hi)) in enumerate(numbers, start=1)]

    def spread(self) -> PerAxis:
        """The dilation."""
        return 1

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        axes = self.axes(shape)
        for axis in axes:
            text = f"{type(self).__name__} expected windows that see at least one number of the rows {tuple(shape)}"
            need(min(axis.counts(0, 0)) > 0, f"{text}, got only zeros along axis {axis.axis - 1}; use less padding")
        return (*(axis.out for axis in axes), shape[-1]), {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError(f"{type(self).__name__} needs the whole sequence, so it cannot go step by step")


@dataclass(frozen=True)
class MaxPool(Pool):
    """y[b, o, c] = max over offsets k of x[b, o stride + k dilation - lo, c]; the padding is -inf, so it never wins.

    dL/dx: each dy goes to the number that was the maximum; where several are equal, to the first in row-major order.
    `stride` is the window unless given. `ceil` lets a last window begin within the rows though it ends behind them.
    Shapes: x (B, *S, C), y (B, *out, C), out = floor((n + lo + hi - (window - 1) dilation - 1) / stride) + 1.
    Errors: ShapeError when rows do not fit window or padding.
    Source: Ranzato et al. 2007, https://doi.org/10.1109/CVPR.2007.383157. Derivation: docs/derivations/pooling.md
    Others: torch takes at most half a window of padding; at ties JAX and Keras differ from one machine to another.

    >>> import numpy as np, backlit as bl
    >>> x = np.array([[[1.0], [3.0], [3.0], [2.0]]])
    >>> pool = bl.MaxPool(2, stride=1)
    >>> y, _, cache = pool.forward({}, {}, x, bl.Context())
    >>> y.ravel().tolist(), pool.backward({}, cache, np.ones_like(y))[0].ravel().tolist()
    ([3.0, 3.0, 3.0], [0.0, 2.0, 1.0, 0.0])
    """

    aliases: ClassVar[tuple[str, ...]] = ("MaxPool1D", "MaxPool2D", "MaxPool3D")
    window: PerAxis = 2
    stride: PerAxis | None = None
    padding: Padding = "valid"
    dilation: PerAxis = 1
    ceil: bool = False

    def spread(self) -> PerAxis:
        return self.dilation

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        axes = self.axes(x.shape[1:])
        return largest(tiles(x, axes)) if tiled(axes) else self._stages(x)[-1], state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        # The maxima are computed again: cheaper than keeping them.
        if tiled(axes := self.axes(cache.shape[1:])):
            return to_largest(cache, axes, dy), {}, {}
        stages = self._stages(cache)
        for axis, x, y in zip(axes, stages[-2::-1], stages[:0:-1], strict=True):
            xp = dy.__array_namespace__()
            free, parts = xp.ones_like(y, dtype=xp.bool), []
            for view in axis.views(x, -math.inf):
                first = xp.logical_and(free, view == y)
                free = xp.logical_and(free, xp.logical_not(first))
                parts.append(xp.where(first, dy, xp.zeros_like(dy)))
            dy = axis.sums(parts)
        return dy, {}, {}

    def _stages(self, x: Array) -> list[Array]:
        """x, and the maxima along the last spatial axis, the last two, ..."""
        stages = [x]
        for axis in reversed(self.axes(x.shape[1:])):
            stages.append(reduce(x.__array_namespace__().maximum, axis.views(stages[-1], -math.inf)))
        return stages


@dataclass(frozen=True)
class AveragePool(Pool):
    """y[b, o, c] = mean over the offsets k that lie in x of x[b, o stride + k - lo, c].

    dL/dx: each dy, divided by the number of values in its mean, goes to all of them. `count_padding` counts the padding's
    zeros among the values. `stride` is the window unless given; `ceil` as in MaxPool.
    Shapes: x (B, *S, C), y (B, *out, C), out = floor((n + lo + hi - window) / stride) + 1.
    Errors: ShapeError when rows do not fit window or padding.
    Source: LeCun et al. 1998, https://doi.org/10.1109/5.726791
    Others: torch counts the padding unless told otherwise; Keras does not.

    >>> import numpy as np, backlit as bl
    >>> x = np.array([[[1.0], [3.0], [8.0]]])
    >>> bl.AveragePool(2, padding="same").forward({}, {}, x, bl.Context())[0].ravel().tolist()
    [2.0, 8.0]
    """

    aliases: ClassVar[tuple[str, ...]] = ("AvgPool", "AveragePool1D", "AveragePool2D", "AveragePool3D")
    window: PerAxis = 2
    stride: PerAxis | None = None
    padding: Padding = "valid"
    count_padding: bool = False
    ceil: bool = False

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        y = x
        for axis in reversed(self.axes(x.shape[1:])):
            y = self._shared(axis, reduce(add, axis.views(y, 0.0)))
        return y, state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        for axis in self.axes(cache.shape[1:]):  # of the cache, only its shape is used
            dy = axis.sums([self._shared(axis, dy)] * axis.k)
        return dy, {}, {}

    def _shared(self, axis: Axis, values: Array) -> Array:
        """Divided by how many numbers each window along the axis counts."""
        xp = values.__array_namespace__()
        lo, hi = (axis.lo, axis.hi) if self.count_padding else (0, 0)
        counts = xp.asarray(axis.counts(lo, hi), dtype=values.dtype)
        return values / xp.reshape(counts, (-1, *(1,) * (values.ndim - axis.axis - 1)))
