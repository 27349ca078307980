"""One epoch after another through the training program, on the engine that suits the size of the problem.

Compiled programs are kept by what they compute: a second fit with the same shapes, as in cross-validation, compiles
nothing. The learning rate is an argument of the program, so a search over it compiles once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Arrays
from backlit.data.batches import epochs_indices
from backlit.engine import random, tree
from backlit.errors import NonFiniteError
from backlit.optim import L1L2, Rule
from backlit.protocol import Context, Layer, Loss, Tree
from backlit.training.blame import REMEDY, blame
from backlit.training.program import Feed, Moving, Program, program
from backlit.training.sums import no_sums

ELSEWHERE = Arrays((), ())
"""Stands for the data in an experiment whose rows are handed over as arrays."""

EAGER_STEP = 4e6
"""What a step costs on the NumPy engine whatever its size, in multiplications that could be done meanwhile."""

EAGER_LIMIT = 6e9
"""Multiplications up to which the NumPy engine is taken: under a second, what XLA needs to load and to compile."""

BLOCK = 2048
"""Rows of one prediction at most."""

AHEAD = 16
"""Epochs whose orders are drawn together."""


class Rows(NamedTuple):
    """Preprocessed rows (N, D), their targets, and how much each counts, (N,) or None."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def take(self, index: np.ndarray) -> "Rows":
        """These rows."""
        return Rows(self.x[index], self.y[index], None if self.weight is None else self.weight[index])

    @property
    def total(self) -> float:
        """How many rows these are, each counted by its weight."""
        return float(len(self.x)) if self.weight is None else float(self.weight.sum())


def choose(asked: str, params: Tree, steps: int, batch: int) -> str:
    """'numpy' or 'xla'. For 'auto' the NumPy engine, which compiles nothing, takes small problems:

        steps (4e6 + 6 parameters batch) <= 6e9

    forward and both products of backward are 6 multiplications or additions for each parameter and row. A kernel with
    more than two axes is used at many places of a row, so its parameters tell nothing: XLA. Only counts enter, never a
    clock: the same data takes the same engine on every machine.

    >>> choose("auto", {"W": np.zeros((30, 100))}, steps=600, batch=200)
    'numpy'
    >>> choose("auto", {"W": np.zeros((784, 256))}, steps=60_000, batch=200)
    'xla'
    """
    if asked != "auto":
        return asked
    shared = any(w.ndim > 2 for w in tree.leaves(params))
    work = steps * (EAGER_STEP + 6.0 * tree.size(params) * batch)
    return "xla" if shared or work > EAGER_LIMIT else "numpy"


def precision(engine: str) -> Any:
    """float64 on the NumPy engine, float32 on XLA."""
    return np.float64 if engine == "numpy" else np.float32


def build_program(net: Layer, loss: Loss, rule: Rule, l2: float, params: Tree, steps: int) -> Program:
    """The training program; preprocessing is done beforehand, so it has none."""
    experiment = Experiment(data=ELSEWHERE, net=net, loss=loss, optimizer=rule, penalty=L1L2(l2=l2))
    return program(experiment, params, steps)


class Rounds:
    """Epochs over the same rows. Errors: NonFiniteError that names the step and the layer.

    The orders of `ahead` epochs are drawn and placed together: drawn one by one they would cost as much as a small net.
    """

    def __init__(
        self, program: Program, engine: str, rows: Rows, batch: int, shuffle: bool, seed: int, epochs: int
    ) -> None:
        self.program, self.engine = program, engines.get(engine)
        self.rows, self.batch, self.shuffle = rows, batch, shuffle
        self.order, draws = (random.fold(random.key(seed), name) for name in ("order", "step"))
        self.ahead = min(epochs, AHEAD, max(1, 2**20 // len(rows.x)))
        self.first = 0
        self.feed: Feed | None = None
        self.x, self.y, self.key, self.blank = self.engine.place((rows.x, rows.y, draws, no_sums(np)))
        self.run = _epoch(program, engine)

    def start(self, params: Tree, state: Tree, rule: Tree | None, step: int) -> Moving:
        """What moves, on the device: `rule` and `step` are None and 0 for a new optimiser."""
        moving = self.program.start(params, state, np).moving
        if rule is not None:
            moving = moving._replace(rule=rule, step=np.asarray(step, np.int32))
        placed: Moving = self.engine.place(moving)
        return placed

    def epoch(self, now: Moving, number: int, lr: float) -> tuple[Moving, float]:
        """One pass over all rows, and their mean loss; `number` decides the order."""
        if self.feed is None or not self.first <= number < self.first + self.ahead:
            self.first, self.feed = number, self._feed(number)
        scale, at = self.engine.place((np.asarray(lr, self.rows.x.dtype), np.asarray(number - self.first, np.int32)))
        with np.errstate(over="ignore", invalid="ignore"):  # a number that is not finite is found below
            after: Moving = self.run(now, self.feed, scale, at)
        if not bool(after.finite):
            raise NonFiniteError(self._blame(now, after, self.feed, scale, at))
        loss = float(after.sums.loss + after.sums.penalty) / float(after.sums.rows)
        return after._replace(sums=self.blank), loss

    def _feed(self, first: int) -> Feed:
        rows = len(self.rows.x)
        indices, weight = epochs_indices(self.order, rows, self.batch, first, self.ahead, self.shuffle)
        if self.rows.weight is not None:
            own = self.rows.weight[indices]
            weight = own if weight is None else own * weight
        if weight is not None:
            weight = weight.astype(self.rows.x.dtype)
        indices, weight, zero = self.engine.place((indices, weight, np.asarray(0, np.int32)))
        return Feed(x=self.x, y=self.y, held_out=None, prepared=(), target_prepared=(), indices=indices, weight=weight,
                    epoch=zero, key=self.key)  # fmt: skip

    def _blame(self, now: Moving, after: Moving, feed: Feed, scale: Any, at: Any) -> str:
        """Repeat the epoch up to the bad step on the NumPy engine, and ask what went wrong in it."""
        before, feed, scale = (tree.map(np.asarray, t) for t in (now, feed, scale))
        steps, begin = feed.indices.shape[1], int(now.step)

        def from_begin(orders: np.ndarray | None) -> np.ndarray | None:
            # `blame` counts epochs from step 0; after a partial_fit with other rows this one begins between two.
            if orders is None:
                return None
            order, past = orders[int(at)], begin % steps
            return np.concatenate([order[steps - past :], order, order[: steps - past]]).reshape(2, *order.shape)

        feed = feed._replace(indices=from_begin(feed.indices), weight=from_begin(feed.weight))
        with np.errstate(all="ignore"):
            for i in range(begin, int(after.step) - 1):
                position = divmod(i - begin + begin % steps, steps)
                before = self.program.step(before, scale, feed, *position)
        feed = feed._replace(epoch=np.asarray(begin // steps, np.int32))
        step = int(before.step)
        text = blame(self.program, before, feed, feed.indices[feed.place(step)], step // steps)
        return text.replace(REMEDY, "try a smaller learning rate, or preprocessing='standardize'")


def outputs(net: Layer, engine: str, params: Tree, state: Tree, x: np.ndarray) -> np.ndarray:
    """(N, K) outputs for preprocessed rows, a block at a time; blocks have few sizes, so little is compiled."""
    run, home = _forward(net, engine), engines.get(engine)
    params, state = home.place((params, state))
    found = []
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        rows = len(block)
        if engine == "xla":
            size = 1 << (rows - 1).bit_length()
            block = np.concatenate([block, np.repeat(block[:1], size - rows, axis=0)])
        found.append(np.asarray(run(params, state, home.place(block)))[:rows])
    return np.concatenate(found)


@dataclass
class Plateau:
    """Has a score risen by `tol` within the last `patience` epochs? A loss counts as its negative."""

    tol: float
    patience: float
    best: float = -np.inf
    stalled: int = 0

    def seen(self, score: float) -> bool:
        """Take note of an epoch's score; whether it is the best so far."""
        self.stalled = self.stalled + 1 if score < self.best + self.tol else 0
        better = score > self.best
        self.best = max(self.best, score)
        return better

    @property
    def reached(self) -> bool:
        """Whether patience has run out."""
        return self.stalled > self.patience


def _kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, its last results kept; settings that hold arrays cannot be looked up and are made anew."""
    keep = lru_cache(maxsize=32)(make)

    def get(*args: Any) -> Any:
        try:
            return keep(*args)
        except TypeError:
            return make(*args)

    return get


@_kept
def _epoch(program: Program, engine: str) -> Callable[..., Any]:
    home: ModuleType = engines.get(engine)

    def run(now: Moving, feed: Feed, lr: Any, epoch: Any) -> Moving:
        def step(i: Any, moving: Moving) -> Moving:
            return program.step(moving, lr, feed, epoch, i)

        moved: Moving = home.repeat(feed.indices.shape[1], step, now, until=lambda moving: moving.finite)
        return moved

    compiled: Callable[..., Any] = home.compile(run)
    return compiled


@_kept
def _forward(net: Layer, engine: str) -> Callable[..., Any]:
    run: Callable[..., Any] = engines.get(engine).compile(lambda p, state, x: net.forward(p, state, x, Context())[0])
    return run
