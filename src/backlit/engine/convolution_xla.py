"""Convolution in the forms that XLA computes fast on a CPU, inside loops too. The formula: convolution_numpy.py.

Only the canonical form (NHWC, HWIO, NHWC, transposes written out) is fast within a loop; around it:

    1 x 1 kernels                  one matrix product over strided slices
    few products an output         the sum over offsets itself, which XLA fuses: images of 1 or 3 channels, depthwise
    groups                         one after another: XLA's own grouped kernels take twice as long, their gradients 20 times
    three axes                     convolutions of two axes, what the first one's offsets see side by side in the channels
    dx with kernel = n stride      n^axes offsets and stride^axes times the outputs, interleaved: no products with zeros

Elsewhere XLA calls the device's own library, which wants nothing but the canonical form.
"""

import itertools
import math
from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

import jax.numpy as jnp
from jax import lax

from backlit.engine.cpu import alone, on_cpu
from backlit.engine.window import Array, Pairs, Sizes, Window, offsets, parts, products, seen, turned

FEW = 50
"""Products for one output up to which the sum over offsets is faster than XLA's convolution."""


def convolve(x: Any, W: Any, window: Window) -> Any:
    """y[b, o] = sum over offsets k of x[b, o stride + k dilation - lo] @ W[k]; what lies outside x is 0."""
    return _slide(x, W, window, (1,) * (x.ndim - 2))


def convolve_dx(dy: Any, W: Any, window: Window, shape: Sizes) -> Any:
    """dL/dx for x of the spatial `shape`: dy, stretched by the strides, convolved with the turned kernel."""
    kernel, once = W.shape[:-2], (1,) * len(shape)
    whole = all(k % s == 0 for k, s in zip(kernel, window.strides, strict=True))
    if on_cpu() and whole and window.dilation == once != window.strides and window.groups == 1:
        return _interleaved(dy, W, window, shape)
    return _slide(dy, turned(W, window.groups), window.adjoint(shape, kernel), window.strides)


def convolve_dW(x: Any, dy: Any, window: Window, kernel: Sizes) -> Any:
    """dL/dW for a kernel of the spatial size `kernel`: W[k] met x[o stride + k dilation - lo] in every output o."""
    groups, sizes, once = window.groups, dy.shape[1:-1], (1,) * len(kernel)
    if on_cpu() and groups == x.shape[-1] > 1:
        return _depthwise_dW(x, dy, window, kernel)
    if on_cpu() and groups > 1:
        pairs = zip(parts(x, groups), parts(dy, groups), strict=True)
        return _beside(convolve_dW(a, b, window._replace(groups=1), kernel) for a, b in pairs)
    if math.prod(kernel) == groups == 1:
        met = seen(_spread(x, window.padding, once), (0,) * len(kernel), sizes, window)
        return jnp.reshape(_flat(met).T @ _flat(dy), (*kernel, x.shape[-1], dy.shape[-1]))
    # Behind x stands what the last offset sees of the last output; what no output sees is cut off.
    axes = zip(window.padding, x.shape[1:-1], kernel, window.dilation, sizes, window.strides, strict=True)
    padding = tuple((lo, (k - 1) * d + (o - 1) * s + 1 - n - lo) for (lo, _), n, k, d, o, s in axes)
    if on_cpu() and len(kernel) == 3:
        x = _side_by_side(_spread(x, (padding[0], (0, 0), (0, 0)), once), kernel[0], sizes[0], window)
        flat = Window(window.strides[1:], padding[1:], window.dilation[1:])
        dW = convolve_dW(x, jnp.reshape(dy, (-1, *dy.shape[2:])), flat, kernel[1:])  # (K2, K3, K1 C, O)
        return jnp.moveaxis(jnp.reshape(dW, (*kernel[1:], kernel[0], -1, dy.shape[-1])), 2, 0)
    few = on_cpu() and dy.shape[-1] < min(4, x.shape[-1])
    if few:  # as rows of the convolution, one or three channels are faster than as its outputs: the roles are exchanged
        x, dy, padding = dy, x, window.adjoint(x.shape[1:-1], kernel).padding
    space = tuple(range(1, len(kernel) + 1))
    steps = (window.strides, once) if few else (once, window.strides)

    def convolved(x: Array, dy: Array) -> Array:
        images = jnp.transpose(x, (x.ndim - 1, *space, 0))  # (C, *S, B): channels are the rows, rows are the channels
        filters = jnp.transpose(dy, (*space, 0, dy.ndim - 1))  # (*out, B, O)
        return _canonical(images, filters, window.dilation, padding, *steps, batches=groups)  # (C / groups, *K, O)

    dW = alone(convolved, x, dy)
    return jnp.moveaxis(jnp.flip(dW, space), 0, -1) if few else jnp.moveaxis(dW, 0, -2)


def channel_sums(x: Any) -> Any:
    """The sum over all axes but the last, (..., C) -> (C,)."""
    rows = _flat(x)
    if not on_cpu():
        return jnp.sum(rows, axis=0)
    # A product with ones: XLA sums columns three times as slowly.
    return jnp.matmul(jnp.ones((rows.shape[0],), x.dtype), rows, precision=lax.Precision.HIGHEST)


def _slide(x: Array, W: Array, window: Window, stretch: Sizes) -> Array:
    """`convolve` of x with stretch - 1 zeros between neighbours."""
    kernel, groups = W.shape[:-2], window.groups
    if math.prod(kernel) == groups == 1:
        x, first = _spread(x, window.padding, stretch), (0,) * len(kernel)
        return seen(x, first, window.unpadded.sizes(x.shape[1:-1], kernel), window) @ W[first]
    if not on_cpu():
        return _canonical(x, W, window.strides, window.padding, stretch, window.dilation, groups)
    if products(W) <= FEW:
        return alone(lambda x, W: _sum_of_offsets(x, W, window, stretch), x, W)
    if groups > 1:
        pairs = zip(parts(x, groups), parts(W, groups), strict=True)
        return _beside(_slide(a, b, window._replace(groups=1), stretch) for a, b in pairs)
    if len(kernel) == 3:
        x = _spread(x, (window.padding[0], (0, 0), (0, 0)), (stretch[0], 1, 1))
        size = window.unpadded.sizes(x.shape[1:-1], kernel)[0]
        flat = Window(window.strides[1:], window.padding[1:], window.dilation[1:])
        W = jnp.reshape(jnp.moveaxis(W, 0, 2), (*kernel[1:], -1, W.shape[-1]))  # (K2, K3, K1 C, O)
        y = _slide(_side_by_side(x, kernel[0], size, window), W, flat, stretch[1:])  # (B size, ..)
        return jnp.reshape(y, (x.shape[0], size, *y.shape[1:]))
    return _canonical(x, W, window.strides, window.padding, stretch, window.dilation)


def _canonical(
    x: Array,
    W: Array,
    strides: Sizes,
    padding: Pairs,
    stretch: Sizes,
    dilation: Sizes,
    groups: int = 1,
    batches: int = 1,
) -> Array:
    if math.prod(W.shape[:-2]) > math.prod(x.shape[1:-1]):
        # XLA would exchange input and kernel here and then have no fast form: it is shown an input with its padding.
        x = lax.optimization_barrier(_spread(x, padding, stretch))
        padding, stretch = ((0, 0),) * len(strides), (1,) * len(strides)
    letters = "DHW"[3 - len(strides) :]
    forms = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(x, W, strides, padding, stretch, dilation, forms, groups, batches)


def _sum_of_offsets(x: Array, W: Array, window: Window, stretch: Sizes) -> Array:
    """Each input of a group, repeated for the outputs of its group, times its row of W[offset]."""
    *kernel, inputs, outputs = W.shape
    x = _spread(x, window.padding, stretch)
    sizes, times = window.unpadded.sizes(x.shape[1:-1], tuple(kernel)), outputs // window.groups
    terms = []
    for i in range(inputs):
        one = x[..., i::inputs]  # (B, *S, groups): input i of every group
        one = jnp.repeat(one, times, axis=-1) if times > 1 else one  # (B, *S, O)
        terms += [seen(one, k, sizes, window) * W[(*k, i)] for k in offsets(tuple(kernel))]
    return reduce(add, terms)


def _depthwise_dW(x: Array, dy: Array, window: Window, kernel: Sizes) -> Array:
    """For each offset the sum of x dy: first number by number over parts of the first axis, the rest as a product."""
    x = jnp.repeat(x, dy.shape[-1] // x.shape[-1], axis=-1)
    x = _spread(x, window.padding, (1,) * len(kernel))
    size = dy.shape[1]
    width = size // max(n for n in range(1, 9) if size % n == 0)
    dW = []
    for k in offsets(kernel):
        met = seen(x, k, dy.shape[1:-1], window)  # (B, *out, O)
        some = [met[:, i : i + width] * dy[:, i : i + width] for i in range(0, size, width)]
        dW.append(channel_sums(reduce(add, some)))
    return jnp.reshape(jnp.stack(dW), (*kernel, 1, dy.shape[-1]))


def _interleaved(dy: Array, W: Array, window: Window, shape: Sizes) -> Array:
    """dx where the kernel is a multiple of the stride: each of stride^axes phases of dx sees its own offsets of dy."""
    *kernel, inputs, outputs = W.shape
    rank = len(kernel)
    counts = [k // s for k, s in zip(kernel, window.strides, strict=True)]
    pairs = list(itertools.chain(*zip(counts, window.strides, strict=True)))
    W = jnp.reshape(W, (*pairs, inputs, outputs))  # offset = q stride + phase: (q1, phase1, q2, phase2, .., C, O)
    order = (*range(0, 2 * rank, 2), 2 * rank + 1, *range(1, 2 * rank, 2), 2 * rank)
    W = jnp.transpose(jnp.flip(W, tuple(range(0, 2 * rank, 2))), order)  # (*q, O, *phase, C)
    W = jnp.reshape(W, (*counts, outputs, -1))
    once = (1,) * rank
    dx = _slide(dy, W, Window(once, tuple((q - 1, q - 1) for q in counts), once), once)
    places = dx.shape[1:-1]
    dx = jnp.reshape(dx, (dx.shape[0], *places, *window.strides, inputs))
    mixed = itertools.chain(*zip(range(1, rank + 1), range(rank + 1, 2 * rank + 1), strict=True))
    dx = jnp.transpose(dx, (0, *mixed, 2 * rank + 1))
    long = tuple(n * s for n, s in zip(places, window.strides, strict=True))
    dx = jnp.reshape(dx, (dx.shape[0], *long, inputs))
    axes = zip(shape, window.padding, long, strict=True)
    return _spread(dx, tuple((-lo, n + lo - m) for n, (lo, _), m in axes), once)


def _side_by_side(x: Array, kernel: int, size: int, window: Window) -> Array:
    """(B, D, H, W, C) -> (B size, H, W, kernel C): what each offset along the first axis sees, in the channels."""
    stride, dilation = window.strides[0], window.dilation[0]
    seen_by = [x[:, k * dilation : k * dilation + (size - 1) * stride + 1 : stride] for k in range(kernel)]
    return jnp.reshape(jnp.concatenate(seen_by, axis=-1), (-1, *x.shape[2:4], kernel * x.shape[-1]))


def _spread(x: Array, padding: Pairs, stretch: Sizes) -> Array:
    """Zeros around the spatial axes and between neighbours; negative padding cuts off."""
    inner = [(lo, hi, s - 1) for (lo, hi), s in zip(padding, stretch, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])


def _flat(x: Array) -> Array:
    return jnp.reshape(x, (-1, x.shape[-1]))


def _beside(groups: Iterable[Array]) -> Array:
    return jnp.concatenate(list(groups), axis=-1)
