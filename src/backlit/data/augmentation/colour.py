"""Light and colour: each image has draws of its own, all its pixels the same ones.

Pixels go from 0 to `high`: 255 for bytes, and whatever the setting says for floats, which nobody could guess from one batch.
Results are floats, cut to this range; none is rounded. Images have three channels, red, green and blue, or one.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from backlit.data.augmentation.base import Augmenter, Share, Spread, brightest, check_spreads, drawn, images
from backlit.data.augmentation.tones import brighter, grey, hued, richer, starker
from backlit.data.preprocessing import floating
from backlit.engine import random
from backlit.errors import ShapeError
from backlit.protocol import Array
from backlit.settings import Positive


@dataclass(frozen=True)
class Colour(Augmenter):
    """Base of those that change pixels where they are. high: the largest value of a pixel; bytes have 255."""

    abstract: ClassVar[bool] = True
    high: Positive | None = field(default=None, kw_only=True)

    @abstractmethod
    def changed(self, key: Array, x: Array, high: float) -> Array:
        """x, floating, (channels, B, height, width), from 0 to high, changed."""

    def apply(self, key: Array, x: Array) -> Array:
        images(x, self)
        if x.shape[3] not in (1, 3):
            name, shape = type(self).__name__, tuple(x.shape[1:])
            raise ShapeError(f"{name}: expected images of 1 or 3 channels, got rows of shape {shape}; leave it out")
        xp, high = x.__array_namespace__(), brightest(self.high, x)
        # Channel by channel: what lies side by side in memory is then worked on together.
        changed = self.changed(xp.asarray(key), xp.permute_dims(floating(x), (3, 0, 1, 2)), high)
        return xp.permute_dims(changed, (1, 2, 3, 0))


@dataclass(frozen=True)
class Brightness(Colour):
    """x f, f drawn from 1 - by .. 1 + by, or from a pair. 0 is black.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Brightness
    >>> x = np.array([10, 200], "u1").reshape(1, 1, 2, 1)
    >>> Brightness((1.5, 1.5)).apply(np.array([0, 1], "u4"), x).ravel().tolist()
    [15.0, 255.0]
    """

    by: Spread = 0.4

    def check(self) -> None:
        check_spreads(0.0, math.inf, by=(self.by, 1.0))

    def changed(self, key: Array, x: Array, high: float) -> Array:
        return brighter(x, drawn(key, x.shape[1], (self.by, 1.0))[0], high)


@dataclass(frozen=True)
class Contrast(Colour):
    """mean + (x - mean) f, f drawn from 1 - by .. 1 + by, or from a pair; the mean is that of the image's grey. 0: all grey.

    Others: Pillow rounds the mean to a whole number.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Contrast
    >>> x = np.array([100, 200], "u1").reshape(1, 1, 2, 1)
    >>> Contrast((0.5, 0.5)).apply(np.array([0, 1], "u4"), x).ravel().tolist()
    [125.0, 175.0]
    """

    by: Spread = 0.4

    def check(self) -> None:
        check_spreads(0.0, math.inf, by=(self.by, 1.0))

    def changed(self, key: Array, x: Array, high: float) -> Array:
        return starker(x, drawn(key, x.shape[1], (self.by, 1.0))[0], high)


@dataclass(frozen=True)
class Saturation(Colour):
    """grey + (x - grey) f, f drawn from 1 - by .. 1 + by, or from a pair. 0 has no colour left; images of one channel stay.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Saturation
    >>> x = np.array([100, 0, 0], "u1").reshape(1, 1, 1, 3)
    >>> [round(float(v), 2) for v in Saturation((0.5, 0.5)).apply(np.array([0, 1], "u4"), x).ravel()]
    [64.95, 14.95, 14.95]
    """

    by: Spread = 0.4

    def check(self) -> None:
        check_spreads(0.0, math.inf, by=(self.by, 1.0))

    def changed(self, key: Array, x: Array, high: float) -> Array:
        return richer(x, drawn(key, x.shape[1], (self.by, 1.0))[0], high)


@dataclass(frozen=True)
class Hue(Colour):
    """Colours turned around the circle of HSV by -by .. by of it, or from .. to; 0.5 is the opposite colour, 1 the same.

    Value and saturation stay, and so do images of one channel.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Hue
    >>> red = np.array([255, 0, 0], "u1").reshape(1, 1, 1, 3)
    >>> Hue((1 / 3, 1 / 3)).apply(np.array([0, 1], "u4"), red).ravel().round(3).tolist()
    [0.0, 255.0, 0.0]
    """

    by: Spread = 0.1

    def check(self) -> None:
        check_spreads(-math.inf, math.inf, by=(self.by, 0.0))

    def changed(self, key: Array, x: Array, high: float) -> Array:
        return hued(x, drawn(key, x.shape[1], (self.by, 0.0))[0])


@dataclass(frozen=True)
class Grey(Colour):
    """With probability `rate` an image loses its colours: 0.299 red + 0.587 green + 0.114 blue in all three. Also: Gray.

    >>> import numpy as np
    >>> from backlit.data.augmentation import Grey
    >>> x = np.array([100, 0, 0], "u1").reshape(1, 1, 1, 3)
    >>> [round(float(v), 1) for v in Grey(rate=1.0).apply(np.array([0, 1], "u4"), x).ravel()]
    [29.9, 29.9, 29.9]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Gray",)
    rate: Share = 0.1

    def changed(self, key: Array, x: Array, high: float) -> Array:
        chosen = random.uniform(key, (x.shape[1], 1, 1)) < self.rate
        return x.__array_namespace__().where(chosen, grey(x), x)


@dataclass(frozen=True)
class ColourJitter(Colour):
    """Brightness, contrast, saturation and hue, in this order, each drawn as by the augmenter of its name. Also: ColorJitter.

    Others: torchvision draws the order too.

    >>> import numpy as np
    >>> from backlit.data.augmentation import ColourJitter
    >>> x = np.full((1, 1, 1, 3), 0.5, "f")
    >>> ColourJitter((1.5, 1.5), 0, 0, 0, high=1.0).apply(np.array([0, 1], "u4"), x).ravel().tolist()
    [0.75, 0.75, 0.75]
    """

    aliases: ClassVar[tuple[str, ...]] = ("ColorJitter",)
    brightness: Spread = 0.4
    contrast: Spread = 0.4
    saturation: Spread = 0.4
    hue: Spread = 0.1

    def check(self) -> None:
        factors = {name: (getattr(self, name), 1.0) for name in ("brightness", "contrast", "saturation")}
        check_spreads(0.0, math.inf, **factors)
        check_spreads(-math.inf, math.inf, hue=(self.hue, 0.0))

    def changed(self, key: Array, x: Array, high: float) -> Array:
        factors = [(v, 1.0) for v in (self.brightness, self.contrast, self.saturation)]
        light, contrast, colour, turn = drawn(key, x.shape[1], *factors, (self.hue, 0.0))
        return hued(richer(starker(brighter(x, light, high), contrast, high), colour, high), turn)
