"""Which learning rate? A range test: one short training in which the rate rises until the loss explodes."""

import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from backlit import config
from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset
from backlit.errors import BacklitError, SettingError, received
from backlit.optim import at
from backlit.protocol import Array
from backlit.rate_curve import LrCurve
from backlit.settings import filled
from backlit.training.feeding import feed_of
from backlit.training.program import Feed, Moving, Program, program, rows_of_an_update
from backlit.training.setup import Setup, setup
from backlit.training.sums import no_sums

FEWEST_STEPS = 20
MEMORY = 0.9
"""Of the running mean that decides when to stop: it looks back about ten updates."""

EARLY = 10
"""Updates at the lowest rates, when the mean is not yet one: their largest loss is where the test begins."""


def lr_find(
    experiment: Experiment | str | Path,
    dataset: Dataset | None = None,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 200,
    diverge: float = 4.0,
) -> LrCurve:
    """Train for `steps` updates while the learning rate rises from `lowest` to `highest`, each time by the same factor.

    Everything else is the experiment's own: initial weights, batches and their order, preprocessing, augmentation,
    dropout, the rule and what stands around it, penalty, frozen parameters, engine. What is learned is thrown away;
    nothing is written. The test ends before the highest rate when a loss is not finite, or when its running mean is more
    than `diverge` times its smallest and above the first ten losses. `experiment`: an Experiment, or the name or file of one;
    `dataset` stands in for its data.

    Errors: SettingError for a range or a number of steps that makes no sense; those of a training before its first step.
    Source: Smith 2017, https://arxiv.org/abs/1506.01186. Others: fastai smooths by a running mean, which shows a fall
    later than it happens, and its valley is the middle of the longest falling subsequence; Lightning takes the steepest.

    >>> import backlit as bl
    >>> experiment = bl.Experiment("iris", bl.Dense(3), "SoftmaxCrossEntropy", engine="numpy")
    >>> curve = bl.lr_find(experiment, steps=60)
    >>> sorted(curve.suggestions), 0.001 < curve.best < 1.0
    (['minimum', 'steep', 'valley'], True)
    """
    if not isinstance(experiment, Experiment):
        experiment = config.load(experiment)
    check(lowest, highest, steps, diverge)
    ready = setup(experiment, dataset)
    trial, lr = steady(experiment, ready.steps)
    functions = program(trial, ready.params, steps, ready.per_step)
    engine = engines.get(experiment.engine)
    factors = lowest / lr * (highest / lowest) ** np.linspace(0.0, 1.0, steps)
    start = functions.start(ready.params, ready.state, np).moving
    given = engine.place((start, feed(ready, steps), factors.astype(np.float32)))
    compiled, _ = engine.prepare(lambda m, f, by: sweep(functions, engine, m, f, by, diverge), *given)
    return read(engine.ready(compiled(*given)), experiment, ready, factors * lr)


def check(lowest: float, highest: float, steps: int, diverge: float) -> None:
    """SettingError with all that is wrong with the range."""
    problems = []
    if not (0 < lowest < math.inf):
        problems.append(("lowest", f"expected a learning rate greater than 0, got {received(lowest)}; write 1e-7"))
    if not (0 < highest < math.inf):
        problems.append(("highest", f"expected a learning rate greater than 0, got {received(highest)}; write 10"))
    if not problems and lowest >= highest:
        problems.append(("lowest", f"expected a learning rate below highest = {highest:g}, got {lowest:g}"))
    if steps < FEWEST_STEPS:
        problems.append(("steps", f"expected at least {FEWEST_STEPS} updates, got {steps}; 100 or more show a curve"))
    if not diverge > 1:
        problems.append(("diverge", f"expected a number greater than 1, got {received(diverge)}"))
    if problems:
        raise SettingError(problems)


def steady(experiment: Experiment, steps: int) -> tuple[Experiment, float]:
    """The experiment with a constant learning rate, and that rate: the highest of its schedule.

    All rates are then raised by one factor, so groups of parameters keep theirs in proportion.
    """
    rule = filled(experiment.optimizer, batch=rows_of_an_update(experiment), seed=experiment.seed).over(steps)
    lr = max(float(at(rule.lr, step)) for step in np.linspace(0, steps - 1, 100).round().astype(int).tolist())
    return replace(experiment, optimizer=replace(experiment.optimizer, lr=lr)), lr


class Swept(NamedTuple):
    """What rises and falls on the way; `losses` and `rows` (steps,) are filled up to where the test ended.

    sums: running means of loss times rows, and of rows; best and first: what they and the first losses have come to.
    """

    moving: Moving
    losses: Array
    rows: Array
    count: Array
    sums: tuple[Array, Array]
    best: Array
    first: Array
    on: Array


def sweep(program: Program, engine: ModuleType, start: Moving, feed: Feed, factors: Array, diverge: float) -> Swept:
    """An update with each of the factors (steps,) of the learning rate, until the loss diverges; one program."""
    xp = feed.x.__array_namespace__()
    steps, size = factors.shape[0], feed.indices.shape[1]
    one, zero, places = xp.ones((), dtype=xp.float32), xp.zeros((), dtype=xp.float32), xp.arange(steps, dtype=xp.int32)

    def update(i: Array, now: Swept) -> Swept:
        raised = replace(program, rule=program.rule.rescaled(factors[i]))
        moving = raised.step(now.moving._replace(sums=no_sums(xp)), one, feed, i // size, i % size)
        rows = moving.sums.rows
        loss = moving.sums.loss / rows
        total, counted = MEMORY * now.sums[0] + loss * rows, MEMORY * now.sums[1] + rows
        running, early = total / counted, now.count < EARLY
        best = xp.where(early, now.best, xp.minimum(now.best, running))
        first = xp.where(early, xp.maximum(now.first, loss), now.first)
        exploded = ~early & (running > best + (diverge - 1.0) * xp.abs(best)) & (running > first)
        losses, weights = (xp.where(places == i, new, old) for new, old in ((loss, now.losses), (rows, now.rows)))
        on = xp.isfinite(loss) & moving.finite & ~exploded
        return Swept(moving, losses, weights, now.count + 1, (total, counted), best, first, on)

    none, infinite = xp.zeros((steps,), dtype=xp.float32), zero + xp.inf
    count = xp.zeros((), dtype=xp.int32)
    blank = Swept(start, none, none, count, (zero, zero), infinite, -infinite, xp.asarray(True))
    found: Swept = engine.repeat(steps, update, blank, until=lambda now: now.on)
    return found


def feed(ready: Setup, steps: int) -> Feed:
    """The training rows in the order of a training, for so many updates."""
    indices, weight = ready.order(0, -(-steps // ready.steps_per_epoch))
    return feed_of(ready, indices[:, :steps], None if weight is None else weight[:, :steps])


def read(found: Swept, experiment: Experiment, ready: Setup, rates: np.ndarray) -> LrCurve:
    """The curve of a test, without the losses that are not finite."""
    count = int(found.count)
    losses = np.asarray(found.losses, np.float64)[:count]
    finite = int(np.argmin(np.isfinite(losses))) if not np.isfinite(losses).all() else count
    if finite < 2:
        text = f"lr_find: expected a finite loss at the learning rate {rates[0]:.2g}, got {losses[0]:g}"
        raise BacklitError(f"{text}; look at the data and the initial weights: backlit see")
    stopped = "not finite" if finite < count else "highest" if bool(found.on) else "diverged"
    lr = experiment.optimizer.lr
    rows = np.asarray(found.rows, np.float64)[:finite]
    return LrCurve(
        rates[:finite], losses[:finite], rows, stopped, experiment.name or ready.parts.train.name,
        type(experiment.optimizer).__name__, float(lr) if isinstance(lr, int | float) else None, experiment.batch_size,
    )  # fmt: skip
