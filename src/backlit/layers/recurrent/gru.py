"""The gated recurrent unit."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from backlit.layers.recurrent.base import Cache, Deltas, Recurrent
from backlit.layers.recurrent.gates import blocks, sigmoid
from backlit.layers.recurrent.inside import Inside, dropped, from_state, to_state
from backlit.layers.recurrent.product import Normal, product, product_backward, product_gradients, sum_over_steps
from backlit.protocol import Array, Tree


class Kept(NamedTuple):
    """The gates of a step; u with reset="after"; the statistics of h U, of its last part apart with "before"."""

    r: Array
    z: Array
    n: Array
    u: Array | None
    normal: Normal | None
    normal_n: Normal | None = None


@dataclass(frozen=True)
class GRU(Recurrent):
    """Two gates: z says how much of the old state stays, r how much of it the candidate n sees.

        r, z = sigmoid(x_t W_r + h_{t-1} U_r + b_r), sigmoid(x_t W_z + h_{t-1} U_z + b_z)
        reset="after"    u = h_{t-1} U_n + b_u,   n = tanh(x_t W_n + b_n + r u)
        reset="before"   n = tanh(x_t W_n + b_n + (r h_{t-1}) U_n)
        h_t = (1 - z) n + z h_{t-1} = y_t

    With dh = dL/dh_t:   delta_n = dh (1-z) (1-n^2),   delta_z = dh (h_{t-1} - n) z (1-z)
        after    delta_r = delta_n u r (1-r),   dL/du = delta_n r,
                 dL/dh_{t-1} = dh z + delta_r U_r^T + delta_z U_z^T + dL/du U_n^T + dL/dy_{t-1}
        before   dq = delta_n U_n^T,   delta_r = dq h_{t-1} r (1-r),
                 dL/dh_{t-1} = dh z + delta_r U_r^T + delta_z U_z^T + dq r + dL/dy_{t-1}

    "after" forms h U for all gates in one product.
    Shapes: x (B, T, D), W (D, 3 H), U (H, 3 H) in the order r, z, n; b (4 H,) in the order r, z, n, u, or (3 H,) with
    reset="before"; y (B, T, H) or (B, H). Other settings: see `backlit.layers.Recurrent`.
    Errors: as RNN.
    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078 ("before")
    Others: torch and cuDNN have "after", and a second bias for r and z too, which adds up with the first; in ONNX
    "after" is linear_before_reset=1 and the order is z, r, h; Chung et al. 2014 exchange z and 1 - z.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.GRU(3)
    >>> shape, params, state = layer.init(bl.random.key(0), (5, 2))
    >>> y, _, cache = layer.forward(params, state, np.ones((4, 5, 2), "f"), bl.Context())
    >>> y.shape, params["W"].shape, params["b"].shape
    ((4, 5, 3), (2, 9), (12,))
    """

    gates: ClassVar[tuple[str, ...]] = ("r", "z", "n")

    reset: Literal["before", "after"] = "after"

    def biases(self) -> tuple[str, ...]:
        return (*self.gates, "u") if self.reset == "after" else self.gates

    def products(self) -> tuple[int, ...]:
        return (3,) if self.reset == "after" else (2, 1)

    def ahead(self, inside: Inside, z: Array, state: Tree) -> tuple[Tree, Kept]:
        form = _ahead_after if self.reset == "after" else _ahead_before
        kept = form(inside, z, state["h"])
        return {"h": kept.n + kept.z * (state["h"] - kept.n)}, kept

    def back(self, inside: Inside, d: Tree, before: Tree, kept: Kept) -> tuple[Tree, Deltas]:
        dh, h, z, n = d["h"], before["h"], kept.z, kept.n
        delta_z, delta_n = dh * (h - n) * z * (1.0 - z), dh * (1.0 - z) * (1.0 - n * n)
        form = _back_after if self.reset == "after" else _back_before
        earlier, deltas = form(inside, delta_z, delta_n, h, kept)
        return {"h": dh * z + earlier}, deltas

    def state_gradients(self, inside: Inside, cache: Cache, deltas: Deltas) -> Tree:
        if self.reset == "after":
            return super().state_gradients(inside, cache, deltas)
        xp, kept, cut = deltas.x.__array_namespace__(), cache.kept, 2 * self.units
        h = dropped(inside, cache.before["h"])  # (T, B, H)
        dU, dgamma = product_gradients(h, deltas.x[..., :cut], inside.U[0], kept.normal)
        dU_n, dgamma_n = product_gradients(kept.r * h, deltas.x[..., cut:], inside.U[1], kept.normal_n)
        grads = {"U": xp.concat([dU, dU_n], axis=1)}
        return grads if dgamma is None else {**grads, "norm": {"h": {"gamma": xp.concat([dgamma, dgamma_n])}}}

    def bias_gradient(self, deltas: Deltas) -> Array:
        db = super().bias_gradient(deltas)
        if deltas.h is None:
            return db
        return db.__array_namespace__().concat([db, sum_over_steps(deltas.h[..., 2 * self.units :])])


def _ahead_after(inside: Inside, z: Array, h: Array) -> Kept:
    gates, normal = from_state(inside, h)  # (B, 3 H)
    z_r, z_z, z_n = blocks(z, 3)
    u_r, u_z, u = blocks(gates, 3)
    b_r, b_z, b_n, b_u = blocks(inside.params["b"], 4)
    r, u = sigmoid(z_r + b_r + u_r), u + b_u  # each (B, H)
    return Kept(r, sigmoid(z_z + b_z + u_z), z.__array_namespace__().tanh(z_n + b_n + r * u), u, normal)


def _back_after(inside: Inside, delta_z: Array, delta_n: Array, h: Array, kept: Kept) -> tuple[Array, Deltas]:
    xp, r = h.__array_namespace__(), kept.r
    delta_r = delta_n * kept.u * r * (1.0 - r)
    at_x, at_h = (xp.concat([delta_r, delta_z, last], axis=-1) for last in (delta_n, delta_n * r))  # each (B, 3 H)
    return to_state(inside, at_h, kept.normal), Deltas(at_x, at_h)


def _ahead_before(inside: Inside, z: Array, h: Array) -> Kept:
    z_r, z_z, z_n = blocks(z + inside.params["b"], 3)
    gates, normal = from_state(inside, h)  # (B, 2 H)
    u_r, u_z = blocks(gates, 2)
    r = sigmoid(z_r + u_r)
    u, normal_n = product(r * dropped(inside, h), inside.U[1])  # (B, H)
    return Kept(r, sigmoid(z_z + u_z), z.__array_namespace__().tanh(z_n + u), None, normal, normal_n)


def _back_before(inside: Inside, delta_z: Array, delta_n: Array, h: Array, kept: Kept) -> tuple[Array, Deltas]:
    xp, r = h.__array_namespace__(), kept.r
    dq = product_backward(delta_n, inside.U[1], kept.normal_n)  # (B, H)
    delta_r = dq * dropped(inside, h) * r * (1.0 - r)
    gates = xp.concat([delta_r, delta_z], axis=-1)  # (B, 2 H)
    earlier = to_state(inside, gates, kept.normal) + dropped(inside, dq * r)
    return earlier, Deltas(xp.concat([gates, delta_n], axis=-1))
