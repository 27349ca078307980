"""The small problem that several experiments share: digits, a net, and a plain descent whose path is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from backlit.data import Digits, epochs_indices
from backlit.engine import random, tree
from backlit.layers import Chain, Dense, Tanh
from backlit.losses import SoftmaxCrossEntropy
from backlit.optim import Rule
from backlit.optim.flat import ravel
from backlit.optim.objective import Objective
from backlit.protocol import Array, Context, Layer, Loss, Tree, gradient


class Path(NamedTuple):
    """A descent, epoch by epoch: loss of all training rows, of the held-out rows, and the parameters as vectors (E, P)."""

    train: np.ndarray
    held_out: np.ndarray
    params: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    """A net that keeps nothing between batches, a loss, training rows and held-out rows."""

    net: Layer
    loss: Loss
    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray

    def start(self, seed: int) -> Tree:
        """The first parameters that this seed draws."""
        return self.net.init(random.key(seed), self.x.shape[1:])[1]

    @cached_property
    def state(self) -> Tree:
        """What the layers keep: nothing, under their names."""
        return self.net.init(random.key(0), self.x.shape[1:])[2]

    def value(self, params: Tree, x: Array, y: Array) -> Array:
        """The mean loss of these rows."""
        return self.loss(self.net.forward(params, self.state, x, Context())[0], y)[0]

    def function(self) -> "Function":
        """The training loss of a vector of parameters, in float64 on NumPy."""
        params, back = ravel(tree.cast(self.start(0), np.float64))
        return Function(self, self.x.astype(np.float64), self.y, back, int(params.size))

    def descender(self, rule: Rule, engine: ModuleType) -> Callable[[Tree, np.ndarray, float], Path]:
        """(params, order (E, steps, B), lr) -> Path: plain descent by a rule, one compiled program for each shape."""

        def run(params: Tree, order: Array, lr: Array, data: Any) -> Any:
            (x, y), held_out = data
            at_rate = replace(rule, lr=lr)

            def update(now: Any, rows: Array) -> Any:
                params, state, step = now
                grads = gradient(self.net, self.loss, params, self.state, x[rows], y[rows])[1]
                updates, state = at_rate.update(grads, state, params, step)
                return (tree.map(lambda w, u: w + u, params, updates), state, step + 1), step

            def epoch(now: Any, rows: Array) -> Any:
                now = engine.scan(update, now, rows)[0]
                return now, (self.value(now[0], x, y), self.value(now[0], *held_out), ravel(now[0])[0])

            zero = engine.asarray(np.asarray(0, np.int32))
            return engine.scan(epoch, (params, at_rate.init(params), zero), order)[1]

        compiled = engine.compile(run)
        data = engine.place(((self.x, self.y), (self.held_x, self.held_y)))

        def descend(params: Tree, order: np.ndarray, lr: float) -> Path:
            with np.errstate(all="ignore"):  # a rate that is too high overflows, which is what is to be seen
                found = compiled(*engine.place((params, order, np.asarray(lr, np.float32))), data)
            return Path(*(np.asarray(a) for a in engine.ready(found)))

        return descend

    def order(self, batch: int, epochs: int, seed: int, first: int = 0) -> np.ndarray:
        """(E, steps, B): every row once an epoch; the batch divides the rows."""
        return epochs_indices(random.fold(random.key(seed), "order"), len(self.x), batch, first, epochs)[0]


@dataclass(frozen=True, eq=False)
class Function:
    """The loss of rows (x, y) as a function of a vector of parameters: value, gradient, the Hessian times a vector."""

    problem: Problem
    x: np.ndarray
    y: np.ndarray
    back: Callable[[np.ndarray], Tree]
    size: int

    def rows(self, which: Any) -> "Function":
        """The loss of some of the rows."""
        return replace(self, x=self.x[which], y=self.y[which])

    def single(self, w: np.ndarray) -> Tree:
        """A vector as parameters in float32, as a training starts with them."""
        found: Tree = tree.cast(self.back(w), np.float32)
        return found

    @cached_property
    def objective(self) -> Objective:
        return Objective.of(self.problem.net, self.problem.loss, self.problem.state, self.x, self.y)

    def value(self, w: np.ndarray) -> float:
        return float(self.problem.value(self.back(w), self.x, self.y))

    def held_out(self, w: np.ndarray) -> float:
        """The loss of the held-out rows."""
        return float(self.problem.value(self.back(w), self.problem.held_x, self.problem.held_y))

    def gradient(self, w: np.ndarray) -> np.ndarray:
        found: np.ndarray = ravel(self.objective(self.back(w))[1])[0]
        return found

    def curvature(self, w: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """v -> H v at w."""
        params = self.back(w)
        return lambda v: ravel(self.objective.hvp(params, self.back(v)))[0]


def digits(units: int = 32, rows: int = 1024, seed: int = 0) -> Problem:
    """Digits from 0 to 1, `rows` for training and the others held out, for a net of 64-units-10 with Tanh.

    Tanh, not ReLU, so that the Hessian exists everywhere.
    """
    data = Digits().load()
    order = np.asarray(random.permutation(random.fold(random.key(seed), "rows"), len(data)))
    x, y = data.x[order] / np.float32(16.0), data.y[order]
    net = Chain(Dense(units), Tanh(), Dense(10))
    return Problem(net, SoftmaxCrossEntropy(), x[:rows], y[:rows], x[rows:], y[rows:])
