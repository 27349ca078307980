"""The way around a residual block that changes the shape of its input."""

from dataclasses import dataclass
from functools import cached_property

from backlit.errors import BacklitError
from backlit.layers.compose import Named, backward_in_order, forward_in_order, init_in_order
from backlit.layers.convolution import Conv
from backlit.layers.pad import Widths, cropped, padded
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count


@dataclass(frozen=True)
class Projection(Layer):
    """y = x where x has `channels` channels and the stride is 1; else a 1x1 convolution of x, and `norm` of that.

    Shapes: x (B, *S, C), y (B, *S / stride, channels).
    Source: He et al. 2015, shortcuts of kind B, https://arxiv.org/abs/1512.03385

    >>> import backlit as bl
    >>> layer = bl.layers.Projection(6, stride=2)
    >>> layer.init(bl.random.key(0), (8, 8, 4))[0], bl.tree.size(layer.init(bl.random.key(0), (8, 8, 4))[1])
    ((4, 4, 6), 24)
    """

    channels: Count
    stride: Count = 1
    norm: Layer | None = None

    @cached_property
    def layers(self) -> Named:
        """The convolution and what follows it."""
        norm = () if self.norm is None else (("norm", self.norm),)
        return (("conv", Conv(self.channels, 1, self.stride, b=None)), *norm)

    def children(self) -> Named:
        return self.layers

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        if self.stride == 1 and shape[-1:] == (self.channels,):
            nothing: dict[str, Tree] = {name: {} for name, _ in self.layers}
            return shape, nothing, nothing
        return init_in_order(self.layers, key, shape)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        if not params["conv"]:
            return x, state, {}
        return forward_in_order(self.layers, params, state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        if not params["conv"]:
            return dy, params, {}
        return backward_in_order(self.layers, params, cache, dy)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return step_by_step(self)


@dataclass(frozen=True)
class PadShortcut(Layer):
    """Every stride-th place of x, and zeros for the channels that x lacks: a shortcut without parameters.

    dL/dx: dL/dy where x was taken, without the channels of zeros; 0 elsewhere.
    Shapes: x (B, *S, C), y (B, *S / stride, channels), rounded up.
    Errors: ShapeError when x has more channels.
    Source: He et al. 2015, shortcuts of kind A, https://arxiv.org/abs/1512.03385, section 4.2

    >>> import backlit as bl
    >>> bl.layers.PadShortcut(6, stride=2).init(bl.random.key(0), (7, 8, 4))[0]
    (4, 4, 6)
    """

    channels: Count
    stride: Count = 1

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = len(shape) >= 1 and shape[-1] <= self.channels
        need(fits, f"PadShortcut expected rows with at most {self.channels} channels, got {shape}")
        return (*(-(-n // self.stride) for n in shape[:-1]), self.channels), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        taken = x[(slice(None), *[slice(None, None, self.stride)] * (x.ndim - 2), slice(None))]
        return padded(taken, self._widths(x), 0), state, x  # (B, *S / stride, channels); of x, the shape is used

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, x, s = dy.__array_namespace__(), cache, self.stride
        dx = cropped(dy, self._widths(x))  # (B, *S / stride, C)
        split = xp.reshape(dx, (dx.shape[0], *(m for n in dx.shape[1:-1] for m in (n, 1)), dx.shape[-1]))
        apart = padded(split, tuple(w for _ in dx.shape[1:-1] for w in ((0, 0), (0, s - 1))), 0)
        whole = xp.reshape(apart, (dx.shape[0], *(n * s for n in dx.shape[1:-1]), dx.shape[-1]))
        return cropped(whole, tuple((0, n - m) for n, m in zip(whole.shape[1:], x.shape[1:], strict=True))), {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return step_by_step(self)

    def _widths(self, x: Array) -> Widths:
        """The zeros, as `padded` takes them: behind the channels."""
        return (*[(0, 0)] * (x.ndim - 2), (0, self.channels - x.shape[-1]))


def step_by_step(shortcut: Projection | PadShortcut) -> Tree:
    """Each step by itself, unless steps are left out."""
    if shortcut.stride > 1:
        raise BacklitError(f"{type(shortcut).__name__} needs the whole sequence, so it cannot go step by step")
    return {}
