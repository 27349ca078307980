"""The lights on: every number of one training step, on NumPy, and the same step compiled, to compare.

    forward    x, then z (a layer with parameters), a (one without) or y (one that holds layers), in order
    backward   from the loss down: delta = dL/dz, dL/da or dL/dy of each layer, its gradients dL/dW, dL/db, then dL/dx
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.config import Experiment
from backlit.data import Dataset
from backlit.engine import random, tree
from backlit.errors import SettingError, join, unknown
from backlit.protocol import Layer, Tree, paths, signals
from backlit.training.program import Carry, Feed, Program, program
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
        """The largest difference between the two engines; NaN and infinity in the same place do not differ."""
        here, there = np.asarray(self.values, np.float64), np.asarray(self.compiled, np.float64)
        same = (here == there) | (np.isnan(here) & np.isnan(there))
        with np.errstate(invalid="ignore"):
            apart = np.where(same, 0.0, np.abs(here - there))
        return float(np.max(apart, initial=0.0))

    @property
    def relative(self) -> float:
        """The difference as a share of the largest value."""
        largest = float(np.max(np.abs(self.values), initial=0.0))
        return self.difference / largest if largest > 0 else self.difference

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
    targets: np.ndarray

    @property
    def loss(self) -> float:
        return float(next(q.values for q in self.quantities if q.symbol == "L"))

    @property
    def worst(self) -> Quantity:
        """The quantity on which the engines differ most, as a share of its size."""
        return max(self.quantities, key=lambda q: q.relative)

    def of(self, layer: str) -> "Sight":
        """Only what belongs to a layer and the layers within it; SettingError when there is no such layer."""
        if layer not in self.kinds:
            raise unknown("layer", layer, self.kinds).under("--layer")
        found = tuple(q for q in self.quantities if q.path == layer or q.path.startswith(f"{layer}."))
        return Sight(found, self.kinds, self.rows, self.targets)

    def __getitem__(self, name: str) -> Quantity:
        """A quantity by layer and symbol: sight['dense_1 dL/dW'], sight['x'], sight['L']."""
        return {f"{q.path} {q.symbol}".strip(): q for q in self.quantities}[name]


def see(experiment: Experiment, rows: int = 4, dataset: Dataset | None = None) -> Sight:
    """One training step of `experiment` from its start, on the first `rows` rows of its first batch, on both engines.

    Preprocessing, dropout and penalty are those of the training. Errors: as for training; SettingError for fewer than
    one row or more than the training part has.

    >>> import backlit as bl
    >>> from backlit.see import see
    >>> sight = see(bl.config.Experiment("iris", [{"type": "Dense", "units": 3}], "SoftmaxCrossEntropy"), rows=2)
    >>> [f"{q.path} {q.symbol}".strip() for q in sight.quantities]
    ['x', 'dense_1 z', 'L', 'dense_1 dL/dz', 'dense_1 dL/dW', 'dense_1 dL/db', 'dL/dx']
    >>> sight["dense_1 dL/dW"].values.shape, sight.worst.relative < 1e-5
    ((4, 3), True)
    """
    ready = setup(experiment, dataset)
    most = len(ready.parts.train)
    if not 1 <= rows <= most:
        raise SettingError([("--rows", f"expected 1 to {most}, the rows of the training part, got {rows}")])
    taken = _rows(ready, rows)
    steps = program(experiment, ready.params, ready.steps)
    carry, feed = _start(ready, steps, taken)
    xla = engines.get("xla")
    eager = _numbers(steps, carry, feed)
    compiled = xla.ready(xla.compile(lambda c, f: _numbers(steps, c, f))(*xla.place((carry, feed))))
    order = _order(ready.experiment.net, eager)
    pairs = ((name, np.asarray(eager[name]), np.asarray(compiled[name])) for name in order)
    quantities = tuple(Quantity(*name.rsplit(" ", 1), *arrays) for name, *arrays in pairs)
    kinds = {path: type(layer).__name__ for path, layer in _layers(experiment.net, "").items()}
    return Sight(quantities, kinds, tuple(taken), ready.parts.train.y[taken])


def _rows(ready: Setup, rows: int) -> list[int]:
    """The first rows of training, in the order in which the first epoch meets them."""
    indices, weight = ready.order(0)
    real = indices.reshape(-1) if weight is None else indices.reshape(-1)[weight.reshape(-1) > 0]
    return [int(i) for i in real[:rows]]


def _start(ready: Setup, steps: Program, taken: list[int]) -> tuple[Carry, Feed]:
    train = ready.parts.train
    key = random.fold(random.key(ready.experiment.seed), "step")
    x, y = train.x[taken], train.y[taken]
    indices = np.arange(len(taken), dtype=np.int32)[None]
    one = np.asarray(1.0, np.float32)
    feed = Feed(x, y, ready.prepared, ready.target_prepared, indices, None, key, one)
    return steps.start(ready.params, ready.state, np), feed


def _numbers(steps: Program, carry: Carry, feed: Feed) -> dict[str, Any]:
    """Every quantity of one step by 'path symbol'; runs on either engine."""
    x = steps.batch(feed, 0)[0]
    value, grads, _, trace = steps.backpropagate(carry, feed, 0)
    layers = _layers(steps.net, "")
    found = {" x": x, " L": value, " dL/dx": trace.dx}
    for path, (y, delta) in signals(trace).items():
        symbol = _symbol(layers[path], carry.params, path)
        found[f"{path} {symbol}"] = y
        found[f"{path} dL/d{symbol}"] = delta
    for leaf, gradient in tree.flatten(grads).items():
        path, _, name = leaf.rpartition(".")
        found[f"{path} dL/d{name}"] = gradient
    return found


def _order(net: Layer, found: dict[str, Any]) -> list[str]:
    """The names in the order of computation: forward, the loss, then backward from the last layer to the first."""
    walk = paths(net) or [""]
    forward = [n for path in _after_children(walk) for n in found if n.rsplit(" ", 1)[0] == path and "dL/" not in n]
    forward = [n for n in forward if n not in (" x", " L")]
    backward = []
    for path in [*reversed(_before_children(walk))]:
        own = [n for n in found if n.rsplit(" ", 1)[0] == path and "dL/" in n and n != " dL/dx"]
        backward += own
    rest = [n for n in found if n not in {" x", " L", " dL/dx", *forward, *backward}]
    return [" x", *forward, " L", *backward, *rest, " dL/dx"]


def _after_children(walk: list[str]) -> list[str]:
    """A layer's output comes after those of the layers within it."""
    below = {path: [p for p in walk if p.startswith(f"{path}.")] for path in walk}
    done: list[str] = []

    def put(path: str) -> None:
        if path not in done:
            for child in below[path]:
                put(child)
            done.append(path)

    for path in walk:
        put(path)
    return done


def _before_children(walk: list[str]) -> list[str]:
    """Read backwards: the error signal reaches a layer before the layers within it."""
    return _after_children(walk)


def _layers(layer: Layer, path: str) -> dict[str, Layer]:
    found = {path: layer}
    for name, child in layer.children():
        found |= _layers(child, join(path, name))
    return found


def _symbol(layer: Layer, params: Tree, path: str) -> str:
    if layer.children():
        return "y"
    for name in filter(None, path.split(".")):
        params = params.get(name, {})
    return "z" if params else "a"
