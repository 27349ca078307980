"""One function for every number, without measuring anything."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from backlit.data.preprocessing.base import Preprocessor, State, floating
from backlit.data.statistics import Chunks
from backlit.errors import DataError
from backlit.protocol import Array


@dataclass(frozen=True)
class Scale(Preprocessor):
    """x factor, without measuring anything: 1/255 brings pixels to 0..1.

    >>> import numpy as np
    >>> from backlit.data import Scale
    >>> Scale().apply({}, np.array([[0, 255]], "u1")).tolist()
    [[0.0, 1.0]]
    """

    factor: Annotated[float, Gt(0)] = 1 / 255

    def measure(self, chunks: Chunks) -> State:
        return {}

    def apply(self, state: State, x: Array) -> Array:
        return floating(x) * self.factor

    def invert(self, state: State, x: Array) -> Array:
        return x / self.factor


@dataclass(frozen=True)
class Log(Preprocessor):
    """ln(x + offset): growth by a factor becomes growth by a sum; invert exp(x) - offset.

    Errors: DataError when a training row holds a number at or below -offset, which has no logarithm.

    >>> import numpy as np
    >>> from backlit.data import Log
    >>> Log(offset=1.0).apply({}, np.array([[0.0]], "f")).tolist()
    [[0.0]]
    """

    offset: float = 0.0

    def measure(self, chunks: Chunks) -> State:
        least = min(float(chunk.min()) for chunk in chunks)
        if least <= -self.offset:
            text = f"expected numbers above {-self.offset:g}, got {least:g}; write an offset above {-least:g}"
            raise DataError(f"Log: {text}")
        return {}

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        return x.__array_namespace__().log(x + self.offset)

    def invert(self, state: State, x: Array) -> Array:
        return x.__array_namespace__().exp(x) - self.offset
