"""Layers whose units look at the image through a window that slides over it, with the same weights in every place."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from annotated_types import Ge

from backlit import engine
from backlit.engine import random
from backlit.engine.window import Window, fit
from backlit.errors import BacklitError, SettingError
from backlit.initializers import He, Initializer, Zeros
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count

Whole: TypeAlias = Annotated[int, Ge(0)]
PerAxis: TypeAlias = Count | tuple[Count, ...]
"""One number for all spatial axes, or one for each."""

Padding: TypeAlias = Literal["same", "valid"] | Whole | tuple[Whole | tuple[Whole, Whole], ...]
"""'same': ceil(n / stride) outputs; 'valid': none; zeros on both sides, one number or one for each spatial axis; or
(before, after) for each spatial axis."""


class Sliding(Layer):
    """Base of the convolutions: z = convolve(x, W) + b. Its fields stand in the final classes, in their order."""

    abstract: ClassVar[bool] = True
    kernel: PerAxis
    stride: PerAxis
    padding: Padding
    dilation: PerAxis
    W: Initializer
    b: Initializer | None

    @abstractmethod
    def meet(self, channels: int) -> tuple[int, int]:
        """(groups, outputs) for this many input channels."""

    @abstractmethod
    def inputs(self, W: Array) -> int:
        """The number of input channels of a kernel."""

    def window(self, shape: Shape) -> tuple[Shape, Window]:
        """The kernel's sizes and the window for rows of `shape`."""
        groups = self.meet(shape[-1])[0] if shape else 1
        return fit(type(self).__name__, shape, self.kernel, self.stride, self.padding, self.dilation, groups)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        kernel, window = self.window(shape)
        groups, outputs = self.meet(shape[-1])
        params = {"W": self.W.draw(random.fold(key, "W"), (*kernel, shape[-1] // groups, outputs))}
        if self.b is not None:
            params["b"] = self.b.draw(random.fold(key, "b"), (outputs,))
        return (*window.sizes(shape[:-1], kernel), outputs), params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        _, window = self.window(x.shape[1:])
        z = engine.of(x).convolve(x, params["W"], window)  # (B, *S, C), (*K, C / groups, O) -> (B, *out, O)
        return z if self.b is None else z + params["b"], state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        home, (kernel, window) = engine.of(dy), self.window(cache.shape[1:])
        grads = {"W": home.convolve_dW(cache, dy, window, kernel)}  # (*K, C / groups, O)
        if self.b is not None:
            grads["b"] = home.channel_sums(dy)  # (B, *out, O) -> (O,)
        return home.convolve_dx(dy, params["W"], window, cache.shape[1:-1]), grads, {}  # (B, *S, C)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        W = params["W"]
        _, window = self.window((length, *(1,) * (W.ndim - 3), self.inputs(W)))
        before = window.extent(W.shape[:-2])[0] - 1
        if window[:2] != ((1,), ((before, 0),)):
            text = f"{type(self).__name__} sees steps to come, so it cannot go step by step"
            raise BacklitError(f"{text}; on sequences, stride=1 and padding=(({before}, 0),) look back only")
        return W.__array_namespace__().zeros((rows, before, self.inputs(W)), dtype=W.dtype)  # (B, extent - 1, C)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        x = x.__array_namespace__().concat([memory, x], axis=1)  # (B, extent, C)
        return self.forward(params, state, x, ctx)[0][:, -1:, :], x[:, 1:, :]


@dataclass(frozen=True)
class Conv(Sliding):
    """z[b, o] = sum over offsets k of x[b, o stride + k dilation - lo] W[k] + b, x being 0 outside itself.

    With delta = dL/dz:   dL/dW[k] = sum over b, o of x[b, o stride + k dilation - lo]^T delta[b, o],
    dL/db = sum over b, o of delta,   dL/dx[b, i] = sum over the (o, k) that see i of delta[b, o] W[k]^T.

    `kernel` as one number takes its axes from the rows: (T, C), (H, W, C) and (D, H, W, C) all work. With `groups`, the
    channels fall into groups that do not meet. A causal one, padding=((extent - 1, 0),), also goes step by step.
    Shapes: x (B, *S, C), W (*K, C / groups, channels), b (channels,), z (B, *out, channels) with
    out = floor((n + lo + hi - (kernel - 1) dilation - 1) / stride) + 1. `b=None` leaves the bias out.
    Errors: ShapeError when rows do not fit kernel, padding or groups; SettingError when groups do not divide channels.
    Source: LeCun et al. 1989, https://doi.org/10.1162/neco.1989.1.4.541. Derivation: docs/derivations/convolution.md
    Others: torch has channels first and W as (O, C / groups, *K). Where "same" takes an odd number of zeros the last one
    stands behind, as in TensorFlow and in ONNX's SAME_UPPER; torch knows "same" for stride 1 only. For the initialiser
    fan_out is K channels, as in torch, whatever the groups; fan_in counts the inputs of one group.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.Conv(16, 5, stride=2)
    >>> shape, params, state = layer.init(bl.random.key(0), (28, 28, 1))
    >>> shape, params["W"].shape
    ((14, 14, 16), (5, 5, 1, 16))
    >>> z, _, cache = layer.forward(params, state, np.ones((2, 28, 28, 1), "f"), bl.Context())
    >>> dx, grads, _ = layer.backward(params, cache, np.ones_like(z))
    >>> z.shape, dx.shape, grads["b"].tolist()[0]  # 2 images of 14 x 14
    ((2, 14, 14, 16), (2, 28, 28, 1), 392.0)
    """

    aliases: ClassVar[tuple[str, ...]] = ("Conv1D", "Conv2D", "Conv3D")
    channels: Count
    kernel: PerAxis = 3
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    groups: Count = 1
    W: Initializer = He()
    b: Initializer | None = Zeros()

    def check(self) -> None:
        divide(self.groups, self.channels)

    def meet(self, channels: int) -> tuple[int, int]:
        text = f"Conv with groups={self.groups} expected a number of input channels that this divides, got {channels}"
        need(channels % self.groups == 0, f"{text}; choose other groups")
        return self.groups, self.channels

    def inputs(self, W: Array) -> int:
        return int(W.shape[-2]) * self.groups


@dataclass(frozen=True)
class DepthwiseConv(Sliding):
    """A convolution of each channel by itself: Conv with groups = C and channels = multiplier C.

    Channel c gives the outputs multiplier c .. multiplier (c + 1) - 1; a Conv(O, 1) behind it mixes the channels
    (a separable convolution).
    Shapes: x (B, *S, C), W (*K, 1, multiplier C), b (multiplier C,), z (B, *out, multiplier C).
    Errors: ShapeError when rows do not fit kernel or padding.
    Source: Sifre 2014; Howard et al. 2017, https://arxiv.org/abs/1704.04861
    Others: Keras keeps W as (*K, C, multiplier); in torch it is a convolution with groups.

    >>> import backlit as bl
    >>> shape, params, _ = bl.DepthwiseConv(3, multiplier=2).init(bl.random.key(0), (8, 8, 5))
    >>> shape, params["W"].shape
    ((8, 8, 10), (3, 3, 1, 10))
    """

    kernel: PerAxis = 3
    multiplier: Count = 1
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    W: Initializer = He()
    b: Initializer | None = Zeros()

    def meet(self, channels: int) -> tuple[int, int]:
        return channels, self.multiplier * channels

    def inputs(self, W: Array) -> int:
        return int(W.shape[-1]) // self.multiplier


def divide(groups: int, channels: int) -> None:
    """SettingError unless the output channels fall into `groups`."""
    if channels % groups:
        raise SettingError([("groups", f"expected a divisor of channels = {channels}, got {groups}")])
