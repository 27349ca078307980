"""The XLA engine: JAX as an array compiler. The only file of the core that imports JAX."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import numpy as np

from backlit.engine import devices, fused, tree

log = logging.getLogger("backlit")
devices.prepare(already_started="jax" in sys.modules)

import jax  # noqa: E402  (flags are read when the backend starts)
import jax.numpy as jnp  # noqa: E402

from backlit.engine.convolution_xla import channel_sums as channel_sums  # noqa: E402
from backlit.engine.cpu import on_cpu  # noqa: E402
from backlit.engine.normalization_xla import batch_norm as batch_norm  # noqa: E402
from backlit.engine.normalization_xla import batch_norm_backward as batch_norm_backward  # noqa: E402
from backlit.engine.normalization_xla import column_sum as column_sum  # noqa: E402
from backlit.engine.normalization_xla import row_mean as row_mean  # noqa: E402
from backlit.engine.onednn import convolve as convolve  # noqa: E402
from backlit.engine.onednn import convolve_dW as convolve_dW  # noqa: E402
from backlit.engine.onednn import convolve_dx as convolve_dx  # noqa: E402
from backlit.engine.onednn import describe as _onednn  # noqa: E402
from backlit.engine.rows_xla import row_max as row_max  # noqa: E402
from backlit.engine.rows_xla import row_sum as row_sum  # noqa: E402

LINE, WORTH_ALIGNING = 64, 2**16
"""Bytes at whose multiples memory can be shared, and from which an array is worth it."""

name = "xla"
devices.configure(jax)


def asarray(x: Any, dtype: Any = None) -> Any:
    """`x` as an array of this engine."""
    return jnp.asarray(x, dtype=dtype)


def compile(fn: Callable[..., Any], donate: tuple[int, ...] = (), static: tuple[int, ...] = ()) -> Callable[..., Any]:
    """`fn` as one compiled program. `donate`: positions whose memory is reused; `static`: positions that are settings."""
    return jax.jit(fn, donate_argnums=donate, static_argnums=static)


def scan(f: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """carry, ys with (carry, y) = f(carry, x) for each x along the first axis of every leaf of `xs`.

    `reverse`: from the last x to the first; ys stand in the order of xs.
    """
    return jax.lax.scan(f, carry, xs, reverse=reverse)


def repeat(steps: Any, f: Callable[[Any, Any], Any], carry: Any, until: Callable[[Any], Any]) -> Any:
    """carry = f(i, carry) for i = 0 .. steps - 1, while `until(carry)` holds; `steps` may be known only at run time."""
    return jax.lax.while_loop(
        lambda at: (at[0] < steps) & until(at[1]),
        lambda at: (at[0] + 1, f(at[0], at[1])),
        (jnp.asarray(0, jnp.int32), carry),
    )[1]


def branch(condition: Any, yes: Callable[[Any], Any], no: Callable[[Any], Any], value: Any) -> Any:
    """yes(value) where `condition` (one truth value) holds, else no(value); both give the same shapes."""
    return jax.lax.cond(condition, yes, no, value)


def erf(x: Any) -> Any:
    """Error function, elementwise, in the dtype of `x`."""
    return jax.lax.erf(x)


def scatter_add(size: int, index: Any, values: Any) -> Any:
    """(size, ...) of zeros, with each values[i] (n, ...) added to row index[i] (n,); rows named twice get both."""
    return jnp.zeros((size, *values.shape[1:]), dtype=values.dtype).at[index].add(values)


def prepare(fn: Callable[..., Any], *args: Any, products: str = "default") -> tuple[Callable[..., Any], float]:
    """`fn` ready to be called with arguments like `args`, and the seconds its compilation took.

    `products`: which of `product_libraries()` multiplies matrices.
    """
    start = time.perf_counter()
    options: dict[str, str | bool] = {} if products == "default" else {devices.FLAG_NAME: ""}
    compiled = jax.jit(fn).lower(*args).compile(compiler_options=options)
    return compiled, time.perf_counter() - start


def product_libraries() -> tuple[str, ...]:
    """Which libraries can multiply matrices; which is the fastest depends on the shapes and the machine."""
    return ("default", "eigen") if on_cpu() and devices.flag_is_known() else ("default",)


def place(values: Any, cores: int = 1, axis: int | None = None) -> Any:
    """The arrays of a tree on the devices: copied to each of `cores`, or split between them along `axis`."""
    if cores == 1:
        return jax.device_put(values, jax.devices()[0])
    mesh = jax.sharding.Mesh(jax.devices()[:cores], ("data",))
    spec = jax.sharding.PartitionSpec(*[None] * (axis or 0), *([] if axis is None else ["data"]))
    return jax.device_put(values, jax.sharding.NamedSharding(mesh, spec))


def shareable(values: Any) -> Any:
    """The arrays of a tree where all devices of a CPU can read them in place, however often they are placed.

    JAX takes NumPy's memory as it is where it begins at a multiple of 64 bytes, and copies it for each device otherwise.
    """
    return tree.map(_aligned, values) if on_cpu() else values


def _aligned(a: Any) -> Any:
    if not isinstance(a, np.ndarray) or a.ctypes.data % LINE == 0 or a.nbytes < WORTH_ALIGNING:
        return a
    room = np.empty(a.nbytes + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    made = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    made[...] = a
    return made


def width() -> int:
    """How many devices a program can be spread over."""
    return len(jax.devices())


def renewed(fn: Callable[..., Any], old: Any, *given: Any) -> Any:
    """fn(old, *given), new values like the old ones; on a compiling engine in their memory, in as few passes as it can."""
    return fused.renewed(fn, old, *given)


def barrier(x: Any) -> Any:
    """`x`; on a compiling engine, a point that the compiler may not move work across."""
    return jax.lax.optimization_barrier(x)


def ready(x: Any) -> Any:
    """`x` once all its arrays are computed."""
    return jax.block_until_ready(x)


def double() -> AbstractContextManager[Any]:
    """A context in which this engine keeps float64 (XLA otherwise rounds it to float32)."""
    context: AbstractContextManager[Any] = jax.enable_x64(True)
    return context


def describe() -> dict[str, Any]:
    """Library version and devices, as a run stores them."""
    return {
        "engine": name,
        "jax": jax.__version__,
        "jaxlib": version("jaxlib"),
        "devices": [str(d) for d in jax.devices()],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "onednn": _onednn(),
        "fused": fused.describe(),
    }


def vjp(fn: Callable[..., Any], params: Any, x: Any, dy: Any) -> tuple[Any, Any]:
    """dL/dparams and dL/dx of y = fn(params, x) by JAX's differentiation; for layers without a backward of their own."""
    grads, dx = jax.vjp(fn, params, x)[1](dy)
    return grads, dx


def output_shape(fn: Callable[..., Any], params: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row of fn(params, x) for rows of `shape`, found without computing it."""
    return tuple(jax.eval_shape(fn, params, jax.ShapeDtypeStruct((2, *shape), jnp.float32)).shape[1:])


def jvp(fn: Callable[[Any], Any], params: Any, tangent: Any) -> tuple[Any, Any]:
    """fn(params) and its derivative along `tangent`, d/dh fn(params + h tangent) at h = 0: forward mode."""
    value, derivative = jax.jvp(fn, (params,), (tangent,))
    return value, derivative


def vectorize(fn: Callable[..., Any], *args: Any) -> Any:
    """fn(*args) for each entry along the first axis of every leaf of `args`, results stacked; many trainings at once."""
    return jax.vmap(fn)(*args)
