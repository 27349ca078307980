"""Local response normalisation: strong channels damp their neighbours."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, NonNegative, Positive


class Damped(NamedTuple):
    """What backward needs: x and s."""

    x: Array
    s: Array


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """y_c = x_c s_c^-beta,   s_c = k + alpha / size * sum of x_j^2 over the `size` channels j around c, in the same place.

    x_c is in its own y and in the s of its neighbours. With delta = dL/dy, summing over the channels j that see c:
        dL/dx_c = delta_c s_c^-beta - 2 alpha beta / size x_c sum_j delta_j x_j s_j^(-beta - 1)

    Channels outside count as 0. There are no parameters.
    Shapes: x and y (..., C).
    Errors: ShapeError for rows without a channel axis.
    Source: Krizhevsky, Sutskever, Hinton 2012, section 3.3,
    https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html
    Others: the paper and TensorFlow do not divide alpha by size, torch, ONNX and Caffe do; the paper has k=2. Where size
    is even, the channel more is behind c, as in ONNX; in torch it is before.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.LocalResponseNorm(size=3, alpha=3.0, beta=1.0)
    >>> layer.forward({}, {}, np.array([[1.0, 2.0, 0.0]]), bl.Context())[0].round(4).tolist()  # s: 1 + 5, 1 + 5, 1 + 4
    [[0.1667, 0.3333, 0.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("LRN",)
    size: Count = 5
    alpha: NonNegative = 1e-4
    beta: NonNegative = 0.75
    k: Positive = 1.0

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(
            len(shape) >= 1, "LocalResponseNorm expected rows with a channel axis, got scalars; use Reshape((1,)) first"
        )
        return shape, {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Damped]:
        before = (self.size - 1) // 2
        s = self.k + self.alpha / self.size * _around(x * x, before, self.size - 1 - before)  # (..., C)
        return x * s**-self.beta, state, Damped(x, s)

    def backward(self, params: Tree, cache: Damped, dy: Array) -> tuple[Array, Tree, Tree]:
        x, s = cache
        before = (self.size - 1) // 2
        direct = dy * s**-self.beta  # (..., C)
        seen = _around(direct * x / s, self.size - 1 - before, before)  # (..., C): c is before those it is behind
        return direct - 2.0 * self.alpha * self.beta / self.size * x * seen, {}, {}


def _around(a: Array, before: int, behind: int) -> Array:
    """The sum over the channels from `before` before each one to `behind` behind it."""
    xp, channels = a.__array_namespace__(), a.shape[-1]
    ends = [xp.zeros((*a.shape[:-1], n), dtype=a.dtype) for n in (before, behind)]
    wide = xp.concat([ends[0], a, ends[1]], axis=-1)  # (..., before + C + behind)
    parts = [wide[..., i : i + channels] for i in range(before + behind + 1)]
    return sum(parts[1:], parts[0])
