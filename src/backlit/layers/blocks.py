"""The blocks of residual nets for images: y = shortcut(x) + f(x), put together from other layers.

BasicBlock            f is two 3x3 convolutions               He et al. 2015
BottleneckBlock       1x1, 3x3, 1x1, the first two narrow     He et al. 2015
PreActivationBlock    normalisation and ReLU come first       He et al. 2016

The identity carries the error signal past f undamped, dL/dx = dL/dy + f.backward(dL/dy). Where a block changes the shape,
the shortcut must too: Projection learns how, PadShortcut takes every stride-th place and adds channels of zeros.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from backlit.errors import SettingError
from backlit.layers.activation import ReLU
from backlit.layers.block import Block
from backlit.layers.compose import Branch, Chain, Named
from backlit.layers.convolution import Conv
from backlit.layers.normalization import BatchNorm
from backlit.layers.shortcuts import PadShortcut, Projection
from backlit.protocol import Layer
from backlit.settings import Count


@dataclass(frozen=True)
class ResidualBlock(Block):
    """Base of the blocks: what they are set by, and the sum of both ways.

    shortcut="projection" learns one where the shape changes (Projection), "pad" does without parameters (PadShortcut), as the
    paper's nets for CIFAR do.
    """

    abstract: ClassVar[bool] = True
    channels: Count
    stride: Count = 1
    shortcut: Literal["projection", "pad"] = "projection"

    def sum(self, *main: Layer, norm: Layer | None) -> tuple[str, Layer]:
        """shortcut(x) + main(x); a projection is followed by `norm`."""
        pad = self.shortcut == "pad"
        way = PadShortcut(self.channels, self.stride) if pad else Projection(self.channels, self.stride, norm)
        return "sum", Branch(main=Chain(*main), shortcut=way)


@dataclass(frozen=True)
class BasicBlock(ResidualBlock):
    """y = relu(shortcut(x) + f(x)),   f = norm(conv(relu(norm(conv(x))))), both convolutions 3x3, the first with `stride`.

    Norm is BatchNorm, so the convolutions have no bias. shortcut="projection" learns one where the shape changes
    (Projection), "pad" does without parameters (PadShortcut).

    Shapes: x (B, *S, C), y (B, *S / stride, channels).
    Errors: ShapeError for rows without a spatial axis; with "pad", for more channels than `channels`.
    Source: He et al. 2015, https://arxiv.org/abs/1512.03385

    >>> import backlit as bl
    >>> block = bl.BasicBlock(16, stride=2)
    >>> block.init(bl.random.key(0), (8, 8, 4))[0], [path for path in bl.paths(block) if path.count(".") == 2][-2:]
    ((4, 4, 16), ['sum.shortcut.conv', 'sum.shortcut.norm'])
    """

    def unfold(self) -> Named:
        first, second = conv_norm(self.channels, 3, self.stride), conv_norm(self.channels, 3)
        return self.sum(*first, ReLU(), *second, norm=BatchNorm()), ("relu", ReLU())


@dataclass(frozen=True)
class BottleneckBlock(ResidualBlock):
    """y = relu(shortcut(x) + f(x)), f a 1x1, a 3x3 and a 1x1 convolution, each normalised, ReLU between them.

    The first two have channels / 4 channels: fewer parameters for the depth. `stride` is that of the 3x3 one.
    The settings are those of BasicBlock.

    Shapes: x (B, *S, C), y (B, *S / stride, channels).
    Errors: SettingError unless 4 divides channels; ShapeError as for BasicBlock.
    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.1
    Others: the paper has the stride in the first convolution; torchvision as here, and counts `channels` as the narrow ones.

    >>> import backlit as bl
    >>> bl.BottleneckBlock(16, stride=2).init(bl.random.key(0), (8, 8, 4))[0]
    (4, 4, 16)
    """

    def check(self) -> None:
        if self.channels % 4:
            raise SettingError([("channels", f"expected a multiple of 4, got {self.channels}")])
        super().check()

    def unfold(self) -> Named:
        narrow = self.channels // 4
        first, second, third = conv_norm(narrow, 1), conv_norm(narrow, 3, self.stride), conv_norm(self.channels, 1)
        return self.sum(*first, ReLU(), *second, ReLU(), *third, norm=BatchNorm()), ("relu", ReLU())


@dataclass(frozen=True)
class PreActivationBlock(ResidualBlock):
    """y = shortcut(x) + f(x),   f = conv(relu(norm(conv(relu(norm(x)))))): nothing stands in the way of the identity.

    So a stack of them is x plus a sum of all f; a norm and a ReLU after the last block belong to it. A projection is
    a convolution alone. The settings are those of BasicBlock.

    Shapes: x (B, *S, C), y (B, *S / stride, channels).
    Errors: ShapeError as for BasicBlock.
    Source: He et al. 2016, https://arxiv.org/abs/1603.05027
    Others: some implementations project relu(norm(x)) rather than x.

    >>> import backlit as bl
    >>> bl.PreActivationBlock(16, stride=2).init(bl.random.key(0), (8, 8, 4))[0]
    (4, 4, 16)
    """

    def unfold(self) -> Named:
        first, second = (Conv(self.channels, 3, stride, b=None) for stride in (self.stride, 1))
        return (self.sum(BatchNorm(), ReLU(), first, BatchNorm(), ReLU(), second, norm=None),)


def conv_norm(channels: int, kernel: int, stride: int = 1) -> tuple[Layer, Layer]:
    """A convolution without bias and its normalisation, which has one."""
    return Conv(channels, kernel, stride, b=None), BatchNorm()
