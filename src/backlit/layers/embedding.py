"""Tokens as vectors: rows of a learned table."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from backlit import engine
from backlit.engine import random
from backlit.errors import DataError, SettingError, TokenError
from backlit.initializers import Initializer, Normal
from backlit.protocol import Array, Context, Layer, Shape, Tree
from backlit.settings import Count, Positive
from backlit.word_vectors import WordVectors  # so that a file may name it

__all__ = ["Embedding", "WordVectors"]


@dataclass(frozen=True)
class Embedding(Layer):
    """y = scale W[x]: for each token, a whole number 0..size-1, its row of a learned table.

    A product of one-hot rows with W, without the zeros:   dL/dW[k] = scale sum of the rows of dy where x = k.
    The rows are added where they belong (scatter-add), so the cost does not grow with the table. Tokens have no
    gradient: dL/dx = 0. The vector of the token `padding` is 0 whatever W holds, and its row gets no gradient.

    A pre-trained start is W=WordVectors(...) or W=FromFile(...); the experiment's `frozen: [embedding_1]` keeps it.
    `scale` is sqrt(units) in a transformer whose table is also its output layer (Tied).

    Shapes: x (B, ...) of an integer dtype, W (size, units), y (B, ..., units).
    Errors: DataError for tokens that are no integers, and on the NumPy engine for one outside 0..size-1. A compiled
    program cannot complain: a token >= size gives NaN, a negative one counts from the end. `check_tokens` tells before.
    Source: Bengio et al. 2003, https://jmlr.org/papers/v3/bengio03a.html
    Others: torch starts with N(0, 1), Keras with U(-0.05, 0.05); torch's padding_idx vector may be changed by hand.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.Embedding(size=100, units=4, padding=0)
    >>> _, params, state = layer.init(bl.random.key(0), (3,))
    >>> y, _, cache = layer.forward(params, state, np.array([[7, 7, 0], [2, 5, 0]]), bl.Context())
    >>> dx, grads, _ = layer.backward(params, cache, np.ones_like(y))
    >>> y.shape, grads["W"][:8, 0].tolist()
    ((2, 3, 4), [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 2.0])
    """

    size: Count
    units: Count
    W: Initializer = Normal(0.1)
    padding: Annotated[int, Ge(0)] | None = None
    scale: Positive = 1.0

    def check(self) -> None:
        if self.padding is not None and self.padding >= self.size:
            text = f"expected a token 0..{self.size - 1}, the rows of the table, got {self.padding}"
            raise SettingError([("padding", text)])

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        W = self.W.draw(random.fold(key, "W"), (self.size, self.units))
        W = self._without_padding(W, key.__array_namespace__().arange(self.size))
        return (*shape, self.units), {"W": W}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        self._judge(x, ctx)
        xp = x.__array_namespace__()
        tokens = xp.reshape(x, (-1,))  # (n,)
        rows = xp.take(params["W"], tokens, axis=0) * self.scale  # (n, units)
        return xp.reshape(self._without_padding(rows, tokens), (*x.shape, self.units)), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp = dy.__array_namespace__()
        tokens = xp.reshape(cache, (-1,))  # (n,)
        rows = xp.reshape(dy, (-1, self.units)) * self.scale  # (n, units)
        dW = engine.of(dy).scatter_add(self.size, tokens, self._without_padding(rows, tokens))  # (size, units)
        return xp.zeros(cache.shape, dtype=dy.dtype), {"W": dW}, {}

    def _without_padding(self, rows: Array, tokens: Array) -> Array:
        """`rows` (n, units) with those of the padding at 0."""
        if self.padding is None:
            return rows
        xp = rows.__array_namespace__()
        return xp.where((tokens != self.padding)[:, None], rows, xp.zeros_like(rows))

    def _judge(self, x: Array, ctx: Context) -> None:
        """DataError for what is no row of the table, as far as one can look."""
        path = ".".join(name for name in ctx.path if isinstance(name, str))
        where = f"{path}: " if path else ""
        if not x.__array_namespace__().isdtype(x.dtype, "integral"):
            text = f"Embedding expected tokens of an integer dtype, got {x.dtype}; write x.astype('int32')"
            text += ", and give the Dataset that holds them a vocabulary"
            raise DataError(f"{where}{text}")
        if engine.of(x).name != "numpy":
            return
        tokens = np.asarray(x)
        bad = np.argwhere((tokens < 0) | (tokens >= self.size))
        if len(bad):
            token, index = int(tokens[tuple(bad[0])]), tuple(map(int, bad[0]))
            text = f"Embedding expected tokens 0..{self.size - 1}, got {token} at {index}; {how_to_mend(token)}"
            raise TokenError(text, token, self.size, path)


def how_to_mend(token: int) -> str:
    """The end of the sentence about a token outside the table."""
    return f"write size={token + 1}" if token > 0 else "tokens start at 0"
