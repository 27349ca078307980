"""Images turned, scaled, sheared, moved and cut at random: however much of it, each pixel is looked up once."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from backlit.data.augmentation.base import Augmenter, Share, Spread, check_spreads, drawn, images
from backlit.data.augmentation.resampling import Fill, Map, Method, moved_by, resampled, scaled, sheared, then, turned
from backlit.protocol import Array

SIZES = (0.01, 100.0)
"""Between these are factors and ratios of lengths."""

LEANS = (-89.0, 89.0)
"""Between these are the degrees of a shear: at 90 a line would have to lie down."""


@dataclass(frozen=True)
class Resampling(Augmenter):
    """Base of those that draw images anew from a map of where each pixel comes from.

    fill      outside of the image are zeros ("zero"), its border ("edge") or its mirror image ("reflect")
    method    "bilinear": between four neighbours, floating; "nearest": one of the old pixels, bytes stay bytes
    """

    abstract: ClassVar[bool] = True
    fill: Fill = field(default="zero", kw_only=True)
    method: Method = field(default="bilinear", kw_only=True)

    @abstractmethod
    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        """Where the pixels of each image of a batch of this shape come from."""

    def apply(self, key: Array, x: Array) -> Array:
        images(x, self)
        return resampled(x, self.map(x.__array_namespace__().asarray(key), x.shape), self.fill, self.method)


@dataclass(frozen=True)
class Affine(Resampling):
    """Scaled, sheared, turned about the middle and moved, in this order, by one resampling. Also: RandomAffine.

    rotate      degrees against the clock; 15 is drawn from -15 .. 15, a pair from its first number to its second
    translate   shares of height and width, down and to the right, a draw for each
    scale       0.2: 0.8 to 1.2 times as large; or a pair of factors
    shear       degrees by which vertical lines lean, their lower end to the right

    Shapes: x (B, height, width, channels), bytes become float32 unless `method` is "nearest". Errors: ShapeError for other
    rows, SettingError for pairs that run backwards and factors outside 0.01 .. 100. Others: torchvision's RandomAffine
    looks up the nearest pixel by default, turns the same way with the sign of its angle, and moves by whole pixels; Keras
    has a layer, and a resampling, for each.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Affine
    >>> x = np.arange(9, dtype="u1").reshape(1, 3, 3, 1)
    >>> Affine(rotate=(90, 90), method="nearest").apply(np.array([0, 1], "u4"), x)[0, :, :, 0].tolist()
    [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("RandomAffine",)
    rotate: Spread = 0.0
    translate: Spread = 0.0
    scale: Spread = 0.0
    shear: Spread = 0.0

    def check(self) -> None:
        check_spreads(-math.inf, math.inf, rotate=(self.rotate, 0.0), translate=(self.translate, 0.0))
        check_spreads(*SIZES, scale=(self.scale, 1.0))
        check_spreads(*LEANS, shear=(self.shear, 0.0))

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        n, height, width, _ = shape
        move = (self.translate, 0.0)
        size, lean, angle, down, right = drawn(
            key, n, (self.scale, 1.0), (self.shear, 0.0), (self.rotate, 0.0), move, move
        )
        first = then(scaled(size, size), sheared(slope(lean), 0.0))
        return then(then(first, turned(angle)), moved_by(down * height, right * width))


@dataclass(frozen=True)
class Rotate(Resampling):
    """Turned about the middle, against the clock, by up to `degrees` either way, or from .. to. See Affine.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Rotate
    >>> x = np.arange(4.0, dtype="f").reshape(1, 2, 2, 1)
    >>> Rotate((180, 180)).apply(np.array([0, 1], "u4"), x)[0, :, :, 0].round(3).tolist()
    [[3.0, 2.0], [1.0, 0.0]]
    """

    degrees: Spread = 15.0

    def check(self) -> None:
        check_spreads(-math.inf, math.inf, degrees=(self.degrees, 0.0))

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        return turned(*drawn(key, shape[0], (self.degrees, 0.0)))


@dataclass(frozen=True)
class Shear(Resampling):
    """Vertical lines lean by up to `degrees` either way, or from .. to; the middle row stays. See Affine.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Shear
    >>> x = np.arange(9.0, dtype="f").reshape(1, 3, 3, 1)
    >>> Shear((45, 45)).apply(np.array([0, 1], "u4"), x)[0, :, :, 0].round(3).tolist()
    [[1.0, 2.0, 0.0], [3.0, 4.0, 5.0], [0.0, 6.0, 7.0]]
    """

    degrees: Spread = 15.0

    def check(self) -> None:
        check_spreads(*LEANS, degrees=(self.degrees, 0.0))

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        (lean,) = drawn(key, shape[0], (self.degrees, 0.0))
        return sheared(slope(lean), 0.0)


@dataclass(frozen=True)
class Translate(Resampling):
    """Moved down and to the right by up to `share` of height and width either way; RandomCrop moves by whole pixels.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Translate
    >>> x = np.arange(4.0, dtype="f").reshape(1, 2, 2, 1)
    >>> Translate((0.25, 0.25), fill="edge").apply(np.array([0, 1], "u4"), x)[0, :, :, 0].tolist()
    [[0.0, 0.5], [1.0, 1.5]]
    """

    share: Spread = 0.125

    def check(self) -> None:
        check_spreads(-math.inf, math.inf, share=(self.share, 0.0))

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        down, right = drawn(key, shape[0], (self.share, 0.0), (self.share, 0.0))
        return moved_by(down * shape[1], right * shape[2])


@dataclass(frozen=True)
class Zoom(Resampling):
    """Larger or smaller about the middle: 1 - by .. 1 + by times as large, or from .. to.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Zoom
    >>> x = np.arange(16.0, dtype="f").reshape(1, 4, 4, 1)
    >>> Zoom((2.0, 2.0), method="nearest").apply(np.array([0, 1], "u4"), x)[0, :, :, 0].tolist()
    [[5.0, 5.0, 6.0, 6.0], [5.0, 5.0, 6.0, 6.0], [9.0, 9.0, 10.0, 10.0], [9.0, 9.0, 10.0, 10.0]]
    """

    by: Spread = 0.2

    def check(self) -> None:
        check_spreads(*SIZES, by=(self.by, 1.0))

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        (size,) = drawn(key, shape[0], (self.by, 1.0))
        return scaled(size, size)


@dataclass(frozen=True)
class RandomResizedCrop(Augmenter):
    """A rectangle of the image, at random, drawn as large as the whole: objects come in all sizes and places.

    scale    of the image's area, drawn evenly
    ratio    width by height of the rectangle, ln(ratio) drawn evenly

    A side that would be longer than the image is as long as the image; corners lie between pixels.
    Shapes: x (B, height, width, channels), bytes become float32. Errors: ShapeError for other rows.
    Source: Szegedy et al. 2014, https://arxiv.org/abs/1409.4842 (8 to 100 % of the area, 3/4 to 4/3). Others: torchvision
    draws up to ten times until the rectangle fits, at whole pixels, and can also change the size of the result.

    >>> import numpy as np
    >>> from backlit.data.augmentation import RandomResizedCrop
    >>> x = np.arange(16.0, dtype="f").reshape(1, 4, 4, 1)
    >>> y = RandomResizedCrop(scale=(0.25, 0.25), ratio=(1.0, 1.0)).apply(np.array([0, 1], "u4"), x)
    >>> (y[0, 1:3, 1, 0] - y[0, :2, 1, 0]).round(3).tolist(), (y[0, 1, 1:3, 0] - y[0, 1, :2, 0]).round(3).tolist()
    ([2.0, 2.0], [0.5, 0.5])
    """

    scale: tuple[Share, Share] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)

    def check(self) -> None:
        check_spreads(1e-4, 1.0, scale=(self.scale, 1.0))
        check_spreads(*SIZES, ratio=(self.ratio, 1.0))

    def apply(self, key: Array, x: Array) -> Array:
        images(x, self)
        return resampled(x, self.map(x.__array_namespace__().asarray(key), x.shape), "edge")

    def map(self, key: Array, shape: tuple[int, ...]) -> Map:
        """Where the pixels of each image come from."""
        xp, (n, height, width, _) = key.__array_namespace__(), shape
        ratio = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        area, stretch, top, left = drawn(key, n, (self.scale, 0.0), (ratio, 0.0), (0.5, 0.0), (0.5, 0.0))
        stretch = xp.exp(stretch) * (height / width)  # how many times as large a share of the width as of the height
        down, right = (xp.clip(xp.sqrt(v), 0.0, 1.0) for v in (area / stretch, area * stretch))
        return Map(down, 0.0, 0.0, right, top * (1.0 - down) * height, left * (1.0 - right) * width)


def slope(degrees: Array) -> Array:
    """How far a line that leans by so many degrees goes to the side."""
    return degrees.__array_namespace__().tan(degrees * (math.pi / 180))
