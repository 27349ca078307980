"""Convolution as its formula: a sum over the kernel's offsets of shifted inputs times W[offset]; for every array library.

x (B, *S, C), W (*K, C / groups, O), y and dy (B, *out, O) with one to three spatial axes S.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

from backlit.engine.window import Array, Pairs, Sizes, Window, offsets, parts, seen, turned


def convolve(x: Any, W: Any, window: Window) -> Any:
    """y[b, o] = sum over offsets k of x[b, o stride + k dilation - lo] @ W[k]; what lies outside x is 0."""
    if 1 < window.groups < x.shape[-1]:
        pairs = zip(parts(x, window.groups), parts(W, window.groups), strict=True)
        return _beside(convolve(a, b, window._replace(groups=1)) for a, b in pairs)
    kernel = W.shape[:-2]
    sizes, x = window.sizes(x.shape[1:-1], kernel), _padded(x, window.padding)
    return reduce(add, (_product(seen(x, k, sizes, window), W[(*k, ...)], window.groups) for k in offsets(kernel)))


def convolve_dx(dy: Any, W: Any, window: Window, shape: Sizes) -> Any:
    """dL/dx for x of the spatial `shape`: dy, stretched by the strides, convolved with the turned kernel."""
    stretched = _stretched(dy, window.strides)
    return convolve(stretched, turned(W, window.groups), window.adjoint(shape, W.shape[:-2]))


def convolve_dW(x: Any, dy: Any, window: Window, kernel: Sizes) -> Any:
    """dL/dW for a kernel of the spatial size `kernel`: W[k] met x[o stride + k dilation - lo] in every output o."""
    if 1 < window.groups < x.shape[-1]:
        pairs = zip(parts(x, window.groups), parts(dy, window.groups), strict=True)
        return _beside(convolve_dW(a, b, window._replace(groups=1), kernel) for a, b in pairs)
    xp, places = x.__array_namespace__(), tuple(range(dy.ndim - 1))
    x = _padded(x, window.padding)
    met = [seen(x, k, dy.shape[1:-1], window) for k in offsets(kernel)]  # each (B, *out, C)
    if window.groups > 1:
        dW = [xp.sum(_repeated(a, dy.shape[-1]) * dy, axis=places)[None, :] for a in met]  # (1, O)
    else:
        dW = [xp.tensordot(a, dy, axes=(places, places)) for a in met]  # (C, O)
    return xp.reshape(xp.stack(dW), (*kernel, *dW[0].shape))


def channel_sums(x: Any) -> Any:
    """The sum over all axes but the last, (..., C) -> (C,)."""
    return x.__array_namespace__().sum(x, axis=tuple(range(x.ndim - 1)))


def _product(x: Array, W: Array, groups: int) -> Array:
    """(B, *out, C), (C / groups, O) -> (B, *out, O); either one group, or as many as channels."""
    return _repeated(x, W.shape[-1]) * W[0, :] if groups > 1 else x.__array_namespace__().tensordot(x, W, axes=1)


def _repeated(x: Array, channels: int) -> Array:
    """Each channel as often as it has outputs."""
    times = channels // x.shape[-1]
    return x if times == 1 else x.__array_namespace__().repeat(x, times, axis=-1)


def _beside(groups: Iterable[Array]) -> Array:
    made = list(groups)
    return made[0].__array_namespace__().concat(made, axis=-1)


def _padded(x: Array, padding: Pairs) -> Array:
    """Zeros around the spatial axes; negative padding cuts off."""
    xp = x.__array_namespace__()
    for axis, (lo, hi) in enumerate(padding, start=1):
        if max(lo, hi) > 0:
            ends = [xp.zeros((*x.shape[:axis], max(0, n), *x.shape[axis + 1 :]), dtype=x.dtype) for n in (lo, hi)]
            x = xp.concat([ends[0], x, ends[1]], axis=axis)
        if min(lo, hi) < 0:
            x = x[(*(slice(None),) * axis, slice(max(0, -lo), x.shape[axis] + min(0, hi)), ...)]
    return x


def _stretched(x: Array, strides: Sizes) -> Array:
    """stride - 1 zeros between neighbours."""
    xp = x.__array_namespace__()
    for axis, stride in enumerate(strides, start=1):
        if stride > 1:
            apart = xp.stack([x, *[xp.zeros_like(x)] * (stride - 1)], axis=axis + 1)  # (B, .., n, stride, .., C)
            x = xp.reshape(apart, (*x.shape[:axis], -1, *x.shape[axis + 1 :]))
            x = x[(*(slice(None),) * axis, slice(0, x.shape[axis] - stride + 1), ...)]
    return x
