"""The NumPy engine: eager, every number can be looked at; for teaching, debugging and float64 gradient checks."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import Any

import numpy as np

from backlit.engine import tree
from backlit.engine.convolution_numpy import channel_sums as channel_sums
from backlit.engine.convolution_numpy import convolve as convolve
from backlit.engine.convolution_numpy import convolve_dW as convolve_dW
from backlit.engine.convolution_numpy import convolve_dx as convolve_dx
from backlit.engine.normalization_numpy import batch_norm as batch_norm
from backlit.engine.normalization_numpy import batch_norm_backward as batch_norm_backward
from backlit.engine.normalization_numpy import column_sum as column_sum
from backlit.engine.normalization_numpy import row_mean as row_mean
from backlit.engine.rows_numpy import row_max as row_max
from backlit.engine.rows_numpy import row_sum as row_sum
from backlit.errors import BacklitError

name = "numpy"


def asarray(x: Any, dtype: Any = None) -> Any:
    """`x` as an array of this engine."""
    return np.asarray(x, dtype=dtype)


def compile(fn: Callable[..., Any], donate: tuple[int, ...] = (), static: tuple[int, ...] = ()) -> Callable[..., Any]:
    """`fn` itself: this engine runs line by line. `donate` and `static` are positions of arguments."""
    return fn


def scan(f: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """carry, ys with (carry, y) = f(carry, x) for each x along the first axis of every leaf of `xs`.

    `reverse`: from the last x to the first; ys stand in the order of xs.
    """
    first = tree.leaves(xs)[0]
    order = range(first.shape[0])
    ys = []
    for i in reversed(order) if reverse else order:
        carry, y = f(carry, tree.map(itemgetter((i, ...)), xs))
        ys.append(y)
    xp = first.__array_namespace__()
    return carry, tree.map(lambda *leaves: xp.stack(leaves), *(reversed(ys) if reverse else ys))


def repeat(steps: Any, f: Callable[[Any, Any], Any], carry: Any, until: Callable[[Any], Any]) -> Any:
    """carry = f(i, carry) for i = 0 .. steps - 1, while `until(carry)` holds; `steps` may be known only at run time."""
    for i in range(int(steps)):
        if not until(carry):
            break
        carry = f(i, carry)
    return carry


def branch(condition: Any, yes: Callable[[Any], Any], no: Callable[[Any], Any], value: Any) -> Any:
    """yes(value) where `condition` (one truth value) holds, else no(value); both give the same shapes."""
    return yes(value) if condition else no(value)


def erf(x: Any) -> Any:
    """Error function, elementwise, in the dtype of `x`."""
    from scipy.special import erf

    xp = x.__array_namespace__()
    return xp.asarray(np.asarray(erf(np.asarray(x)), dtype=np.asarray(x).dtype))


def scatter_add(size: int, index: Any, values: Any) -> Any:
    """(size, ...) of zeros, with each values[i] (n, ...) added to row index[i] (n,); rows named twice get both."""
    xp, rows = values.__array_namespace__(), np.asarray(values)
    out = np.zeros((size, *rows.shape[1:]), dtype=rows.dtype)
    np.add.at(out, np.asarray(index), rows)
    return xp.asarray(out)


def prepare(fn: Callable[..., Any], *args: Any, products: str = "default") -> tuple[Callable[..., Any], float]:
    """`fn` ready to be called with arguments like `args`, and the seconds its compilation took.

    `products`: which of `product_libraries()` multiplies matrices.
    """
    # Overflow gives infinity without a warning, as in a compiled program: the trainer names the step and the layer.
    return np.errstate(all="ignore")(fn), 0.0


def product_libraries() -> tuple[str, ...]:
    """Which libraries can multiply matrices; which is the fastest depends on the shapes and the machine."""
    return ("default",)


def place(values: Any, cores: int = 1, axis: int | None = None) -> Any:
    """The arrays of a tree on the devices: copied to each of `cores`, or split between them along `axis`."""
    return tree.map(np.asarray, values)


def shareable(values: Any) -> Any:
    """The arrays of a tree where all devices can read them in place, however often they are placed."""
    return values


def width() -> int:
    """How many devices a program can be spread over."""
    return 1


def renewed(fn: Callable[..., Any], old: Any, *given: Any) -> Any:
    """fn(old, *given), new values like the old ones; on a compiling engine in their memory, in as few passes as it can."""
    return fn(old, *given)


def barrier(x: Any) -> Any:
    """`x`; on a compiling engine, a point that the compiler may not move work across."""
    return x


def ready(x: Any) -> Any:
    """`x` once all its arrays are computed."""
    return x


def double() -> AbstractContextManager[Any]:
    """A context in which this engine keeps float64 (XLA otherwise rounds it to float32)."""
    return nullcontext()


def describe() -> dict[str, Any]:
    """Library version and devices, as a run stores them."""
    return {"engine": name, "numpy": np.__version__, "devices": ["cpu"]}


def vjp(fn: Callable[..., Any], params: Any, x: Any, dy: Any) -> tuple[Any, Any]:
    """dL/dparams and dL/dx of y = fn(params, x): BacklitError, NumPy cannot differentiate a function."""
    raise BacklitError("NumPy cannot differentiate a function: expected the XLA engine; use engine: xla")


def output_shape(fn: Callable[..., Any], params: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row of fn(params, x) for rows of `shape`, found by computing it once."""
    return tuple(fn(params, np.zeros((2, *shape), dtype=np.float32)).shape[1:])


def jvp(fn: Callable[[Any], Any], params: Any, tangent: Any) -> tuple[Any, Any]:
    """fn(params) and its derivative along `tangent`, d/dh fn(params + h tangent) at h = 0: a central difference, inexact.

    (fn(params + h t) - fn(params - h t)) / 2h, in the precision of `params`, with h max|t| = eps^(1/3) max(1, max|params|):
    the part cut off and rounding then err alike, by about 1e-10 in float64 and 1e-4 in float32, relative.
    """
    longest = max(float(abs(t).max()) for t in map(np.asarray, tree.leaves(tangent)))
    largest = max(float(abs(p).max()) for p in map(np.asarray, tree.leaves(params)))
    eps = max(float(np.finfo(np.asarray(p).dtype).eps) for p in tree.leaves(params))
    h = eps ** (1 / 3) * max(1.0, largest) / (longest or 1.0)

    def moved(h: float) -> Any:
        return fn(tree.map(lambda p, t: p + h * t, params, tangent))

    return fn(params), tree.map(lambda a, b: (a - b) / (2.0 * h), moved(h), moved(-h))


def vectorize(fn: Callable[..., Any], *args: Any) -> Any:
    """fn(*args) for each entry along the first axis of every leaf of `args`, results stacked; many trainings at once."""
    each = range(tree.leaves(args)[0].shape[0])
    made = [fn(*tree.map(itemgetter((i, ...)), args)) for i in each]
    return tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *made)
