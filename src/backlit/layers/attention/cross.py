"""Cross-attention: the steps of one sequence look at those of another."""

from dataclasses import dataclass, replace

from backlit import engine
from backlit.engine import random
from backlit.layers.attention.heads import Heads
from backlit.layers.attention.positions import first, position
from backlit.layers.attention.scores import keys_mask
from backlit.layers.compose import Named
from backlit.protocol import Array, Context, Seen, Shape, Tree, need


@dataclass(frozen=True)
class CrossAttention(Heads):
    """q = x W_q + b_q,   [k v] = memory W_kv + b_kv,   a = DotProductAttention(heads) of q, k, v,   y = a W_out + b_out.

    `memory` is what an encoder made of another sequence. The settings are those of MultiHeadAttention.
    Context.mask (B, Tk), or a dict with the entry "memory", hides padded steps of the memory.
    Step by step, x is {"x": (B, 1, D), "memory": the whole of it}: the first step makes keys and values and keeps them.

    Shapes: x {"x": (B, Tq, D), "memory": (B, Tk, M)}, y (B, Tq, D); q.W (D, width), kv.W (M, 2 kv_heads width/heads),
    out.W (width, D), and their b.
    Errors: ShapeError when heads do not divide D, the mask does not fit, or a step's memory is longer than the `length`
    that `memory` was asked for; SettingError when heads do not divide width, or kv_heads not heads.
    Source: Vaswani et al. 2017, section 3.2.3, https://arxiv.org/abs/1706.03762

    >>> import numpy as np, backlit as bl
    >>> layer = bl.CrossAttention(heads=2)
    >>> x = {"x": np.ones((3, 5, 4), "f"), "memory": np.ones((3, 7, 6), "f")}
    >>> shape, params, state = layer.init(bl.random.key(0), {"x": (5, 4), "memory": (7, 6)})
    >>> layer.forward(params, state, x, bl.Context())[0].shape
    (3, 5, 4)
    """

    def children(self) -> Named:
        return self._layers(self.heads)  # only x tells its features: here one a head

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(two_sequences(shape), f"CrossAttention expected rows {TWO}, got {shape}")
        (steps, features), (_, others) = shape["x"], shape["memory"]
        width, shared = self.widths(features)
        params = {
            "q": self.dense(width).init(random.fold(key, "q"), (features,))[1],
            "kv": self.draw(random.fold(key, "kv"), others, {"key": shared, "value": shared}),
            "out": self.dense(features).init(random.fold(key, "out"), (width,))[1],
        }
        return (steps, features), params, {}

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree, Tree]:
        layers = dict(self._layers(x["x"].shape[-1]))
        q, _, in_q = layers["q"].forward(params["q"], {}, x["x"], ctx)  # (B, Tq, width)
        z, _, in_kv = layers["kv"].forward(params["kv"], {}, x["memory"], ctx)  # (B, Tk, 2 shared)
        k, v = halves(z)
        inner = replace(ctx.at("attention"), mask=keys_mask(ctx.mask, "memory", x["memory"]))
        a, _, in_attention = layers["attention"].forward({}, {}, {"query": q, "key": k, "value": v}, inner)
        y, _, in_out = layers["out"].forward(params["out"], {}, a, ctx)  # (B, Tq, D)
        cache = {"q": Seen(q, in_q), "kv": Seen(z, in_kv), "attention": Seen(a, in_attention), "out": Seen(y, in_out)}
        return y, state, cache

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Tree, Tree, Tree]:
        layers = dict(self._layers(dy.shape[-1]))
        da, d_out, _ = layers["out"].backward(params["out"], cache["out"].inside, dy)  # (B, Tq, width)
        d = layers["attention"].backward({}, cache["attention"].inside, da)[0]
        dz = dy.__array_namespace__().concat([d["key"], d["value"]], axis=-1)  # (B, Tk, 2 shared)
        dx, d_q, _ = layers["q"].backward(params["q"], cache["q"].inside, d["query"])
        dmemory, d_kv, _ = layers["kv"].backward(params["kv"], cache["kv"].inside, dz)
        deltas = {"q": Seen(d["query"], {}), "kv": Seen(dz, {}), "attention": Seen(da, {}), "out": Seen(dy, {})}
        return {"x": dx, "memory": dmemory}, {"q": d_q, "kv": d_kv, "out": d_out}, deltas

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        W = params["kv"]["W"]
        xp = W.__array_namespace__()
        empty = xp.zeros((rows, length, W.shape[1] // 2), dtype=W.dtype)
        return {"key": empty, "value": empty, "real": xp.zeros((rows, length), dtype=W.dtype), **first()}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Array, Tree]:
        layers, at = dict(self._layers(x["x"].shape[-1])), position(memory, x["x"])
        kept = {name: memory[name] for name in ("key", "value", "real")}
        kept = engine.of(x["x"]).branch(
            at[0] == 0, lambda old: self._keep(params, x["memory"], ctx, old), lambda old: old, kept
        )
        q = layers["q"].forward(params["q"], {}, x["x"], ctx)[0]  # (B, 1, width)
        parts = {"query": q, "key": kept["key"], "value": kept["value"]}
        a = layers["attention"].forward({}, {}, parts, Context(mask=kept["real"]))[0]  # (B, 1, width)
        return layers["out"].forward(params["out"], {}, a, ctx)[0], {**kept, "at": at[0] + 1}

    def weights(self, params: Tree, x: Tree, ctx: Context = Context()) -> Array:
        """The attention weights (B, heads, Tq, Tk), to look at; no dropout."""
        layers = dict(self._layers(x["x"].shape[-1]))
        k, v = halves(layers["kv"].forward(params["kv"], {}, x["memory"], ctx)[0])
        q = layers["q"].forward(params["q"], {}, x["x"], ctx)[0]
        mask = keys_mask(ctx.mask, "memory", x["memory"])
        return self.attend().weights({"query": q, "key": k, "value": v}, Context(mask=mask))

    def _layers(self, features: int) -> Named:
        width, shared = self.widths(features)
        q, kv, out = self.dense(width), self.dense(2 * shared), self.dense(features)
        return (("q", q), ("kv", kv), ("attention", self.attend()), ("out", out))

    def _keep(self, params: Tree, x: Array, ctx: Context, old: Tree) -> Tree:
        """Keys and values of the memory x (B, Tk, M), filled up with steps that are not real."""
        xp, (rows, length) = x.__array_namespace__(), old["real"].shape
        left = length - x.shape[1]
        need(left >= 0, f"CrossAttention expected a memory of at most {length} steps, got {x.shape[1]}; ask for more")
        k, v = halves(dict(self._layers(self.heads))["kv"].forward(params["kv"], {}, x, ctx)[0])
        mask = keys_mask(ctx.mask, "memory", x)
        real = (
            xp.ones((rows, x.shape[1]), dtype=old["real"].dtype) if mask is None else xp.astype(mask, old["real"].dtype)
        )
        new = {"key": k, "value": v, "real": real}
        fill = {name: xp.zeros((rows, left, *a.shape[2:]), dtype=a.dtype) for name, a in new.items()}
        return {name: xp.concat([new[name], fill[name]], axis=1) for name in new}


TWO = '{"x": (T, D), "memory": (S, M)}'


def two_sequences(shape: Shape) -> bool:
    """Whether rows are a sequence and the memory it looks at."""
    return isinstance(shape, dict) and shape.keys() == {"x", "memory"} and all(len(s) == 2 for s in shape.values())


def halves(z: Array) -> tuple[Array, Array]:
    """Keys and values of their common product."""
    middle = z.shape[-1] // 2
    return z[..., :middle], z[..., middle:]
