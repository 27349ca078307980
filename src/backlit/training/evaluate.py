"""Outputs for many rows, each counted once: one compiled program over blocks of rows, the last block filled up."""

import math
from types import ModuleType
from typing import Any

import numpy as np

from backlit.data import Dataset
from backlit.protocol import Tree
from backlit.training.program import Program

LARGEST_BLOCK = 2048


class Evaluator:
    """outputs(params, state, x): compiled for one block size, so that all rows share one program."""

    def __init__(self, program: Program, engine: ModuleType, prepared: Tree, rows: int) -> None:
        self.program, self.engine, self.prepared = program, engine, engine.place(prepared)
        self.block = max(1, min(rows, LARGEST_BLOCK))
        self.compile_seconds = 0.0
        self._run: Any = None

    def outputs(self, params: Tree, state: Tree, x: np.ndarray) -> np.ndarray:
        """(N, ...) outputs of the net for raw rows x (N, ...) with placed parameters."""
        starts = range(0, max(len(x), 1), self.block)
        return np.concatenate([self._outputs(params, state, x[i : i + self.block]) for i in starts])

    def _outputs(self, params: Tree, state: Tree, x: np.ndarray) -> np.ndarray:
        rows = len(x)
        placed = self.engine.place(filled(x, self.block))
        if self._run is None:
            predict = self.program.predict
            self._run, self.compile_seconds = self.engine.prepare(predict, params, state, self.prepared, placed)
        return np.asarray(self._run(params, state, self.prepared, placed))[:rows]


def blocks(part: Dataset, devices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, targets and weights (1, or 0 for what fills the last block up) in equal blocks, (blocks, rows, ...).

    The rows of a block divide between the devices, whatever their number.
    """
    count = -(-len(part) // LARGEST_BLOCK)
    size = -(-len(part) // count)
    size += -size % math.lcm(8, devices)
    weight = filled(np.ones(len(part), np.float32), count * size, zero=True)
    x, y = filled(part.x, count * size), filled(part.y, count * size)
    return tuple(a.reshape(count, size, *a.shape[1:]) for a in (x, y, weight))  # type: ignore[return-value]


def filled(x: np.ndarray, rows: int, zero: bool = False) -> np.ndarray:
    """x with its first row (or zeros) repeated up to `rows`."""
    missing = rows - len(x)
    if missing <= 0:
        return x
    filler = np.zeros((1, *x.shape[1:]), x.dtype) if zero or not len(x) else x[:1]
    return np.concatenate([x, np.repeat(filler, missing, axis=0)])
