"""What the loop over time reads at every step."""

from typing import NamedTuple

from backlit.layers.recurrent.product import Normal, Weights, product, product_backward
from backlit.protocol import Array, Tree


class Inside(NamedTuple):
    """What every step reads: the parameters, the weights of its products with h, the mask of the recurrent dropout."""

    params: Tree
    U: tuple[Weights, ...]
    keep: Array | None  # (B, H)


def dropped(inside: Inside, h: Array) -> Array:
    """h (..., B, H) as the products see it: with the mask of the recurrent dropout. Its own backward."""
    return h if inside.keep is None else h * inside.keep


def from_state(inside: Inside, h: Array) -> tuple[Array, Normal | None]:
    """What h_{t-1} adds to the pre-activations (B, k H): h U, normalised where asked."""
    return product(dropped(inside, h), inside.U[0])


def to_state(inside: Inside, delta: Array, normal: Normal | None) -> Array:
    """dL/dh_{t-1} (B, H) through h U."""
    return dropped(inside, product_backward(delta, inside.U[0], normal))
