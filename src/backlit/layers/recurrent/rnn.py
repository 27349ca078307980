"""The simple recurrent layer."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from backlit.layers.recurrent.base import Deltas, Recurrent
from backlit.layers.recurrent.inside import Inside, from_state, to_state
from backlit.layers.recurrent.product import Normal
from backlit.protocol import Array, Tree


class Kept(NamedTuple):
    """h_t, which tells the slope."""

    h: Array
    normal: Normal | None


@dataclass(frozen=True)
class RNN(Recurrent):
    """h_t = f(x_t W + h_{t-1} U + b),   f = tanh or relu (Elman's net); y_t = h_t.

    delta_t = dL/dh_t f'(z_t),   dL/dh_{t-1} = delta_t U^T + dL/dy_{t-1}: a product over time, which vanishes or explodes
    dL/dW = sum_t x_t^T delta_t,   dL/dU = sum_t h_{t-1}^T delta_t,   dL/db = sum_t delta_t,   dL/dx_t = delta_t W^T

    Shapes: x (B, T, D), W (D, H), U (H, H), b (H,), y (B, T, H) or (B, H); B rows, T steps, H = `units`.
    Other settings: see `backlit.layers.Recurrent`.
    Errors: ShapeError for rows that are not (T, D), T = 0, a mask of another shape, a batch that does not fit `stateful`.
    Source: Elman 1990, https://doi.org/10.1207/s15516709cog1402_1
    Others: torch has a second bias, which adds up with the first.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.RNN(3)
    >>> shape, params, state = layer.init(bl.random.key(0), (5, 2))
    >>> y, _, cache = layer.forward(params, state, np.ones((4, 5, 2), "f"), bl.Context())
    >>> y.shape, params["W"].shape, params["U"].shape, params["b"].shape
    ((4, 5, 3), (2, 3), (3, 3), (3,))
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)

    activation: Literal["tanh", "relu"] = "tanh"

    def ahead(self, inside: Inside, z: Array, state: Tree) -> tuple[Tree, Kept]:
        xp = z.__array_namespace__()
        u, normal = from_state(inside, state["h"])  # (B, H)
        z = z + inside.params["b"] + u  # (B, H)
        h = xp.tanh(z) if self.activation == "tanh" else xp.maximum(z, xp.zeros_like(z))
        return {"h": h}, Kept(h, normal)

    def back(self, inside: Inside, d: Tree, before: Tree, kept: Kept) -> tuple[Tree, Deltas]:
        xp, h = kept.h.__array_namespace__(), kept.h
        slope = 1.0 - h * h if self.activation == "tanh" else xp.astype(h > 0, h.dtype)
        delta = d["h"] * slope  # (B, H)
        return {"h": to_state(inside, delta, kept.normal)}, Deltas(delta)
