"""The blocks of a Transformer, put together from attention, normalisation and a feed-forward network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from backlit.layers.activation import GELU
from backlit.layers.attention.cross import TWO, CrossAttention, two_sequences
from backlit.layers.attention.feed_forward import FeedForward
from backlit.layers.attention.multihead import MultiHeadAttention
from backlit.layers.attention.rotary import RotaryPositions
from backlit.layers.block import Block
from backlit.layers.compose import (
    Chain,
    Composite,
    Named,
    Residual,
    backward_in_order,
    forward_in_order,
    init_in_order,
    step_in_order,
)
from backlit.layers.dropout import Dropout
from backlit.layers.normalization import LayerNorm
from backlit.layers.route import Parallel
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, Fraction


@dataclass(frozen=True)
class TransformerEncoderBlock(Block):
    """norm="before":   a = x + Attention(Norm(x)),   y = a + FeedForward(Norm(a));
    norm="after", as first published:   a = Norm(x + Attention(x)),   y = Norm(a + FeedForward(a)).

    Attention is MultiHeadAttention, Norm is LayerNorm, FeedForward has `hidden` units (None: 4 D). With `causal` it is
    the block of GPT, which also runs step by step. `dropout` acts on the attention weights, within FeedForward, and on
    what each half adds to x. With norm="before" the identity runs through the whole stack, so deep stacks train
    without warm-up; a LayerNorm after the last block belongs to it.
    Built of Residual and Chain: another norm, or a half left out, is written with those.

    Shapes: x and y (B, T, D).
    Errors: ShapeError when heads do not divide D, or the mask does not fit; BacklitError in `memory` unless causal.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; before: Xiong et al. 2020, https://arxiv.org/abs/2002.04745
    Others: torch's TransformerEncoderLayer defaults to after, ReLU, 2048 hidden units and dropout 0.1.

    >>> import backlit as bl
    >>> block = bl.TransformerEncoderBlock(heads=2, causal=True)
    >>> shape, params, _ = block.init(bl.random.key(0), (5, 4))
    >>> [path for path in bl.paths(block) if path.count(".") == 1]
    ['attention.norm', 'attention.heads', 'feed_forward.norm', 'feed_forward.network']
    """

    heads: Count
    hidden: Count | None = None
    norm: Literal["before", "after"] = "before"
    dropout: Fraction = 0.0
    causal: bool = False
    activation: Layer = GELU()
    rotary: RotaryPositions | None = None
    kv_heads: Count | None = None

    def unfold(self) -> Named:
        heads = MultiHeadAttention(
            self.heads, kv_heads=self.kv_heads, dropout=self.dropout, causal=self.causal, rotary=self.rotary
        )
        network = FeedForward(self.hidden, self.activation, self.dropout)
        return (
            ("attention", half(self.norm, self.dropout, heads=heads)),
            ("feed_forward", half(self.norm, self.dropout, network=network)),
        )


@dataclass(frozen=True)
class TransformerDecoderBlock(Block):
    """norm="before":   a = x + Attention(Norm(x)),   c = a + CrossAttention(Norm(a), memory),   y = c + FeedForward(Norm(c));
    norm="after", as first published, is Norm(x + f(x)) three times.

    Attention is causal; `memory` is what an encoder made of another sequence. x and y are {"x": ..., "memory": ...}:
    the memory is handed on, so blocks chain, and its gradient is the sum over all blocks. Select("x") ends the stack.
    The mask is a dict with the entries "x" and "memory", or None; any other mask holds for both.
    Settings as for TransformerEncoderBlock. Step by step, x is {"x": (B, 1, D), "memory": the whole of it}.

    Shapes: {"x": (B, T, D), "memory": (B, S, M)}.
    Errors: ShapeError when heads do not divide D, or a mask does not fit.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762

    >>> import backlit as bl
    >>> net = bl.Chain(bl.TransformerDecoderBlock(heads=2), bl.TransformerDecoderBlock(heads=2), bl.Select("x"))
    >>> net.init(bl.random.key(0), {"x": (5, 4), "memory": (7, 6)})[0]
    (5, 4)
    """

    heads: Count
    hidden: Count | None = None
    norm: Literal["before", "after"] = "before"
    dropout: Fraction = 0.0
    activation: Layer = GELU()
    rotary: RotaryPositions | None = None
    kv_heads: Count | None = None

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(two_sequences(shape), f"TransformerDecoderBlock expected rows {TWO}, got {shape}")
        return super().init(key, shape)

    def unfold(self) -> Named:
        more: dict[str, Any] = {"kv_heads": self.kv_heads, "dropout": self.dropout}
        heads = MultiHeadAttention(self.heads, causal=True, rotary=self.rotary, **more)
        network = FeedForward(self.hidden, self.activation, self.dropout)
        return (
            ("self_attention", on_x(half(self.norm, self.dropout, heads=heads))),
            ("cross_attention", half(self.norm, self.dropout, AddToX, on_x, heads=CrossAttention(self.heads, **more))),
            ("feed_forward", on_x(half(self.norm, self.dropout, network=network))),
        )


def same(layer: Layer) -> Layer:
    """`layer` as it is."""
    return layer


def on_x(layer: Layer) -> Layer:
    """`layer` on the entry "x"; the memory is handed on."""
    return Parallel(x=layer, memory=Chain())


@dataclass(frozen=True, init=False)
class AddToX(Composite):
    """y = {"x": x + f(x, memory), "memory": memory}: a Residual beside a memory.

    dx = dy_x + f.backward(dy_x) for x, dmemory = dy_memory + f.backward(dy_x) for memory.
    """

    abstract: ClassVar[bool] = True

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        _, params, state = init_in_order(self.layers, key, shape)
        return shape, params, state

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        added, state, cache = forward_in_order(self.layers, params, state, x, ctx)
        return {"x": x["x"] + added, "memory": x["memory"]}, state, cache

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Tree, Tree, Tree]:
        dx, grads, deltas = backward_in_order(self.layers, params, cache, dy["x"])
        return {"x": dy["x"] + dx["x"], "memory": dy["memory"] + dx["memory"]}, grads, deltas

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        added, memory = step_in_order(self.layers, params, state, memory, x, ctx)
        return {"x": x["x"] + added, "memory": x["memory"]}, memory


def half(
    norm: str, dropout: float, add: type[Composite] = Residual, on: Callable[[Layer], Layer] = same, **f: Layer
) -> Layer:
    """x + f(Norm(x)), or Norm(x + f(x)): `add` adds f to x, `on` says where Norm acts."""
    if dropout:
        f["dropout"] = Dropout(dropout)
    return add(norm=on(LayerNorm()), **f) if norm == "before" else Chain(add=add(**f), norm=on(LayerNorm()))
