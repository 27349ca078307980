"""Two running means in 16 bits a number: Adam's m with a sign and 7 bits, its v with 8, and a scale for each block.

A code is a small floating-point number, 4 bits of exponent and 3 of fraction for m, 5 and 3 for v: what stands at the top of
the bits of a float32 between 2^-16 (v: 2^-32) and 1. So it is made and read by shifts and additions of whole vectors, without
a table to search. Steps are 1/8 to 1/16 of a number, 2^-19 of the scale at the bottom of m, where 0 is exactly 0. v has no
sign and no 0: its smallest code, 2^-32 of the scale, keeps what is below it, so that nothing is divided by a v that was lost.

The scale of a block is the running mean of its largest |g|, or g^2 for v, with the b of the mean itself. No number in the
block can be larger, and it needs no pass over the new means: the gradient alone tells it.

A code is rounded up or down so that the mean of many roundings is right: by 20 bits of the gradient, turned on by a share of
the circle at each step. To the nearest, it would stand still: v moves by a thousandth of itself, a step of its code is a tenth.
"""

import math
from typing import Any, NamedTuple

from backlit import engine
from backlit.protocol import Array, Shape

FRACTION = 20
"""Bits of a float32 that a code leaves out: it keeps 3 of the 23 of the fraction, and the exponent above them."""

ONE = 127 << 3
"""The number 1, its bits moved down by FRACTION."""

BASE_M, BASE_V = ONE - 127, ONE - 255
"""What code 0 stands for, in the same way; the largest code is 1."""

LEAST_M = 2.0**-16 * 1.125
"""The number with the bits BASE_M: subtracted from m's codes, so that code 0 is 0."""

WIDTH = 64
"""Numbers in a block, at least."""

TINY = 2.0**-120
"""A scale below it counts as 0: it has no inverse in float32."""

LANES = (64, 16)
"""How many maxima are taken side by side: whole vectors, which XLA does not do within a row."""

TURN, ROW = 1640531527, 1779033703
"""Shares of a circle of 2^32, 0.382 and 0.414 (golden ratio, root of 2), by which the rounding turns: each step, each row."""


class Blocks(NamedTuple):
    """Codes of m (upper byte) and v (lower), shaped like the parameter, and the scales of their blocks."""

    codes: Array
    m: Array
    v: Array


def scale_shape(shape: Shape) -> tuple[int, ...]:
    """One scale a row (the last axis) of at least 64 numbers, or of a vector; else one for each place in a row."""
    if len(shape) == 1 or shape[-1] >= WIDTH:
        return (*shape[:-1], 1)
    return (*(1 for _ in shape[:-1]), shape[-1])


def empty(w: Array) -> Blocks:
    """Zeros, for a parameter of at least one axis."""
    xp = w.__array_namespace__()
    m, v = (xp.zeros(scale_shape(w.shape), dtype=xp.float32) for _ in range(2))
    return Blocks(xp.zeros(w.shape, dtype=xp.uint16), m, v)


def mean(blocks: Blocks) -> Array:
    """m, float32."""
    xp = blocks.codes.__array_namespace__()
    bits = xp.astype(blocks.codes, xp.uint32)
    size = floating(((bits & 0x7F00) << (FRACTION - 8)) + (BASE_M << FRACTION)) - LEAST_M
    return floating(whole(size) | ((bits & 0x8000) << 16)) * blocks.m


def mean_square(blocks: Blocks) -> Array:
    """v, float32."""
    xp = blocks.codes.__array_namespace__()
    bits = xp.astype(blocks.codes, xp.uint32)
    return floating(((bits & 0xFF) << FRACTION) + (BASE_V << FRACTION)) * blocks.v


def packed(old: Blocks, g: Array, m: Array, v: Array, b1: Array, b2: Array, step: Array) -> Blocks:
    """The codes of the new means m <- b1 m + (1 - b1) g and v <- b2 v + (1 - b2) g^2, all float32."""
    top = largest(g, scale_shape(g.shape))
    of_m, of_v = b1 * old.m + (1.0 - b1) * top, b2 * old.v + (1.0 - b2) * (top * top)
    # A little below 1, and below it with LEAST_M too: so the largest number is never rounded up past the largest code.
    near_m, near_v = m * inverse(of_m, 1.0 - 2.0**-15), v * inverse(of_v, 1.0 - 2.0**-20)
    xp, turn = g.__array_namespace__(), rounding(g, of_m.shape, step)
    code_m = whole(xp.abs(near_m) + LEAST_M) + turn
    code_v = xp.maximum(whole(near_v), xp.zeros_like(turn) + (BASE_V << FRACTION)) + turn
    both = ((code_m >> (FRACTION - 8)) & 0xFFFF00) + (code_v >> FRACTION) - ((BASE_M << 8) + BASE_V)
    return Blocks(xp.astype(both | ((whole(near_m) >> 16) & 0x8000), xp.uint16), of_m, of_v)


def largest(g: Array, shape: tuple[int, ...]) -> Array:
    """The largest |g| of each block, in `shape`."""
    xp = g.__array_namespace__()
    if shape[-1] != 1:
        return xp.max(xp.abs(g), axis=tuple(range(g.ndim - 1)), keepdims=True)
    found: Array = engine.of(g).compile(largest_in_rows)(g)  # a call by its name, which engine/fused knows
    return found


def largest_in_rows(g: Array) -> Array:
    """The largest |g| of each row, (..., K) -> (..., 1)."""
    xp, found = g.__array_namespace__(), [g]
    for lanes in LANES:
        found = [xp.abs(part) for part in slices(found[0], lanes)]
        while len(found) > 1:
            found = [xp.maximum(a, b) for a, b in zip(found[::2], found[1::2], strict=False)] + found[len(found) & ~1 :]
    return xp.max(found[0], axis=-1, keepdims=True)


def slices(x: Array, lanes: int) -> list[Array]:
    """x (..., K) in pieces of `lanes` numbers; the last one may share some with the one before."""
    width = x.shape[-1]
    return [x[..., (at := min(i, max(width - lanes, 0))) : at + lanes] for i in range(0, width, lanes)]


def inverse(scale: Array, one: float) -> Array:
    """one / scale, and 0 where the scale is too small to have an inverse."""
    xp = scale.__array_namespace__()
    known = scale > TINY
    return xp.where(known, one / xp.where(known, scale, xp.ones_like(scale)), xp.zeros_like(scale))


def rounding(g: Array, shape: tuple[int, ...], step: Array) -> Array:
    """What is added before the last 20 bits are cut off, 0 .. 2^20 - 1: each equally often in the course of the steps.

    The bits of g tell numbers of a row apart, the rest of the sum rows and steps.
    """
    xp = g.__array_namespace__()
    row = xp.reshape(xp.arange(math.prod(shape), dtype=xp.uint32), shape) * ROW
    turn = xp.reshape(xp.asarray(step, dtype=xp.uint32), (1,) * g.ndim) * TURN
    return (whole(g) + (row + turn)) & ((1 << FRACTION) - 1)


def whole(x: Array) -> Array:
    """The bits of float32 numbers, as uint32; the standard has no name for it, NumPy's and JAX's arrays have."""
    return x.view(x.__array_namespace__().uint32)


def floating(bits: Array) -> Array:
    """The float32 numbers that have these bits."""
    found: Any = bits.view(bits.__array_namespace__().float32)
    return found
