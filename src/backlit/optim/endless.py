"""Schedules that fall without end: they need no number of steps."""

import math
from dataclasses import dataclass

from backlit.optim.schedules import Schedule, maximum
from backlit.protocol import Array
from backlit.settings import Count, NonNegative, Positive


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
class NaturalExponential(Schedule):
    """value(t) = start exp(-rate t), without end.

    >>> import backlit as bl
    >>> round(bl.optim.NaturalExponential(0.4, rate=0.1)(10), 4)
    0.1472
    """

    start: NonNegative
    rate: Positive = 0.001

    def __call__(self, step: Array) -> Array:
        return self.start * math.exp(-self.rate) ** (step * 1.0)


@dataclass(frozen=True)
class InverseTime(Schedule):
    """value(t) = start / (1 + rate t)^power, without end; power 0.5 is the inverse root. Also: 1/t decay.

    As a / (b + t) of Robbins and Monro: start = a / b, rate = 1 / b.
    Source: Robbins, Monro 1951, https://doi.org/10.1214/aoms/1177729586; Darken, Moody 1991, "Note on learning rate
    schedules for stochastic optimization"

    >>> import backlit as bl
    >>> bl.optim.InverseTime(0.4, rate=0.1)(10)
    0.2
    """

    start: NonNegative
    rate: Positive = 0.001
    power: Positive = 1.0

    def __call__(self, step: Array) -> Array:
        return self.start / (1.0 + self.rate * step) ** self.power


@dataclass(frozen=True)
class Harmonic(Schedule):
    """value(t) = start tau / max(t, tau): constant for tau updates, then falling as 1/t, without end.

    Source: Bengio 2012, equation 10, https://arxiv.org/abs/1206.5533

    >>> import backlit as bl
    >>> s = bl.optim.Harmonic(0.4, tau=100)
    >>> s(50), s(200)
    (0.4, 0.2)
    """

    start: NonNegative
    tau: Count = 1000

    def __call__(self, step: Array) -> Array:
        return self.start * self.tau / maximum(step * 1.0, float(self.tau))
