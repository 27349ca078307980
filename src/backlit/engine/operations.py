"""What a function of arrays costs, read off its traced program: nothing is computed, and any layer can be counted.

    matrix product (M, K) x (K, N)     2 M K N           a multiplication and an addition are two operations
    convolution                        2 x outputs x kernel numbers that meet in one output
    reduction, cumulative sum          one a number that goes in
    anything else that computes        one a number that comes out (an exp counts like a sum)
    moving, choosing, casting          nothing; integer and truth-value work likewise

A loop counts as often as it runs; one whose length is not known before it runs counts once.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from backlit.engine import tree
from backlit.engine import xla as _xla  # noqa: F401  (it settles the flags before JAX starts)

MOVES = frozenset({
    "reshape", "broadcast_in_dim", "transpose", "slice", "dynamic_slice", "dynamic_update_slice", "gather", "scatter",
    "concatenate", "pad", "rev", "squeeze", "expand_dims", "select_n", "convert_element_type", "bitcast_convert_type",
    "stop_gradient", "copy", "copy_p", "iota", "device_put", "optimization_barrier", "split", "reduce_precision",
    "sharding_constraint", "full", "empty",
})  # fmt: skip


def flops(fn: Callable[..., Any], *args: Any) -> int:
    """Floating-point operations of fn(*args); arrays, or shapes from `like`.

    >>> import numpy as np
    >>> from backlit.engine.operations import flops
    >>> flops(lambda x, W: x @ W + 1.0, np.ones((2, 3), "f"), np.ones((3, 5), "f"))  # 2 * 2 * 3 * 5 + 2 * 5
    70
    """
    import jax

    return _count(jax.make_jaxpr(fn)(*args).jaxpr)


def like(values: Any) -> Any:
    """Shapes and dtypes in place of the arrays of a tree."""
    import jax

    return tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), values)


def result(fn: Callable[..., Any], *args: Any) -> Any:
    """Shapes and dtypes of fn(*args), found without computing it."""
    import jax

    return jax.eval_shape(fn, *args)


def read(fn: Callable[..., Any], *args: Any) -> list[bool]:
    """For each leaf of `args`, in order: do the numbers of fn(*args) depend on it? A shape does not count."""
    import jax

    traced = jax.make_jaxpr(fn)(*args).jaxpr
    needed = set(map(id, traced.outvars))
    for step in reversed(traced.eqns):
        if any(id(out) in needed for out in step.outvars):
            needed.update(map(id, step.invars))
    return [id(var) in needed for var in traced.invars]


def _count(program: Any) -> int:
    return sum(_step(step) for step in program.eqns)


def _step(step: Any) -> int:
    name, programs = step.primitive.name, list(_programs(step.params))
    if name == "cond":
        return max(map(_count, programs))
    if programs:
        times = int(step.params["length"]) if name == "scan" else 1
        return times * sum(map(_count, programs))
    out = step.outvars[0].aval
    # JAX's own dtypes (keys, bfloat16's kind is V) are told apart by their names.
    if name in MOVES or "float" not in str(out.dtype):
        return 0
    return _size(out) * _each(name, step)


def _each(name: str, step: Any) -> int:
    """Operations for each number that comes out."""
    if name == "dot_general":
        (contracted, _), _ = step.params["dimension_numbers"]
        return 2 * math.prod(int(step.invars[0].aval.shape[i]) for i in contracted)
    if name == "conv_general_dilated":
        kernel, outputs = step.invars[1].aval, step.params["dimension_numbers"].rhs_spec[0]
        return 2 * _size(kernel) // int(kernel.shape[outputs])
    if name.startswith(("reduce_", "cum")):
        return _size(step.invars[0].aval) // max(1, _size(step.outvars[0].aval))
    return 1


def _size(aval: Any) -> int:
    return math.prod(int(n) for n in aval.shape)


def _programs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs that a step runs within itself: a loop's body, both sides of a condition, a compiled function."""
    from jax.extend.core import ClosedJaxpr, Jaxpr

    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item
