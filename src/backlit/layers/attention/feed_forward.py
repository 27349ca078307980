"""The second half of a Transformer block: the same small network at every step."""

from dataclasses import dataclass

from backlit.initializers import Initializer, Xavier
from backlit.layers.activation import GELU
from backlit.layers.compose import Named, backward_in_order, forward_in_order, init_in_order
from backlit.layers.dense import Dense
from backlit.layers.dropout import Dropout
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, Fraction


@dataclass(frozen=True)
class FeedForward(Layer):
    """y = activation(x W_up + b_up) W_down + b_down: `hidden` units (None: 4 D) and back to the features of x.

    A chain Dense(hidden), activation, Dropout, Dense(D). With activation=GLU("SiLU") it is SwiGLU, and half of the
    hidden units are gates.

    Shapes: x and y (..., D).
    Source: Vaswani et al. 2017, section 3.3, https://arxiv.org/abs/1706.03762

    >>> import backlit as bl
    >>> layer = bl.FeedForward()
    >>> shape, params, _ = layer.init(bl.random.key(0), (5, 3))
    >>> [name for name, _ in layer.children()], params["up"]["W"].shape
    (['up', 'activation', 'down'], (3, 12))
    """

    hidden: Count | None = None
    activation: Layer = GELU()
    dropout: Fraction = 0.0
    W: Initializer = Xavier()

    def children(self) -> Named:
        return self._layers(1)  # only x tells its features: here one

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 1, "FeedForward expected rows with at least one feature axis, got scalars")
        return init_in_order(self._layers(shape[-1]), key, shape)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return forward_in_order(self._layers(x.shape[-1]), params, state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return backward_in_order(self._layers(dy.shape[-1]), params, cache, dy)

    def _layers(self, features: int) -> Named:
        up, down = Dense(self.hidden or 4 * features, self.W), Dense(features, self.W)
        drop = (("dropout", Dropout(self.dropout)),) if self.dropout else ()
        return (("up", up), ("activation", self.activation), *drop, ("down", down))
