"""Rotary positions: queries and keys are turned, so that their product knows how far apart they stand."""

from dataclasses import dataclass
from typing import Literal

from backlit.layers.activation import Activation
from backlit.layers.attention.positions import angles, first, position
from backlit.protocol import Array, Context, Shape, Tree, need
from backlit.settings import Count, Positive


@dataclass(frozen=True)
class RotaryPositions(Activation):
    """Pair i of a head's d features is a complex number, turned by the step t:   y_t,i = x_t,i exp(j t / base^(2i/d)).

    q_s . k_t after turning depends on s - t alone, not on s and t. Turning keeps lengths, so backward turns the other way:
    dL/dx_t,i = dL/dy_t,i exp(-j t / base^(2i/d)). `form="halves"` pairs feature i with i + d/2, "interleaved" 2i with
    2i + 1; one is the other with its features in another order, so a net learns the same with both.
    As `MultiHeadAttention(rotary=RotaryPositions())` it turns queries and keys there; by itself, any sequence.

    Shapes: x and y (B, T, heads d), d even.
    Errors: ShapeError when rows are no sequence of features that `heads` cut into even parts.
    Source: Su et al. 2021, https://arxiv.org/abs/2104.09864
    Others: the paper and GPT-J interleave; GPT-NeoX, Llama and ONNX's default take halves.

    >>> import numpy as np, backlit as bl
    >>> x = np.array([[[1.0, 0.0], [1.0, 0.0]]])
    >>> bl.RotaryPositions().forward({}, {}, x, bl.Context())[0].round(2).tolist()  # (cos 1, sin 1)
    [[[1.0, 0.0], [0.54, 0.84]]]
    """

    heads: Count = 1
    base: Positive = 10000.0
    form: Literal["halves", "interleaved"] = "halves"

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = len(shape) == 2 and shape[-1] % (2 * self.heads) == 0
        text = f"RotaryPositions expected rows (T, D) with D divisible by 2 heads = {2 * self.heads}, got {shape}"
        need(fits, text)
        return shape, {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return self.turned(x, x.__array_namespace__().arange(x.shape[1]), self.heads), state, ()

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return self.turned(dy, dy.__array_namespace__().arange(dy.shape[1]), self.heads, back=True), {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return first()

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        at = position(memory, x)
        return self.turned(x, at, self.heads), {"at": at[0] + 1}

    def turned(self, x: Array, at: Array, heads: int, back: bool = False) -> Array:
        """The steps of x (B, T, heads d), which stand at the positions `at` (T,), turned or turned back."""
        xp, (rows, steps, width) = x.__array_namespace__(), x.shape
        pairs = width // heads // 2
        angle = angles(at, 2 * pairs, self.base, x.dtype)[:, None, :]  # (T, 1, d/2)
        cos, sin = xp.cos(angle), xp.sin(-angle if back else angle)
        pair, axis = ((2, pairs), 3) if self.form == "halves" else ((pairs, 2), 4)
        re, im = xp.unstack(xp.reshape(x, (rows, steps, heads, *pair)), axis=axis)  # (B, T, heads, d/2) both
        y = xp.stack([re * cos - im * sin, re * sin + im * cos], axis=axis)
        return xp.reshape(y, (rows, steps, width))
