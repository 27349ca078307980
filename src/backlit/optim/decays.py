"""Schedules that fall: by steps, along a line or a curve, and up and down once."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Interval

from backlit.errors import SettingError
from backlit.optim.schedules import Schedule, cos, fraction, length, maximum, minimum
from backlit.protocol import Array
from backlit.settings import Count, Fraction, NonNegative, Positive

Share = Annotated[float, Interval(gt=0, lt=1)]


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

    def over(self, steps: int) -> Schedule:
        return self if self.steps else replace(self, steps=steps)

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

    def over(self, steps: int) -> Schedule:
        return self if self.steps else replace(self, steps=steps)

    def __call__(self, step: Array) -> Array:
        return self.end + (self.start - self.end) * (1.0 - fraction(step, length(self))) ** self.power


@dataclass(frozen=True)
class Exponential(Schedule):
    """value(t) = start rate^(t / every): `rate` times as much after every `every` updates, without end.

    >>> import backlit as bl
    >>> bl.optim.Exponential(0.4, rate=0.5, every=10)(20)
    0.1
    """

    start: NonNegative
    rate: Positive = 0.5
    every: Count = 1000

    def __call__(self, step: Array) -> Array:
        return self.start * self.rate ** (step / self.every)


@dataclass(frozen=True)
class Step(Schedule):
    """value(t) = start factor^k, k how many of the moments `at` have passed, each a share of `steps`. Also: MultiStep.

    Errors: SettingError unless the moments rise. Source: He et al. 2015, https://arxiv.org/abs/1512.03385 (1/10 at 1/2 and
    at 3/4 of the training). Others: torch's MultiStepLR counts its moments in epochs.

    >>> import backlit as bl
    >>> s = bl.optim.Step(0.8, factor=0.5, steps=100)
    >>> s(49), s(50), s(99)
    (0.8, 0.4, 0.2)
    """

    aliases: ClassVar[tuple[str, ...]] = ("MultiStep",)
    start: NonNegative
    factor: Positive = 0.1
    at: tuple[Share, ...] = (0.5, 0.75)
    steps: Count | None = None

    def check(self) -> None:
        if not self.at or any(b <= a for a, b in zip(self.at, self.at[1:], strict=False)):
            raise SettingError(
                [("at", f"expected rising shares of the training, such as [0.5, 0.75], got {list(self.at)}")]
            )

    def over(self, steps: int) -> Schedule:
        return self if self.steps else replace(self, steps=steps)

    def __call__(self, step: Array) -> Array:
        steps, value = length(self), self.start
        for share in self.at:
            passed = (step >= math.floor(share * steps)) * 1.0  # 0 or 1
            value = value * (1.0 + (self.factor - 1.0) * passed)
        return value


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

    def over(self, steps: int) -> Schedule:
        return self if self.steps else replace(self, steps=steps)

    def __call__(self, step: Array) -> Array:
        steps = length(self)
        rising = math.floor(self.rise * steps)
        start, end = self.peak / self.divide, self.peak / self.divide / self.final_divide
        up = _eased(fraction(step, rising)) if rising else 1.0
        down = _eased(minimum(maximum((step - rising) / (steps - rising), 0.0), 1.0))
        return start + (self.peak - start) * up + (end - self.peak) * down


def _eased(u: Array) -> Array:
    """From 0 to 1 along half a wave of the cosine."""
    return 0.5 * (1.0 - cos(math.pi * u))
