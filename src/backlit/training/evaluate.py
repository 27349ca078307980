"""Outputs for many rows, each counted once: one compiled program over blocks of rows, the last block filled up."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np

from backlit.data import Dataset
from backlit.engine import tree
from backlit.protocol import Tree
from backlit.training.program import Program

LARGEST_BLOCK = 2048


class Evaluator:
    """outputs(params, state, x): compiled for one block size, so that all rows share one program."""

    def __init__(self, program: Program, engine: ModuleType, prepared: Tree, rows: int) -> None:
        self.program, self.engine, self.prepared = program, engine, engine.place(prepared)
        self.block = max(1, min(rows, LARGEST_BLOCK))
        self.compile_seconds = 0.0
        self._runs: dict[tuple[Any, ...], Any] = {}

    def outputs(self, params: Tree, state: Tree, x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """(N, ...) outputs of the net for raw rows x (N, ...) and their mask (N, T) with placed parameters."""
        blocks = [slice(i, i + self.block) for i in range(0, max(len(x), 1), self.block)]
        found = [self._outputs(params, state, x[rows], None if mask is None else mask[rows]) for rows in blocks]
        return np.concatenate(found)

    def _outputs(self, params: Tree, state: Tree, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        given = (params, state, self.prepared, *self.engine.place(tuple(filled(a, self.block) for a in (x, mask))))
        kind = x.shape[1:], x.dtype, mask is None
        if kind not in self._runs:
            self._runs[kind], seconds = self.engine.prepare(self.program.predict, *given)
            self.compile_seconds += seconds
        return np.asarray(self._runs[kind](*given))[: len(x)]


def blocks(part: Dataset, devices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows, targets, weights (1, or 0 for what fills the last block up) and masks in equal blocks, (blocks, rows, ...).

    The rows of a block divide between the devices, whatever their number.
    """
    size = block_size(len(part), devices)
    count = -(-len(part) // LARGEST_BLOCK)
    weight = filled(np.ones(len(part), np.float32), count * size, zero=True)
    x, y, mask = (filled(a, count * size) for a in (part.x, part.y, part.mask))
    return tree.map(lambda a: a.reshape(count, size, *a.shape[1:]), (x, y, weight, mask))  # type: ignore[no-any-return]


def block_size(rows: int, devices: int) -> int:
    """Rows in each of the equal blocks that `rows` make; they divide between the devices, whatever their number."""
    size = -(-rows // -(-rows // LARGEST_BLOCK))
    return size + -size % math.lcm(8, devices)


def read_blocks(part: Dataset, devices: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]]:
    """As `blocks`, one after another: rows are read when they are asked for, and one block ahead."""
    size = block_size(len(part), devices)

    def block(start: int) -> Any:
        rows = slice(start, min(start + size, len(part)))
        weight = filled(np.ones(rows.stop - start, np.float32), size, zero=True)
        mask = None if part.mask is None else part.mask[rows]
        x, y, mask = (filled(a, size) for a in (part.x[rows], part.y[rows], mask))
        return x, y, weight, mask

    with ThreadPoolExecutor(1, thread_name_prefix="backlit-rows") as reader:
        asked = reader.submit(block, 0)
        for start in range(size, len(part) + size, size):
            found = asked.result()
            if start < len(part):
                asked = reader.submit(block, start)
            yield found


def filled(x: Any, rows: int, zero: bool = False) -> Any:
    """x with its first row (or zeros) repeated up to `rows`; None stays None."""
    if x is None or len(x) >= rows:
        return x
    missing = rows - len(x)
    filler = np.zeros((1, *x.shape[1:]), x.dtype) if zero or not len(x) else x[:1]
    return np.concatenate([x, np.repeat(filler, missing, axis=0)])
