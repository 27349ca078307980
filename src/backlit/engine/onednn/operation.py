"""An operation on arrays of given shapes: the program by which XLA computes it, and the plan by which oneDNN does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun

from backlit.engine import xla as _xla  # noqa: F401  (it settles the flags before JAX starts)
from backlit.engine.onednn.backend import Backend, call
from backlit.engine.onednn.plan import Plan
from backlit.engine.operations import flops

Way = Callable[..., list[Any]]
"""From the arguments to the list of results."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation, traced; `write(library, shapes, shapes of the results, *settings)` makes its plan."""

    program: Any
    structure: Any
    write: Callable[..., Plan]
    settings: tuple[Any, ...]

    @cached_property
    def name(self) -> str:
        """The operation, its shapes and settings."""
        return f"{self.write.__name__} {self._shapes(self.given)} -> {self._shapes(self.results)} {self.settings}"

    @cached_property
    def size(self) -> int:
        """Floating-point operations."""
        return flops(self.by_xla, *self.given)

    @property
    def given(self) -> Any:
        """Shapes and dtypes of the arguments."""
        return self.program.in_avals

    @property
    def results(self) -> Any:
        """Shapes and dtypes of the results."""
        return self.program.out_avals

    @property
    def by_xla(self) -> Way:
        """Its program."""
        way: Way = jaxpr_as_fun(self.program)
        return way

    def by_onednn(self, ready: Backend) -> Way:
        """Its plan in the table; Unavailable when oneDNN cannot compute it, or only slowly."""
        plan = self.write(ready.library, self._shapes(self.given), self._shapes(self.results), *self.settings)
        key = ready.table.add(f"{ready.library.version} {ready.library.threads} {self.name}", plan)
        return partial(call, self.results, key, max(plan.scratch, 1))

    def _shapes(self, avals: Any) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(a.shape) for a in avals)


@cache
def operation(
    plain: Callable[..., Any], write: Callable[..., Plan], settings: tuple[Any, ...], *given: Any
) -> Operation:
    """plain(*arrays, *settings) for arrays of the shapes and dtypes `given`."""
    program, result = jax.make_jaxpr(lambda *arrays: plain(*arrays, *settings), return_shape=True)(*given)
    return Operation(program, jax.tree.structure(result), write, settings)
