"""Training rows mixed with each other, and their targets in the same shares.

The loss of a mixture is the mixture of the losses, share L(y, target) + (1 - share) L(y, other): the same gradient as from a
mixed target for cross-entropy and squared error, and it holds for every loss.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from backlit.engine import random
from backlit.errors import ShapeError
from backlit.protocol import Array, Loss
from backlit.settings import Positive, Settings

TABLE = 1024
"""Quantiles of the Beta distribution that are kept; between them along a line."""


@dataclass(frozen=True)
class Mixing(Settings):
    """Base: each row is mixed with the row as far from the end of the batch; with probability 1 - rate a batch stays.

    Batches are drawn anew in each epoch, so the pairs are too.
    """

    abstract: ClassVar[bool] = True
    alpha: Positive = 1.0
    rate: Annotated[float, Interval(gt=0, le=1)] = 1.0

    @abstractmethod
    def mix(self, key: Array, x: Array) -> tuple[Array, Array]:
        """The mixed rows, and the share of the first of each pair, one number for the batch."""

    def share(self, key: Array) -> Array:
        """A draw of Beta(alpha, alpha), and 1 where this batch stays; float32."""
        xp = key.__array_namespace__()
        u, skip = (random.uniform(random.fold(key, name), (1,)) for name in ("share", "skip"))
        place = u * (TABLE - 1)
        left = xp.astype(place, xp.int32)
        table = xp.asarray(quantiles(self.alpha))
        low, high = table[left], table[left + 1]
        drawn = low + (high - low) * (place - xp.astype(left, xp.float32))
        return xp.where(skip < self.rate, drawn, xp.ones_like(drawn))[0]


@dataclass(frozen=True)
class Mixup(Mixing):
    """x <- share x + (1 - share) x', share from Beta(alpha, alpha), one for the batch; targets alike.

    Shapes: x (B, ...). Source: Zhang et al. 2018, https://arxiv.org/abs/1710.09412 (alpha 0.1 to 0.4 for images)

    >>> import numpy as np
    >>> from backlit.data import Mixup
    >>> x, share = Mixup(alpha=1.0).mix(np.array([0, 3], "u4"), np.array([[0.0], [1.0]], "f"))
    >>> bool(np.allclose(x[:, 0], [1 - share, share]))
    True
    """

    alpha: Positive = 0.2

    def mix(self, key: Array, x: Array) -> tuple[Array, Array]:
        share = self.share(x.__array_namespace__().asarray(key))
        other = x.__array_namespace__().flip(x, axis=0)
        return share * x + (1.0 - share) * other, share


@dataclass(frozen=True)
class CutMix(Mixing):
    """A rectangle of each image is the other's; it has the share 1 - share of the area, share from Beta(alpha, alpha).

    Its middle is any pixel, so it may be cut by the edge; the share is then that of the pixels that are left.
    Shapes: x (B, height, width, channels). Errors: ShapeError for other rows.
    Source: Yun et al. 2019, https://arxiv.org/abs/1905.04899

    >>> import numpy as np
    >>> from backlit.data import CutMix
    >>> x = np.stack([np.zeros((4, 4, 1), "f"), np.ones((4, 4, 1), "f")])
    >>> mixed, share = CutMix().mix(np.array([0, 5], "u4"), x)
    >>> float(mixed[1].mean()) == float(share)
    True
    """

    def mix(self, key: Array, x: Array) -> tuple[Array, Array]:
        if x.ndim != 4:
            raise ShapeError(
                f"CutMix: expected images (height, width, channels), got rows of shape {x.shape[1:]}; use Mixup"
            )
        xp = x.__array_namespace__()
        key, (height, width) = xp.asarray(key), x.shape[1:3]
        side = xp.sqrt(1.0 - self.share(key))
        middle = random.uniform(random.fold(key, "middle"), (2,))
        rows = _within(xp.arange(height, dtype=xp.int32), middle[0], side, height)
        columns = _within(xp.arange(width, dtype=xp.int32), middle[1], side, width)
        inside = rows[:, None] & columns[None, :]  # (height, width)
        mixed = xp.where(inside[None, :, :, None], xp.flip(x, axis=0), x)
        cut = xp.sum(xp.astype(inside, xp.float32))
        return mixed, 1.0 - cut / math.prod((height, width))


def _within(places: Array, middle: Array, side: Array, size: int) -> Array:
    """Which places lie within `side` (a share of `size`) around the middle (from 0 to 1)."""
    xp = places.__array_namespace__()
    half, centre = 0.5 * side * size, middle * size
    at = xp.astype(places, xp.float32) + 0.5
    return (at > centre - half) & (at < centre + half)


@cache
def quantiles(alpha: float) -> np.ndarray:
    """Quantiles of Beta(alpha, alpha) at TABLE + 1 equal steps from 0 to 1."""
    from scipy.special import betaincinv

    return np.asarray(betaincinv(alpha, alpha, np.linspace(0, 1, TABLE + 1)), dtype=np.float32)


def mixed(loss: Loss, share: Array) -> Callable[..., tuple[Array, Array]]:
    """share L(y, target) + (1 - share) L(y, other) and its gradient; `other` are the targets from the last row to the first."""

    def mixture(y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        value, dy = loss(y, target, weight)
        other, dy_other = loss(y, y.__array_namespace__().flip(target, axis=0), weight)
        return share * value + (1.0 - share) * other, share * dy + (1.0 - share) * dy_other

    return mixture
