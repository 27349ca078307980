"""What all rows of layers share: sizes, draws, and the row itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit import errors
from backlit.protocol import Layer

B, I, O = 7, 5, 3  # noqa: E741  (rows, inputs, outputs)
Draw = Callable[[np.random.Generator], Any]


def smooth(*shape: int) -> Draw:
    """Numbers about normal, none of them within 0.1 of 0 or +-1: quarters, moved by 0.11."""
    return lambda rng: np.round(rng.normal(size=shape) * 4) / 4 + 0.11


def integers(high: int, *shape: int) -> Draw:
    """Whole numbers 0 .. high - 1."""
    return lambda rng: rng.integers(high, size=shape)


def signs(*shape: int) -> Draw:
    """-1 or +1."""
    return lambda rng: np.sign(rng.normal(size=shape))


def zero_one(*shape: int) -> Draw:
    """0 or 1."""
    return lambda rng: (rng.random(shape) < 0.5).astype(float)


def distributions(*shape: int) -> Draw:
    """Rows that are positive and sum to 1."""
    return lambda rng: rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


@dataclass(frozen=True)
class LayerRow:
    """A layer and the rows it is fed.

    shape   of one row, or a tree of such shapes
    x       draws a batch, a tree like `shape`; by default smooth numbers of (B, *shape)
    mask    draws Context.mask; by default there is none
    steps   whether the layer can run step by step along the first axis of a row
    """

    layer: Layer
    shape: Any = (I,)
    train: bool = False
    x: Draw | None = None
    note: str = ""
    mask: Draw | None = None
    steps: bool = False

    @property
    def id(self) -> str:
        return label(self.layer, self.note, "train" if self.train else "")

    def batch(self, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        return self.x(rng) if self.x else each(lambda shape: smooth(B, *shape)(rng), self.shape)

    def masked(self, seed: int = 0) -> Any:
        """Context.mask, or None."""
        return self.mask(np.random.default_rng(seed)) if self.mask else None


def each(f: Callable[[tuple[int, ...]], Any], shape: Any) -> Any:
    """f of every shape of a tree of shapes."""
    if isinstance(shape, dict):
        return {name: each(f, inner) for name, inner in shape.items()}
    if all(isinstance(n, int) for n in shape):
        return f(tuple(shape))
    return tuple(each(f, inner) for inner in shape)


def lengths(*steps: int, longest: int) -> Draw:
    """Masks (B, T) of sequences with these numbers of real steps, repeated to B rows."""
    return lambda rng: (np.arange(longest) < np.resize(steps, (B, 1))).astype(float)


def label(value: Any, *more: str) -> str:
    """The class and its settings that differ from their defaults, short enough for a list of tests."""
    try:
        settings = value.to_plain()
    except errors.BacklitError:
        settings = {}
    text = ",".join(f"{k}={describe(v)}" for k, v in settings.items())
    return "-".join([f"{type(value).__name__}({text})"[:70], *filter(None, more)])


def describe(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("type", value))
    return "[" + ",".join(map(describe, value)) + "]" if isinstance(value, list) else str(value)
