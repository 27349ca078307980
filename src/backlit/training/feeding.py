"""What chunks of steps read: all rows, where they fit on the devices, or window after window of them.

A feeder is a function of the step alone: `at(step)` gives the feed that holds it. A training that goes on in the middle of
an epoch asks for that step, so nothing is read that was seen before.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType

import numpy as np

from backlit.data.checks import finite
from backlit.data.rows import Held, Rows
from backlit.engine import random, tree
from backlit.training.evaluate import blocks, read_blocks
from backlit.training.program import Feed, Program, Window
from backlit.training.program import Held as HeldOut
from backlit.training.setup import Setup

CHUNK_STEPS = 4096
"""Short epochs are joined, and windows are as long, up to about this many steps."""

WINDOW_BYTES, WINDOW_STEPS = 2**24, 8
"""Bytes of rows in a window, and steps that it has at least. Two are in memory: one is trained on while the next is read; so
short that the first epoch of a small data set has several, long enough that the host costs little."""

HELD_OUT_BYTES = 2**28
"""Validation rows that are larger stay where they are, and are read at the end of each epoch."""


class Feeder(ABC):
    """Gives each step its feed, placed on `cores` devices; `outside`: epochs are ended outside the chunks (ending.py)."""

    def __init__(self, setup: Setup, engine: ModuleType, cores: int, outside: bool) -> None:
        self.setup, self.engine, self.cores = setup, engine, cores
        self.waited = 0.0
        part = setup.parts.validation
        held_out = blocks(replace(part, x=part.x[:]), cores) if len(part) and not outside else None
        key = random.fold(random.key(setup.experiment.seed), "step")
        self.fixed = engine.place((setup.prepared, setup.target_prepared, key), cores)
        self.held_out = engine.place(held_out, cores, 1)

    @abstractmethod
    def at(self, step: int) -> tuple[Feed, int]:
        """The feed that holds step number `step`, and the first step behind it."""

    def beginning(self, epoch: int) -> Feed:
        """A feed that holds the first steps of an epoch."""
        return self.at(epoch * self.setup.steps_per_epoch)[0]

    @abstractmethod
    def ahead(self) -> None:
        """Makes the next feed ready while the devices compute."""

    @abstractmethod
    def close(self) -> None:
        """Ends what works in the background."""

    def held_out_blocks(self) -> Iterator[HeldOut]:
        """The validation rows, block by block as they are read."""
        part = self.setup.parts.validation
        for block in read_blocks(part, self.cores) if len(part) else ():
            yield self.engine.place(block, self.cores, 0)

    def number(self, value: int) -> object:
        """A whole number on the devices."""
        return self.engine.place(np.asarray(value, np.int32), self.cores)


class Resident(Feeder):
    """All rows on the devices; a feed is the order of as many epochs as a chunk may span."""

    def __init__(self, setup: Setup, engine: ModuleType, cores: int, rows: object) -> None:
        super().__init__(setup, engine, cores, outside=False)
        self.rows = engine.place(rows, cores)
        self.joined = max(1, min(CHUNK_STEPS // setup.steps_per_epoch, setup.experiment.epochs))
        self.first = 0
        self.feed: Feed | None = None
        self.next: tuple[int, Feed] | None = None

    def at(self, step: int) -> tuple[Feed, int]:
        size = self.setup.steps_per_epoch
        epoch = step // size
        if self.feed is None or not self.first <= epoch < self.first + self.joined:
            ready = self.next is not None and self.next[0] == epoch
            self.feed = self.next[1] if ready and self.next else self._made(epoch)
            self.first = epoch
        return self.feed, (self.first + self.joined) * size

    def ahead(self) -> None:
        # Compiled programs run beside Python: the order of the next epochs is drawn while this chunk computes.
        following = self.first + self.joined
        if following < self.setup.experiment.epochs and (self.next is None or self.next[0] != following):
            self.next = following, self._made(following)

    def close(self) -> None:
        return

    def _made(self, epoch: int) -> Feed:
        x, y, mask = self.rows
        prepared, target_prepared, key = self.fixed
        indices, weight = self.engine.place(self.setup.order(epoch, self.joined), self.cores, 2)
        number = self.number(epoch)
        return Feed(x, y, self.held_out, prepared, target_prepared, indices, weight, number, key, mask)


class Windows(Feeder):
    """Rows that stay where they are: a feed is a window, the rows of some hundred steps in their order, read by a thread
    while the devices compute on the window before it."""

    def __init__(self, setup: Setup, engine: ModuleType, cores: int, outside: bool) -> None:
        super().__init__(setup, engine, cores, outside)
        train = setup.parts.train
        self.x = train.x if isinstance(train.x, Rows) else Held(np.asarray(train.x))
        batch, size = setup.experiment.batch_size, setup.steps_per_epoch
        row = max(1, self.x.nbytes // len(self.x))
        longest = setup.ordering.run or CHUNK_STEPS
        self.length = min(size, longest, max(WINDOW_STEPS, WINDOW_BYTES // (batch * row)))
        self.indices = engine.place(
            np.arange(self.length * batch, dtype=np.int32).reshape(1, self.length, batch), cores, 2
        )
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="backlit-rows")
        self.orders: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        self.first, self.end = 0, 0
        self.feed: Feed | None = None
        self.next: tuple[int, Future[Feed]] | None = None

    def at(self, step: int) -> tuple[Feed, int]:
        if not self.first <= step < self.end:
            began = time.perf_counter()
            asked = self.next[1] if self.next is not None and self.next[0] == step else self._ask(step)
            self.feed, self.first, self.end, self.next = asked.result(), step, self._end(step), None
            self.waited += time.perf_counter() - began
            self.ahead()
        assert self.feed is not None
        return self.feed, self.end

    def ahead(self) -> None:
        if self.next is None and self.end < self.setup.steps:
            self.next = self.end, self._ask(self.end)

    def close(self) -> None:
        self.reader.shutdown(wait=False, cancel_futures=True)

    def beginning(self, epoch: int) -> Feed:
        # Apart from `at`: what is trained on next is already being read.
        return self._ask(epoch * self.setup.steps_per_epoch).result()

    def _end(self, step: int) -> int:
        """The first step behind the window that begins at `step`: it ends with its epoch at the latest."""
        epoch, begin = divmod(step, self.setup.steps_per_epoch)
        widths = self.setup.ordering.widths(epoch)
        if widths is not None:
            here = widths[begin : begin + self.length]
            return step + int(np.argmax([*(here != here[0]), True]))
        return step + min(self.length, self.setup.steps_per_epoch - begin)

    def _ask(self, step: int) -> Future[Feed]:
        return self.reader.submit(self._read, step)

    def _read(self, step: int) -> Feed:
        """The window that begins at `step`."""
        rows, weight = self._places(step)
        following, size = self._end(step), self.setup.steps_per_epoch
        if following < self.setup.steps:
            self.x.ahead(self._places(following)[0].reshape(-1))
        train, flat = self.setup.parts.train, rows.reshape(-1)
        x = self.x.read(flat)
        self._check(x, flat)
        y, mask = train.y[flat], None if train.mask is None else train.mask[flat]
        widths = self.setup.ordering.widths(step // size)
        if widths is not None and mask is not None:
            width = int(widths[step % size])
            x, y, mask = x[:, :width], y[:, :width] if self.setup.per_step else y, mask[:, :width]
        # A window is new memory: aligned, the devices read it in place.
        x, y, mask = self.engine.place(self.engine.shareable((x, y, mask)), self.cores)
        weight = self.engine.place(weight, self.cores, 2)
        prepared, target_prepared, draws = self.fixed
        window, epoch = Window(self.number(step % size), self.number(size)), self.number(step // size)
        return Feed(x, y, self.held_out, prepared, target_prepared, self.indices, weight, epoch, draws, mask, window)

    def _places(self, step: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows (1, length, B) and weights of a window; one that the epoch's end cuts is filled up with row 0."""
        epoch, begin = divmod(step, self.setup.steps_per_epoch)
        if epoch not in self.orders:
            self.orders = {e: o for e, o in self.orders.items() if e == epoch - 1} | {epoch: self.setup.order(epoch, 1)}
        indices, weight = self.orders[epoch]
        held = slice(begin, begin + self._end(step) - step)
        missing = ((0, 0), (0, self.length - (held.stop - begin)), (0, 0))
        return np.pad(indices[:, held], missing), None if weight is None else np.pad(weight[:, held], missing)

    def _check(self, x: np.ndarray, places: np.ndarray) -> None:
        """Rows in memory were checked when they were loaded; these could not be."""
        if not isinstance(self.x, Held):
            finite(x, f"{self.setup.parts.train.name or 'data'} ({self.x.describe(int(places[0]))} and after it)")


def feeder(setup: Setup, engine: ModuleType, cores: int, shared: object, outside: bool) -> Feeder:
    """The feeder that these rows need; `shared` are the rows in memory that all layouts share."""
    if by_window(setup):
        return Windows(setup, engine, cores, outside)
    return Resident(setup, engine, cores, shared)


def by_window(setup: Setup) -> bool:
    """Whether rows are read window by window: those on disk, and those that are cut to the width of their bucket."""
    return isinstance(setup.parts.train.x, Rows) or setup.ordering.run is not None


def ends_outside(setup: Setup, program: Program) -> bool:
    """Whether an epoch of windows has more to read at its end: validation rows that are large, or its first batches, at
    which running statistics that belong to averaged parameters are measured."""
    if not by_window(setup):
        return False
    moving, validation = program.start(setup.params, setup.state, np).moving, setup.parts.validation.x
    large = isinstance(validation, Rows) and validation.nbytes > HELD_OUT_BYTES
    return large or (program.keeps_others(moving) and bool(tree.leaves(setup.state)))


def feed_of(setup: Setup, indices: np.ndarray, weight: np.ndarray | None) -> Feed:
    """A feed of these steps (epochs, steps, B) from the first on, for tools that look at a few; nothing is placed."""
    x, y, mask = (getattr(setup.parts.train, name) for name in ("x", "y", "mask"))
    if isinstance(x, Rows):
        rows = indices.reshape(-1)
        x, y, mask = x.read(rows), y[rows], None if mask is None else mask[rows]
        indices = np.arange(len(rows), dtype=np.int32).reshape(indices.shape)
    key = random.fold(random.key(setup.experiment.seed), "step")
    zero = np.asarray(0, np.int32)
    return Feed(x, y, None, setup.prepared, setup.target_prepared, indices, weight, zero, key, mask)


def in_memory(setup: Setup) -> tuple[object, object, object]:
    """Training rows, targets and mask; None where they are read window by window."""
    train = setup.parts.train
    return (None, None, None) if by_window(setup) else (train.x, train.y, train.mask)
