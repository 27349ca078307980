"""Policies: of many ways to change an image a few are drawn for each, and all that were drawn are one resampling and one
pass over its colours, so a batch costs the same whatever was chosen.

What no draw has chosen stands at the number that changes nothing (an angle of 0, a factor of 1), and maps compose. The
resampling comes first, then brightness, contrast, saturation, solarising (what is brighter than a threshold turns negative)
and posterising (fewer bits). Of the fourteen ways of the papers three are not here: AutoContrast and Equalize, which have no
strength, and Sharpness, which looks at neighbours.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Interval

from backlit.data.augmentation.base import BYTES, even
from backlit.data.augmentation.colour import Colour
from backlit.data.augmentation.resampling import Fill, Map, Method, moved_by, resampled, sheared, then, turned
from backlit.data.augmentation.tones import brighter, richer, starker
from backlit.protocol import Array
from backlit.settings import Count

WAYS = (
    "identity", "rotate", "shear_right", "shear_down", "move_right", "move_down",
    "brightness", "contrast", "saturation", "solarize", "posterize",
)  # fmt: skip
STRONGEST = 30
"""The largest magnitude of the papers."""


class Strength(NamedTuple):
    """How far the strongest of each way goes: degrees, slope, factors (1 +- colour), bits that are lost, and either the share
    of a side or the pixels that an image is moved by."""

    degrees: float
    slope: float
    colour: float
    bits: int
    share: float = 0.0
    pixels: int = 0


class Drawn(NamedTuple):
    """One way of each image: its place in WAYS, how strong from 0 to 1, and to which side (-1 or 1); (B,) each."""

    way: Array
    strength: Array
    side: Array

    def by(self, name: str) -> Array:
        """The strength with its sign where this way was drawn, else 0."""
        return self.side * self.plain(name)

    def plain(self, name: str) -> Array:
        """The strength where this way was drawn, else 0."""
        xp = self.way.__array_namespace__()
        return xp.where(self.way == WAYS.index(name), self.strength, xp.zeros_like(self.strength))


@dataclass(frozen=True)
class Policy(Colour):
    """Base: how many ways for each image, how strong, how far."""

    abstract: ClassVar[bool] = True
    far: ClassVar[Strength]
    fill: Fill = field(default="zero", kw_only=True)
    method: Method = field(default="bilinear", kw_only=True)

    @abstractmethod
    def draws(self, key: Array, rows: int) -> tuple[Drawn, ...]:
        """One way after another, for each of so many rows."""

    def changed(self, key: Array, x: Array, high: float) -> Array:
        xp, draws = x.__array_namespace__(), self.draws(key, x.shape[1])
        x = xp.permute_dims(x, (1, 2, 3, 0))
        x = xp.permute_dims(resampled(x, self.map(draws, x.shape), self.fill, self.method), (3, 0, 1, 2))
        for change, name in ((brighter, "brightness"), (starker, "contrast"), (richer, "saturation")):
            x = change(x, math.prod((1.0 + self.far.colour * d.by(name) for d in draws), start=1.0), high)
        return posterized(solarized(x, draws, high), draws, high, self.far.bits)

    def map(self, draws: tuple[Drawn, ...], shape: tuple[int, ...]) -> Map:
        """Where the pixels of each image come from, all draws together."""
        far, whole = self.far, None
        height, width = (far.pixels or far.share * size for size in shape[1:3])
        for d in draws:
            leant = sheared(far.slope * d.by("shear_right"), far.slope * d.by("shear_down"))
            moved = moved_by(height * d.by("move_down"), width * d.by("move_right"))
            one = then(then(turned(far.degrees * d.by("rotate")), leant), moved)
            whole = one if whole is None else then(whole, one)
        assert whole is not None
        return whole


@dataclass(frozen=True)
class RandAugment(Policy):
    """n ways for each image, each as strong as `magnitude` says, 0 (nothing) to 30, to a side that is drawn.

    At 30: 30 degrees, a slope of 0.3, 150/331 of a side, factors of 0.1 or 1.9, all that is not black turned negative, 4 bits.
    Shapes: x (B, height, width, 1 or 3), bytes become float32; floats must say how far they go, `high`. Errors: ShapeError
    for other rows. Source: Cubuk et al. 2019, https://arxiv.org/abs/1909.13719. Others: torchvision applies one after the
    other, each with a resampling and a rounding of its own.

    >>> import numpy as np
    >>> from backlit.data.augmentation import RandAugment
    >>> x = np.arange(48, dtype="u1").reshape(1, 4, 4, 3)
    >>> y = RandAugment(n=2, magnitude=15).apply(np.array([0, 1], "u4"), x)
    >>> y.shape, bool((RandAugment(magnitude=0).apply(np.array([0, 1], "u4"), x) == x).all())
    ((1, 4, 4, 3), True)
    """

    far: ClassVar[Strength] = Strength(30.0, 0.3, 0.9, 4, share=150 / 331)
    n: Count = 2
    magnitude: Annotated[float, Interval(ge=0, le=STRONGEST)] = 9.0

    def draws(self, key: Array, rows: int) -> tuple[Drawn, ...]:
        u = even(key, rows, 2 * self.n)
        strength = u.__array_namespace__().full_like(u[:, 0], self.magnitude / STRONGEST)
        return tuple(Drawn(_way(u[:, i]), strength, _side(u[:, i + 1])) for i in range(0, 2 * self.n, 2))


@dataclass(frozen=True)
class TrivialAugment(Policy):
    """One way for each image, as strong as is drawn, 0 .. 30 of 30, to a side that is drawn; nothing to be set.

    At 30: 135 degrees, a slope of 0.99, 32 pixels, factors of 0.01 or 1.99, all that is not black turned negative, 2 bits.
    Shapes, errors and what others do: as RandAugment. Source: Müller, Hutter 2021, https://arxiv.org/abs/2103.10158 (its
    wide space).

    >>> import numpy as np
    >>> from backlit.data.augmentation import TrivialAugment
    >>> TrivialAugment().apply(np.array([0, 1], "u4"), np.zeros((2, 4, 4, 3), "u1")).max()
    np.float32(0.0)
    """

    far: ClassVar[Strength] = Strength(135.0, 0.99, 0.99, 6, pixels=32)

    def draws(self, key: Array, rows: int) -> tuple[Drawn, ...]:
        u = even(key, rows, 3)
        strength = u.__array_namespace__().floor(u[:, 2] * (STRONGEST + 1)) / STRONGEST
        return (Drawn(_way(u[:, 0]), strength, _side(u[:, 1])),)


def solarized(x: Array, draws: tuple[Drawn, ...], high: float) -> Array:
    """high - x where x is above a threshold, which is `high` at strength 0 and 0 at 1; the lowest of several draws counts."""
    xp = x.__array_namespace__()
    threshold = high * (1.0 - _strongest(draws, "solarize", x))
    return xp.where(x > threshold, high - x, x)


def posterized(x: Array, draws: tuple[Drawn, ...], high: float, most: int) -> Array:
    """x with the lowest of its 8 bits cut off, `most` of them at strength 1."""
    xp = x.__array_namespace__()
    lost = xp.round(most * _strongest(draws, "posterize", x))  # bits
    step = 2.0**lost
    unit = high / BYTES
    # A byte that was a float in between: what is a hair below a whole step is that step.
    cut = xp.floor(x / (unit * step) + 1e-4) * (unit * step)
    return xp.where(lost > 0, cut, x)


def _strongest(draws: tuple[Drawn, ...], name: str, x: Array) -> Array:
    """The largest strength of several draws, (B, 1, 1)."""
    xp, found = x.__array_namespace__(), draws[0].plain(name)
    for d in draws[1:]:
        found = xp.maximum(found, d.plain(name))
    return xp.reshape(xp.astype(found, x.dtype), (-1, 1, 1))


def _way(u: Array) -> Array:
    """A place in WAYS from a number of 0 to below 1."""
    xp = u.__array_namespace__()
    return xp.astype(u * len(WAYS), xp.int32)


def _side(u: Array) -> Array:
    """-1 or 1 from a number of 0 to below 1."""
    xp = u.__array_namespace__()
    return xp.astype(u >= 0.5, xp.float32) * 2.0 - 1.0
