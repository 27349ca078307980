"""Self-attention in several heads: every step of a sequence looks at the others."""

from dataclasses import dataclass, replace

from backlit.engine import random
from backlit.errors import BacklitError
from backlit.layers.attention.heads import Heads
from backlit.layers.attention.positions import first, position
from backlit.layers.attention.rotary import RotaryPositions
from backlit.layers.compose import Named
from backlit.protocol import Array, Context, Seen, Shape, Tree, need


@dataclass(frozen=True)
class MultiHeadAttention(Heads):
    """[q k v] = x W + b,   a = DotProductAttention(heads) of q, k, v,   y = a W_out + b_out.

    One product makes queries, keys and values; backward sends their three gradients through it side by side.
    `width` is that of all heads together (None: D), `kv_heads` shares keys and values between heads, `causal` lets a
    step see itself and those before it, `rotary` turns queries and keys by their positions, `dropout` drops weights.
    Context.mask (B, T) hides padded steps. Causal attention runs step by step: its memory keeps keys and values.

    Shapes: x and y (B, T, D); qkv.W (D, width + 2 kv_heads width/heads), out.W (width, D), and their b.
    Errors: ShapeError when heads do not divide D or the mask does not fit; SettingError when they do not divide width,
    or kv_heads not heads; BacklitError in `memory` unless causal.
    Source: Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762
    Others: torch draws the three projections as one matrix (smaller numbers), has time first unless told
    batch_first, and marks padding by True.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.MultiHeadAttention(heads=2, causal=True)
    >>> shape, params, state = layer.init(bl.random.key(0), (5, 4))
    >>> layer.forward(params, state, np.ones((3, 5, 4), "f"), bl.Context())[0].shape, params["qkv"]["W"].shape
    ((3, 5, 4), (4, 12))
    """

    causal: bool = False
    rotary: RotaryPositions | None = None

    def children(self) -> Named:
        return self._layers(self.heads)  # only x tells its features: here one a head

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) == 2, f"MultiHeadAttention expected rows (T, D), got {shape}")
        features = shape[-1]
        width, shared = self.widths(features)
        if self.rotary:
            replace(self.rotary, heads=self.heads).init(key, (shape[0], width))
        params = {
            "qkv": self.draw(random.fold(key, "qkv"), features, {"query": width, "key": shared, "value": shared}),
            "out": self.dense(features).init(random.fold(key, "out"), (width,))[1],
        }
        return shape, params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        layers = dict(self._layers(x.shape[-1]))
        z, _, in_qkv = layers["qkv"].forward(params["qkv"], {}, x, ctx)  # (B, T, width + 2 shared)
        parts = self._parts(z, x.__array_namespace__().arange(x.shape[1]))
        a, _, in_attention = layers["attention"].forward({}, {}, parts, ctx.at("attention"))  # (B, T, width)
        y, _, in_out = layers["out"].forward(params["out"], {}, a, ctx)  # (B, T, D)
        return y, state, {"qkv": Seen(z, in_qkv), "attention": Seen(a, in_attention), "out": Seen(y, in_out)}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, layers = dy.__array_namespace__(), dict(self._layers(dy.shape[-1]))
        da, d_out, _ = layers["out"].backward(params["out"], cache["out"].inside, dy)  # (B, T, width)
        d = layers["attention"].backward({}, cache["attention"].inside, da)[0]
        d = self._turned(d, xp.arange(dy.shape[1]), back=True)
        dz = xp.concat([d["query"], d["key"], d["value"]], axis=-1)  # (B, T, width + 2 shared)
        dx, d_qkv, _ = layers["qkv"].backward(params["qkv"], cache["qkv"].inside, dz)
        deltas = {"qkv": Seen(dz, {}), "attention": Seen(da, {}), "out": Seen(dy, {})}
        return dx, {"qkv": d_qkv, "out": d_out}, deltas

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        if not self.causal:
            raise BacklitError("MultiHeadAttention looks ahead and cannot go step by step; set causal: true")
        W, width = params["qkv"]["W"], params["out"]["W"].shape[0]
        empty = W.__array_namespace__().zeros((rows, length, (W.shape[1] - width) // 2), dtype=W.dtype)
        return {"key": empty, "value": empty, **first()}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        xp, layers = x.__array_namespace__(), dict(self._layers(x.shape[-1]))
        at = position(memory, x)
        parts = self._parts(layers["qkv"].forward(params["qkv"], {}, x, ctx)[0], at)
        rows, length, _ = memory["key"].shape
        places = xp.arange(length, dtype=at.dtype)
        here = (places == at)[None, :, None]  # (1, length, 1)
        kept = {name: xp.where(here, parts[name], memory[name]) for name in ("key", "value")}  # (B, length, shared)
        seen = xp.broadcast_to(xp.astype(places <= at, x.dtype), (rows, length))
        a = self.attend().forward({}, {}, {"query": parts["query"], **kept}, Context(mask=seen))[0]  # (B, 1, width)
        return layers["out"].forward(params["out"], {}, a, ctx)[0], {**kept, "at": at[0] + 1}

    def weights(self, params: Tree, x: Array, ctx: Context = Context()) -> Array:
        """The attention weights (B, heads, T, T), to look at; no dropout."""
        z = dict(self._layers(x.shape[-1]))["qkv"].forward(params["qkv"], {}, x, ctx)[0]
        return self.attend(self.causal).weights(self._parts(z, x.__array_namespace__().arange(x.shape[1])), ctx)

    def _layers(self, features: int) -> Named:
        width, shared = self.widths(features)
        qkv, out = self.dense(width + 2 * shared), self.dense(features)
        return (("qkv", qkv), ("attention", self.attend(self.causal)), ("out", out))

    def _parts(self, z: Array, at: Array) -> Tree:
        """Queries, keys and values of the steps at the positions `at`, cut out of their common product."""
        width = z.shape[-1] // (self.heads + 2 * self.shared) * self.heads
        end = (z.shape[-1] + width) // 2
        return self._turned({"query": z[..., :width], "key": z[..., width:end], "value": z[..., end:]}, at)

    def _turned(self, parts: Tree, at: Array, back: bool = False) -> Tree:
        """The same with queries and keys turned by their positions, or turned back."""
        if self.rotary is None:
            return parts
        heads = {"query": self.heads, "key": self.shared}
        return {**parts, **{name: self.rotary.turned(parts[name], at, n, back) for name, n in heads.items()}}
