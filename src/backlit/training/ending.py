"""The end of an epoch whose validation rows are on disk: they come block by block, never all at once."""

from collections.abc import Iterable
from functools import partial
from types import ModuleType

import numpy as np

from backlit.training.program import Carry, Feed, Held, Moving, Program, Record
from backlit.training.sums import Sums, no_sums

FIRST = 0
"""A window belongs to one epoch: the first of its feed."""


class Ending:
    """The compiled pieces that end an epoch from outside a chunk."""

    def __init__(self, program: Program, engine: ModuleType, cores: int) -> None:
        self.engine, self.cores = engine, cores
        self.show = engine.compile(partial(_shown, program, engine))
        self.count = engine.compile(program.counted)
        self.close = engine.compile(partial(_closed, program))

    def __call__(self, carry: Carry, feed: Feed, blocks: Iterable[Held]) -> tuple[Carry, Record]:
        """The carry with which the next epoch begins, and the record of this one; `feed` holds the epoch's first steps."""
        shown = self.show(carry.moving, feed)
        none, sums = self.engine.place(no_sums(np), self.cores), None
        for block in blocks:
            sums = self.count(shown, feed, none if sums is None else sums, block)
        found: tuple[Carry, Record] = self.engine.ready(self.close(carry, shown, sums, feed))
        return found


def _shown(program: Program, engine: ModuleType, now: Moving, feed: Feed) -> Moving:
    return program.shown(engine, now, feed, FIRST)


def _closed(program: Program, carry: Carry, shown: Moving, sums: Sums | None, feed: Feed) -> tuple[Carry, Record]:
    xp = feed.x.__array_namespace__()
    blank = Record(no_sums(xp, 1), no_sums(xp, 1), xp.zeros((1,), dtype=xp.float32))
    return program.ended((carry, blank), shown, sums, feed, FIRST)
