"""A test case of ONNX, and what runs one through Backlit.

An adapter reads the settings and arrays of a case and returns `Work`: a layer or a loss, its arguments in Backlit's
layouts, and the way back to ONNX' outputs. What no layer can mean it refuses, with a reason and from what the case
holds, never by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import backlit as bl
from backlit.engine import random, tree
from backlit.protocol import Context, Layer

PRINTED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-4}
"""A case whose inputs and expected outputs ONNX writes with four decimals."""

TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}
"""Of the largest expected number: a few roundings. Half-precision cases are computed in single precision."""


class DoesNotApply(Exception):
    """What a case asks for is not what any layer of Backlit means; the message is the reason."""


def refuse(condition: Any, reason: str) -> None:
    """DoesNotApply(reason) where `condition` holds."""
    if condition:
        raise DoesNotApply(reason)


@dataclass(frozen=True)
class Case:
    """One run of one operator: attributes (defaults filled in), inputs and expected outputs by their formal names.

    op         the operator; for a graph of several nodes their operators, joined by " > "
    version    the operator set whose meaning the case has
    own        it is one of ours
    """

    name: str
    op: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    own: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.inputs[name]

    def get(self, name: str) -> Any:
        """An optional input, or None."""
        return self.inputs.get(name)


@dataclass(frozen=True)
class Work:
    """fn(*args) on either engine, and `back` from its result, as NumPy arrays, to outputs by their formal names."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    back: Callable[[Any], dict[str, Any]]


Adapter = Callable[[Case], Work]
ADAPTERS: dict[str, Adapter] = {}
LAYERS: dict[str, str] = {}
"""What stands for an operator, for the table."""


def adapter(layer: str, *operators: str) -> Callable[[Adapter], Adapter]:
    """Registers the adapter of these operators; `layer` is what the table calls their counterpart."""

    def register(made: Adapter) -> Adapter:
        for operator in operators:
            ADAPTERS[operator], LAYERS[operator] = made, layer
        return made

    return register


def through(
    layer: Layer,
    x: Any,
    params: Any = None,
    state: Any = None,
    back: Callable[[Any], Any] = lambda y: y,
    name: str = "Y",
    train: bool = False,
    mask: Any = None,
    after: Callable[[Any], dict[str, Any]] = lambda state: {},
) -> Work:
    """A forward pass with the case's arrays as parameters, which must have the shapes that the layer itself draws.

    `back` takes y to output `name`; `after` takes the new state to more outputs.
    """
    shape, drawn, start = layer.init(random.key(0), tree.map(lambda a: a.shape[1:], x))
    params, state = given(layer, params, drawn), given(layer, state, start)

    def fn(params: Any, state: Any, x: Any, mask: Any) -> Any:
        return layer.forward(params, state, x, Context(train, mask=mask))[:2]

    def outputs(found: Any) -> dict[str, Any]:
        y, new = found
        batch = tree.leaves(x)[0].shape[0]
        assert y.shape == (batch, *shape), f"{layer} claims {shape}"
        return {name: back(y), **after(new)}

    return Work(fn, (params, state, x, mask), outputs)


def given(layer: Layer, values: Any, own: Any) -> Any:
    """What the case gives, in the shapes that the layer draws; nothing where it draws nothing."""
    values = own if values is None and not tree.flatten(own) else values
    assert shapes(values) == shapes(own), f"{layer}: {shapes(values)} given, {shapes(own)} expected"
    return values


def shapes(values: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each leaf by its path."""
    return {path: tuple(leaf.shape) for path, leaf in tree.flatten(values).items()}


def run(case: Case, engine: str = "numpy") -> dict[str, Any]:
    """Of the outputs that `case` lists, those that Backlit computes."""
    home = bl.engine.get(engine)
    work = ADAPTERS[case.op](case)
    found = home.compile(work.fn)(*tree.map(home.asarray, work.args))
    return {name: y for name, y in work.back(tree.map(np.asarray, found)).items() if name in case.outputs}


def error(case: Case, found: dict[str, Any]) -> float:
    """The largest difference from what is expected, in units of TOLERANCE times the largest expected number."""
    assert found, "nothing to compare"
    worst = 0.0
    for name, y in found.items():
        wanted = case.outputs[name]
        assert y.shape == wanted.shape, f"{name}: {y.shape} found, {wanted.shape} expected"
        kind, wanted = str(wanted.dtype), wanted.astype(np.float64)
        with np.errstate(invalid="ignore"):
            same = (y == wanted) | (np.isnan(y) & np.isnan(wanted))  # also where the difference of both is NaN
            difference = np.nan_to_num(np.where(same, 0.0, np.abs(y - wanted)), nan=np.inf)
        scale = max(1.0, np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)))
        allowed = PRINTED.get(case.name, TOLERANCE.get(kind, 0.0) * scale)  # whole numbers: none
        worst = max(worst, float(np.max(difference, initial=0.0)) / max(allowed, 1e-30))
    return worst
