"""Rows made longer with a constant, or shorter."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from annotated_types import Ge

from backlit.errors import SettingError
from backlit.layers.reshape import Rearranging
from backlit.protocol import Array, Context, Shape, Tree, need

Widths: TypeAlias = tuple[tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]], ...]
"""(before, after) for each axis of a row, the first axis first; axes that are left out stay as they are."""


@dataclass(frozen=True)
class Edges(Rearranging):
    """Base of the layers that change the edges of a row."""

    abstract: ClassVar[bool] = True
    widths: Widths = ()

    def check(self) -> None:
        if not self.widths:
            text = "expected (before, after) for one axis or more, got none; ((1, 1), (1, 1)) is a pixel around images"
            raise SettingError([("widths", text)])

    def judge(self, shape: Shape) -> None:
        """ShapeError when there are fewer axes than widths."""
        name, count = type(self).__name__, len(self.widths)
        need(len(shape) >= count, f"{name} with {count} widths expected rows of at least {count} axes, got {shape}")

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return super().memory(params, rows, length) if any(self.widths[0]) else {}


@dataclass(frozen=True)
class Pad(Edges):
    """`value` before and after each axis of a row;   dL/dx is dL/dy without the padding.

    Pad(((1, 1), (2, 2))) puts one row above and below and two columns beside an image, Pad(((3, 0),)) three steps before
    a sequence.
    Errors: ShapeError when rows have fewer axes than there are widths.
    Others: torch's pad counts from the last axis; Keras has a class for each number of axes.

    >>> import numpy as np, backlit as bl
    >>> bl.Pad(((1, 2),)).forward({}, {}, np.array([[5, 6]]), bl.Context())[0].tolist()
    [[0, 5, 6, 0, 0]]
    """

    value: int | float = 0

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        self.judge(shape)
        grown = tuple(n + before + after for n, (before, after) in zip(shape, self.widths, strict=False))
        return (*grown, *shape[len(grown) :]), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return padded(x, self.widths, self.value), state, {}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return cropped(dy, self.widths), {}, {}


@dataclass(frozen=True)
class Crop(Edges):
    """Each axis of a row without its first `before` and last `after` entries;   dL/dx is dL/dy with zeros around it.

    Errors: ShapeError when rows have fewer axes than there are widths, or nothing would be left.

    >>> import numpy as np, backlit as bl
    >>> bl.Crop(((1, 2),)).forward({}, {}, np.array([[1, 2, 3, 4, 5]]), bl.Context())[0].tolist()
    [[2, 3]]
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        self.judge(shape)
        left = tuple(n - before - after for n, (before, after) in zip(shape, self.widths, strict=False))
        need(all(n > 0 for n in left), f"Crop of {self.widths} expected larger rows, got {shape}")
        return (*left, *shape[len(left) :]), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return cropped(x, self.widths), state, {}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return padded(dy, self.widths, 0), {}, {}


def padded(x: Array, widths: Widths, value: float) -> Array:
    """x (B, ...) with `value` around its rows."""
    xp = x.__array_namespace__()
    for axis, ends in enumerate(widths, start=1):
        before, after = (
            xp.full((*x.shape[:axis], width, *x.shape[axis + 1 :]), value, dtype=x.dtype) for width in ends
        )
        x = xp.concat([before, x, after], axis=axis)
    return x


def cropped(x: Array, widths: Widths) -> Array:
    """x (B, ...) without the edges of its rows."""
    parts = [slice(before, n - after) for n, (before, after) in zip(x.shape[1:], widths, strict=False)]
    return x[(slice(None), *parts, *[slice(None)] * (x.ndim - 1 - len(parts)))]
