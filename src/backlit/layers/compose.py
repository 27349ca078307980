"""Layers made of layers. Each writes `Seen(value, inside)` under its children's names: that is the whole tap.

Chain(f, g)      y = g(f(x))          dx = f.backward(g.backward(dy))
Residual(f)      y = x + f(x)         dx = dy + f.backward(dy)
Branch(f, g)     y = f(x) + g(x), or both side by side;   dx = f.backward(dy_f) + g.backward(dy_g)
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from backlit.engine import random, tree
from backlit.errors import SettingError, ShapeError, received, unknown
from backlit.layers.join import Join, check_join, joined, joined_shape, parts_of_delta
from backlit.protocol import Array, Context, Layer, Seen, Shape, Tree, need
from backlit.settings import build, lookup, plain

Named: TypeAlias = tuple[tuple[str, Layer], ...]
"""Layers with their names, in the order of the forward pass."""


@dataclass(frozen=True, init=False)
class Composite(Layer):
    """Base of layers that hold named layers. Unnamed ones are called by kind and number: dense_1, relu_1, dense_2."""

    abstract: ClassVar[bool] = True
    layers: Named = ()

    def __init__(self, *layers: Any, **more: Any) -> None:
        given = more.pop("layers", None)
        object.__setattr__(self, "layers", (*layers, *(given or ()), *more.items()))
        self.__post_init__()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", named(self.layers))
        self.check()

    def children(self) -> tuple[tuple[str, Layer], ...]:
        return self.layers

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return {name: layer.memory(params[name], rows, length) for name, layer in self.layers}

    def __getitem__(self, name: str) -> Layer:
        """The layer called `name`."""
        found = dict(self.layers)
        if name not in found:
            raise unknown("layer", name, found)
        return found[name]

    @classmethod
    def from_list(cls, value: Any) -> "Composite":
        return cls.from_plain({"layers": value})

    def to_plain(self) -> dict[str, Any]:
        automatic = [name for name, _ in named([layer for _, layer in self.layers])]
        items = []
        for (name, layer), usual in zip(self.layers, automatic, strict=True):
            items.append(plain(layer) if name == usual else {"name": name, **plain(layer)})
        return {"layers": items}


def named(items: Any) -> tuple[tuple[str, Layer], ...]:
    """(name, layer) pairs from layers, pairs, or plain data with an optional `name`; names must be unique."""
    pairs: list[tuple[str, Layer]] = []
    problems: list[tuple[str, str]] = []
    count: Counter[str] = Counter()
    for i, item in enumerate(items):
        name = ""
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            name, item = item
        elif isinstance(item, dict) and "name" in item:
            item = dict(item)
            name = item.pop("name")
        if not isinstance(name, str):
            problems.append((f"layers.{i}.name", f"expected text, got {received(name)}"))
            continue
        cls = _class(item)
        if cls is not None:
            kind = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
            count[kind] += 1
            name = name or f"{kind}_{count[kind]}"
        try:
            pairs.append((name, build(Layer, item)))  # type: ignore[type-abstract]
        except SettingError as error:
            problems += error.under(name or f"layers.{i}").problems
    names = Counter(name for name, _ in pairs)
    problems += [("layers", f"expected unique names, got {received(n)} twice") for n, c in names.items() if c > 1]
    problems += [("layers", f"a name holds no dot, got {received(n)}") for n in names if "." in n]
    if problems:
        raise SettingError(problems)
    return tuple(pairs)


def _class(item: Any) -> type[Layer] | None:
    """The class of a layer, or of plain data that names one that exists; a list is a Chain."""
    if isinstance(item, Layer):
        return type(item)
    if isinstance(item, list):
        return Chain
    name = item.get("type") if isinstance(item, dict) else item
    try:
        return lookup(Layer, name) if isinstance(name, str) else None  # type: ignore[type-abstract]
    except SettingError:
        return None


def init_child(name: str, layer: Layer, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
    """`layer.init` with the key folded by the child's name; a shape that does not fit is told with the child's path."""
    try:
        return layer.init(random.fold(key, name), shape)
    except ShapeError as error:
        raise error.under(name) from None


def forward_child(name: str, layer: Layer, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
    """`layer.forward` with the child's context; what does not fit (a mask, a batch) is told with the child's path."""
    try:
        return layer.forward(params, state, x, ctx)
    except ShapeError as error:
        raise error.under(name) from None


def init_in_order(layers: Named, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
    """Each layer starts on the shape that the one before it leaves."""
    params, state = {}, {}
    for name, layer in layers:
        shape, params[name], state[name] = init_child(name, layer, key, shape)
    return shape, params, state


def forward_in_order(layers: Named, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
    """f_n(... f_1(x)); the cache holds every output on the way."""
    after, cache = {}, {}
    for name, layer in layers:
        x, after[name], inside = forward_child(name, layer, params[name], state[name], x, ctx.at(name))
        cache[name] = Seen(x, inside)
    return x, after, cache


def backward_in_order(layers: Named, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
    """From the last layer to the first: the dx of one is the dy of the one before it."""
    grads, deltas = {}, {}
    for name, layer in reversed(layers):
        dx, grads[name], inside = layer.backward(params[name], cache[name].inside, dy)
        deltas[name] = Seen(dy, inside)
        dy = dx
    return dy, grads, deltas


def step_in_order(layers: Named, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
    """As `forward_in_order`, for one time step."""
    after = {}
    for name, layer in layers:
        x, after[name] = layer.step(params[name], state[name], memory[name], x, ctx.at(name))
    return x, after


@dataclass(frozen=True, init=False)
class Chain(Composite):
    """y = f_n(... f_2(f_1(x))): layers one after another. Shapes: those of the first input and the last output.

    >>> import backlit as bl
    >>> net = bl.Chain(bl.Dense(4), bl.ReLU(), out=bl.Dense(2))
    >>> [name for name, _ in net.layers]
    ['dense_1', 'relu_1', 'out']
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return init_in_order(self.layers, key, shape)

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return forward_in_order(self.layers, params, state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        return backward_in_order(self.layers, params, cache, dy)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        return step_in_order(self.layers, params, state, memory, x, ctx)


@dataclass(frozen=True, init=False)
class Residual(Composite):
    """y = x + f(x), so dx = dy + f.backward(dy): the identity carries the error signal past f undamped.

    Several layers are chained. f must keep the shape. Source: He et al. 2015, https://arxiv.org/abs/1512.03385

    >>> import backlit as bl
    >>> bl.Residual(bl.Dense(3), bl.Tanh()).init(bl.random.key(0), (3,))[0]
    (3,)
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        out, params, state = init_in_order(self.layers, key, shape)
        need(out == shape, f"Residual adds its input, expected layers that keep the shape {shape}, got {out}")
        return shape, params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        y, state, cache = forward_in_order(self.layers, params, state, x, ctx)
        return x + y, state, cache

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        dx, grads, deltas = backward_in_order(self.layers, params, cache, dy)
        return dy + dx, grads, deltas

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        y, memory = step_in_order(self.layers, params, state, memory, x, ctx)
        return x + y, memory


@dataclass(frozen=True, init=False)
class Branch(Composite):
    """The same input through several layers; the outputs are added, or concatenated along the last axis.

    y = sum_i f_i(x), dx = sum_i f_i.backward(dy); when concatenated, each f_i gets its slice of dy.

    >>> import backlit as bl
    >>> bl.Branch(bl.Dense(3), bl.Dense(5), join="concatenate").init(bl.random.key(0), (2,))[0]
    (8,)
    """

    join: Join = "add"

    def __init__(self, *layers: Any, join: Join = "add", **more: Any) -> None:
        object.__setattr__(self, "join", join)
        super().__init__(*layers, **more)

    def check(self) -> None:
        check_join(self.join)

    def to_plain(self) -> dict[str, Any]:
        return {**super().to_plain(), **({"join": self.join} if self.join != "add" else {})}

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(bool(self.layers), "Branch expected at least one layer, got none")
        params, state, shapes = {}, {}, []
        for name, layer in self.layers:
            out, params[name], state[name] = init_child(name, layer, key, shape)
            shapes.append(out)
        return joined_shape(self.join, shapes, "Branch"), params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        after, cache = {}, {}
        for name, layer in self.layers:
            y, after[name], inside = forward_child(name, layer, params[name], state[name], x, ctx.at(name))
            cache[name] = Seen(y, inside)
        return joined(self.join, [cache[name].here for name, _ in self.layers]), after, cache

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        outputs, after = [], {}
        for name, layer in self.layers:
            y, after[name] = layer.step(params[name], state[name], memory[name], x, ctx.at(name))
            outputs.append(y)
        return joined(self.join, outputs), after

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        grads, deltas, dxs = {}, {}, []
        parts = parts_of_delta(self.join, dy, [cache[name].here for name, _ in self.layers])
        for (name, layer), part in zip(self.layers, parts, strict=True):
            dx, grads[name], inside = layer.backward(params[name], cache[name].inside, part)
            deltas[name] = Seen(part, inside)
            dxs.append(dx)
        return tree.map(lambda first, *rest: sum(rest, first), *dxs), grads, deltas
