"""What is measured on the training part and then applied to every part, so that no test row has a say.

fit(x) -> state        on the training rows, in float64, chunk by chunk
apply(state, x) -> x   pure, in the array-API standard: it runs inside the compiled step
invert(state, x) -> x  the way back, to show rows as they came
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from annotated_types import Gt

from backlit.data.statistics import Axis, Chunks, extremes, moments, varying
from backlit.errors import DataError, SettingError, ShapeError
from backlit.protocol import Array
from backlit.settings import Settings

State: TypeAlias = dict[str, Array]
"""What was measured: float32 arrays by name, `{}` where nothing is."""


@dataclass(frozen=True)
class Preprocessor(Settings):
    """Base of all preprocessing: settings here, what was measured in the state (`{}` where nothing is)."""

    abstract: ClassVar[bool] = True

    def fit(self, x: Any) -> State:
        """float32 arrays measured on the rows `x` (N, ...): give it training rows only."""
        return self.measure(Chunks(x))

    @abstractmethod
    def measure(self, chunks: Chunks) -> State:
        """The state, from rows that come in chunks of float64."""

    @abstractmethod
    def apply(self, state: State, x: Array) -> Array:
        """Rows as the network sees them; uint8 becomes float32 first."""

    @abstractmethod
    def invert(self, state: State, x: Array) -> Array:
        """Rows as they were before `apply`."""


@dataclass(frozen=True)
class Affine(Preprocessor):
    """Base of those that shift and scale: apply (x - shift) / scale, invert x scale + shift.

    axis "feature": one pair for each number of a row; "channel": one for each index of the last axis (images);
    "all": one for all. Numbers that do not vary keep their scale (1), so that nothing is divided by zero.
    """

    abstract: ClassVar[bool] = True
    axis: Axis = field(default="feature", kw_only=True)

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        shift, scale = self._pair(state, x)
        return (x - shift) / scale

    def invert(self, state: State, x: Array) -> Array:
        shift, scale = self._pair(state, x)
        return x * scale + shift

    def _pair(self, state: State, x: Array) -> tuple[Array, Array]:
        xp, fitted = x.__array_namespace__(), tuple(state["shift"].shape)
        row = {"feature": tuple(x.shape[1:]), "channel": tuple(x.shape[-1:]), "all": ()}[self.axis]
        if row != fitted:
            name = type(self).__name__
            raise ShapeError(f"{name}: expected rows like those it was fitted on, {fitted} by {self.axis}, got {row}")
        return tuple(xp.astype(xp.asarray(state[k]), x.dtype) for k in ("shift", "scale"))


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
        return _state(mean, np.ones_like(mean))


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
        mean, std = moments(chunks, self.axis)
        return _state(mean, varying(std, mean))


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
        if not self.low < self.high:
            raise SettingError([("high", f"expected a number above low ({self.low}), got {self.high}")])

    def measure(self, chunks: Chunks) -> State:
        least, most = extremes(chunks, self.axis)
        scale = varying(most - least, np.maximum(np.abs(least), np.abs(most))) / (self.high - self.low)
        return _state(least, scale)

    def apply(self, state: State, x: Array) -> Array:
        return super().apply(state, x) + self.low

    def invert(self, state: State, x: Array) -> Array:
        return super().invert(state, x - self.low)


@dataclass(frozen=True)
class Scale(Preprocessor):
    """x factor, without measuring anything: 1/255 brings pixels to 0..1.

    >>> import numpy as np
    >>> from backlit.data import Scale
    >>> Scale().apply({}, np.array([[0, 255]], "u1")).tolist()
    [[0.0, 1.0]]
    """

    factor: Annotated[float, Gt(0)] = 1 / 255

    def measure(self, chunks: Chunks) -> State:
        return {}

    def apply(self, state: State, x: Array) -> Array:
        return floating(x) * self.factor

    def invert(self, state: State, x: Array) -> Array:
        return x / self.factor


@dataclass(frozen=True)
class Log(Preprocessor):
    """ln(x + offset): growth by a factor becomes growth by a sum; invert exp(x) - offset.

    Errors: DataError when a training row holds a number at or below -offset, which has no logarithm.

    >>> import numpy as np
    >>> from backlit.data import Log
    >>> Log(offset=1.0).apply({}, np.array([[0.0]], "f")).tolist()
    [[0.0]]
    """

    offset: float = 0.0

    def measure(self, chunks: Chunks) -> State:
        least = min(float(chunk.min()) for chunk in chunks)
        if least <= -self.offset:
            text = f"expected numbers above {-self.offset:g}, got {least:g}; write an offset above {-least:g}"
            raise DataError(f"Log: {text}")
        return {}

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        return x.__array_namespace__().log(x + self.offset)

    def invert(self, state: State, x: Array) -> Array:
        return x.__array_namespace__().exp(x) - self.offset


def fit_all(preprocessors: Sequence[Preprocessor], x: Any, weight: np.ndarray | None = None) -> tuple[State, ...]:
    """The state of each, fitted on the training rows as those before it leave them; memory stays bounded.

    `weight` (N,), all above 0, says how much each row counts: 2 is the row twice.

    >>> import numpy as np
    >>> from backlit.data import Scale, Standardize, apply_all, fit_all
    >>> steps, x = (Scale(), Standardize(axis="all")), np.array([[0, 255], [255, 0]], "u1")
    >>> apply_all(steps, fit_all(steps, x), x).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    states: tuple[State, ...] = ()
    for i, preprocessor in enumerate(preprocessors):
        states += (preprocessor.measure(Chunks(x, partial(apply_all, preprocessors[:i], states), weight)),)
    return states


def apply_all(preprocessors: Sequence[Preprocessor], states: Sequence[State], x: Array) -> Array:
    """Rows as the network sees them: floating, also when there is no preprocessing; but tokens (int32) stay."""
    xp = x.__array_namespace__()
    x = x if x.dtype == xp.int32 and not preprocessors else floating(x)
    for preprocessor, state in zip(preprocessors, states, strict=True):
        x = preprocessor.apply(state, x)
    return x


def invert_all(preprocessors: Sequence[Preprocessor], states: Sequence[State], x: Array) -> Array:
    """Rows as they were before `apply_all`."""
    for preprocessor, state in reversed(list(zip(preprocessors, states, strict=True))):
        x = preprocessor.invert(state, x)
    return x


def floating(x: Array) -> Array:
    """Floating arrays as they are, integers (pixels) as float32."""
    xp = x.__array_namespace__()
    return x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.float32)


def _state(shift: np.ndarray, scale: np.ndarray) -> State:
    return {"shift": shift.astype(np.float32), "scale": scale.astype(np.float32)}
