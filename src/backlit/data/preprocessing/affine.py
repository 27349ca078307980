"""Shift and scale."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from backlit.data.preprocessing.base import Measured, State, floating, single
from backlit.data.preprocessing.quantiles import quantiles
from backlit.data.statistics import Chunks, extremes, moments, varying
from backlit.errors import SettingError
from backlit.protocol import Array

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Affine(Measured):
    """Base of those that shift and scale: apply (x - shift) / scale, invert x scale + shift.

    Numbers that do not vary keep their scale (1), so that nothing is divided by zero.
    """

    abstract: ClassVar[bool] = True

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        shift, scale = self.fitted(state, x, "shift", "scale")
        return (x - shift) / scale

    def invert(self, state: State, x: Array) -> Array:
        shift, scale = self.fitted(state, x, "shift", "scale")
        return x * scale + shift


@dataclass(frozen=True)
class Center(Affine):
    """x - mean. Also: Centre.

    >>> import numpy as np
    >>> from backlit.data import Center
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]], "f")
    >>> Center().apply(Center().fit(x), x).tolist()
    [[-1.0, -10.0], [1.0, 10.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Centre",)

    def measure(self, chunks: Chunks) -> State:
        mean = moments(chunks, self.axis).mean
        return single(shift=mean, scale=np.ones_like(mean))


@dataclass(frozen=True)
class Standardize(Affine):
    """(x - mean) / std, with the standard deviation over N rows (not N - 1). Also: Standardise.

    Numbers whose std is below the resolution of float32 count as constant: scale 1.
    Source: LeCun et al. 1998, "Efficient BackProp", section 4.3. Others: scikit-learn's StandardScaler is "feature".

    >>> import numpy as np
    >>> from backlit.data import Standardize
    >>> x = np.array([[1.0, 7.0], [3.0, 7.0]], "f")
    >>> Standardize().apply(Standardize().fit(x), x).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    aliases: ClassVar[tuple[str, ...]] = ("Standardise",)

    def measure(self, chunks: Chunks) -> State:
        found = moments(chunks, self.axis)
        return single(shift=found.mean, scale=varying(found.std, found.mean))


@dataclass(frozen=True)
class MinMax(Affine):
    """low + (x - min) (high - low) / (max - min): the training rows fill [low, high], later rows may leave it.

    Errors: SettingError unless low < high.

    >>> import numpy as np
    >>> from backlit.data import MinMax
    >>> x = np.array([[1.0], [2.0], [5.0]], "f")
    >>> MinMax(low=-1.0).apply(MinMax(low=-1.0).fit(x), x).tolist()
    [[-1.0], [-0.5], [1.0]]
    """

    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        _below(self.low, self.high)

    def measure(self, chunks: Chunks) -> State:
        least, most = extremes(chunks, self.axis)
        scale = varying(most - least, np.maximum(np.abs(least), np.abs(most))) / (self.high - self.low)
        return single(shift=least, scale=scale)

    def apply(self, state: State, x: Array) -> Array:
        return super().apply(state, x) + self.low

    def invert(self, state: State, x: Array) -> Array:
        return super().invert(state, x - self.low)


@dataclass(frozen=True)
class RobustScale(Affine):
    """(x - median) / (q_high - q_low), quantiles of the training rows: a few wild numbers move nothing.

    low, high   the two quantiles, 0.25 and 0.75: the scale is the distance between the quartiles
    For normal numbers that distance is 1.349 standard deviations. The quantiles are exact, in four passes over the rows and
    bounded memory (quantiles.py). A column of which the middle half is one number keeps scale 1.
    Errors: SettingError unless low < high.
    Source: Huber 1981, "Robust Statistics", chapter 5. Others: scikit-learn's RobustScaler says quantile_range=(25, 75).

    >>> import numpy as np
    >>> from backlit.data.preprocessing import RobustScale
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0], [1e6]], "f")
    >>> RobustScale().apply(RobustScale().fit(x), x)[:, 0].tolist()
    [-1.0, -0.5, 0.0, 0.5, 499998.5]
    """

    low: Share = 0.25
    high: Share = 0.75

    def check(self) -> None:
        _below(self.low, self.high)

    def measure(self, chunks: Chunks) -> State:
        low, median, high = quantiles(chunks, self.axis, (self.low, 0.5, self.high))
        return single(shift=median, scale=varying(high - low, np.maximum(np.abs(low), np.abs(high))))


def _below(low: float, high: float) -> None:
    if not low < high:
        raise SettingError([("high", f"expected a number above low ({low}), got {high}")])
