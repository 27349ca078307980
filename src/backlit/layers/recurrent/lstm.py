"""Long short-term memory."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from backlit.layers.recurrent.base import Cache, Deltas, Recurrent
from backlit.layers.recurrent.gates import blocks, sigmoid
from backlit.layers.recurrent.inside import Inside, from_state, to_state
from backlit.layers.recurrent.product import Normal, normalised, normalised_backward, sum_over_steps
from backlit.protocol import Array, Shape, Tree


class Kept(NamedTuple):
    """The gates of a step; c_t = f c_{t-1} + i g is computed again."""

    i: Array
    f: Array
    g: Array
    o: Array
    normal: Normal | None


@dataclass(frozen=True)
class LSTM(Recurrent):
    """A cell c that is multiplied by f and added to, and nothing else: its gradient can live for many steps.

        z = x_t W + h_{t-1} U + b,   i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o),   g = tanh(z_g)
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t) = y_t

    With dh = dL/dh_t, and dc = dL/dc_t from the next step plus dh o (1 - tanh^2 c_t):
        delta_i = dc g i (1-i),   delta_f = dc c_{t-1} f (1-f),   delta_g = dc i (1-g^2),
        delta_o = dh tanh(c_t) o (1-o)
        dL/dc_{t-1} = dc f,   dL/dh_{t-1} = delta U^T + dL/dy_{t-1};   dW, dU, db, dx from delta as in RNN

    forget_bias  added to the forget gate's bias at the start: a new cell remembers
    peepholes    z_i, z_f and z_o also see P_i c_{t-1}, P_f c_{t-1} and P_o c_t (elementwise); P (3, H), 0 at the start
    layer_norm   also h_t = o tanh(gamma n(c_t) + beta), n(c) normalised: `norm.c.gamma`, `norm.c.beta`

    Shapes: x (B, T, D), W (D, 4 H), U (H, 4 H), b (4 H,), gates in the order i, f, g, o; y (B, T, H) or (B, H).
    Other settings: see `backlit.layers.Recurrent`.
    Errors: as RNN.
    Source: Hochreiter, Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; forget gate: Gers, Schmidhuber,
    Cummins 2000, https://doi.org/10.1162/089976600300015015; peepholes: Gers, Schraudolph, Schmidhuber 2002,
    https://jmlr.org/papers/v3/gers02a.html; forget_bias: Jozefowicz, Zaremba, Sutskever 2015,
    https://proceedings.mlr.press/v37/jozefowicz15.html
    Others: torch has the same order of gates, W and U transposed, a second bias, and no forget_bias; ONNX has the order
    i, o, f, c. Ba et al. normalise the four gates as one vector.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.LSTM(3, returns="last")
    >>> shape, params, state = layer.init(bl.random.key(0), (5, 2))
    >>> y, _, cache = layer.forward(params, state, np.ones((4, 5, 2), "f"), bl.Context())
    >>> y.shape, params["W"].shape, params["b"].tolist()
    ((4, 3), (2, 12), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """

    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    carried: ClassVar[tuple[str, ...]] = ("h", "c")

    forget_bias: float = 1.0
    peepholes: bool = False

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        out, params, state = super().init(key, shape)
        xp, H = key.__array_namespace__(), self.units
        zeros, ones = xp.zeros((H,), dtype=xp.float32), xp.ones((H,), dtype=xp.float32)
        params["b"] = params["b"] + xp.concat([zeros, self.forget_bias * ones, zeros, zeros])
        if self.peepholes:
            params["P"] = xp.zeros((3, H), dtype=xp.float32)
        if self.layer_norm:
            params["norm"]["c"] = {"beta": zeros, "gamma": ones}
        return out, params, state

    def ahead(self, inside: Inside, z: Array, state: Tree) -> tuple[Tree, Kept]:
        xp, P = z.__array_namespace__(), self._peepholes(inside)
        u, normal = from_state(inside, state["h"])  # (B, 4 H)
        z_i, z_f, z_g, z_o = blocks(z + inside.params["b"] + u, 4)  # each (B, H)
        if P is not None:
            z_i, z_f = z_i + P[0, ...] * state["c"], z_f + P[1, ...] * state["c"]
        i, f, g = sigmoid(z_i), sigmoid(z_f), xp.tanh(z_g)
        c = f * state["c"] + i * g  # (B, H)
        o = sigmoid(z_o if P is None else z_o + P[2, ...] * c)
        return {"h": o * xp.tanh(self._shown(inside, c)[0]), "c": c}, Kept(i, f, g, o, normal)

    def back(self, inside: Inside, d: Tree, before: Tree, kept: Kept) -> tuple[Tree, Deltas]:
        i, f, g, o, normal = kept
        xp, P, dh, old = i.__array_namespace__(), self._peepholes(inside), d["h"], before["c"]
        s, n = self._shown(inside, f * old + i * g)
        t = xp.tanh(s)  # (B, H)
        delta_o = dh * t * o * (1.0 - o)
        ds = dh * o * (1.0 - t * t)
        dc = d["c"] + (ds if n is None else normalised_backward(n, ds * inside.params["norm"]["c"]["gamma"]))
        if P is not None:
            dc = dc + P[2, ...] * delta_o
        delta_i, delta_f = dc * g * i * (1.0 - i), dc * old * f * (1.0 - f)
        delta = xp.concat([delta_i, delta_f, dc * i * (1.0 - g * g), delta_o], axis=-1)  # (B, 4 H)
        earlier = dc * f if P is None else dc * f + P[0, ...] * delta_i + P[1, ...] * delta_f
        more = ds if self.layer_norm else None  # for dL/dgamma and dL/dbeta of the cell
        return {"h": to_state(inside, delta, normal), "c": earlier}, Deltas(delta, more=more)

    def state_gradients(self, inside: Inside, cache: Cache, deltas: Deltas) -> Tree:
        grads = super().state_gradients(inside, cache, deltas)
        if not self.peepholes and not self.layer_norm:
            return grads
        i, f, g, _, _ = cache.kept
        old, xp = cache.before["c"], i.__array_namespace__()
        c = f * old + i * g  # (T, B, H)
        if self.peepholes:
            delta_i, delta_f, _, delta_o = blocks(deltas.x, 4)
            grads["P"] = xp.stack([sum_over_steps(a) for a in (delta_i * old, delta_f * old, delta_o * c)])  # (3, H)
        if self.layer_norm:
            dgamma = sum_over_steps(deltas.more * normalised(c).value)
            grads["norm"]["c"] = {"beta": sum_over_steps(deltas.more), "gamma": dgamma}
        return grads

    def _peepholes(self, inside: Inside) -> Array | None:
        return inside.params["P"] if self.peepholes else None

    def _shown(self, inside: Inside, c: Array) -> tuple[Array, Normal | None]:
        """What of the cell tanh sees: c, or c normalised."""
        if not self.layer_norm:
            return c, None
        n, norm = normalised(c), inside.params["norm"]["c"]
        return norm["gamma"] * n.value + norm["beta"], n
