"""The transposed convolution: a convolution run backwards, which makes images larger."""

from dataclasses import dataclass
from typing import ClassVar

from backlit import engine
from backlit.engine import random
from backlit.engine.window import Window, each, exchanged, fit, sides, spatial
from backlit.errors import BacklitError
from backlit.initializers import He, Initializer, Zeros
from backlit.layers.convolution import Padding, PerAxis, Whole, divide
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count


@dataclass(frozen=True)
class ConvTranspose(Layer):
    """z = what dx is in a convolution whose outputs are x: each input adds x[i] W[k] at i stride + k dilation - lo; + b.

    Its three parts are those of that convolution with the roles exchanged. With delta = dL/dz:
    forward is `convolve_dx`,   dL/dx is `convolve` of delta,   dL/dW is `convolve_dW` with delta as input, x as error
    signal,   dL/db = sum over b, o of delta.

    Shapes: x (B, *S, C), W (*K, C / groups, channels), b (channels,), z (B, *out, channels) with
    out = (n - 1) stride - lo - hi + (kernel - 1) dilation + 1 + output_padding, and n stride for padding="same".
    `padding` is taken off the output; `output_padding`, less than the stride, makes it larger at its end: several sizes of
    image give a strided convolution the same number of outputs, and this says which one is meant.
    Errors: ShapeError when rows do not fit groups or padding; SettingError when groups do not divide channels.
    Source: Zeiler et al. 2010, https://doi.org/10.1109/CVPR.2010.5539957. Derivation: docs/derivations/convolution.md
    Others: torch keeps W as (C, channels / groups, *K), Keras as (*K, channels, C). An output sees 1 / stride^axes of the
    K C inputs that the initialiser counts as fan_in, as in both.

    >>> import numpy as np, backlit as bl
    >>> layer = bl.ConvTranspose(3, 4, stride=2)
    >>> shape, params, state = layer.init(bl.random.key(0), (7, 7, 5))
    >>> z, _, cache = layer.forward(params, state, np.ones((2, 7, 7, 5), "f"), bl.Context())
    >>> dx, grads, _ = layer.backward(params, cache, np.ones_like(z))
    >>> z.shape, dx.shape, grads["W"].shape
    ((2, 14, 14, 3), (2, 7, 7, 5), (4, 4, 5, 3))
    """

    aliases: ClassVar[tuple[str, ...]] = ("ConvTranspose1D", "ConvTranspose2D", "ConvTranspose3D", "Deconvolution")
    channels: Count
    kernel: PerAxis = 3
    stride: PerAxis = 1
    padding: Padding = "same"
    output_padding: Whole | tuple[Whole, ...] = 0
    dilation: PerAxis = 1
    groups: Count = 1
    W: Initializer = He()
    b: Initializer | None = Zeros()

    def check(self) -> None:
        divide(self.groups, self.channels)

    def geometry(self, shape: Shape) -> tuple[Shape, Window, Shape]:
        """The kernel's sizes, the window of the convolution that is run backwards, and the spatial shape of z."""
        space = spatial("ConvTranspose", shape)
        kernel, strides, extra, dilation = (
            each("ConvTranspose", name, getattr(self, name), space)
            for name in ("kernel", "stride", "output_padding", "dilation")
        )
        small = all(e < (1 if self.padding == "same" else s) for e, s in zip(extra, strides, strict=True))
        text = f'ConvTranspose expected an output_padding less than the stride, and 0 with padding="same", got {extra}'
        need(small, f"{text} with strides {strides}")
        if self.padding == "same":
            large = tuple(n * s for n, s in zip(space, strides, strict=True))
            _, window = fit("ConvTranspose", (*large, 1), kernel, strides, "same", dilation, self.groups)
            return kernel, window, large
        window = Window(strides, sides("ConvTranspose", self.padding, space), dilation, self.groups)
        axes = zip(space, strides, window.padding, window.extent(kernel), extra, strict=True)
        large = tuple((n - 1) * s - lo - hi + extent + e for n, s, (lo, hi), extent, e in axes)
        need(min(large) >= 1, f"ConvTranspose expected less padding than output, got {window.padding} for rows {shape}")
        return kernel, window, large

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        kernel, _, large = self.geometry(shape)
        text = f"ConvTranspose with groups={self.groups} expected a number of input channels that this divides"
        need(shape[-1] % self.groups == 0, f"{text}, got {shape[-1]}; choose other groups")
        params = {"W": self.W.draw(random.fold(key, "W"), (*kernel, shape[-1] // self.groups, self.channels))}
        if self.b is not None:
            params["b"] = self.b.draw(random.fold(key, "b"), (self.channels,))
        return (*large, self.channels), params, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        _, window, large = self.geometry(x.shape[1:])
        W = exchanged(params["W"], self.groups)  # (*K, O / groups, C)
        z = engine.of(x).convolve_dx(x, W, window, large)  # (B, *S, C) -> (B, *out, O)
        return z if self.b is None else z + params["b"], state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        home, (kernel, window, _) = engine.of(dy), self.geometry(cache.shape[1:])
        dW = home.convolve_dW(dy, cache, window, kernel)  # (*K, O / groups, C)
        grads = {"W": exchanged(dW, self.groups)}  # (*K, C / groups, O)
        if self.b is not None:
            grads["b"] = home.channel_sums(dy)  # (B, *out, O) -> (O,)
        return home.convolve(dy, exchanged(params["W"], self.groups), window), grads, {}  # (B, *out, O) -> (B, *S, C)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError("ConvTranspose needs the whole sequence, so it cannot go step by step")
