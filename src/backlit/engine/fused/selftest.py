"""A small program with loops of our own, called by XLA, when a process first uses them: its results are known."""

import jax
import numpy as np

from backlit.engine.fused import groups, handler

ROWS, WIDTH = 2 * handler.PIECE // 37, 37
"""Several pieces, and rows that no vector divides."""


def check() -> None:
    """RuntimeError where a result is wrong."""
    m, g = (np.random.default_rng(i).integers(-8, 9, (ROWS, WIDTH)).astype(np.float32) for i in range(2))
    top = np.zeros((ROWS, 1), np.float32)
    program = groups.flat(jax.make_jaxpr(_formula)(m, m, top, g, 0.5))
    found = jax.jit(groups.way(program, kept=3, least=0))(m, m, top, g, np.float32(0.5))
    largest = np.abs(g).max(axis=1, keepdims=True)
    expected = 0.5 * m + g, m - np.sign(g) * np.sqrt(g * g) / largest.clip(1.0), largest
    for a, b in zip(expected, found, strict=True):
        if not np.allclose(a, b, rtol=1e-6, atol=1e-6):
            raise RuntimeError(f"self-test: a result is wrong by {np.abs(a - np.asarray(b)).max():.1g}")


def largest_in_rows(x: jax.Array) -> jax.Array:
    """By XLA: what the loop does."""
    return abs(x).max(axis=-1, keepdims=True)


def _formula(
    m: jax.Array, w: jax.Array, top: jax.Array, g: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    import jax.numpy as jnp

    largest = jax.jit(largest_in_rows)(g)
    return b * m + g, w - jnp.sign(g) * jnp.sqrt(g * g) / jnp.maximum(largest, 1.0), jnp.maximum(0.0 * top, largest)
