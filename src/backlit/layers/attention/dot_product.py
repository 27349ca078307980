"""Scaled dot-product attention, in one head or several."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from backlit.errors import BacklitError, SettingError
from backlit.layers.attention.scores import keys_mask, softmax, visible
from backlit.layers.dropout import Dropout, Dropped, Kept
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, Fraction


class Attended(NamedTuple):
    """What backward needs: the input, the weights before dropout (B, heads, Tq, Tk), dropout's key, the output."""

    x: Tree
    weights: Array
    dropped: Dropped | Kept
    y: Array


@dataclass(frozen=True)
class DotProductAttention(Layer):
    """y_i = sum_j p_ij v_j,   p_i = softmax over j of s_ij,   s_ij = q_i . k_j / sqrt(d): each query mixes the values.

    With delta = dL/dy:   dv_j = sum_i p_ij delta_i,   dp_ij = delta_i . v_j,   ds_ij = p_ij (dp_ij - sum_k p_ik dp_ik),
    dq_i = sum_j ds_ij k_j / sqrt(d),   dk_j = sum_i ds_ij q_i / sqrt(d).
    Several `heads` cut the features of queries, keys and values into as many parts, each attends by itself, and the
    results stand side by side. With `kv_heads` (a divisor of heads) neighbouring query heads share one head of keys and
    values. `scaled=False` leaves sqrt(d) out, `causal` lets query i see keys 0 .. i only, `dropout` drops weights.
    Context.mask (B, Tk), or a dict with the entry "key", hides padded keys; a query that sees no key gives zeros.

    Shapes: x {"query": (B, Tq, heads d), "key": (B, Tk, kv_heads d), "value": (B, Tk, kv_heads e)}, y (B, Tq, heads e).
    Step by step, x has one query and all keys and values, as an encoder made them; causal attention cannot.
    Errors: SettingError when kv_heads does not divide heads; ShapeError when shapes do not fit, also the mask's.
    Derivation: docs/derivations/attention.md. The weights are kept for backward: (B, heads, Tq, Tk); Remat drops them.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; grouped: Ainslie et al. 2023, https://arxiv.org/abs/2305.13245
    Others: a query without keys gives NaN in torch; jax.nn.dot_product_attention keeps heads on an axis of their own.

    >>> import numpy as np, backlit as bl
    >>> x = {"query": np.zeros((1, 1, 2)), "key": np.ones((1, 2, 2)), "value": np.array([[[1.0], [3.0]]])}
    >>> bl.DotProductAttention().forward({}, {}, x, bl.Context())[0].tolist()  # equal scores: the mean
    [[[2.0]]]
    """

    heads: Count = 1
    kv_heads: Count | None = None
    scaled: bool = True
    causal: bool = False
    dropout: Fraction = 0.0

    def check(self) -> None:
        if self.heads % self.shared:
            text = f"expected a divisor of heads = {self.heads}, got {self.kv_heads}"
            raise SettingError([("kv_heads", text)])

    @property
    def shared(self) -> int:
        """How many heads the keys and values have."""
        return self.kv_heads or self.heads

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(three_sequences(shape), f"DotProductAttention expected rows {THREE}, got {shape}")
        (queries, q), (keys, k), (values, v) = shape["query"], shape["key"], shape["value"]
        need(keys == values, f"expected as many values as keys, got {values} and {keys}")
        need(q % self.heads == 0, f"expected query features that {self.heads} heads divide, got {q}")
        need(v % self.shared == 0, f"expected value features that {self.shared} heads divide, got {v}")
        wanted = q // self.heads * self.shared
        need(k == wanted, f"expected keys with {wanted} features, as many a head as the query's, got {k}")
        return (queries, v // self.shared * self.heads), {}, {}

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree, Tree]:
        p = self.weights(x, ctx)  # (B, heads, Tq, Tk)
        kept, _, dropped = Dropout(self.dropout).forward({}, {}, p, ctx)
        y = joined(kept @ self._each(x["value"]))  # (B, Tq, heads e)
        return y, state, Attended(x, p, dropped, y)

    def backward(self, params: Tree, cache: Attended, dy: Array) -> tuple[Tree, Tree, Tree]:
        x, p, dropped, y = cache
        xp, drop = dy.__array_namespace__(), Dropout(self.dropout)
        delta = cut(dy, self.heads)  # (B, heads, Tq, e)
        dp = drop.backward({}, dropped, delta @ xp.matrix_transpose(self._each(x["value"])))[0]  # (B, heads, Tq, Tk)
        mean = xp.sum(delta * cut(y, self.heads), axis=-1, keepdims=True)  # sum_k p_ik dp_ik = delta_i . y_i
        ds = p * (dp - mean)  # (B, heads, Tq, Tk)
        kept = drop.backward({}, dropped, p)[0]  # as forward dropped them: dropout is its own transpose
        dq = ds @ self._each(x["key"]) * self._scale(x)  # (B, heads, Tq, d)
        dk = xp.matrix_transpose(ds) @ self._queries(x)  # (B, heads, Tk, d)
        dv = xp.matrix_transpose(kept) @ delta  # (B, heads, Tk, e)
        return {"query": joined(dq), "key": joined(self._summed(dk)), "value": joined(self._summed(dv))}, {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        if self.causal:
            text = "DotProductAttention keeps no keys, so causal it cannot go step by step; use MultiHeadAttention"
            raise BacklitError(text)
        return {}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree]:
        all_keys(x)
        return self.forward(params, state, x, ctx)[0], memory

    def weights(self, x: Tree, ctx: Context = Context()) -> Array:
        """p (B, heads, Tq, Tk): how much each query takes of each value, before dropout."""
        scores = self._queries(x) @ x["key"].__array_namespace__().matrix_transpose(self._each(x["key"]))
        return softmax(scores, visible(keys_mask(ctx.mask, "key", x["key"]), self.causal, x["query"], x["key"]))

    def _queries(self, x: Tree) -> Array:
        return cut(x["query"] * self._scale(x), self.heads)  # (B, heads, Tq, d)

    def _scale(self, x: Tree) -> float:
        return 1.0 / math.sqrt(x["query"].shape[-1] // self.heads) if self.scaled else 1.0

    def _each(self, x: Array) -> Array:
        """Keys or values (B, Tk, G d) as each head sees them: (B, heads, Tk, d)."""
        x = cut(x, self.shared)  # (B, G, Tk, d)
        return x if self.shared == self.heads else x.__array_namespace__().repeat(x, self.heads // self.shared, axis=1)

    def _summed(self, x: Array) -> Array:
        """Gradients (B, heads, Tk, d) of what the heads of a group share: (B, G, Tk, d)."""
        if self.shared == self.heads:
            return x
        xp, (rows, heads, *size) = x.__array_namespace__(), x.shape
        return xp.sum(xp.reshape(x, (rows, self.shared, heads // self.shared, *size)), axis=2)


def cut(x: Array, heads: int) -> Array:
    """(B, T, heads d) -> (B, heads, T, d)."""
    xp, (rows, steps, width) = x.__array_namespace__(), x.shape
    return xp.permute_dims(xp.reshape(x, (rows, steps, heads, width // heads)), (0, 2, 1, 3))


def joined(x: Array) -> Array:
    """The way back: (B, heads, T, d) -> (B, T, heads d)."""
    xp, (rows, heads, steps, size) = x.__array_namespace__(), x.shape
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3)), (rows, steps, heads * size))


THREE = '{"query": (Tq, D), "key": (Tk, D), "value": (Tk, E)}'


def three_sequences(shape: Shape) -> bool:
    """Whether rows are a query, a key and a value sequence."""
    return (
        isinstance(shape, dict)
        and shape.keys() == {"query", "key", "value"}
        and all(len(s) == 2 for s in shape.values())
    )


def all_keys(x: Tree) -> None:
    """Refuse a step with one key: a layer before this one made the keys of the same step."""
    text = (
        "a step of attention expected all keys, got one; for keys of the same sequence use MultiHeadAttention(causal)"
    )
    need(x["key"].shape[1] > 1, text)
