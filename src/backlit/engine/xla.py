"""The XLA engine: JAX as an array compiler. The only file of the core that imports JAX."""

import logging
import os
import sys
from typing import Any, Callable

from backlit.engine import devices

log = logging.getLogger("backlit")
devices.prepare(already_started="jax" in sys.modules)

import jax  # noqa: E402  (flags are read when the backend starts)
import jax.numpy as jnp  # noqa: E402

name = "xla"
devices.configure(jax)


def asarray(x: Any, dtype: Any = None) -> Any:
    """`x` as an array of this engine."""
    return jnp.asarray(x, dtype=dtype)


def compile(fn: Callable[..., Any], donate: tuple[int, ...] = (), static: tuple[int, ...] = ()) -> Callable[..., Any]:
    """`fn` as one compiled program. `donate`: positions whose memory is reused; `static`: positions that are settings."""
    return jax.jit(fn, donate_argnums=donate, static_argnums=static)


def scan(f: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any) -> tuple[Any, Any]:
    """carry, ys with (carry, y) = f(carry, x) for each x along the first axis of every leaf of `xs`."""
    return jax.lax.scan(f, carry, xs)


def erf(x: Any) -> Any:
    """Error function, elementwise, in the dtype of `x`."""
    return jax.lax.erf(x)


def barrier(x: Any) -> Any:
    """`x`; on a compiling engine, a point that the compiler may not move work across."""
    return jax.lax.optimization_barrier(x)


def ready(x: Any) -> Any:
    """`x` once all its arrays are computed."""
    return jax.block_until_ready(x)


def describe() -> dict[str, Any]:
    """Library version and devices, as a run stores them."""
    import jaxlib

    return {
        "engine": name,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "devices": [str(d) for d in jax.devices()],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def vjp(fn: Callable[..., Any], params: Any, x: Any, dy: Any) -> tuple[Any, Any]:
    """dL/dparams and dL/dx of y = fn(params, x) by JAX's differentiation; for layers without a backward of their own."""
    grads, dx = jax.vjp(fn, params, x)[1](dy)
    return grads, dx


def output_shape(fn: Callable[..., Any], params: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row of fn(params, x) for rows of `shape`, found without computing it."""
    return tuple(jax.eval_shape(fn, params, jax.ShapeDtypeStruct((2, *shape), jnp.float32)).shape[1:])
