"""DropConnect: dropout of weights."""

from dataclasses import dataclass

from backlit.engine import random
from backlit.layers.wrapper import Wrapper
from backlit.protocol import Array, Context, Layer, Tree
from backlit.settings import Fraction


@dataclass(frozen=True)
class DropConnect(Wrapper):
    """The layer with m W / (1 - rate) for W, m ~ Bernoulli(1 - rate) while training; W itself in evaluation.

    With dW = dL/dW of the layer, dL/dW = m dW / (1 - rate): the same m. One m a pass, the same for all rows, and for all
    steps of a sequence: with names=("U",) it keeps an LSTM from overfitting and its memory whole.
    `layer` is any with parameters `names`; `rate` is the probability of dropping.
    Errors: SettingError or ShapeError when the layer has no such weights, as one that holds layers: wrap those within it.
    Source: Wan et al. 2013, https://proceedings.mlr.press/v28/wan13.html; of U: Merity, Keskar, Socher 2018,
    https://arxiv.org/abs/1708.02182
    Others: Wan et al. draw m for each row, and in evaluation average over draws.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.DropConnect(bl.Dense(50, W={"type": "Constant", "value": 1.0}), 0.5)
    >>> _, params, state = layer.init(bl.random.key(0), (1,))
    >>> y = layer.forward(params, state, np.ones((2, 1), "f"), bl.Context(train=True, root=bl.random.key(0)))[0]
    >>> sorted(set(y[0].tolist())), bool((y[0] == y[1]).all())
    ([0.0, 2.0], True)
    """

    layer: Layer
    rate: Fraction = 0.5
    names: tuple[str, ...] = ("W",)

    def draw(self, ctx: Context) -> Array | None:
        return ctx.key if ctx.train and self.rate > 0 else None

    def stored(self, params: Tree) -> Tree:
        return params

    def used(self, params: Tree, key: Array | None) -> Tree:
        if key is None:
            return params
        return {**params, **{name: self._dropped(params[name], key, name) for name in self.names}}

    def pulled(self, params: Tree, key: Array | None, grads: Tree) -> Tree:
        return self.used(grads, key)

    def _dropped(self, W: Array, key: Array, name: str) -> Array:
        xp = W.__array_namespace__()
        keep = random.uniform(random.fold(xp.asarray(key), name), W.shape) >= self.rate
        return xp.where(keep, W / (1.0 - self.rate), xp.zeros_like(W))
