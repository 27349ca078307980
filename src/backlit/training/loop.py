"""The training loop: chunks of compiled steps, and between them progress, checkpoints and signals.

Nothing here computes a gradient or decides when to stop (program.py does), nothing there touches a file or a clock.
"""

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset
from backlit.engine import random, tree
from backlit.errors import NonFiniteError
from backlit.settings import plain
from backlit.training import layouts
from backlit.training.blame import blame
from backlit.training.directory import RunDirectory
from backlit.training.evaluate import Evaluator, blocks
from backlit.training.events import EpochEnded, Finished, Listener, Notice, Progress, Started, silent
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

CHUNK_STEPS = 4096
"""Short epochs are joined up to about this many steps a chunk."""


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
    rows: Any = None
    placed: dict[int, Any] = field(default_factory=dict)
    feed: Any = None
    ahead: dict[int, Feed] = field(default_factory=dict)
    first: int = -(2**30)

    def run(self, going_on: bool, asked: Asked) -> Run:
        """All epochs; the run, or Interrupted or NonFiniteError after saving what is good."""
        carry = self.begin(going_on)
        while int(carry.moving.step) < self.setup.steps and not bool(carry.watch.stop):
            carry = self.advance(carry, asked)
        return self._finish(carry)

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

    @property
    def joined(self) -> int:
        """How many epochs one chunk may span."""
        size = self.setup.steps_per_epoch
        return max(1, min(CHUNK_STEPS // size, self.setup.experiment.epochs))

    def _compile(self, carry: Carry, going_on: bool) -> None:
        """Choose the layout and compile the chunk for it."""
        setup = self.setup
        programs: dict[layouts.Layout, Any] = {}
        inputs: dict[int, Any] = {}
        step, size = int(carry.moving.step), self.setup.steps_per_epoch

        def trial(tried: layouts.Layout, steps: int) -> float:
            if tried not in programs:
                if tried.cores not in inputs:
                    epoch = step // size % setup.experiment.epochs
                    inputs[tried.cores] = self.engine.place(carry, tried.cores), self._feed(epoch, tried.cores)
                chunk, one = partial(self.program.chunk, self.engine), self._number(1, tried.cores)
                found = self.engine.prepare(chunk, *inputs[tried.cores], one, products=tried.products)
                programs[tried], seconds = found
                self.clock.compile += seconds
            count = self._number(min(steps, size - step % size), tried.cores)
            return layouts.clock(lambda: programs[tried](*inputs[tried.cores], count), self.engine)

        recorded = self.directory.read("environment.json").get("layout") if going_on and self.directory else None
        if recorded:
            self.layout, why = self._recorded(recorded), "as this run was started"
        else:
            self.layout, why = layouts.choose(setup.experiment, self.engine, setup.steps, setup.row, trial)
        if self.layout not in programs:
            self.pace = trial(self.layout, 1)
        self.chunk, self.why = programs[self.layout], why
        self.placed = {self.cores: self.placed[self.cores]}
        if self.directory and not recorded:
            self.directory.environment(self.engine.describe(), self.layout._asdict(), why)

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
        began = time.perf_counter()
        if not self.first <= step // size < self.first + self.joined:
            self.first = step // size
            self.feed = self.ahead.pop(self.first, None) or self._feed(self.first, self.cores)
        left = (self.first + self.joined) * size - step
        steps = min(self.longest, self._chunk_length(), self.setup.steps - step, left, self.keeper.due_in(step, size))
        pending = self.chunk(carry, self.feed, self._number(steps, self.cores))
        following = self.first + self.joined
        if following not in self.ahead and following < self.setup.experiment.epochs:
            # Compiled programs run beside Python: the next epochs' order is drawn while this chunk computes.
            self.ahead = {following: self._feed(following, self.cores)}
        after: Carry
        after, record = self.engine.ready(pending)
        seconds = time.perf_counter() - began
        if not bool(after.moving.finite):
            self._blame(carry, after)
        done = int(after.moving.step) - step
        self.pace = seconds / done
        self._record(record, step, int(after.moving.step), seconds)
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

    def _record(self, record: Record, before: int, after: int, seconds: float) -> None:
        """A line of history for each epoch that has ended in this chunk."""
        size = self.setup.steps_per_epoch
        columns: Record = tree.map(np.asarray, record)
        for epoch in range(before // size, after // size):
            row: Record = tree.map(lambda column, i=epoch - self.first: column[i].item(), columns)
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
        if self.directory:
            self.directory.write("data.json", self.setup.facts())

    def _blame(self, carry: Carry, after: Carry) -> None:
        """Repeat the chunk up to the step before the bad one, then that step on the NumPy engine."""
        good = int(after.moving.step) - int(carry.moving.step) - 1
        before = self.chunk(carry, self.feed, self._number(good, self.cores))[0] if good else carry
        text = blame(self.program, before.moving, self.feed, self.first, self.setup.steps_per_epoch)
        raise NonFiniteError(text + self.keeper.kept())

    def _feed(self, epoch: int, cores: int) -> Feed:
        """The order of the epochs from `epoch` on, and the rows they read; rows are placed once a layout."""
        place = self.engine.place
        if cores not in self.placed:
            parts, setup = self.setup.parts, self.setup
            key = random.fold(random.key(setup.experiment.seed), "step")
            held_out = blocks(parts.validation, cores) if len(parts.validation) else None
            if self.rows is None:  # one copy in memory, whatever layouts are tried
                self.rows = self.engine.shareable((parts.train.x, parts.train.y, parts.train.mask))
            x, y, mask = place(self.rows, cores)
            prepared, target_prepared, key = place((setup.prepared, setup.target_prepared, key), cores)
            self.placed[cores] = (x, y, prepared, target_prepared, key, mask, place(held_out, cores, 1))
        x, y, prepared, target_prepared, key, mask, held_out = self.placed[cores]
        indices, weight = place(self.setup.order(epoch, self.joined), cores, 2)
        return Feed(x, y, held_out, prepared, target_prepared, indices, weight, self._number(epoch, cores), key, mask)

    def _number(self, value: int, cores: int) -> Any:
        return self.engine.place(np.asarray(value, np.int32), cores)

    def _chunk_length(self) -> int:
        if not self.pace:
            return 8
        slow = min(SLOW_STEPS, int(SLOW_SECONDS / self.pace))
        return max(1, int(CHUNK_SECONDS / self.pace), slow)
