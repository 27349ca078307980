"""What a deep net's signals look like before the first update, by initialiser and activation; and why zeros do not train."""

from functools import partial
from typing import Any

import numpy as np

import backlit.layers as layers
from backlit import initializers
from backlit.engine import random, tree
from backlit.lab.result import Result
from backlit.lab.rows import Rows, digits
from backlit.losses import SoftmaxCrossEntropy
from backlit.protocol import Context, Layer, gradient, signals

STARTS = {
    "std 1": initializers.Normal(1.0),
    "std 0.01": initializers.Normal(0.01),
    "Xavier": initializers.Xavier(),
    "He": initializers.He(),
    "orthogonal": initializers.Orthogonal(),
}
ACTIVATIONS = {"sigmoid": layers.Sigmoid(), "tanh": layers.Tanh(), "ReLU": layers.ReLU()}
EDGE = 0.01
"""Sigmoid and tanh are saturated within this share of their range from its ends."""

STEPS = 50
"""Updates of the small net that begins at zero."""

Numbers = dict[str, Any]


def run(depth: int = 10, units: int = 128, rows: int = 512, seed: int = 0, quick: bool = False) -> Result:
    """Activations and error signals of `depth` layers on real images, for five initialisers and three activations.

    One forward and one backward pass on NumPy; of every layer the activation's standard deviation, the share of it that is
    saturated (sigmoid, tanh) or zero (ReLU), the share of units that are dead (zero for every row), and the standard
    deviation of the error signal dL/da. Then a small net from zeros and one from Xavier are trained, and distinct units
    of each layer counted. `quick`: fewer units and rows.
    """
    if quick:
        units, rows = min(units, 48), min(rows, 128)
    data = digits(rows, rows)
    looks = {
        (activation, start): look(data, depth, units, activation, start, seed)
        for activation in ACTIVATIONS
        for start in STARTS
    }
    zeros = {
        name: twins(data, start, seed)
        for name, start in (("zeros", initializers.Zeros()), ("Xavier", STARTS["Xavier"]))
    }
    numbers: Numbers = {
        "data": f"{data.name}, {rows} rows",
        "depth": depth,
        "units": units,
        "layers": {a: {s: measured(a, looks[a, s]) for s in STARTS} for a in ACTIVATIONS},
        "distinct_units": zeros,
    }
    return Result(
        "initialisation",
        "Where training starts",
        numbers,
        _text(numbers),
        tuple(_pictures(looks, numbers, data.name)),
        (),
        _table(numbers),
    )


def net(depth: int, units: int, activation: Layer, start: initializers.Initializer) -> Layer:
    """`depth` dense layers of `units` with the activation, and one of ten outputs.

    >>> import backlit as bl
    >>> [name for name, _ in net(2, 8, bl.Tanh(), bl.initializers.Xavier()).children()]
    ['flatten_1', 'dense_1', 'tanh_1', 'dense_2', 'tanh_2', 'dense_3']
    """
    rows = [layer for _ in range(depth) for layer in (layers.Dense(units, W=start), activation)]
    return layers.Chain(layers.Flatten(), *rows, layers.Dense(10, W=start))


def look(data: Rows, depth: int, units: int, activation: str, start: str, seed: int) -> list[Numbers]:
    """Of each activation layer: values a and error signals dL/da (B, units)."""
    deep = net(depth, units, ACTIVATIONS[activation], STARTS[start])
    shape = data.x.shape[1:]
    _, params, state = deep.init(random.fold(random.key(seed), "init"), shape)
    x = data.x - data.x.mean()
    x = x / x.std()  # so that what a layer does to the scale is seen from the first on
    with np.errstate(all="ignore"):
        trace = gradient(deep, SoftmaxCrossEntropy(), params, state, x, data.y, Context(train=True))[3]
    kind = type(ACTIVATIONS[activation])
    seen = signals(trace)
    found = [seen[name] for name, layer in deep.children() if isinstance(layer, kind)]
    return [{"a": np.asarray(a, np.float64), "delta": np.asarray(d, np.float64) * len(x)} for a, d in found]


def twins(
    data: Rows, start: initializers.Initializer, seed: int, steps: int = STEPS, units: int = 12
) -> list[list[int]]:
    """How many units of the two hidden layers differ from each other, before and after `steps` updates: [before, after]."""
    small = net(2, units, layers.Sigmoid(), start)
    _, params, state = small.init(random.fold(random.key(seed), "init"), data.x.shape[1:])
    counts = [distinct(params)]
    x, y = data.x[:128], data.y[:128]
    for _ in range(steps):
        _, grads, state, _ = gradient(small, SoftmaxCrossEntropy(), params, state, x, y, Context(train=True))
        params = tree.map(lambda w, g: w - 0.5 * g, params, grads)
    return [*counts, distinct(params)]


def distinct(params: Any) -> list[int]:
    """Units of each hidden layer whose incoming weights differ by more than rounding.

    >>> import numpy as np
    >>> distinct({"dense_1": {"W": np.array([[1.0, 1.0, 2.0]])}, "dense_2": {"W": np.zeros((3, 2))}})
    [2]
    """
    weights = [params[name]["W"] for name in sorted(params) if "W" in params[name]]
    return [len(np.unique(np.round(np.asarray(W, np.float64), 5), axis=1).T) for W in weights[:-1]]


def shares(activation: str, a: Any) -> tuple[float, float]:
    """The share of values that are saturated (ReLU: zero), and of units that are so for every row.

    >>> import numpy as np
    >>> shares("ReLU", np.array([[0.0, 1.0], [0.0, 0.0]]))
    (0.75, 0.5)
    """
    if activation == "ReLU":
        idle = a == 0
    else:
        low, high = (0.0, 1.0) if activation == "sigmoid" else (-1.0, 1.0)
        margin = EDGE * (high - low)
        idle = (a < low + margin) | (a > high - margin)
    return float(idle.mean()), float(idle.all(axis=0).mean())


def measured(activation: str, seen: list[Numbers]) -> Numbers:
    """Layer by layer: standard deviations of activation and error signal, saturated (or zero) share, dead units."""
    idle = [shares(activation, layer["a"]) for layer in seen]
    return {
        "std": [float(layer["a"].std()) for layer in seen],
        "saturated": [share for share, _ in idle],
        "dead_units": [dead for _, dead in idle],
        "delta_std": [float(layer["delta"].std()) for layer in seen],
    }


def _text(numbers: Numbers) -> str:
    found, depth = numbers["layers"], numbers["depth"]

    def last(activation: str, start: str, what: str) -> float:
        return float(found[activation][start][what][-1])

    def first(activation: str, start: str, what: str) -> float:
        return float(found[activation][start][what][0])

    before, after = numbers["distinct_units"]["zeros"]
    fair_before, fair_after = numbers["distinct_units"]["Xavier"]
    return (
        f"{depth} layers of {numbers['units']} units, {numbers['data']}, before any update. With std 1, "
        f"{100 * last('tanh', 'std 1', 'saturated'):.0f} % of the tanh values in the last layer are saturated, and ReLU's "
        f"standard deviation is {last('ReLU', 'std 1', 'std'):.1e}; with std 0.01 it is {last('ReLU', 'std 0.01', 'std'):.1e}, "
        f"and tanh's {last('tanh', 'std 0.01', 'std'):.1e}. Xavier keeps tanh at {last('tanh', 'Xavier', 'std'):.2f} (layer 1: "
        f"{first('tanh', 'Xavier', 'std'):.2f}); He keeps ReLU at {last('ReLU', 'He', 'std'):.2f} (layer 1: "
        f"{first('ReLU', 'He', 'std'):.2f}), where Xavier is down to {last('ReLU', 'Xavier', 'std'):.2f}. The error signal of "
        f"the first layer is {first('ReLU', 'He', 'delta_std') / last('ReLU', 'He', 'delta_std'):.2f} times that of the last "
        f"with ReLU and He, {first('tanh', 'Xavier', 'delta_std') / last('tanh', 'Xavier', 'delta_std'):.2f} times with tanh "
        f"and Xavier, and {first('sigmoid', 'Xavier', 'delta_std') / last('sigmoid', 'Xavier', 'delta_std'):.0e} times with "
        f"sigmoid, whose slope is at most 1/4, and Xavier. A net from zeros has {_pair(before)} distinct units in its two "
        f"hidden layers of 12 before and {_pair(after)} after {STEPS} updates; one from Xavier {_pair(fair_before)}, and "
        f"{_pair(fair_after)} after."
    )


def _table(numbers: Numbers) -> tuple[tuple[str, ...], ...]:
    """Of each activation and start what the last layer has, and how the error signal changes on its way to the first."""
    lines = [
        (activation, start, *(f"{found[what][-1]:.2g}" for what in ("std", "saturated", "dead_units")),
         f"{found['delta_std'][0] / max(found['delta_std'][-1], 1e-300):.1e}")
        for activation, starts in numbers["layers"].items() for start, found in starts.items()
    ]  # fmt: skip
    last = "last layer: std", "saturated or zero", "dead units"
    return (("activation", "initialiser", *last, "delta, first / last layer"), *lines)


def _pair(counts: list[int]) -> str:
    return " and ".join(map(str, counts))


def _pictures(looks: Any, numbers: Numbers, data: str) -> list[Any]:
    from backlit.lab import initialisation_pictures as draw
    from backlit.report.canvas import Picture

    every = ", ".join(STARTS)
    return [
        Picture(
            "initialisation-activations",
            f"Histograms of the activations of each layer, first layer on top, for {every} under sigmoid, tanh and ReLU.",
            f"Activations of each layer before the first update on {data}; of ReLU the values above zero, by size.",
            partial(draw.ridges, looks, "a"),
        ),
        Picture(
            "initialisation-deltas",
            f"Histograms of the size of the error signal of each layer for {every} under sigmoid, tanh and ReLU.",
            "Size of the error signal dL/da of a row that reaches each layer; the last layer gets it first.",
            partial(draw.ridges, looks, "delta"),
        ),
        Picture(
            "initialisation-layers",
            "Standard deviation of activations and of error signals by layer, for each initialiser and activation.",
            "A start is good where both lines stay level.",
            partial(draw.levels, numbers["layers"]),
        ),
        Picture(
            "initialisation-zeros",
            "Bars: distinct units of two hidden layers from zeros and from Xavier, before and after training.",
            f"Units of each hidden layer (12) that differ from one another, before and after {STEPS} updates. From zeros all "
            "units get the same gradient for ever.",
            partial(draw.twins, numbers["distinct_units"]),
        ),
    ]
