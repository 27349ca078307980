"""One operation, two ways to compute it: which one is taken is decided when a program is lowered for its devices.

Lowering comes before a program is compiled and before it is looked for in the cache on disk, so a plan is in the table
before any program asks for it. XLA computes what oneDNN cannot or does slower, what is not float32, and all programs for
several devices (XLA cannot split a foreign call), for other devices than CPUs, under vmap, and differentiated by JAX.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from backlit.engine.onednn import choice
from backlit.engine.onednn.backend import alone, wanted
from backlit.engine.onednn.operation import Operation, operation
from backlit.engine.onednn.plan import Plan


def either(plain: Callable[..., Any], write: Callable[..., Plan], arrays: tuple[Any, ...], *settings: Any) -> Any:
    """plain(*arrays, *settings), by XLA or by the plan that `write` makes."""
    if not wanted() or jax.default_backend() != "cpu" or any(a.dtype != np.float32 for a in arrays):
        return plain(*arrays, *settings)
    made = operation(plain, write, settings, *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays))
    # The program stands among the parameters so that whoever walks through programs (to count operations) finds it.
    return jax.tree.unflatten(made.structure, _either.bind(*arrays, operation=made, program=made.program))


def _lower(ctx: Any, *operands: Any, operation: Operation, **_: Any) -> Any:
    way = (choice.way(operation) if alone(ctx) else None) or operation.by_xla
    return mlir.lower_fun(way, multiple_results=True)(ctx, *operands)


def _computed(*arrays: Any, **parameters: Any) -> Any:
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return parameters["operation"].by_xla(*arrays)
    return _compiled(**parameters)(*arrays)


@cache
def _compiled(**parameters: Any) -> Any:
    return jax.jit(partial(_either.bind, **parameters))


def _batched(arrays: Any, axes: Any, operation: Operation, **_: Any) -> Any:
    made = jax.vmap(operation.by_xla, in_axes=axes)(*arrays)
    return made, (0,) * len(made)


def _differentiated(arrays: Any, tangents: Any, operation: Operation, **_: Any) -> Any:
    return jax.jvp(operation.by_xla, tuple(arrays), tuple(map(ad.instantiate_zeros, tangents)))


_either = Primitive("backlit_either")
_either.multiple_results = True
_either.def_abstract_eval(lambda *_, operation, **__: operation.results)
_either.def_impl(_computed)
mlir.register_lowering(_either, _lower)
batching.primitive_batchers[_either] = _batched
ad.primitive_jvps[_either] = _differentiated
