"""Schedules put together from pieces: constants, or one schedule after another."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from backlit.errors import SettingError
from backlit.optim.schedules import Schedule, Share, length, maximum, minimum
from backlit.protocol import Array
from backlit.settings import Count, NonNegative, Positive


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

    def __call__(self, step: Array) -> Array:
        steps, value = length(self), self.start
        for share in self.at:
            passed = (step >= math.floor(share * steps)) * 1.0  # 0 or 1
            value = value * (1.0 + (self.factor - 1.0) * passed)
        return value


@dataclass(frozen=True)
class Piecewise(Schedule):
    """value(t) = values[k], k how many of the updates `at` have come: constant in between, any values.

    Errors: SettingError unless there is one value more than updates, and these rise. `Step` counts in shares of the training.

    >>> import backlit as bl
    >>> s = bl.optim.Piecewise((0.1, 0.5, 0.01), at=(10, 20))
    >>> s(9), s(10), s(20)
    (0.1, 0.5, 0.01)
    """

    values: tuple[NonNegative, ...]
    at: tuple[Count, ...]

    def check(self) -> None:
        if any(b <= a for a, b in zip(self.at, self.at[1:], strict=False)):
            raise SettingError([("at", f"expected rising updates, such as [100, 200], got {list(self.at)}")])
        if len(self.values) != len(self.at) + 1:
            text = f"expected one value more than the {len(self.at)} updates of `at`, got {len(self.values)}"
            raise SettingError([("values", text)])

    def __call__(self, step: Array) -> Array:
        value = self.values[0]
        for begin, after in zip(self.at, self.values[1:], strict=True):
            passed = (step >= begin) * 1.0  # 0 or 1
            value = (1.0 - passed) * value + passed * after
        return value


@dataclass(frozen=True)
class After(Schedule):
    """`first` for so many updates, then `second`, whose clock begins at 0 there. `second` may be another After.

    >>> import backlit as bl
    >>> s = bl.optim.After(bl.optim.Constant(0.1), updates=10, second=bl.optim.Harmonic(0.4, tau=5))
    >>> s(9), s(10), s(20)
    (0.1, 0.4, 0.2)
    """

    first: Schedule
    updates: Count
    second: Schedule

    def over(self, steps: int) -> "Schedule":
        if self.updates >= steps:
            text = f"expected fewer updates than the {steps} steps of the training, got {self.updates}"
            raise SettingError([("updates", text)])
        return replace(self, first=self.first.over(self.updates), second=self.second.over(steps - self.updates))

    def __call__(self, step: Array) -> Array:
        late = (step >= self.updates) * 1.0  # 0 or 1
        begun = maximum(step - self.updates, 0)
        return (1.0 - late) * self.first(minimum(step, self.updates)) + late * self.second(begun)
