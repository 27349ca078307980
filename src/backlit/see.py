"""The lights on: every number of one training step, on NumPy, and the same step compiled, to compare.

    forward    x, then z (a layer with parameters), a (one without) or y (one that holds layers), in order
    backward   from the loss down: delta = dL/dz, dL/da or dL/dy of each layer, its gradients dL/dW, dL/db, then dL/dx

The step is the first of the training: its rows, augmentation, preprocessing, dropout and penalty.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset
from backlit.engine import tree
from backlit.errors import SettingError, join, unknown
from backlit.protocol import Array, Context, Layer, Tree, gradient, signals
from backlit.training.feeding import feed_of
from backlit.training.program import Batch, program
from backlit.training.setup import Setup, setup


@dataclass(frozen=True)
class Quantity:
    """One array of the step: its values from NumPy and from the compiled program.

    path   the layer ("" for the net itself); symbol  x, z, a, y, dL/dz, dL/dW, ... or L
    """

    path: str
    symbol: str
    values: np.ndarray
    compiled: np.ndarray

    @property
    def backward(self) -> bool:
        return self.symbol.startswith("dL/")

    @property
    def difference(self) -> float:
        """The largest difference between the two engines; NaN in the same place is none, NaN in one is infinite."""
        here, there = np.asarray(self.values, np.float64), np.asarray(self.compiled, np.float64)
        same = (here == there) | (np.isnan(here) & np.isnan(there))
        with np.errstate(invalid="ignore"):
            apart = np.where(same, 0.0, np.nan_to_num(np.abs(here - there), nan=np.inf))
        return float(np.max(apart, initial=0.0))

    @property
    def relative(self) -> float:
        """The difference as a share of the largest value."""
        largest = float(np.max(np.abs(self.values), initial=0.0))
        return self.difference / largest if 0 < largest < math.inf else self.difference

    def statistics(self) -> dict[str, float]:
        """mean, std, min, max and share of zeros."""
        v = np.asarray(self.values, np.float64)
        if v.size == 0:
            return dict.fromkeys(("mean", "std", "min", "max", "zeros"), math.nan)
        with np.errstate(all="ignore"):
            found = {"mean": v.mean(), "std": v.std(), "min": v.min(), "max": v.max(), "zeros": (v == 0).mean()}
        return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class Sight:
    """All that one step computed, in the order in which it was computed."""

    quantities: tuple[Quantity, ...]
    kinds: dict[str, str]
    rows: tuple[int, ...]

    @property
    def worst(self) -> Quantity:
        """The quantity on which the engines differ most, as a share of its size."""
        return max(self.quantities, key=lambda q: q.relative)

    def of(self, layer: str) -> "Sight":
        """Only what belongs to a layer and the layers within it; SettingError when there is no such layer."""
        if layer not in self.kinds:
            raise unknown("layer", layer, self.kinds).under("--layer")
        found = tuple(q for q in self.quantities if q.path == layer or q.path.startswith(f"{layer}."))
        return Sight(found, self.kinds, self.rows)

    def __getitem__(self, name: str) -> Quantity:
        """A quantity by layer and symbol: sight['dense_1 dL/dW'], sight['x'], sight['L']."""
        return {f"{q.path} {q.symbol}".strip(): q for q in self.quantities}[name]


def see(experiment: Experiment, rows: int = 4, dataset: Dataset | None = None) -> Sight:
    """One training step of `experiment` from its start, on the first `rows` rows of its first batch, on both engines.

    Augmentation, preprocessing, dropout and penalty are those of the training. Errors: as for training; SettingError for
    fewer than one row or more than the training part has.

    >>> import backlit as bl
    >>> from backlit.see import see
    >>> sight = see(bl.config.Experiment("iris", [{"type": "Dense", "units": 3}], "SoftmaxCrossEntropy"), rows=2)
    >>> [f"{q.path} {q.symbol}".strip() for q in sight.quantities]
    ['x', 'dense_1 z', 'L', 'dense_1 dL/dz', 'dense_1 dL/dW', 'dense_1 dL/db', 'dL/dx']
    >>> sight["dense_1 dL/dW"].values.shape, sight.worst.relative < 1e-5
    ((4, 3), True)
    """
    ready = setup(experiment, dataset)
    first, taken = batch(ready, rows)
    step: list[Any] = [ready.params, ready.state, first.x, first.y, first.weight, first.ctx.mask, first.ctx.root]
    xla = engines.get("xla")
    eager = _numbers(experiment, *step)
    compiled = xla.ready(xla.compile(partial(_numbers, experiment))(*xla.place(step)))
    quantities = tuple(
        Quantity(path, symbol, np.asarray(eager[name]), np.asarray(compiled[name]))
        for name in _order(experiment.net, eager)
        for path, symbol in [name.rsplit(" ", 1)]
    )
    kinds = {path: type(layer).__name__ for path, layer in _layers(experiment.net)}
    return Sight(quantities, kinds, tuple(map(int, taken)))


def batch(ready: Setup, rows: int) -> tuple[Batch, np.ndarray]:
    """The first `rows` rows that the first epoch meets, as the first step trains on them, and their numbers."""
    train = ready.parts.train
    if not 1 <= rows <= len(train):
        raise SettingError([("--rows", f"expected 1 to {len(train)}, the rows of the training part, got {rows}")])
    indices, weight = ready.order(0, 1)
    real = np.ones(indices.size, bool) if weight is None else weight.reshape(-1) > 0
    taken = indices.reshape(-1)[real][:rows]
    feed = feed_of(ready, taken[None, None], None)
    step = program(ready.experiment, ready.params, ready.steps, ready.per_step)
    first = step.batch(feed.epoch, feed, feed.indices[0, 0], None)
    return first, taken


def _numbers(
    experiment: Experiment, params: Tree, state: Tree, x: Array, y: Array, weight: Array, mask: Array, key: Array
) -> dict[str, Array]:
    """Every quantity of one step by 'path symbol'; runs on either engine."""
    net, penalty = experiment.net, experiment.penalty
    ctx = Context(train=True, root=key, mask=mask, path=(0,))
    value, grads, _, trace = gradient(net, experiment.loss, params, state, x, y, ctx, weight)
    if penalty.l1 or penalty.l2:
        extra, slopes = penalty(params)
        value, grads = value + extra, tree.map(lambda g, s: g + s, grads, slopes)
    layers = dict(_layers(net))
    found = {" x": x, " L": value, " dL/dx": trace.dx}
    for path, (out, delta) in signals(trace).items():
        symbol = _symbol(layers[path], path, params)
        found |= {f"{path} {symbol}": out, f"{path} dL/d{symbol}": delta}
    for leaf, slope in tree.flatten(grads).items():
        path = max((p for p in layers if not p or leaf.startswith(f"{p}.")), key=len)
        found[f"{path} dL/d{leaf.removeprefix(path).removeprefix('.')}"] = slope
    return found


def _order(net: Layer, names: Iterable[str]) -> list[str]:
    """The names as they are computed: forward, the loss, then backward from the last layer to the first."""
    apart = (" x", " L", " dL/dx")
    inner_first = [path for path, _ in _layers(net)]
    named = {path: [n for n in names if n.rsplit(" ", 1)[0] == path and n not in apart] for path in inner_first}
    forward = [n for path in inner_first for n in named[path] if " dL/" not in n]
    backward = [n for path in reversed(inner_first) for n in named[path] if " dL/" in n]
    return [" x", *forward, " L", *backward, " dL/dx"]


def _layers(layer: Layer, path: str = "") -> list[tuple[str, Layer]]:
    """Every layer by path, those within a layer before it: the order in which outputs are finished."""
    inner = [found for name, child in layer.children() for found in _layers(child, join(path, name))]
    return [*inner, (path, layer)]


def _symbol(layer: Layer, path: str, params: Tree) -> str:
    if layer.children():
        return "y"
    return "z" if any(not path or leaf.startswith(f"{path}.") for leaf in tree.flatten(params)) else "a"
