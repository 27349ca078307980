"""Pools over all of the spatial axes, or into a fixed number of parts: rows of any size come out in one."""

import math
from dataclasses import dataclass
from typing import ClassVar

from backlit.engine.window import each, spatial
from backlit.errors import BacklitError
from backlit.layers.convolution import PerAxis
from backlit.protocol import Array, Context, Layer, Shape, Tree, need


@dataclass(frozen=True)
class Pooling(Layer):
    """Base of these pools: no parameters, no time steps."""

    abstract: ClassVar[bool] = True

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        spatial(type(self).__name__, shape)
        return (shape[-1],), {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError(f"{type(self).__name__} needs the whole sequence, so it cannot go step by step")


@dataclass(frozen=True)
class GlobalAveragePool(Pooling):
    """y[b, c] = mean over the spatial axes of x[b, .., c];   dL/dx[b, .., c] = dy[b, c] / their size.

    Sequences (B, T, C) with a mask (B, T): the mean over the real steps, 0 where there is none.
    Shapes: x (B, *S, C), y (B, C). Errors: ShapeError for rows without spatial axes, or a mask of another length.
    Source: Lin, Chen, Yan 2014, https://arxiv.org/abs/1312.4400

    >>> import numpy as np, backlit as bl
    >>> x, mask = np.array([[[1.0], [3.0], [9.0]]]), np.array([[1.0, 1.0, 0.0]])
    >>> bl.GlobalAveragePool().forward({}, {}, x, bl.Context(mask=mask))[0].tolist()
    [[2.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("GlobalAvgPool",)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp, real = x.__array_namespace__(), real_steps(x, ctx)  # (B, T) or (1, places)
        count = xp.sum(real, axis=1, keepdims=True)
        share = real / xp.where(count > 0, count, xp.ones_like(count))
        share = xp.reshape(share, (share.shape[0], *x.shape[1:-1], 1))  # (B or 1, *S, 1)
        return xp.sum(x * share, axis=tuple(range(1, x.ndim - 1))), state, (x, share)  # (B, C)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        xp, (x, share) = dy.__array_namespace__(), cache  # of x, only its shape is used
        dy = xp.reshape(dy, (dy.shape[0], *(1,) * (x.ndim - 2), dy.shape[-1]))  # (B, 1.., C)
        return xp.broadcast_to(dy * share, x.shape), {}, {}  # (B, *S, C)


@dataclass(frozen=True)
class GlobalMaxPool(Pooling):
    """y[b, c] = max over the spatial axes of x[b, .., c];   dL/dx: dy goes to the maximum, the first of several.

    Sequences (B, T, C) with a mask (B, T): the maximum over the real steps, 0 where there is none.
    Shapes: x (B, *S, C), y (B, C). Errors: ShapeError for rows without spatial axes, or a mask of another length.
    Source: Collobert et al. 2011, https://www.jmlr.org/papers/v12/collobert11a.html

    >>> import numpy as np, backlit as bl
    >>> x, mask = np.array([[[1.0], [3.0], [9.0]]]), np.array([[1.0, 1.0, 0.0]])
    >>> bl.GlobalMaxPool().forward({}, {}, x, bl.Context(mask=mask))[0].tolist()
    [[3.0]]
    """

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        xp, real = x.__array_namespace__(), real_steps(x, ctx)[:, :, None] > 0  # (B or 1, N, 1)
        flat = xp.reshape(x, (x.shape[0], -1, x.shape[-1]))  # (B, N, C), N places
        y = xp.max(xp.where(real, flat, xp.full_like(flat, -xp.inf)), axis=1, keepdims=True)  # (B, 1, C)
        y = xp.where(xp.any(real, axis=1, keepdims=True), y, xp.zeros_like(y))
        return y[:, 0, :], state, (x, real)

    def backward(self, params: Tree, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Tree, Tree]:
        xp, (x, real) = dy.__array_namespace__(), cache
        flat = xp.reshape(x, (x.shape[0], -1, x.shape[-1]))  # (B, N, C)
        flat = xp.where(real, flat, xp.full_like(flat, -xp.inf))
        first = xp.argmax(flat, axis=1, keepdims=True)  # (B, 1, C)
        places = xp.arange(flat.shape[1], dtype=first.dtype)[None, :, None]  # (1, N, 1)
        dx = xp.where(xp.logical_and(places == first, real), dy[:, None, :], xp.zeros_like(flat))
        return xp.reshape(dx, x.shape), {}, {}  # (B, *S, C)


@dataclass(frozen=True)
class AdaptiveAveragePool(Pooling):
    """y = A x along each spatial axis: the mean over part i of m parts of n numbers;   dL/dx = A^T dy.

    Part i holds floor(i n / m) .. ceil((i + 1) n / m) - 1: where m does not divide n, neighbours share numbers.
    Shapes: x (B, *S, C), y (B, *size, C). Errors: ShapeError for rows without spatial axes or another number of them.
    Source: He et al. 2015, https://arxiv.org/abs/1406.4729. Others: these are torch's parts.

    >>> import numpy as np, backlit as bl
    >>> x = np.array([[[1.0], [2.0], [6.0]]])
    >>> bl.AdaptiveAveragePool(2).forward({}, {}, x, bl.Context())[0].ravel().tolist()
    [1.5, 4.0]
    """

    aliases: ClassVar[tuple[str, ...]] = ("AdaptiveAvgPool",)
    size: PerAxis = 1

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        space = spatial("AdaptiveAveragePool", shape)
        return (*each("AdaptiveAveragePool", "size", self.size, space), shape[-1]), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        y = x
        for axis, A in enumerate(self._means(x), start=1):
            y = along(axis, A, y)
        return y, state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        for axis, A in enumerate(self._means(cache), start=1):  # of the cache, only its shape is used
            dy = along(axis, A.T, dy)
        return dy, {}, {}

    def _means(self, x: Array) -> list[Array]:
        """For each spatial axis the matrix (m, n) that takes the means."""
        sizes = each("AdaptiveAveragePool", "size", self.size, tuple(x.shape[1:-1]))
        return [means(x, n, m) for n, m in zip(x.shape[1:], sizes, strict=False)]


def means(x: Array, n: int, m: int) -> Array:
    """Row i holds 1 / length over part i, 0 elsewhere: (m, n), in the dtype of x."""
    bins = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    rows = [[1 / (stop - start) if start <= j < stop else 0.0 for j in range(n)] for start, stop in bins]
    return x.__array_namespace__().asarray(rows, dtype=x.dtype)


def along(axis: int, A: Array, x: Array) -> Array:
    """A times x along an axis: (m, n), (.., n, ..) -> (.., m, ..)."""
    xp = x.__array_namespace__()
    rows = xp.reshape(x, (*x.shape[:axis], x.shape[axis], -1))  # (.., n, rest)
    return xp.reshape(A @ rows, (*x.shape[:axis], A.shape[0], *x.shape[axis + 1 :]))


def real_steps(x: Array, ctx: Context) -> Array:
    """1 for each real step of a sequence, (B, T); where there is no such mask, 1 for each place, (1, places)."""
    xp, mask, places = x.__array_namespace__(), ctx.mask, math.prod(x.shape[1:-1])
    if mask is None or mask.ndim != 2:
        return xp.ones((1, places), dtype=x.dtype)
    text = f"a pool over time expected a mask of {places} steps, got {mask.shape[1]}"
    need(x.ndim == 3 and mask.shape[1] == places, f"{text}; use a layer that keeps the number of steps before it")
    return xp.astype(mask, x.dtype)
