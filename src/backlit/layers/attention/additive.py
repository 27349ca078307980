"""Additive attention: a small network scores each pair of query and key."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit.engine import random
from backlit.initializers import Initializer, Xavier
from backlit.layers.attention.dot_product import THREE, all_keys, three_sequences
from backlit.layers.attention.scores import keys_mask, softmax, softmax_backward
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count


class Scored(NamedTuple):
    """What backward needs: the input, and the mask of its keys."""

    x: Tree
    mask: Array | None


@dataclass(frozen=True)
class AdditiveAttention(Layer):
    """y_i = sum_j p_ij v_j,   p_i = softmax over j of s_ij,   s_ij = sum_u w_u h_iju,   h_ij = tanh(q_i W + k_j U).

    With delta = dL/dy:   dv_j = sum_i p_ij delta_i,   dp_ij = delta_i . v_j,   ds_ij = p_ij (dp_ij - sum_k p_ik dp_ik),
    dw = sum_ij ds_ij h_ij,   dz_ij = ds_ij w (1 - h_ij^2), and then, as for two Dense layers whose outputs are added,
    dW = sum_ij q_i dz_ij,   dq_i = sum_j dz_ij W^T,   dU = sum_ij k_j dz_ij,   dk_j = sum_i dz_ij U^T.
    Queries and keys may have different numbers of features. Context.mask as for DotProductAttention.

    Shapes: x {"query": (B, Tq, D), "key": (B, Tk, F), "value": (B, Tk, E)}, y (B, Tq, E); W (D, units), U (F, units),
    w (units,). h (B, Tq, Tk, units) is large and computed again by backward.
    Step by step, x has one query and all keys and values, as an encoder made them.
    Errors: ShapeError when shapes do not fit, also the mask's.
    Source: Bahdanau, Cho, Bengio 2014, https://arxiv.org/abs/1409.0473
    Others: Keras' AdditiveAttention has no W and U, only w.

    >>> import numpy as np, backlit as bl
    >>> x = {"query": np.ones((3, 4, 2), "f"), "key": np.ones((3, 5, 6), "f"), "value": np.ones((3, 5, 1), "f")}
    >>> layer = bl.AdditiveAttention(units=8)
    >>> _, params, state = layer.init(bl.random.key(0), {"query": (4, 2), "key": (5, 6), "value": (5, 1)})
    >>> layer.forward(params, state, x, bl.Context())[0].shape
    (3, 4, 1)
    """

    units: Count
    W: Initializer = Xavier()

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(three_sequences(shape), f"AdditiveAttention expected rows {THREE}, got {shape}")
        (queries, q), (keys, k), (values, v) = shape["query"], shape["key"], shape["value"]
        need(keys == values, f"expected as many values as keys, got {values} and {keys}")
        shapes = {"W": (q, self.units), "U": (k, self.units), "w": (self.units, 1)}
        params = {name: self.W.draw(random.fold(key, name), size) for name, size in shapes.items()}
        params["w"] = params["w"][:, 0]
        return (queries, v), params, {}

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree, Tree]:
        cache = Scored(x, keys_mask(ctx.mask, "key", x["key"]))
        p = self._weights(params, cache, self._hidden(params, x))  # (B, Tq, Tk)
        return p @ x["value"], state, cache  # (B, Tq, E)

    def backward(self, params: Tree, cache: Scored, dy: Array) -> tuple[Tree, Tree, Tree]:
        xp, x = dy.__array_namespace__(), cache.x
        h = self._hidden(params, x)  # (B, Tq, Tk, units)
        p = self._weights(params, cache, h)  # (B, Tq, Tk)
        dv = xp.matrix_transpose(p) @ dy  # (B, Tk, E)
        ds = softmax_backward(p, dy @ xp.matrix_transpose(x["value"]))[..., None]  # (B, Tq, Tk, 1)
        dz = ds * params["w"] * (1.0 - h * h)  # (B, Tq, Tk, units)
        da, db = xp.sum(dz, axis=2), xp.sum(dz, axis=1)  # (B, Tq, units), (B, Tk, units)
        grads = {
            "W": _rows(x["query"]).T @ _rows(da),  # (D, B Tq) @ (B Tq, units)
            "U": _rows(x["key"]).T @ _rows(db),  # (F, B Tk) @ (B Tk, units)
            "w": xp.sum(ds * h, axis=(0, 1, 2)),  # (units,)
        }
        return {"query": da @ params["W"].T, "key": db @ params["U"].T, "value": dv}, grads, {}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree]:
        all_keys(x)
        return self.forward(params, state, x, ctx)[0], memory

    def weights(self, params: Tree, x: Tree, ctx: Context = Context()) -> Array:
        """p (B, Tq, Tk), to look at: how much each query takes of each value."""
        return self._weights(params, Scored(x, keys_mask(ctx.mask, "key", x["key"])), self._hidden(params, x))

    def _hidden(self, params: Tree, x: Tree) -> Array:
        a, b = x["query"] @ params["W"], x["key"] @ params["U"]  # (B, Tq, units), (B, Tk, units)
        return a.__array_namespace__().tanh(a[:, :, None, :] + b[:, None, :, :])  # (B, Tq, Tk, units)

    def _weights(self, params: Tree, cache: Scored, h: Array) -> Array:
        return softmax(h @ params["w"], None if cache.mask is None else (cache.mask > 0)[:, None, :])


def _rows(x: Array) -> Array:
    """(B, T, F) -> (B T, F)."""
    return x.__array_namespace__().reshape(x, (-1, x.shape[-1]))
