"""A few operations by oneDNN and by XLA, when a machine first meets a version of either: they must agree."""

from typing import Any

import jax
import numpy as np

from backlit.engine import convolution_xla
from backlit.engine.onednn import choice, primitives
from backlit.engine.onednn.backend import Backend
from backlit.engine.onednn.library import Unavailable
from backlit.engine.onednn.operation import operation
from backlit.engine.onednn.primitives import Shape
from backlit.engine.window import Window

NAME, SEEDS = "self-test", range(3)

X, W, Y = (3, 9, 8, 6), (3, 2, 6, 10), (3, 5, 9, 10)
WINDOW = Window(strides=(2, 1), padding=((1, 2), (0, 2)), dilation=(1, 1))

CASES: tuple[tuple[Any, Any, tuple[Any, ...], tuple[Shape, ...]], ...] = (
    (convolution_xla.convolve, primitives.convolve, (WINDOW,), (X, W)),
    (convolution_xla.convolve_dx, primitives.convolve_dx, (WINDOW, X[1:-1]), (Y, W)),
    (convolution_xla.convolve_dW, primitives.convolve_dW, (WINDOW, W[:-2]), (X, Y)),
)
"""What the XLA engine computes, what writes its plan, its settings, and the shapes of its arrays."""


def check(ready: Backend) -> None:
    """Unavailable where a result of oneDNN's is not XLA's."""
    known = choice.recall(ready, NAME)
    if known is None:
        known = choice.Found(0.0, 0.0, max(_difference(ready, *case) for case in CASES))
        choice.remember(ready, NAME, known)
    if not known.difference <= choice.TOLERANCE:
        raise Unavailable(f"self-test: a result differs from XLA's by {known.difference:.1g}")


def _difference(ready: Backend, plain: Any, write: Any, settings: tuple[Any, ...], shapes: tuple[Shape, ...]) -> float:
    tested = operation(plain, write, settings, *(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes))
    ways = jax.jit(tested.by_xla), jax.jit(tested.by_onednn(ready))
    draws = [choice.numbers(tested, seed) for seed in SEEDS]
    return max(choice.difference(*(way(*arrays) for way in ways)) for arrays in draws)
