"""What only XLA on a CPU needs: to know that it is one, and a part of a program that it leaves in one piece."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def on_cpu() -> bool:
    """Whether programs are compiled for a CPU."""
    return bool(jax.default_backend() == "cpu")


def alone(fn: Callable[..., Any], *given: Any) -> Any:
    """fn(*given), with what is given in memory before it begins, and what it makes in memory when it ends.

    XLA on a CPU computes cheap things anew within every operation that reads them: good for a sum, bad within a
    transposition, where it reads crosswise. Barriers do not help, since they are gone when it decides that. A condition
    does, if XLA cannot know that it always holds: a barrier before it sees to that. Other devices see fn alone.
    """
    if not on_cpu():
        return fn(*given)
    made = jax.eval_shape(fn, *given)
    holds = lax.optimization_barrier(jnp.asarray(True))
    return lax.cond(holds, fn, lambda *_: jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), made), *given)
