"""One counter-based random generator on both engines: Threefry-2x32 with 20 rounds, written in the array-API standard.

A key is an array uint32[2]; a number is a pure function of (key, position), so a mask, a permutation or an initial
weight is the same on NumPy and on XLA, whatever the number of devices. Keys, `fold`, `split`, `bits` and `uniform` are
equal bit by bit to those of `jax.random` (its partitionable form).

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
https://doi.org/10.1145/2063384.2063405
"""

import math
from typing import Any
from zlib import crc32

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def key(seed: int) -> Any:
    """The key of a seed (0 <= seed < 2^64), a NumPy array."""
    return np.array([(seed >> 32) & 0xFFFFFFFF, seed & 0xFFFFFFFF], dtype=np.uint32)


def fold(key: Any, data: Any) -> Any:
    """A new key from a key and a name (str), a number, or a traced integer."""
    xp = key.__array_namespace__()
    if isinstance(data, str):
        data = crc32(data.encode())
    low = xp.astype(xp.reshape(xp.asarray(data), (1,)), xp.uint32) if not isinstance(data, int) else _word(xp, data)
    first, second = threefry(key, _word(xp, 0), low)
    return xp.concat([first, second])


def split(key: Any, n: int = 2) -> Any:
    """n keys, (n, 2)."""
    xp = key.__array_namespace__()
    first, second = threefry(key, *_counts(xp, n))
    return xp.stack([first, second], axis=1)


def bits(key: Any, shape: tuple[int, ...]) -> Any:
    """Uniform 32-bit words of `shape`, uint32."""
    xp = key.__array_namespace__()
    first, second = threefry(key, *_counts(xp, math.prod(shape)))
    return xp.reshape(first ^ second, shape)


def uniform(key: Any, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Any:
    """float32, uniform in [low, high): 23 bits of mantissa each.

    Others: jax.random.uniform lets the compiler fuse the product and the sum, so for ranges whose width is no power of
    two its last bit depends on where it runs; here it does not.
    """
    xp = key.__array_namespace__()
    unit = xp.astype(bits(key, shape) >> 9, xp.float32) * (2.0**-23)
    scaled = unit * float(np.float32(high) - np.float32(low))
    # The maximum with 0 changes nothing but keeps a compiler from fusing the product into the sum.
    scaled = xp.maximum(scaled, xp.asarray(0.0, dtype=xp.float32))
    return xp.maximum(scaled + low, xp.asarray(low, dtype=xp.float32))


def normal(key: Any, shape: tuple[int, ...]) -> Any:
    """float32, standard normal: sqrt(2) erfinv(u), u uniform in (-1, 1)."""
    below_minus_one = float(np.nextafter(np.float32(-1), np.float32(0)))
    return math.sqrt(2) * erfinv(uniform(key, shape, below_minus_one, 1.0))


def permutation(key: Any, n: int) -> Any:
    """0..n-1 in random order (int32): the stable order of n random words."""
    xp = key.__array_namespace__()
    return xp.astype(xp.argsort(bits(key, (n,)), stable=True), xp.int32)


def erfinv(x: Any) -> Any:
    """Inverse error function in single precision (relative error about 1e-6).

    Source: Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2012; two polynomials in w = -ln(1 - x^2).
    """
    xp = x.__array_namespace__()
    w = -xp.log1p(-x * x)
    near, far = w - 2.5, xp.sqrt(xp.maximum(w, xp.asarray(5.0, dtype=w.dtype))) - 3.0
    centre = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
              -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
    tail = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
            -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)  # fmt: skip
    p, q = centre[0], tail[0]
    for a, b in zip(centre[1:], tail[1:], strict=True):
        p, q = p * near + a, q * far + b
    return xp.where(w < 5.0, p, q) * x


def threefry(key: Any, first: Any, second: Any) -> tuple[Any, Any]:
    """Encrypt pairs of 32-bit counters with a 64-bit key: 20 rounds of add, rotate, xor."""
    # Slices rather than scalars: NumPy warns when a scalar overflows, and here overflow is the point.
    k0, k1 = key[0:1], key[1:2]
    keys = (k0, k1, k0 ^ k1 ^ _word(key.__array_namespace__(), 0x1BD11BDA))
    a, b = first + k0, second + k1
    for block in range(5):
        for r in ROTATIONS[block % 2]:
            a = a + b
            b = ((b << r) | (b >> (32 - r))) ^ a
        a, b = a + keys[(block + 1) % 3], b + keys[(block + 2) % 3] + _word(key.__array_namespace__(), block + 1)
    return a, b


def _word(xp: Any, value: int) -> Any:
    return xp.asarray([value & 0xFFFFFFFF], dtype=xp.uint32)


def _counts(xp: Any, n: int) -> tuple[Any, Any]:
    # The high word of the 64-bit counter: arrays here have fewer than 2^32 numbers.
    if n >= 2**32:
        raise ValueError(f"one draw has at most 2^32 - 1 numbers, got {n}")
    low = xp.arange(n, dtype=xp.uint32)
    return xp.zeros_like(low), low
