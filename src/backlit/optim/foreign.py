"""Transformations from Optax as a rule."""

from dataclasses import dataclass
from typing import Any, ClassVar

from backlit import engine
from backlit.engine import tree
from backlit.errors import BacklitError
from backlit.optim.rules import Rule
from backlit.optim.schedules import at
from backlit.protocol import Array, Tree
from backlit.settings import PositiveNumber


@dataclass(frozen=True)
class FromOptax(Rule):
    """Any gradient transformation of Optax; `lr` multiplies its updates, so that schedules and halving work on it.

    Only on the XLA engine, and a file cannot name it: such a training is stored nowhere. Build it with `from_optax`.
    """

    abstract: ClassVar[bool] = True  # no name for files
    transformation: Any = None
    lr: PositiveNumber = 1.0

    def __post_init__(self) -> None:
        """Functions are no settings: nothing to check."""

    def to_plain(self) -> dict[str, Any]:
        raise BacklitError(
            "from_optax holds Python functions and cannot be written to a file; use a rule of backlit.optim, or train "
            "without a directory"
        )

    def init(self, params: Tree) -> Tree:
        return self.transformation.init(params)

    def update(self, grads: Tree, state: Tree, params: Tree, step: Array) -> tuple[Tree, Tree]:
        if engine.of(tree.leaves(grads)[0]).name != "xla":
            raise BacklitError("from_optax: expected the XLA engine, got NumPy; use engine: xla")
        updates, state = self.transformation.update(grads, state, params)
        lr = at(self.lr, step)
        return tree.map(lambda u: lr * u, updates), state


def from_optax(transformation: Any) -> FromOptax:
    """An Optax transformation as a rule: `from_optax(optax.adabelief(1e-3))`.

    >>> import backlit as bl
    >>> bl.optim.from_optax("adam")
    Traceback (most recent call last):
    backlit.errors.BacklitError: from_optax: expected an Optax transformation with init and update, got 'adam'
    """
    if not (callable(getattr(transformation, "init", None)) and callable(getattr(transformation, "update", None))):
        text = f"expected an Optax transformation with init and update, got {transformation!r}"
        raise BacklitError(f"from_optax: {text}")
    return FromOptax(transformation=transformation)
