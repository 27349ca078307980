"""Reductions of tables of rows in the forms that XLA computes fast on a CPU. The formulas: rows_numpy.py.

XLA goes through a row number by number, in order, since sums of floating-point numbers depend on it:

    row_max      the larger of the row's two halves, and so on: whole vectors at once; a maximum has no order to keep
    row_sum      a product with ones, which sums in any order
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from backlit.engine import rows_numpy as plain
from backlit.engine.cpu import on_cpu

SHORT = 16
"""Numbers in a row up to which nothing is gained."""


def row_max(x: Any) -> Any:
    """The largest number of each row, (..., K) -> (..., 1)."""
    if not on_cpu():
        return plain.row_max(x)
    while (width := x.shape[-1]) > SHORT:
        half = (width + 1) // 2  # halves of an odd width share the number in the middle
        x = jnp.maximum(x[..., :half], x[..., width - half :])
    return jnp.max(x, axis=-1, keepdims=True)


def row_sum(x: Any) -> Any:
    """The sum over the last axis, (..., K) -> (..., 1)."""
    if not on_cpu() or x.shape[-1] <= SHORT:
        return plain.row_sum(x)
    return jnp.matmul(x, jnp.ones((x.shape[-1], 1), x.dtype), precision=lax.Precision.HIGHEST)
