"""Normalisation in the forms that XLA computes fast on a CPU, inside loops too. The formulas: normalization_numpy.py.

XLA's CPU sums over rows of few channels crawl (a tenth of what memory allows), and it writes what is to be summed to
memory first. Both are gone when a sum is laid out like this:

    side by side   neighbouring places stand in one row until it is at least 64 numbers wide
    eight to one   up to eight rows are added as slices, which XLA fuses with what makes them; only then comes the sum
    centres        what is subtracted before squaring has one number a column of such a row, in memory as it stands:
                   repeating a mean of few channels would cost a division for the index of every number

On other devices the formulas themselves are taken.
"""

import math
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp

from backlit.engine import normalization_numpy as plain
from backlit.engine.cpu import on_cpu
from backlit.engine.normalization_numpy import rows, weighed

WIDE = 64
"""Numbers in a row from which XLA's sums over rows are as fast as memory."""

SMALL = 2**16
"""Numbers up to which an array stays in a core's cache, and nothing is gained."""

SHORT = 32
"""Rows up to which XLA fuses a sum with what makes the rows: with slices in it, that would go through memory crosswise."""


def batch_norm(x: Any, gamma: Any, beta: Any, share: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, and mean and variance of each channel.

    x (..., C); gamma, beta, mean and variance (C,); share has the shape of x's leading axes, None: all rows count alike.
    """
    if not on_cpu():
        return plain.batch_norm(x, gamma, beta, share, epsilon)
    table, share_of = _side_by_side(x, share)  # (R, k C), (R, 1)
    n = table.shape[0]
    centre = _tall_sum(weighed(share_of, table)) / n  # (k C,)
    spread = _tall_sum(weighed(share_of, (table - centre) ** 2)) / n  # (k C,)
    # The k columns of a channel are k samples: their mean, and the variance within plus that between them.
    centre, spread = (jnp.reshape(a, (-1, x.shape[-1])) for a in (centre, spread))  # (k, C)
    mean = jnp.mean(centre, axis=0)  # (C,)
    variance = jnp.mean(spread + (centre - mean) ** 2, axis=0)  # (C,)
    y = (x - mean) * (gamma / jnp.sqrt(variance + epsilon)) + beta  # (..., C)
    return y, mean, variance


def batch_norm_backward(
    x: Any, mean: Any, variance: Any, gamma: Any, share: Any, dy: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    """dL/dx, dL/dgamma and dL/dbeta; x moves y also through mean and variance."""
    if not on_cpu():
        return plain.batch_norm_backward(x, mean, variance, gamma, share, dy, epsilon)
    table, delta = _side_by_side(x)[0], _side_by_side(dy)[0]  # (R, k C)
    # sum dy (x - mean) = sum dy (x - c) + (c - mean) sum dy; the first row is as good a c as any near the mean.
    centre = table[0]  # (k C,)
    products, dbeta = _tall_sum(delta * (table - centre)), _tall_sum(delta)  # (k C,)
    products, dbeta, centre = (jnp.reshape(a, (-1, x.shape[-1])) for a in (products, dbeta, centre))  # (k, C)
    slope = 1.0 / jnp.sqrt(variance + epsilon)  # (C,)
    dgamma = slope * jnp.sum(products + (centre - mean) * dbeta, axis=0)  # (C,)
    dbeta = jnp.sum(dbeta, axis=0)  # (C,)
    n = rows(x)
    dx = gamma * slope * (dy - weighed(share, dbeta / n + (x - mean) * (slope * dgamma / n)))  # (..., C)
    return dx, dgamma, dbeta


def row_mean(x: Any) -> Any:
    """The mean over the last axis, (..., D) -> (..., 1)."""
    width = x.shape[-1]
    while on_cpu() and x.shape[-1] % 2 == 0 and x.shape[-1] > 16:
        half = x.shape[-1] // 2
        x = x[..., :half] + x[..., half:]
    return jnp.sum(x, axis=-1, keepdims=True) / width


def column_sum(x: Any) -> Any:
    """The sum over the axis before the last, (..., R, C) -> (..., C)."""
    if not on_cpu():
        return plain.column_sum(x)
    *some, n, channels = x.shape
    k = _neighbours(n, channels)
    # The barrier keeps XLA from summing over the places' own axes again, which are too short for its fast form.
    table = jax.lax.optimization_barrier(jnp.reshape(x, (*some, n // k, k * channels)))
    sums = _tall_sum(table)  # (..., k C)
    return jnp.sum(jnp.reshape(sums, (*some, k, channels)), axis=-2)


def _side_by_side(x: Any, share: Any = None) -> tuple[Any, Any]:
    """x (..., C) as rows of k neighbouring places (R, k C), which count alike; and the share of each such row (R, 1)."""
    leading = 1 if share is None else share.ndim
    places = math.prod(x.shape[leading:-1])
    k = _neighbours(places, x.shape[-1])
    if share is not None:
        share = jnp.reshape(jnp.repeat(jnp.reshape(share, (-1,)), places // k), (-1, 1))
    return jnp.reshape(x, (-1, k * x.shape[-1])), share


def _neighbours(places: int, channels: int) -> int:
    """The fewest places that make a row WIDE, of those that divide all `places`; 1 where there are none."""
    if channels >= WIDE:
        return 1
    fewest = -(-WIDE // channels)
    return next((k for k in range(fewest, 4 * fewest) if places % k == 0), 1)


def _tall_sum(table: Any) -> Any:
    """(..., R, W) -> (..., W) for wide rows."""
    *some, n, width = table.shape
    worth = table.size > SMALL
    split = next((s for s in (8, 4, 2) if worth and n % s == 0 and n // s > SHORT), 1)
    apart = jnp.reshape(table, (*some, n // split, split, width))
    return jnp.sum(reduce(add, [apart[..., i, :] for i in range(split)]), axis=-2)
