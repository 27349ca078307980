"""Windows that slide over the spatial axes of (B, *S, C): which outputs there are, and what each of them sees.

Along an axis, output o sees the inputs  o stride + k dilation - lo,  k = 0 .. kernel - 1;  those outside are padding.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from backlit.errors import ShapeError

Array: TypeAlias = Any
Sizes: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


class Window(NamedTuple):
    """How a kernel slides: one entry for each spatial axis; `groups` of channels that do not meet."""

    strides: Sizes
    padding: Pairs
    dilation: Sizes
    groups: int = 1

    def extent(self, kernel: Sizes) -> Sizes:
        """How many inputs a dilated kernel spans: (kernel - 1) dilation + 1."""
        return tuple((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))

    def sizes(self, shape: Sizes, kernel: Sizes) -> Sizes:
        """Outputs along each axis: floor((n + lo + hi - extent) / stride) + 1."""
        axes = zip(shape, self.padding, self.extent(kernel), self.strides, strict=True)
        return tuple((n + lo + hi - extent) // stride + 1 for n, (lo, hi), extent, stride in axes)

    @property
    def unpadded(self) -> "Window":
        """The same for an x that has its padding already."""
        return self._replace(padding=((0, 0),) * len(self.strides))

    def adjoint(self, shape: Sizes, kernel: Sizes) -> "Window":
        """The window of dx: it slides over dy, stretched by the strides, with the turned kernel, and gives `shape`.

        Input i meets offset k in output (i + lo - k dilation) / stride where that is whole; with k' = kernel - 1 - k the
        sum runs over  i + k' dilation - (extent - 1 - lo)  of the stretched dy: padding extent - 1 - lo before it, and
        behind it what gives `shape`. Either is negative where inputs lie that no output sees.
        """
        axes = zip(shape, self.padding, self.extent(kernel), self.strides, self.sizes(shape, kernel), strict=True)
        padding = tuple((e - 1 - lo, n + lo - ((o - 1) * s + 1)) for n, (lo, _), e, s, o in axes)
        return Window((1,) * len(shape), padding, self.dilation, self.groups)


PerAxis: TypeAlias = int | Sizes
Padding: TypeAlias = Literal["same", "valid"] | int | tuple[int | tuple[int, int], ...]


def fit(
    name: str,
    shape: Sizes,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = "valid",
    dilation: PerAxis = 1,
    groups: int = 1,
) -> tuple[Sizes, Window]:
    """The kernel's sizes and the window for rows (*S, C) of `shape`; ShapeError with the layer's `name` where they do not fit.

    "same" gives ceil(n / stride) outputs; where this takes an odd number of zeros, the last one stands behind.
    """
    space = spatial(name, shape)
    size, strides = each(name, "kernel", kernel, space), each(name, "stride", stride, space)
    window = Window(strides, ((0, 0),) * len(space), each(name, "dilation", dilation, space), groups)
    if padding == "same":
        axes = zip(space, strides, window.extent(size), strict=True)
        totals = [max(0, (-(-n // s) - 1) * s + extent - n) for n, s, extent in axes]
        pairs = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pairs = sides(name, padding, space)
    window = window._replace(padding=pairs)
    if min(window.sizes(space, size)) < 1:
        padded = tuple(n + lo + hi for n, (lo, hi) in zip(space, pairs, strict=True))
        text = (
            f"{name} expected a kernel of at most the padded input, {padded}, got one that spans {window.extent(size)}"
        )
        raise ShapeError(f'{text}; use a smaller one or padding="same"')
    return size, window


def spatial(name: str, shape: Sizes) -> Sizes:
    """The spatial axes of rows (*S, C)."""
    if len(shape) not in (2, 3, 4):
        text = f"{name} expected rows (T, C), (H, W, C) or (D, H, W, C), got {tuple(shape)}"
        raise ShapeError(f"{text}; use Reshape, or x[..., None] where only the channels are missing")
    return tuple(shape[:-1])


def each(name: str, setting: str, value: Any, space: Sizes) -> Any:
    """One value for each spatial axis."""
    if not isinstance(value, tuple):
        return (value,) * len(space)
    if len(value) != len(space):
        axes = f"{len(space)} spatial {'axis' if len(space) == 1 else 'axes'}"
        text = f"{name} expected one {setting} for all or one for each of {axes}, got {value} for rows {(*space, 'C')}"
        raise ShapeError(f"{text}; where rows lack their channels, use x[..., None]")
    return value


def sides(name: str, padding: Padding, space: Sizes) -> Pairs:
    """(before, after) for each spatial axis, of any padding but "same"."""
    values = each(name, "padding", 0 if padding == "valid" else padding, space)
    return tuple((value, value) if isinstance(value, int) else tuple(value) for value in values)


def offsets(kernel: Sizes) -> Iterator[Sizes]:
    """Every position within a kernel, in row-major order."""
    return itertools.product(*map(range, kernel))


def seen(x: Array, offset: Sizes, sizes: Sizes, window: Window) -> Array:
    """What the offset `offset` of a kernel sees of the padded x, for all outputs at once: (B, *sizes, C)."""
    axes = zip(offset, sizes, window.strides, window.dilation, strict=True)
    return x[(slice(None), *(slice(k * d, k * d + (o - 1) * s + 1, s) for k, o, s, d in axes), slice(None))]


def turned(W: Array, groups: int) -> Array:
    """The kernel of dx, (*K, O / groups, C): each offset from the other end, inputs and outputs of a group exchanged."""
    xp = W.__array_namespace__()
    return exchanged(xp.flip(W, axis=tuple(range(W.ndim - 2))), groups)


def exchanged(W: Array, groups: int) -> Array:
    """(*K, C / groups, O) -> (*K, O / groups, C): inputs and outputs of each group exchanged."""
    xp, n = W.__array_namespace__(), W.ndim - 2
    *kernel, inputs, outputs = W.shape
    apart = xp.reshape(W, (*kernel, inputs, groups, outputs // groups))
    apart = xp.permute_dims(apart, (*range(n), n + 2, n + 1, n))  # (*K, O / groups, groups, C / groups)
    return xp.reshape(apart, (*kernel, outputs // groups, groups * inputs))


def parts(x: Array, groups: int) -> list[Array]:
    """The channels of each group."""
    width = x.shape[-1] // groups
    return [x[..., g * width : (g + 1) * width] for g in range(groups)]


def products(W: Array) -> int:
    """How many products make one output of a kernel (*K, C / groups, O)."""
    return math.prod(W.shape[:-1])
