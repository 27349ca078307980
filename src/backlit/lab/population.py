"""Many trainings in one compiled program: rules x learning rates, or starts x learning rates.

Nothing in a net or a rule knows of it: the engine maps one training's step over the first axis of its parameters, and a
rule's learning rate is an array that is traced.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from backlit.engine import random, tree
from backlit.errors import SettingError
from backlit.optim.rules import Rule
from backlit.protocol import Array, Context, Layer, Loss, Tree, gradient


class Batches(NamedTuple):
    """Training rows and the order of them (steps, B); rows held out, and which engine's arrays they are."""

    x: Array
    y: Array
    order: Array
    held_x: Array
    held_y: Array


class Trained(NamedTuple):
    """Of each member, (R, L): its loss at every step (R, L, steps), and loss and accuracy on the rows held out.

    Loss and accuracy of a member whose numbers are no longer finite are NaN and 0.
    """

    curves: Any
    loss: Any
    accuracy: Any


@dataclass(frozen=True)
class Population:
    """R rules x L learning rates, all trained side by side on the same batches from starts of their own.

    rules, rates   (R,) and (R, L): rule r has the learning rates rates[r]
    in_turn        a step goes through the members one after another, not with all at once: for convolutions, since XLA on
                   a CPU convolves many kernels at once far more slowly than one after another

    >>> import backlit as bl, numpy as np
    >>> from backlit.lab.population import Batches, Population
    >>> from backlit import engine
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(40, 3)).astype("f"), np.repeat([0, 1], 20)
    >>> batches = Batches(x, y, rng.integers(0, 40, (5, 8)), x, y)
    >>> rules, rates = (bl.SGD(), bl.Adam()), np.array([[0.1, 1.0, 10.0]] * 2, "f")
    >>> population = Population(bl.Dense(2), bl.SoftmaxCrossEntropy(), rules, rates)
    >>> population.train(engine.get("numpy"), population.starts((3,), seed=0), batches).curves.shape
    (2, 3, 5)
    """

    net: Layer
    loss: Loss
    rules: tuple[Rule, ...]
    rates: Any
    in_turn: bool = False

    def __post_init__(self) -> None:
        shape = np.shape(self.rates)
        if len(shape) != 2 or shape[0] != len(self.rules):
            text = f"expected one row of learning rates for each of the {len(self.rules)} rules, got the shape {shape}"
            raise SettingError([("rates", text + "; write np.tile(rates, (len(rules), 1))")])

    @property
    def members(self) -> int:
        return int(np.size(self.rates))

    def starts(self, shape: tuple[int, ...], seed: int) -> tuple[Tree, Tree]:
        """Parameters and state that every member begins with: the same for all, so that rules can be compared."""
        _, params, state = self.net.init(random.fold(random.key(seed), "init"), shape)
        return _repeated(params, self.members), _repeated(state, self.members)

    def train(self, engine: ModuleType, starts: tuple[Tree, Tree], batches: Batches) -> Trained:
        """All trainings as one program. `starts`: parameters and state, the members along the first axis (R L, ...)."""
        program = engine.compile(lambda *given: self._run(engine, *given))
        with np.errstate(all="ignore"):
            given = tree.map(engine.asarray, (*starts, np.asarray(self.rates, np.float32), tuple(batches)))
            found = [np.asarray(a) for a in program(*given)]
        shape = np.shape(self.rates)
        curves, loss, accuracy = (a.reshape(*shape, *a.shape[1:]) for a in found)
        finite = np.isfinite(loss)
        return Trained(curves, np.where(finite, loss, np.nan), np.where(finite, accuracy, 0.0))

    def _run(self, engine: ModuleType, params: Tree, state: Tree, rates: Array, data: Any) -> tuple[Array, ...]:
        batches, per_rule = Batches(*data), rates.shape[1]
        parts = [slice(r * per_rule, (r + 1) * per_rule) for r in range(len(self.rules))]
        kept = tuple(
            engine.vectorize(rule.init, _part(params, part)) for rule, part in zip(self.rules, parts, strict=True)
        )
        every = in_turn(engine) if self.in_turn else engine.vectorize

        def step(carry: Any, at: tuple[Array, Array]) -> tuple[Any, Array]:
            (params, state, kept), (t, rows) = carry, at
            x, y = batches.x[rows], batches.y[rows]

            def one(params: Tree, state: Tree) -> tuple[Array, Tree, Tree]:
                return gradient(self.net, self.loss, params, state, x, y, Context(train=True))[:3]

            value, grads, state = every(one, params, state)
            moved, after = [], []
            for rule, before, part, lr in zip(self.rules, kept, parts, range(len(self.rules)), strict=True):
                made, new = engine.vectorize(
                    _update(rule, t), _part(grads, part), before, _part(params, part), rates[lr]
                )
                moved.append(made)
                after.append(new)
            return (_joined(moved), state, tuple(after)), value

        steps = batches.order.shape[0]
        clock = engine.asarray(np.arange(steps, dtype=np.int32))
        (params, state, kept), curves = engine.scan(step, (params, state, kept), (clock, batches.order))
        ends = zip(self.rules, parts, kept, strict=True)
        params = _joined([engine.vectorize(rule.kept, _part(params, part), after) for rule, part, after in ends])

        def judge(params: Tree, state: Tree) -> tuple[Array, Array]:
            y = self.net.forward(params, state, batches.held_x, Context())[0]
            xp = y.__array_namespace__()
            right = xp.astype(xp.argmax(y, axis=-1) == batches.held_y, xp.float32)
            return self.loss(y, batches.held_y)[0], xp.mean(right)

        loss, accuracy = every(judge, params, state)
        return curves.T, loss, accuracy


def in_turn(engine: ModuleType) -> Callable[..., Any]:
    """As engine.vectorize, one entry after another within the same program."""

    def mapped(fn: Callable[..., Any], *args: Any) -> Any:
        return engine.scan(lambda carry, entry: (carry, fn(*entry)), tree.leaves(args)[0][:0], args)[1]

    return mapped


def _update(rule: Rule, t: Array) -> Callable[..., tuple[Tree, Tree]]:
    """(grads, state, params, lr) -> new params, new state."""

    def update(grads: Tree, state: Tree, params: Tree, lr: Array) -> tuple[Tree, Tree]:
        updates, state = replace(rule, lr=lr).update(grads, state, params, t)
        return tree.map(lambda w, u: w + u, params, updates), state

    return update


def _part(values: Tree, part: slice) -> Tree:
    return tree.map(lambda a: a[part, ...], values)


def _joined(parts: list[Tree]) -> Tree:
    return tree.map(lambda *a: a[0].__array_namespace__().concat(a), *parts)


def _repeated(values: Tree, times: int) -> Tree:
    return tree.map(lambda a: np.repeat(np.asarray(a)[None], times, axis=0), values)
