"""For tables: cells from other rows. Noise (noise.py) fits them too."""

from dataclasses import dataclass
from typing import ClassVar

from backlit.data.augmentation.base import Augmenter, Kind, Share
from backlit.engine import random
from backlit.protocol import Array


@dataclass(frozen=True)
class SwapNoise(Augmenter):
    """Each number becomes, with probability `rate`, the one in the same place of another row of the batch.

    The noise then has the distribution of its column, whatever that is: columns of 0 and 1 stay such. Of a batch of one row
    nothing changes. Here a draw depends on the size of the batch, and the result on the other rows.
    Shapes: x (B, ...). Source: Bahri et al. 2021, "SCARF", https://arxiv.org/abs/2106.15147 (rate 0.6, from all rows of the
    data; 0.15 is usual for denoising autoencoders of tables).

    >>> import numpy as np
    >>> from backlit.data.augmentation import SwapNoise
    >>> SwapNoise(rate=1.0).apply(np.array([0, 1], "u4"), np.array([[1, 2], [3, 4]], "f")).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """

    rows: ClassVar[Kind] = "numbers"
    rate: Share = 0.15

    def apply(self, key: Array, x: Array) -> Array:
        xp, n = x.__array_namespace__(), x.shape[0]
        if n == 1:
            return x
        key = xp.asarray(key)
        other = random.bits(random.fold(key, "row"), tuple(x.shape)) % (n - 1) + 1
        own = xp.reshape(xp.arange(n, dtype=xp.uint32), (n, *(1,) * (x.ndim - 1)))
        swapped = xp.take_along_axis(x, xp.astype((own + other) % n, xp.int32), axis=0)
        return xp.where(random.uniform(random.fold(key, "rate"), tuple(x.shape)) < self.rate, swapped, x)
