"""Normal noise, for rows of any kind of numbers."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.data.augmentation.base import Augmenter, Kind
from backlit.data.preprocessing import floating
from backlit.engine import random
from backlit.protocol import Array
from backlit.settings import NonNegative


@dataclass(frozen=True)
class Noise(Augmenter):
    """x + std e, e standard normal, in the units of the raw rows (0..255 for bytes, which become float32).

    With `Reconstruct` as the source the targets stay clean: a denoising autoencoder.
    Source: Vincent et al. 2010, https://jmlr.org/papers/v11/vincent10a.html

    >>> import numpy as np
    >>> from backlit.data import Noise
    >>> x = Noise(std=2.0).apply(np.array([0, 1], "u4"), np.zeros((1000, 1), "f"))
    >>> round(float(x.std()), 1)
    2.0
    """

    rows: ClassVar[Kind] = "numbers"
    std: NonNegative

    def apply(self, key: Array, x: Array) -> Array:
        x = floating(x)
        xp = x.__array_namespace__()
        return x + self.std * xp.astype(random.normal(xp.asarray(key), x.shape), x.dtype)
