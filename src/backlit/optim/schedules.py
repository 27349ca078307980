"""A schedule is a number that depends on the step: a frozen dataclass with `__call__(step)`.

Any setting marked as schedulable (a learning rate, a momentum) takes one. `steps=None` means the whole training; the
trainer fills it in with `over`. One clock: `step` counts updates from 0 and may be a traced integer.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Interval

from backlit.errors import SettingError
from backlit.protocol import Array
from backlit.settings import Count, NonNegative, NonNegativeNumber, Settings, hints

Share = Annotated[float, Interval(gt=0, lt=1)]
"""A part of the training."""


@dataclass(frozen=True)
class Schedule(Settings):
    """Base: value = schedule(step)."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, step: Array) -> Array:
        """The value at update number `step` (from 0)."""

    def over(self, steps: int) -> "Schedule":
        """The same schedule with the length of the training filled in where it was left open."""
        return replace(self, **lengthened(self, steps))


@dataclass(frozen=True)
class Constant(Schedule):
    """value(step) = value.

    >>> import backlit as bl
    >>> bl.optim.Constant(0.1)(5)
    0.1
    """

    value: NonNegative

    def __call__(self, step: Array) -> Array:
        return self.value


@dataclass(frozen=True)
class Cosine(Schedule):
    """value(t) = end + (start - end) (1 + cos(pi t / steps)) / 2, and `end` from then on.

    Source: Loshchilov, Hutter 2017, https://arxiv.org/abs/1608.03983

    >>> import backlit as bl
    >>> float(bl.optim.Cosine(0.1, steps=100)(50))
    0.05
    """

    start: NonNegative
    end: NonNegative = 0.0
    steps: Count | None = None

    def __call__(self, step: Array) -> Array:
        t = fraction(step, length(self))
        return self.end + (self.start - self.end) * 0.5 * (1.0 + cos(math.pi * t))


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Up from 0: value(t) = then(t) r, r = (t + 1) / warm_up, for t < warm_up; afterwards `then`, on the same clock.

    shape="cosine": (1 - cos(pi r)) / 2 in place of r.

    Source: Goyal et al. 2017, https://arxiv.org/abs/1706.02677. Others: torch restarts the clock after the warm-up.

    >>> import backlit as bl
    >>> s = bl.optim.WarmUp(bl.optim.Constant(0.1), warm_up=10)
    >>> round(float(s(4)), 3), round(float(s(20)), 3)
    (0.05, 0.1)
    """

    then: Schedule
    warm_up: Count = 100
    shape: Literal["linear", "cosine"] = "linear"

    def over(self, steps: int) -> "Schedule":
        if self.warm_up >= steps:
            text = f"expected a warm-up shorter than the training of {steps} steps, got {self.warm_up}"
            raise SettingError([("warm_up", text)])
        return super().over(steps)

    def __call__(self, step: Array) -> Array:
        ramp = minimum((step + 1.0) / self.warm_up, 1.0)
        return self.then(step) * (ramp if self.shape == "linear" else eased(ramp))


@dataclass(frozen=True)
class Product(Schedule):
    """value(t) = first(t) second(t); each a number or a schedule.

    >>> import backlit as bl
    >>> bl.optim.Product(0.5, bl.optim.Step(0.1, steps=10))(3)
    0.05
    """

    first: NonNegativeNumber
    second: NonNegativeNumber

    def __call__(self, step: Array) -> Array:
        return at(self.first, step) * at(self.second, step)


@dataclass(frozen=True)
class ForBatch(Schedule):
    """value(t) = then(t) (batch / reference)^power: a rate that was found good for batches of `reference` rows.

    power=1 is linear scaling, power=0.5 that by the square root. The trainer fills in `batch`, the rows of an update.
    Source: Goyal et al. 2017, https://arxiv.org/abs/1706.02677; root: Krizhevsky 2014, https://arxiv.org/abs/1404.5997

    >>> import backlit as bl
    >>> bl.optim.ForBatch(0.1, reference=256, batch=1024)(0), bl.optim.ForBatch(0.1, power=0.5, batch=1024)(0)
    (0.4, 0.2)
    """

    then: NonNegativeNumber
    reference: Count = 256
    power: NonNegative = 1.0
    batch: Count | None = None

    def __call__(self, step: Array) -> Array:
        if self.batch is None:
            text = "expected the rows of an update; only the trainer can fill them in, got none"
            raise SettingError([("batch", text)])
        return at(self.then, step) * (self.batch / self.reference) ** self.power


def lengthened(settings: Settings, steps: int) -> dict[str, Any]:
    """The fields in which the length of the training was left open, filled in: `steps`, and every schedule."""
    found: dict[str, Any] = {}
    for name in hints(type(settings)):
        value = getattr(settings, name)
        if name == "steps" and value is None:
            found[name] = steps
        elif isinstance(value, Schedule):
            try:
                found[name] = value.over(steps)
            except SettingError as error:
                raise error.under(name) from None
    return found


def at(setting: Any, step: Array) -> Array:
    """The value of a number or schedule at `step`."""
    return plain_number(setting(step) if isinstance(setting, Schedule) else setting)


def plain_number(value: Array) -> Array:
    """A NumPy number as Python's, which takes the precision of the array it meets (NumPy's would make it float64)."""
    return value.item() if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value


def length(schedule: Any) -> int:
    """Its steps, or SettingError when they were left open outside a training."""
    if schedule.steps is None:
        text = "expected a number of steps; only the trainer can fill in the length of the training, got none"
        raise SettingError([("steps", text)])
    return int(schedule.steps)


def fraction(step: Array, steps: float) -> Array:
    """step / steps, at most 1."""
    return minimum(step / steps, 1.0)


def minimum(a: Array, b: float) -> Array:
    """min for a Python number or an array."""
    return min(a, b) if isinstance(a, int | float) else a.__array_namespace__().minimum(a, b + 0.0 * a)


def maximum(a: Array, b: float) -> Array:
    """max for a Python number or an array."""
    return max(a, b) if isinstance(a, int | float) else a.__array_namespace__().maximum(a, b + 0.0 * a)


def cos(a: Array) -> Array:
    """cos for a Python number or an array."""
    return math.cos(a) if isinstance(a, int | float) else a.__array_namespace__().cos(a)


def eased(u: Array) -> Array:
    """From 0 to 1 along half a wave of the cosine."""
    return 0.5 * (1.0 - cos(math.pi * u))
