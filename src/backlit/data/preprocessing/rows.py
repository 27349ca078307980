"""Each row by itself."""

import math
from dataclasses import dataclass
from typing import Literal

from backlit.data.preprocessing.base import Preprocessor, State, floating
from backlit.data.statistics import Chunks
from backlit.errors import BacklitError
from backlit.protocol import Array


@dataclass(frozen=True)
class UnitNorm(Preprocessor):
    """x / ||x||, each row by its own norm over all its numbers: what counts is the direction, as with word counts.

    norm "l2": sqrt(sum x^2); "l1": sum |x|; "max": max |x|. A row of zeros stays as it is. Nothing is measured.
    Errors: BacklitError from `invert`: the length of a row is gone.
    Others: scikit-learn's Normalizer is the same for tables; PyTorch's functional.normalize divides by at least 1e-12.

    >>> import numpy as np
    >>> from backlit.data.preprocessing import UnitNorm
    >>> UnitNorm().apply({}, np.array([[3.0, 4.0], [0.0, 0.0]], "f")).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    norm: Literal["l1", "l2", "max"] = "l2"

    def measure(self, chunks: Chunks) -> State:
        return {}

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        xp = x.__array_namespace__()
        rows = xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))  # (B, D)
        # By its largest number first, so that no square overflows or vanishes.
        rows = rows / _or_one(xp.max(xp.abs(rows), axis=1, keepdims=True))  # (B, D)
        if self.norm == "l2":
            rows = rows / _or_one(xp.sqrt(xp.sum(rows * rows, axis=1, keepdims=True)))
        elif self.norm == "l1":
            rows = rows / _or_one(xp.sum(xp.abs(rows), axis=1, keepdims=True))
        return xp.reshape(rows, x.shape)

    def invert(self, state: State, x: Array) -> Array:
        raise BacklitError(
            "UnitNorm: the length of a row is gone and cannot be put back; leave it out where rows must return"
        )


def _or_one(size: Array) -> Array:
    xp = size.__array_namespace__()
    return xp.where(size > 0, size, xp.ones_like(size))
