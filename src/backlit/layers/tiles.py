"""Windows that lie side by side and cover all of x: the largest number of each, and the way back to it."""

from collections.abc import Sequence
from functools import reduce

from backlit.layers.views import Axis
from backlit.protocol import Array


def tiled(axes: Sequence[Axis]) -> bool:
    """Whether each number is in exactly one window."""
    return all(a.stride == a.k and a.dilation == 1 and a.lo == a.hi == 0 and a.n % a.k == 0 for a in axes)


def tiles(x: Array, axes: Sequence[Axis]) -> list[Array]:
    """The numbers of each window, place by place in row-major order, each (B, *out, C)."""
    split = x.__array_namespace__().reshape(x, (x.shape[0], *_in_two(axes), x.shape[-1]))
    found = [split]
    for i in range(len(axes)):  # each axis (n,) stands there as (out, k); its second half goes
        cut = (slice(None),) * (i + 2)
        found = [part[(*cut, place, ...)] for part in found for place in range(axes[i].k)]
    return found


def largest(places: Sequence[Array]) -> Array:
    """The largest number of each window, (B, *out, C)."""
    return reduce(places[0].__array_namespace__().maximum, places)


def to_largest(x: Array, axes: Sequence[Axis], dy: Array) -> Array:
    """dL/dx (B, *S, C): each dy (B, *out, C) goes to the first of its window's largest numbers, the others get 0."""
    xp, places = dy.__array_namespace__(), tiles(x, axes)
    y, last = largest(places), len(places) - 1
    winner = xp.full(y.shape, last, dtype=xp.int32)  # (B, *out, C): the place in the window
    for place in range(last - 1, -1, -1):
        winner = xp.where(places[place] == y, xp.full_like(winner, place), winner)
    # One look at each number of x, in its order: is it at its window's winning place?
    own = xp.reshape(xp.arange(last + 1, dtype=xp.int32), (1, *_ones_and(axes), 1))  # (1, 1, k, 1, k, .., 1)
    apart = (y.shape[0], *_out_and_ones(axes), y.shape[-1])  # (B, out, 1, out, 1, .., C)
    winner, dy = xp.reshape(winner, apart), xp.reshape(dy, apart)
    return xp.reshape(xp.where(winner == own, dy, xp.zeros_like(dy)), x.shape)


def _in_two(axes: Sequence[Axis]) -> list[int]:
    return [n for axis in axes for n in (axis.out, axis.k)]


def _ones_and(axes: Sequence[Axis]) -> list[int]:
    return [n for axis in axes for n in (1, axis.k)]


def _out_and_ones(axes: Sequence[Axis]) -> list[int]:
    return [n for axis in axes for n in (axis.out, 1)]
