"""The NumPy engine: eager, every number can be looked at; for teaching, debugging and float64 gradient checks."""

from typing import Any, Callable

import numpy as np

from backlit.engine import tree

name = "numpy"


def asarray(x: Any, dtype: Any = None) -> Any:
    """`x` as an array of this engine."""
    return np.asarray(x, dtype=dtype)


def compile(fn: Callable[..., Any], donate: tuple[int, ...] = (), static: tuple[int, ...] = ()) -> Callable[..., Any]:
    """`fn` itself: this engine runs line by line. `donate` and `static` are positions of arguments."""
    return fn


def scan(f: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any) -> tuple[Any, Any]:
    """carry, ys with (carry, y) = f(carry, x) for each x along the first axis of every leaf of `xs`."""
    length = len(tree.leaves(xs)[0])
    ys = []
    for i in range(length):
        carry, y = f(carry, tree.map(lambda leaf: leaf[i], xs))
        ys.append(y)
    return carry, tree.map(lambda *leaves: np.stack(leaves), *ys)


def erf(x: Any) -> Any:
    """Error function, elementwise, in the dtype of `x`."""
    from scipy.special import erf

    xp = x.__array_namespace__()
    return xp.asarray(np.asarray(erf(np.asarray(x)), dtype=np.asarray(x).dtype))


def barrier(x: Any) -> Any:
    """`x`; on a compiling engine, a point that the compiler may not move work across."""
    return x


def ready(x: Any) -> Any:
    """`x` once all its arrays are computed."""
    return x


def describe() -> dict[str, Any]:
    """Library version and devices, as a run stores them."""
    return {"engine": name, "numpy": np.__version__, "devices": ["cpu"]}
