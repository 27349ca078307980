"""The rows that the labs train on: MNIST where its files are at hand, else the 8 x 8 digits that come with scikit-learn."""

from typing import NamedTuple

import numpy as np

from backlit.data import Dataset, Digits, Mnist
from backlit.errors import DataError


class Rows(NamedTuple):
    """Images (N, H, W, 1) from 0 to 1 and their labels, for training and held out; `name` says of which set."""

    name: str
    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray

    def order(self, steps: int, batch: int, seed: int) -> np.ndarray:
        """The rows of each step (steps, B), drawn without replacement within a step."""
        draw = np.random.default_rng(seed)
        return np.stack([draw.choice(len(self.x), batch, replace=False) for _ in range(steps)]).astype(np.int32)


def digits(train: int, held_out: int, halved: bool = False) -> Rows:
    """At most so many rows of each part; `halved`: MNIST's images as 14 x 14, each pixel the mean of four."""
    data, name, brightest = _load()
    x = data.x.astype(np.float32) / brightest
    if halved and x.shape[1] == 28:
        x = x.reshape(-1, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    y = data.y.astype(np.int32)
    train = min(train, len(x) - held_out)
    return Rows(name, x[:train], y[:train], x[train : train + held_out], y[train : train + held_out])


def _load() -> tuple[Dataset, str, float]:
    try:
        return Mnist().load(), "MNIST", 255.0
    except DataError:
        return Digits(image=True).load(), "Digits (8 x 8: MNIST's files are not at hand)", 16.0
