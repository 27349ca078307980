"""The training loop: chunks of compiled steps, and between them progress, checkpoints and signals.

Nothing here computes a gradient or decides when to stop (program.py does), nothing there touches a file or a clock.
"""

import time
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset
from backlit.engine import tree
from backlit.errors import NonFiniteError
from backlit.settings import plain
from backlit.training import layouts
from backlit.training.blame import blame
from backlit.training.directory import RunDirectory
from backlit.training.ending import Ending
from backlit.training.evaluate import Evaluator
from backlit.training.events import EpochEnded, Finished, Listener, Notice, Progress, Started, silent
from backlit.training.feeding import Feeder, ends_outside, feeder, in_memory
from backlit.training.interrupt import Asked, Interrupted, politely
from backlit.training.keeper import Keeper
from backlit.training.program import Carry, Feed, Program, Record, program
from backlit.training.run import Run
from backlit.training.setup import Setup, setup
from backlit.training.sums import Sums

CHUNK_SECONDS = 1.0
"""How long a chunk should take: short enough to answer a signal, long enough that the host costs nothing."""

SLOW_STEPS, SLOW_SECONDS = 40, 4.0
"""Steps that a chunk of slow ones should have, and how long that may take: each call's memory for activations is new to the
system and costs as much as a fraction of a step (docs/decisions.md)."""

DATA_SHARE, DATA_SECONDS = 0.1, 1.0
"""A training that waits for rows longer than this share of its time, and so many seconds, is told so."""


def fit(
    experiment: Experiment,
    dataset: Dataset | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    listener: Listener = silent,
    since: float | None = None,
) -> Run:
    """Train an experiment and return its run; with a directory, everything is stored there and can be resumed.

    `dataset` stands in for the experiment's source; `since` is when the process began (time.time()).
    Errors: SettingError, ShapeError, DataError before the first step; NonFiniteError and Interrupted after saving.
    """
    clock = Clock(time.time() if since is None else since)
    place = RunDirectory(directory) if directory is not None else None
    if place:
        place.check(experiment, resume)
    ready = setup(experiment, dataset)
    functions = program(experiment, ready.params, ready.steps, ready.per_step)
    functions = replace(functions, outside=ends_outside(ready, functions))
    if place:
        plain((experiment.net, experiment.loss, experiment.optimizer))  # functions: said before anything is written
    going_on = place.create(experiment) if place else False
    training = Training(ready, functions, engines.get(experiment.engine), place, listener, clock)
    with politely() as asked:
        return training.run(going_on, asked)


@dataclass
class Clock:
    """Where the seconds went; `before` were spent by the runs that this one goes on with."""

    since: float
    startup: float = 0.0
    compile: float = 0.0
    train: float = 0.0
    before: float = 0.0
    steps: int = 0


@dataclass
class Training:
    """One training in progress: the only object that changes, and only between chunks."""

    setup: Setup
    program: Program
    engine: ModuleType
    directory: RunDirectory | None
    listener: Listener
    clock: Clock
    history: list[dict[str, Any]] = field(default_factory=list)
    layout: layouts.Layout = layouts.Layout()
    why: str = ""
    pace: float = 0.0
    longest: int = 2**30
    feeders: dict[int, Feeder] = field(default_factory=dict)
    ending: Ending | None = None
    chunks: dict[tuple[int, ...], Any] = field(default_factory=dict)

    def run(self, going_on: bool, asked: Asked) -> Run:
        """All epochs; the run, or Interrupted or NonFiniteError after saving what is good."""
        try:
            carry = self.begin(going_on)
            while int(carry.moving.step) < self.setup.steps and not bool(carry.watch.stop):
                carry = self.advance(carry, asked)
            return self._finish(carry)
        finally:
            self.close()

    def close(self) -> None:
        """Ends what reads rows in the background."""
        for each in self.feeders.values():
            each.close()

    def begin(self, going_on: bool = False) -> Carry:
        """The carry to start or go on with, on the devices, and the compiled program."""
        self.keeper = Keeper(self.setup.experiment.checkpoint, self.directory, self.setup, self.listener)
        carry = self.program.start(self.setup.params, self.setup.state, np)
        if going_on:
            carry, self.history, self.clock.before = self.keeper.resumed(carry)
        self.clock.startup = time.time() - self.clock.since
        self._compile(carry, going_on)
        self._announce(int(carry.moving.step))
        placed: Carry = self.engine.place(carry, self.cores)
        return placed

    def _compile(self, carry: Carry, going_on: bool) -> None:
        """Choose the layout and compile the chunk for it."""
        setup = self.setup
        programs: dict[layouts.Layout, Any] = {}
        inputs: dict[int, Any] = {}
        step, size = int(carry.moving.step), self.setup.steps_per_epoch
        first = step % setup.steps  # a training that has ended is compiled too, to be tested

        def trial(tried: layouts.Layout, steps: int) -> float:
            if tried not in programs:
                if tried.cores not in inputs:
                    inputs[tried.cores] = self.engine.place(carry, tried.cores), self._feeder(tried.cores).at(first)[0]
                programs[tried] = self._prepared(tried, *inputs[tried.cores])
            count = self._number(
                min(steps, self._feeder(tried.cores).at(first)[1] - first, size - step % size), tried.cores
            )
            return layouts.clock(lambda: programs[tried](*inputs[tried.cores], count), self.engine)

        recorded = self.directory.read("environment.json").get("layout") if going_on and self.directory else None
        if recorded:
            self.layout, why = self._recorded(recorded), "as this run was started"
        else:
            self.layout, why = layouts.choose(setup.experiment, self.engine, setup.steps, setup.row, trial)
        if self.layout not in programs:
            self.pace = trial(self.layout, 1)
        self.chunks = {self._feeder(self.cores).at(first)[0].x.shape: programs[self.layout]}
        self.why, self._feeder(self.cores).waited = why, 0.0  # from here on, waiting is waiting of the training
        for cores in self.feeders.keys() - {self.cores}:
            self.feeders.pop(cores).close()
        if self.directory and not recorded:
            self.directory.environment(self.engine.describe(), self.layout._asdict(), why)

    def _chunk_for(self, carry: Carry, feed: Feed) -> Any:
        """The compiled chunk for rows of this width."""
        if feed.x.shape not in self.chunks:
            self.chunks[feed.x.shape] = self._prepared(self.layout, carry, feed)
        return self.chunks[feed.x.shape]

    def _prepared(self, layout: layouts.Layout, carry: Carry, feed: Feed) -> Any:
        """The chunk compiled for a layout and a feed."""
        chunk, one = partial(self.program.chunk, self.engine), self._number(1, layout.cores)
        made, seconds = self.engine.prepare(chunk, carry, feed, one, products=layout.products)
        self.clock.compile += seconds
        return made

    def _recorded(self, value: dict[str, Any]) -> layouts.Layout:
        """The layout a run was started in, as far as this machine has it."""
        wanted = layouts.Layout(int(value["cores"]), str(value["products"]))
        known = wanted.products in self.engine.product_libraries()
        here = layouts.Layout(min(wanted.cores, self.engine.width()), wanted.products if known else "default")
        if here != wanted:
            text = f"this run was started on {wanted}, it goes on with {here}"
            self.listener(Notice(f"{text}: its numbers may differ in the last bits"))
        return here

    @property
    def cores(self) -> int:
        """How many devices share a batch."""
        return self.layout.cores

    def advance(self, carry: Carry, asked: Asked) -> Carry:
        """One call of the compiled program and what follows from it."""
        size, step = self.setup.steps_per_epoch, int(carry.moving.step)
        source = self._feeder(self.cores)
        began = time.perf_counter()
        feed, end = source.at(step)
        compiled = self.clock.compile
        chunk = self._chunk_for(carry, feed)
        began += self.clock.compile - compiled
        due = self.keeper.due_in(step, size)
        steps = min(self.longest, self._chunk_length(), self.setup.steps - step, end - step, due)
        pending = chunk(carry, feed, self._number(steps, self.cores))
        source.ahead()
        after: Carry
        after, record = self.engine.ready(pending)
        if not bool(after.moving.finite):
            self._blame(carry, after, feed)
        if self.program.outside and int(after.moving.step) % size == 0:
            after, record = self._end_epoch(after, feed)
        seconds = time.perf_counter() - began
        done = int(after.moving.step) - step
        self.pace = seconds / done
        self._record(record, step, int(after.moving.step), seconds, int(feed.epoch))
        self.clock.train += seconds
        self.clock.steps += done
        self._progress(after)
        self._save(after, asked)
        return after

    def _save(self, carry: Carry, asked: Asked) -> None:
        """Save what is due; leave when a signal asked for it."""
        step = int(carry.moving.step)
        ended = step == self.setup.steps or bool(carry.watch.stop)
        seconds = self.clock.before + self.clock.train
        self.keeper.save(carry, len(self.history), seconds, force=ended or bool(asked.number))
        if asked.number and not ended:
            where = f"saved in {self.directory.path}; go on with --resume" if self.directory else "nothing was stored"
            raise Interrupted(asked.number, step, where)

    def _end_epoch(self, carry: Carry, feed: Feed) -> tuple[Carry, Record]:
        """What an epoch's end reads from disk, and what follows from it."""
        if self.ending is None:
            self.ending = Ending(self.program, self.engine, self.cores)
        source = self._feeder(self.cores)
        if self.program.keeps_others(carry.moving):
            feed = source.beginning(int(feed.epoch))
        return self.ending(carry, feed, source.held_out_blocks())

    def _record(self, record: Record, before: int, after: int, seconds: float, first: int) -> None:
        """A line of history for each epoch that has ended in this chunk; `first` is the first of the record."""
        size = self.setup.steps_per_epoch
        columns: Record = tree.map(np.asarray, record)
        for epoch in range(before // size, after // size):
            row: Record = tree.map(lambda column, i=epoch - first: column[i].item(), columns)
            step = (epoch + 1) * size
            at_end = self.clock.before + self.clock.train + seconds * (step - before) / (after - before)
            line: dict[str, Any] = {"epoch": epoch + 1, "step": step, "seconds": round(at_end, 4)}
            line["lr"] = float(str(np.float32(row.lr)))  # 0.1, not 0.10000000149
            line |= self._means(row.train)
            if row.held_out.rows:
                line["validation"] = self._means(row.held_out)
            self.history.append(line)
            if self.directory:
                self.directory.append(line)
            self.listener(EpochEnded(line))

    def _means(self, sums: Sums) -> dict[str, float]:
        score = float(sums.score) / max(float(sums.rows), 1.0)
        named = {"rmse": score**0.5} if self.setup.experiment.loss.task == "regression" else {"accuracy": score}
        if sums.penalty:
            named["penalty"] = float(sums.penalty) / max(float(sums.rows), 1.0)
        return {"loss": float(sums.loss) / max(float(sums.rows), 1.0), **named}

    def _progress(self, carry: Carry) -> None:
        step, size = int(carry.moving.step), self.setup.steps_per_epoch
        now = self._means(carry.moving.sums) if step % size else self.history[-1]
        score = now.get("accuracy")
        self.listener(Progress(step, (step - 1) // size + 1, now["loss"], score, 1 / self.pace))

    def _finish(self, carry: Carry) -> Run:
        setup, watch = self.setup, carry.watch
        params, state = carry.best or (carry.moving.params, carry.moving.state)
        evaluator = Evaluator(self.program, self.engine, setup.prepared, max(len(setup.parts.test), 1))
        result: dict[str, Any] = {
            "test": {},
            "best_epoch": int(watch.best_epoch) or len(self.history),
            "stopped": "early" if bool(watch.stop) else "finished",
        }
        params, state = tree.map(np.asarray, params), tree.map(np.asarray, state)
        place = self.directory.path if self.directory else None
        run = Run(setup.experiment, params, state, setup.prepared, setup.target_prepared, setup.facts(),
                  self.history, result, place)  # fmt: skip
        if len(setup.parts.test):
            outputs = run.raw(evaluator, setup.parts.test.x, setup.parts.test.mask)
            result["test"] = run.measured(outputs, setup.parts.test)
            run.store_test(setup.parts.test, outputs)
        self.clock.compile += evaluator.compile_seconds
        result["seconds"] = {
            "startup": round(self.clock.startup, 3),
            "compile": round(self.clock.compile, 3),
            "train": round(self.clock.train, 3),
            "total": round(time.time() - self.clock.since, 3),
        }
        waited = self._feeder(self.cores).waited
        if waited:
            result["seconds"]["waited"] = round(waited, 3)
        if waited > max(DATA_SHARE * self.clock.train, DATA_SECONDS) and self.clock.steps:
            pace = self.clock.steps * setup.experiment.batch_size / self.clock.train
            text = (
                f"{waited / self.clock.train:.0%} of the training waited for rows to be read, {pace:.0f} rows a second"
            )
            self.listener(
                Notice(f"{text}: reading is the limit here, a larger net or more epochs would not wait longer")
            )
        result["steps_per_second"] = round(self.clock.steps / self.clock.train, 1) if self.clock.train else 0.0
        result["parameters"] = tree.size(setup.params)
        result["layout"] = self.why
        if self.directory:
            self.directory.write("result.json", result)
        self.listener(Finished(result))
        return run

    def _announce(self, step: int) -> None:
        rows = {name: len(part) for name, part in self.setup.parts._asdict().items()}
        name = self.setup.experiment.name or self.setup.parts.train.name
        size = tree.size(self.setup.params)
        self.listener(Started(name, size, rows, self.setup.steps, self.setup.steps_per_epoch, step, self.why))
        for text in self.setup.notes():
            self.listener(Notice(text))
        if self.directory:
            self.directory.write("data.json", self.setup.facts())

    def _blame(self, carry: Carry, after: Carry, feed: Feed) -> None:
        """Repeat the chunk up to the step before the bad one, then that step on the NumPy engine."""
        good = int(after.moving.step) - int(carry.moving.step) - 1
        before = self._chunk_for(carry, feed)(carry, feed, self._number(good, self.cores))[0] if good else carry
        epoch, place = divmod(int(before.moving.step), self.setup.steps_per_epoch)
        text = blame(self.program, before.moving, feed, self.setup.order(epoch, 1)[0][0, place], epoch)
        raise NonFiniteError(text + self.keeper.kept())

    def _feeder(self, cores: int) -> Feeder:
        """What feeds a program on so many devices; the rows in memory are there once, whatever layouts are tried."""
        if cores not in self.feeders:
            self.feeders[cores] = feeder(self.setup, self.engine, cores, self.shared, self.program.outside)
        return self.feeders[cores]

    @cached_property
    def shared(self) -> Any:
        """The training rows where all devices can read them."""
        return self.engine.shareable(in_memory(self.setup))

    def _number(self, value: int, cores: int) -> Any:
        return self.engine.place(np.asarray(value, np.int32), cores)

    def _chunk_length(self) -> int:
        if not self.pace:
            return 8
        slow = min(SLOW_STEPS, int(SLOW_SECONDS / self.pace))
        return max(1, int(CHUNK_SECONDS / self.pace), slow)
