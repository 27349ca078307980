"""A product with the weights of k gates side by side, (I, k H): forward, backward, and its gradients over all steps.

    u = x W                                          or, normalised (gamma given),
    n = (x W - mean) / sqrt(var + EPS),  u = gamma n    mean and variance over the H units of each gate

With e = dL/du:    dL/dgamma = sum of e n,    d = gamma e,
    dL/d(x W) = (d - mean(d) - n mean(d n)) / sqrt(var + EPS)         (e itself where nothing is normalised)

x W is formed for all steps at once, h U within each step; the gradients of both wait until the loop has ended.
"""

from typing import NamedTuple

from backlit.protocol import Array

EPS = 1e-5


class Weights(NamedTuple):
    """W (I, k H), its transpose, and gamma (k, H) or None."""

    W: Array
    T: Array
    gamma: Array | None


class Normal(NamedTuple):
    """n (..., k, H), and 1 / sqrt(var + EPS) (..., k, 1)."""

    value: Array
    scale: Array


def normalised(u: Array) -> Normal:
    """u (..., H) with mean 0 and variance 1 along the last axis."""
    xp = u.__array_namespace__()
    centred = u - xp.mean(u, axis=-1, keepdims=True)
    scale = 1.0 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + EPS)
    return Normal(centred * scale, scale)


def normalised_backward(normal: Normal, d: Array) -> Array:
    """dL/du from d = dL/dn."""
    xp = d.__array_namespace__()
    along = xp.mean(d * normal.value, axis=-1, keepdims=True)
    return normal.scale * (d - xp.mean(d, axis=-1, keepdims=True) - normal.value * along)


def product(x: Array, weights: Weights) -> tuple[Array, Normal | None]:
    """u (..., k H) for x (..., I); and n where it is normalised."""
    u = x @ weights.W  # (..., I) @ (I, k H) -> (..., k H)
    if weights.gamma is None:
        return u, None
    xp = x.__array_namespace__()
    normal = normalised(xp.reshape(u, (*u.shape[:-1], *weights.gamma.shape)))  # (..., k, H)
    return xp.reshape(weights.gamma * normal.value, u.shape), normal


def product_backward(e: Array, weights: Weights, normal: Normal | None) -> Array:
    """dL/dx (..., I)."""
    return before_normal(e, weights, normal) @ weights.T  # (..., k H) @ (k H, I)


def product_gradients(x: Array, e: Array, weights: Weights, normal: Normal | None) -> tuple[Array, Array | None]:
    """dL/dW (I, k H) and dL/dgamma (k, H) for x (T, B, I), e (T, B, k H)."""
    dW = over_steps(x, before_normal(e, weights, normal))
    if weights.gamma is None or normal is None:
        return dW, None
    xp = e.__array_namespace__()
    return dW, xp.reshape(sum_over_steps(e * xp.reshape(normal.value, e.shape)), weights.gamma.shape)


def before_normal(e: Array, weights: Weights, normal: Normal | None) -> Array:
    """dL/d(x W) (..., k H)."""
    if weights.gamma is None or normal is None:
        return e
    xp = e.__array_namespace__()
    d = weights.gamma * xp.reshape(e, (*e.shape[:-1], *weights.gamma.shape))  # (..., k, H)
    return xp.reshape(normalised_backward(normal, d), e.shape)


def over_steps(x: Array, delta: Array) -> Array:
    """sum over t and rows of x^T delta: (T, B, I), (T, B, O) -> (I, O).

    Both axes at once: XLA computes this in half the time of x^T delta with the steps as rows of a matrix.
    """
    return x.__array_namespace__().tensordot(x, delta, axes=((0, 1), (0, 1)))


def sum_over_steps(delta: Array) -> Array:
    """(T, B, O) -> (O,): a product with ones, for which XLA takes a small part of the time of its sum over two axes."""
    xp = delta.__array_namespace__()
    return xp.tensordot(xp.ones(delta.shape[:2], dtype=delta.dtype), delta, axes=((0, 1), (0, 1)))
