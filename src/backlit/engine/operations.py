"""What a function of arrays costs, read off its traced program: nothing is computed, and any layer can be counted.

    matrix product (M, K) x (K, N)     2 M K N           a multiplication and an addition are two operations
    convolution                        2 x outputs x kernel numbers that meet in one output
    reduction, cumulative sum          one a number that goes in
    anything else that computes        one a number that comes out (an exp counts like a sum)
    moving, choosing, casting          nothing; integer and truth-value work likewise

A loop counts as often as it runs; one whose length is not known before it runs counts once.
"""

import math
from typing import Any, Callable, Iterator

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
    """For each leaf of `args`, in order, whether the numbers of fn(*args) depend on it (a shape alone does not count)."""
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
    name = step.primitive.name
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in step.params["branches"])
    inner = sum(_count(program) for program in _programs(step.params))
    if inner or any(True for _ in _programs(step.params)):
        return inner * int(step.params.get("length", 1) if name == "scan" else 1)
    out = step.outvars[0].aval
    if name in MOVES or getattr(getattr(out, "dtype", None), "kind", "") not in ("f", "V", "c"):
        return 0
    if name == "dot_general":
        (contracted, _), _ = step.params["dimension_numbers"]
        left = step.invars[0].aval.shape
        return 2 * math.prod(out.shape) * math.prod(left[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel, spec = step.invars[1].aval.shape, step.params["dimension_numbers"].rhs_spec
        return 2 * math.prod(out.shape) * math.prod(kernel) // kernel[spec[0]]
    if name.startswith(("reduce_", "cum", "arg")):
        return math.prod(step.invars[0].aval.shape)
    return math.prod(out.shape)


def _programs(params: Any) -> Iterator[Any]:
    """The programs that a step runs within itself (a loop's body, a compiled function)."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            program = getattr(item, "jaxpr", item)
            if hasattr(program, "eqns"):
                yield program


