"""For sequences: tokens that are dropped, stretches that are masked, series that are shaken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from backlit.data.augmentation.base import Augmenter, Kind, Share, unfit
from backlit.data.preprocessing import floating
from backlit.data.vocabulary import UNKNOWN
from backlit.engine import random
from backlit.errors import SettingError
from backlit.protocol import Array
from backlit.settings import Count, NonNegative


@dataclass(frozen=True)
class TokenDropping(Augmenter):
    """Each token becomes an unknown one with probability `rate`, so that a net learns to do without a word. Padding stays.

    token    what stands in its place; None: the place of <unknown>, 1, which a Vocabulary keeps for it

    Steps stay where they are, so tags stay with their words. Of rows (T, 2), a word and how it is written, the word goes.
    Shapes: x (B, T) or (B, T, K), integers. Errors: ShapeError for numbers, SettingError for a token outside the vocabulary,
    or where none is named and the vocabulary has no <unknown>. Source: Iyyer et al. 2015, "Deep unordered composition rivals
    syntactic methods for text classification", https://aclanthology.org/P15-1162 (rate 0.3), where a word leaves the mean.

    >>> import numpy as np
    >>> from backlit.data.augmentation import TokenDropping
    >>> TokenDropping(rate=0.5).apply(np.array([0, 1], "u4"), np.array([[5, 6, 7, 8]], "i4")).tolist()
    [[1, 6, 1, 1]]
    """

    rows: ClassVar[Kind] = "tokens"
    rate: Share = 0.1
    token: Annotated[int, Ge(0)] | None = None

    def fits(self, row: Array, vocabulary: Sequence[str]) -> None:
        super().fits(row, vocabulary)
        size = len(vocabulary)
        if self.token is None and vocabulary and (size < 2 or vocabulary[1] != UNKNOWN):
            text = f"expected what stands for a dropped token, 0 to {size - 1}, since the vocabulary has no {UNKNOWN}, got none"
            raise SettingError([("token", text)])
        if self.token is not None and vocabulary and self.token >= size:
            raise SettingError([("token", f"expected a place in the vocabulary, 0 to {size - 1}, got {self.token}")])

    def apply(self, key: Array, x: Array) -> Array:
        xp = x.__array_namespace__()
        if not xp.isdtype(x.dtype, "integral") or x.ndim < 2:
            raise unfit(self, x)
        dropped = random.uniform(xp.asarray(key), tuple(x.shape[:2])) < self.rate  # (B, T)
        for size in x.shape[2:]:
            dropped = dropped[..., None] & (xp.arange(size) == 0)
        return xp.where(dropped, xp.full_like(x, 1 if self.token is None else self.token), x)


@dataclass(frozen=True)
class TimeMasking(Augmenter):
    """`count` stretches of 0 to `size` time steps each become 0 ("zero") or the row's mean over time ("mean").

    Length and place are drawn evenly, the stretch lies within the row; several may overlap. Where rows are filled up to one
    length, one may fall on the padding, and the mean is that of all steps.
    Shapes: x (B, T, D). Errors: ShapeError for other rows. Source: Park et al. 2019, "SpecAugment",
    https://arxiv.org/abs/1904.08779, which masks log-mel channels alike, and whose mean is 0.

    >>> import numpy as np
    >>> from backlit.data.augmentation import TimeMasking
    >>> TimeMasking(size=3, fill="zero").apply(np.array([0, 3], "u4"), np.ones((1, 6, 1), "f"))[0, :, 0].tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    """

    rows: ClassVar[Kind] = "sequences"
    size: Annotated[int, Ge(0)] = 10
    count: Count = 1
    fill: Literal["zero", "mean"] = "mean"

    def apply(self, key: Array, x: Array) -> Array:
        sequences(x, self)
        xp, (n, steps, _) = x.__array_namespace__(), x.shape
        words = random.bits(xp.asarray(key), (n, self.count, 2))
        length = words[..., 0] % (min(self.size, steps) + 1)  # (B, count)
        start = words[..., 1] % (steps + 1 - length)
        place = xp.arange(steps, dtype=xp.uint32)
        masked = (place >= start[..., None]) & (place < (start + length)[..., None])  # (B, count, T)
        other = xp.mean(floating(x), axis=1, keepdims=True) if self.fill == "mean" else xp.zeros((1, 1, 1))
        return xp.where(xp.any(masked, axis=1)[..., None], xp.astype(other, x.dtype), x)


@dataclass(frozen=True)
class Jitter(Augmenter):
    """Series shaken: x (1 + scaling s) + noise e, then moved by -shift .. shift steps; s and e are standard normal.

    noise      the standard deviation of what each number gets added, in units of the raw rows
    scaling    the standard deviation of the factor of each series, one for each of its columns
    shift      in time steps; where nothing comes in, the first or the last step is held

    Shapes: x (B, T, D). Errors: ShapeError for other rows. Source: Um et al. 2017, https://arxiv.org/abs/1706.00527
    (jittering and scaling).

    >>> import numpy as np
    >>> from backlit.data.augmentation import Jitter
    >>> x = np.arange(4.0, dtype="f").reshape(1, 4, 1)
    >>> Jitter(noise=0.0, shift=2).apply(np.array([0, 1], "u4"), x)[0, :, 0].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """

    rows: ClassVar[Kind] = "sequences"
    noise: NonNegative = 0.05
    scaling: NonNegative = 0.0
    shift: Annotated[int, Ge(0)] = 0

    def apply(self, key: Array, x: Array) -> Array:
        sequences(x, self)
        xp, (n, steps, width) = x.__array_namespace__(), x.shape
        x, key = floating(x), xp.asarray(key)
        if self.scaling:
            factor = 1.0 + self.scaling * random.normal(random.fold(key, "scaling"), (n, 1, width))
            x = x * xp.astype(factor, x.dtype)
        if self.noise:
            x = x + self.noise * xp.astype(random.normal(random.fold(key, "noise"), x.shape), x.dtype)
        if self.shift:
            by = xp.astype(random.bits(random.fold(key, "shift"), (n, 1)) % (2 * self.shift + 1), xp.int32) - self.shift
            place = xp.clip(xp.arange(steps, dtype=xp.int32) + by, 0, steps - 1)  # (B, T)
            x = xp.take_along_axis(x, place[..., None], axis=1)
        return x


def sequences(x: Array, augmenter: Augmenter) -> None:
    """ShapeError unless x is (B, T, D)."""
    if x.ndim != 3:
        raise unfit(augmenter, x)
