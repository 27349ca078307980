"""Several preprocessors, one after another."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from backlit.data.preprocessing.base import Preprocessor, State, floating
from backlit.data.statistics import Chunks
from backlit.protocol import Array


def fit_all(preprocessors: Sequence[Preprocessor], x: Any, weight: np.ndarray | None = None) -> tuple[State, ...]:
    """The state of each, fitted on the training rows as those before it leave them; memory stays bounded.

    `weight` (N,), all above 0, says how much each row counts: 2 is the row twice.

    >>> import numpy as np
    >>> from backlit.data import Scale, Standardize, apply_all, fit_all
    >>> steps, x = (Scale(), Standardize(axis="all")), np.array([[0, 255], [255, 0]], "u1")
    >>> apply_all(steps, fit_all(steps, x), x).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    states: tuple[State, ...] = ()
    for i, preprocessor in enumerate(preprocessors):
        before = partial(apply_all, preprocessors[:i], states) if i else None
        states += (preprocessor.measure(Chunks(x, before, weight)),)
    return states


def apply_all(preprocessors: Sequence[Preprocessor], states: Sequence[State], x: Array) -> Array:
    """Rows as the network sees them: floating, also when there is no preprocessing; but tokens (int32) stay."""
    xp = x.__array_namespace__()
    x = x if x.dtype == xp.int32 and not preprocessors else floating(x)
    for preprocessor, state in zip(preprocessors, states, strict=True):
        x = preprocessor.apply(state, x)
    return x


def invert_all(preprocessors: Sequence[Preprocessor], states: Sequence[State], x: Array) -> Array:
    """Rows as they were before `apply_all`."""
    for preprocessor, state in reversed(list(zip(preprocessors, states, strict=True))):
        x = preprocessor.invert(state, x)
    return x
