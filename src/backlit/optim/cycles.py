"""Schedules that come back: the cosine with warm restarts, the triangle."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from backlit.errors import SettingError
from backlit.optim.schedules import Schedule, cos
from backlit.protocol import Array
from backlit.settings import Count, NonNegative

LAST = 2**31
"""No training has more updates than the step's integer can count."""


@dataclass(frozen=True)
class Restarts(Schedule):
    """value = end + (start - end) (1 + cos(pi u)) / 2, u from 0 to 1 in `period` updates, then again from 0.

    Each period is `grow` times as long as the one before. Also known as SGDR.
    Source: Loshchilov, Hutter 2017, https://arxiv.org/abs/1608.03983

    >>> import backlit as bl
    >>> s = bl.optim.Restarts(0.4, period=10, grow=2)
    >>> s(0), round(s(5), 6), s(10), round(s(20), 6), s(30)
    (0.4, 0.2, 0.4, 0.2, 0.4)
    """

    start: NonNegative
    period: Count
    grow: Count = 1
    end: NonNegative = 0.0

    def __call__(self, step: Array) -> Array:
        if self.grow == 1:
            u = step % self.period / self.period
        else:
            begin, length = 0 * step, 0 * step + self.period
            first, period = self.period, self.period
            while first < LAST:
                passed = (step >= first) * 1
                begin, length = begin + period * passed, length + period * (self.grow - 1) * passed
                period *= self.grow
                first += period
            u = (step - begin) / length
        return self.end + (self.start - self.end) * 0.5 * (1.0 + cos(math.pi * u))


@dataclass(frozen=True)
class Triangular(Schedule):
    """Up from `low` to the top of cycle k along a line in `half` updates, and down again in as many, k = 0, 1, ...

    The top is low + (high - low) shrink^k (shrink=1: always high, 0.5: half as far each time), times fade^t for each
    update. Source: Smith 2017, https://arxiv.org/abs/1506.01186: triangular, triangular2 (shrink 0.5), exp_range (fade).

    >>> import backlit as bl
    >>> s = bl.optim.Triangular(low=0.0, high=0.8, half=10, shrink=0.5)
    >>> s(5), s(10), s(20), s(30)
    (0.4, 0.8, 0.0, 0.4)
    """

    low: NonNegative
    high: NonNegative
    half: Count
    shrink: Annotated[float, Interval(gt=0, le=1)] = 1.0
    fade: Annotated[float, Interval(gt=0, le=1)] = 1.0

    def check(self) -> None:
        if self.high < self.low:
            raise SettingError([("high", f"expected at least low = {self.low}, got {self.high}")])

    def __call__(self, step: Array) -> Array:
        cycle, place = step // (2 * self.half), step % (2 * self.half) / self.half
        height = 1.0 - abs(place - 1.0)  # 0, up to 1, and down to 0
        if self.shrink < 1:
            height = height * self.shrink**cycle
        if self.fade < 1:
            height = height * self.fade**step
        return self.low + (self.high - self.low) * height
