"""Schedules that end with the training: along a line or a curve, up and down once, level and down."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from backlit.errors import SettingError
from backlit.optim.schedules import Schedule, Share, eased, fraction, length, maximum, minimum
from backlit.protocol import Array
from backlit.settings import Count, Fraction, NonNegative, Positive


@dataclass(frozen=True)
class Linear(Schedule):
    """value(t) = start + (end - start) t / steps, and `end` from then on.

    >>> import backlit as bl
    >>> round(bl.optim.Linear(0.1, steps=100)(25), 4)
    0.075
    """

    start: NonNegative
    end: NonNegative = 0.0
    steps: Count | None = None

    def __call__(self, step: Array) -> Array:
        return self.start + (self.end - self.start) * fraction(step, length(self))


@dataclass(frozen=True)
class Polynomial(Schedule):
    """value(t) = end + (start - end) (1 - t / steps)^power, and `end` from then on. Also: Poly.

    Source: Chen et al. 2017, https://arxiv.org/abs/1606.00915 (power 0.9)

    >>> import backlit as bl
    >>> bl.optim.Polynomial(0.1, power=2.0, steps=100)(50)
    0.025
    """

    aliases: ClassVar[tuple[str, ...]] = ("Poly",)
    start: NonNegative
    end: NonNegative = 0.0
    power: Positive = 1.0
    steps: Count | None = None

    def __call__(self, step: Array) -> Array:
        return self.end + (self.start - self.end) * (1.0 - fraction(step, length(self))) ** self.power


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from peak / divide to `peak` in the first `rise` of the steps, then down to peak / (divide final_divide).

    With h(u) = (1 - cos(pi u)) / 2, r = floor(rise steps):
    value(t) = start + (peak - start) h(t / r) for t <= r, then peak + (end - peak) h((t - r) / (steps - r)).
    The momentum does not move. Source: Smith, Topin 2018, https://arxiv.org/abs/1708.07120; Smith 2018,
    https://arxiv.org/abs/1803.09820. Others: torch's OneCycleLR also lowers the momentum while the rate is high.

    >>> import backlit as bl
    >>> s = bl.optim.OneCycle(0.5, steps=100)
    >>> s(0), s(30), round(s(100), 9)
    (0.02, 0.5, 2e-06)
    """

    peak: NonNegative
    rise: Fraction = 0.3
    divide: Positive = 25.0
    final_divide: Positive = 1e4
    steps: Count | None = None

    def __call__(self, step: Array) -> Array:
        steps = length(self)
        rising = math.floor(self.rise * steps)
        start, end = self.peak / self.divide, self.peak / self.divide / self.final_divide
        up = eased(fraction(step, rising)) if rising else 1.0
        down = eased(minimum(maximum((step - rising) / (steps - rising), 0.0), 1.0))
        return start + (self.peak - start) * up + (end - self.peak) * down


@dataclass(frozen=True)
class WarmUpStableDecay(Schedule):
    """Up to `peak` along a line in the first `rise` of the steps, `peak`, and in the last `fall` of them to `end`.

    The fall is 1 - sqrt(u), or with shape="linear" 1 - u. Also: WSD. The stable part can be trained on for longer.
    Source: Hu et al. 2024, https://arxiv.org/abs/2404.06395; its fall: Hägele et al. 2024, https://arxiv.org/abs/2405.18392

    >>> import backlit as bl
    >>> s = bl.optim.WarmUpStableDecay(0.4, rise=0.1, fall=0.2, shape="linear", steps=100)
    >>> s(5), s(50), round(s(90), 6), s(100)
    (0.2, 0.4, 0.2, 0.0)
    """

    aliases: ClassVar[tuple[str, ...]] = ("WSD",)
    peak: NonNegative
    rise: Fraction = 0.05
    fall: Share = 0.2
    end: NonNegative = 0.0
    shape: Literal["root", "linear"] = "root"
    steps: Count | None = None

    def check(self) -> None:
        if self.rise + self.fall > 1:
            raise SettingError([("fall", f"expected at most 1 - rise = {1 - self.rise:g}, got {self.fall}")])

    def __call__(self, step: Array) -> Array:
        steps = length(self)
        up = fraction(step, self.rise * steps) if self.rise else 1.0
        u = minimum(maximum((step - (1.0 - self.fall) * steps) / (self.fall * steps), 0.0), 1.0)
        down = u**0.5 if self.shape == "root" else u
        return self.peak * up + (self.end - self.peak) * down
