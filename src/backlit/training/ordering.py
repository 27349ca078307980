"""Which rows stand in which step: a function of (seed, epoch), whatever was trained before."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from backlit.config import Experiment
from backlit.data import Dataset, epochs_indices, streams_indices
from backlit.data.rows import Rows, in_windows
from backlit.data.sampling import Buckets, Drawing
from backlit.engine import random

BLOCKS = 8
"""Blocks of rows on disk that an order has open at a time."""


@dataclass(frozen=True, eq=False)
class Ordering:
    """The order of the training rows under an experiment; `raw`: the same rows before they were cleaned."""

    experiment: Experiment
    train: Dataset
    raw: Dataset | None = None

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        if isinstance(self.experiment.sampling, Buckets):
            return len(self._buckets(0)[0])
        return math.ceil(len(self.train) / self.experiment.batch_size)

    def of(self, first: int, epochs: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows (epochs, steps, B) of the epochs from `first` on, and their weights, None where all count fully."""
        e, rows = self.experiment, len(self.train)
        if e.order == "streams":
            return streams_indices(rows, e.batch_size, epochs)
        if isinstance(e.sampling, Buckets):
            found = [self._buckets(epoch)[:2] for epoch in range(first, first + epochs)]
            weight = None if found[0][1] is None else np.stack([w for _, w in found if w is not None])
            return np.stack([indices for indices, _ in found]), weight
        if isinstance(e.sampling, Drawing):
            return e.sampling.indices(self.raw or self.train, self._key, e.batch_size, first, epochs)
        indices, weight = epochs_indices(self._key, rows, e.batch_size, first, epochs, shuffle=e.order == "shuffled")
        block = self.train.x.block(np.arange(rows)) if isinstance(self.train.x, Rows) else None
        if block is not None and e.order == "shuffled":
            flat = indices.reshape(epochs, -1)
            for epoch in range(epochs):  # what fills the last batch up stays behind
                flat[epoch, :rows] = in_windows(flat[epoch, :rows], block, BLOCKS)
        return indices, weight

    def widths(self, epoch: int) -> np.ndarray | None:
        """(steps,) time steps of each batch of an epoch; None where all are as long as the rows."""
        return self._buckets(epoch)[2] if isinstance(self.experiment.sampling, Buckets) else None

    @property
    def run(self) -> int | None:
        """How many steps of one width follow each other, mostly."""
        return self.experiment.sampling.run if isinstance(self.experiment.sampling, Buckets) else None

    @property
    def _key(self) -> np.ndarray:
        return np.asarray(random.fold(random.key(self.experiment.seed), "order"))

    def _buckets(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        return _bucketed(self, epoch)


@lru_cache(8)
def _bucketed(ordering: Ordering, epoch: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    sampling = ordering.experiment.sampling
    assert isinstance(sampling, Buckets)
    return sampling.batches(ordering.train, ordering._key, ordering.experiment.batch_size, epoch)
