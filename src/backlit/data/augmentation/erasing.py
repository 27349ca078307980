"""Rectangles taken out of images, so that a net does not depend on one part of what it sees."""

import math
from dataclasses import dataclass, field
from typing import Literal

from backlit.data.augmentation.base import Augmenter, Share, brightest, check_spreads, drawn, images
from backlit.engine import random
from backlit.protocol import Array
from backlit.settings import Count, Positive


@dataclass(frozen=True)
class CutOut(Augmenter):
    """A square of `size` x `size` pixels of each image becomes 0; its middle is any pixel, so it may be cut by the edge.

    Shapes: x (B, height, width, channels). Errors: ShapeError for other rows.
    Source: DeVries, Taylor 2017, https://arxiv.org/abs/1708.04552

    >>> import numpy as np
    >>> from backlit.data import CutOut
    >>> x = CutOut(size=1).apply(np.array([0, 1], "u4"), np.ones((1, 2, 2, 1), "u1"))
    >>> int(x.sum())
    3
    """

    size: Count = 16

    def apply(self, key: Array, x: Array) -> Array:
        images(x, self)
        xp = x.__array_namespace__()
        words = random.bits(xp.asarray(key), (x.shape[0], 2))  # (B, 2)
        cut = xp.ones((x.shape[0], 1, 1, 1), dtype=xp.bool)
        for axis in (1, 2):
            size = x.shape[axis]
            start = xp.astype(words[:, axis - 1] % size, xp.int32) - (self.size - 1) // 2  # (B,)
            place = xp.arange(size, dtype=xp.int32) - start[:, None]  # (B, size)
            shape = (x.shape[0], size, 1, 1) if axis == 1 else (x.shape[0], 1, size, 1)
            cut = cut & xp.reshape((place >= 0) & (place < self.size), shape)  # (B, height, width, 1) in the end
        return xp.where(cut, xp.zeros_like(x), x)


@dataclass(frozen=True)
class RandomErasing(Augmenter):
    """With probability `rate` a rectangle of an image becomes 0 ("zero"), noise ("random") or the image's mean ("mean").

    area     of the image's area, drawn evenly
    ratio    height by width, ln(ratio) drawn evenly; a side that would be longer than the image is as long as the image
    value    "random": each number by itself, evenly from 0 to the largest, `high`, which floats must say; "mean": by channel

    The rectangle lies within the image, at whole pixels. Bytes stay bytes.
    Shapes: x (B, height, width, channels). Errors: ShapeError for other rows. Source: Zhong et al. 2017,
    https://arxiv.org/abs/1708.04896 (rate 0.5, 2 to 40 % of the area, 0.3 to 3.3). Others: the paper draws again until the
    rectangle fits, torchvision ten times (and normal noise, as its images are standardised by then).

    >>> import numpy as np
    >>> from backlit.data.augmentation import RandomErasing
    >>> eraser = RandomErasing(rate=1.0, area=(0.25, 0.25), ratio=(1.0, 1.0))
    >>> int(eraser.apply(np.array([0, 1], "u4"), np.ones((1, 8, 8, 1), "u1")).sum())
    48
    """

    rate: Share = 0.5
    area: tuple[Share, Share] = (0.02, 0.4)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    value: Literal["zero", "random", "mean"] = "zero"
    high: Positive | None = field(default=None, kw_only=True)

    def check(self) -> None:
        check_spreads(0.0, 1.0, area=(self.area, 0.0))
        check_spreads(0.01, 100.0, ratio=(self.ratio, 1.0))

    def apply(self, key: Array, x: Array) -> Array:
        images(x, self)
        xp = x.__array_namespace__()
        key, (n, height, width, _) = xp.asarray(key), x.shape
        ratio = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        area, stretch, hit, top, left = drawn(key, n, (self.area, 0.0), (ratio, 0.0), *[((0.0, 1.0), 0.0)] * 3)
        pixels, stretch = area * (height * width), xp.exp(stretch)
        rows = _within(top, xp.sqrt(pixels * stretch), height) & (hit < self.rate)[:, None]  # (B, height)
        columns = _within(left, xp.sqrt(pixels / stretch), width)  # (B, width)
        return xp.where(rows[:, :, None, None] & columns[:, None, :, None], self._filling(key, x), x)

    def _filling(self, key: Array, x: Array) -> Array:
        xp = x.__array_namespace__()
        if self.value == "zero":
            return xp.zeros_like(x)
        whole = x.dtype == xp.uint8
        if self.value == "mean":
            mean = xp.mean(xp.astype(x, xp.float32) if whole else x, axis=(1, 2), keepdims=True)  # (B, 1, 1, channels)
            return xp.astype(xp.round(mean), x.dtype) if whole else mean
        high, key = brightest(self.high, x), random.fold(key, "value")
        return xp.astype(random.bits(key, x.shape) >> 24 if whole else high * random.uniform(key, x.shape), x.dtype)


def _within(start: Array, length: Array, size: int) -> Array:
    """Which of `size` places (B, size) a stretch of this length takes; `start` (0 to 1) is one of the places for it."""
    xp = start.__array_namespace__()
    length = xp.clip(xp.floor(length + 0.5), 0.0, size)
    place = xp.arange(size, dtype=xp.float32) - xp.floor(start * (size - length + 1.0))[:, None]
    return (place >= 0) & (place < length[:, None])
