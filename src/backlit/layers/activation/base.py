"""What all activations share."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.protocol import Array, Layer, Shape, Tree


@dataclass(frozen=True)
class Activation(Layer):
    """Base of layers that keep the shape and have no parameters."""

    abstract: ClassVar[bool] = True

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return shape, {}, {}


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), computed as (1 + tanh(z/2)) / 2, which overflows for no z."""
    return 0.5 * (1.0 + z.__array_namespace__().tanh(0.5 * z))


def positive(z: Array) -> Array:
    """max(z, 0)."""
    xp = z.__array_namespace__()
    return xp.maximum(z, xp.zeros_like(z))


def negative(z: Array) -> Array:
    """min(z, 0): what may go into exp, so that the branch that is not taken does not overflow."""
    xp = z.__array_namespace__()
    return xp.minimum(z, xp.zeros_like(z))


def softplus(z: Array) -> Array:
    """ln(1 + exp(z)), computed as max(z, 0) + log1p(exp(-|z|)), which overflows for no z."""
    xp = z.__array_namespace__()
    return positive(z) + xp.log1p(xp.exp(-xp.abs(z)))
