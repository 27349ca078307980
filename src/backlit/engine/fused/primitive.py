"""A program, and how it is computed: decided when it is lowered for its devices, as in onednn/either.py.

XLA computes all of it on several devices (it cannot split a foreign call), on others than CPUs, under vmap, differentiated.
"""

import logging
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from backlit.engine import fused
from backlit.engine.fused import groups, selftest
from backlit.engine.onednn.backend import alone, apart

log = logging.getLogger("backlit")

_lock = threading.Lock()
_tested: list[bool] = []


def either(fn: Callable[..., Any], old: Any, *given: Any) -> Any:
    """fn(old, *given), by XLA or with loops of our own where they can compute a part."""
    arrays, shape = jax.tree.flatten((old, *given))
    program, made = jax.make_jaxpr(lambda *a: fn(*jax.tree.unflatten(shape, a)), return_shape=True)(*arrays)
    kept = len(jax.tree.leaves(old))
    if [a.shape for a in program.out_avals] != [a.shape for a in program.in_avals[:kept]]:
        return jax.tree.unflatten(jax.tree.structure(made), jaxpr_as_fun(program)(*arrays))
    # What fn closes over may belong to a program around this one: it becomes an argument.
    flat = groups.flat(program)
    return jax.tree.unflatten(jax.tree.structure(made), _either.bind(*arrays, *program.consts, program=flat, kept=kept))


def _lower(ctx: Any, *operands: Any, program: ClosedJaxpr, kept: int) -> Any:
    way = groups.way(program, kept, fused.LEAST) if alone(ctx) and works() else jaxpr_as_fun(program)
    return mlir.lower_fun(way, multiple_results=True)(ctx, *operands)


def works() -> bool:
    """Whether the self-test is passed; a line in the log where it is not."""
    with _lock:
        if not _tested:
            try:
                apart(selftest.check)
                _tested.append(True)
            except Exception as reason:  # whatever is wrong with an optional library, XLA can compute
                log.warning("update rules are computed by XLA alone (%s)", reason)
                _tested.append(False)
        return _tested[0]


def _computed(*arrays: Any, **parameters: Any) -> Any:
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return jaxpr_as_fun(parameters["program"])(*arrays)
    return _compiled(**parameters)(*arrays)


@cache
def _compiled(**parameters: Any) -> Any:
    return jax.jit(partial(_either.bind, **parameters))


def _batched(arrays: Any, axes: Any, program: ClosedJaxpr, **_: Any) -> Any:
    made = jax.vmap(jaxpr_as_fun(program), in_axes=axes)(*arrays)
    return made, (0,) * len(made)


def _differentiated(arrays: Any, tangents: Any, program: ClosedJaxpr, **_: Any) -> Any:
    return jax.jvp(jaxpr_as_fun(program), tuple(arrays), tuple(map(ad.instantiate_zeros, tangents)))


_either = Primitive("backlit_renewed")
_either.multiple_results = True
_either.def_abstract_eval(lambda *_, program, **__: program.out_avals)
_either.def_impl(_computed)
mlir.register_lowering(_either, _lower)
batching.primitive_batchers[_either] = _batched
ad.primitive_jvps[_either] = _differentiated
