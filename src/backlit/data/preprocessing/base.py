"""The contract of all preprocessing."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from backlit.data.statistics import Axis, Chunks, group
from backlit.errors import ShapeError
from backlit.protocol import Array
from backlit.settings import Settings

State: TypeAlias = dict[str, Array]
"""What was measured: float32 arrays by name, `{}` where nothing is."""


@dataclass(frozen=True)
class Preprocessor(Settings):
    """Base of all preprocessing: settings here, what was measured in the state (`{}` where nothing is)."""

    abstract: ClassVar[bool] = True

    def fit(self, x: Any, weight: np.ndarray | None = None) -> State:
        """float32 arrays measured on the rows `x` (N, ...): give it training rows only.

        x: an array, np.memmap, or rows that are read when asked for; `weight` (N,) says how much each row counts.
        """
        return self.measure(Chunks(x, weight=weight))

    @abstractmethod
    def measure(self, chunks: Chunks) -> State:
        """The state, from rows that come in chunks of float64."""

    @abstractmethod
    def apply(self, state: State, x: Array) -> Array:
        """Rows as the network sees them; uint8 becomes float32 first."""

    @abstractmethod
    def invert(self, state: State, x: Array) -> Array:
        """Rows as they were before `apply`."""


@dataclass(frozen=True)
class Measured(Preprocessor):
    """Base of those that measure numbers by themselves, and keep the shape of a row.

    axis "feature": each number of a row; "channel": each index of the last axis (images); "all": all together.
    """

    abstract: ClassVar[bool] = True
    axis: Axis = field(default="feature", kw_only=True)

    def fitted(self, state: State, x: Array, *names: str) -> tuple[Array, ...]:
        """These arrays of the state in the dtype of x; ShapeError when x has other rows than were measured."""
        row, known = group(x.shape[1:], self.axis), tuple(state[names[0]].shape)
        if row != known:
            name = type(self).__name__
            raise ShapeError(f"{name}: expected rows like those it was fitted on, {known} by {self.axis}, got {row}")
        return tuple(alike(x, state[name]) for name in names)


def alike(x: Array, array: Array) -> Array:
    """An array of the state in the namespace and the dtype of x."""
    xp = x.__array_namespace__()
    return xp.astype(xp.asarray(array), x.dtype)


def floating(x: Array) -> Array:
    """Floating arrays as they are, integers (pixels) as float32."""
    xp = x.__array_namespace__()
    return x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.float32)


def single(**arrays: np.ndarray) -> State:
    """A state: float32."""
    return {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
