"""What a net costs, layer by layer: parameters, output shape, operations, memory. Nothing is computed to find out.

    flops    floating-point operations of the forward pass, a row; how they are counted: `backlit.engine.operations`
    memory   bytes a row that the layer keeps for backward, each array counted at the first layer that keeps it

The backward pass costs about twice the forward pass: one matrix product for dL/dW, one for dL/dx.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backlit.engine import random, tree
from backlit.errors import join
from backlit.protocol import Array, Context, Layer, Shape, Tree

ROWS = (2, 3)
"""A row's share is the difference between these two batches: what a batch costs only once falls out."""


@dataclass(frozen=True)
class LayerCost:
    """One line of the table; a layer that holds layers (`inside`) counts what is within it."""

    path: str
    kind: str
    shape: Shape
    parameters: int
    flops: int
    memory: int
    depth: int
    inside: bool


@dataclass(frozen=True)
class Costs:
    """The layers in the order of the forward pass, and what the whole net costs."""

    layers: tuple[LayerCost, ...]
    input: Shape
    output: Shape
    parameters: int
    flops: int
    memory: int

    def __getitem__(self, path: str) -> LayerCost:
        """The layer at `path`."""
        return {layer.path: layer for layer in self.layers}[path]


def costs(net: Layer, shape: Shape, dtype: Any = np.float32) -> Costs:
    """What `net` costs on rows of `shape`.

    Errors: ShapeError, with the layer's path, when the shape does not fit.

    >>> import backlit as bl
    >>> from backlit.evaluation.cost import costs
    >>> found = costs(bl.Chain(bl.Dense(64), bl.ReLU(), bl.Dense(10)), (784,))
    >>> found.parameters, found["dense_1"].flops  # 784 * 64 + 64 + 64 * 10 + 10, 2 * 784 * 64 + 64
    (50890, 100416)
    """
    from backlit.engine import operations

    output, params, state = net.init(random.key(0), shape)
    params, state = operations.like(params), operations.like(state)
    seen = [_watched(net, params, state, shape, dtype, rows) for rows in ROWS]
    kept = [_kept(calls) for calls in seen]
    lines: dict[str, LayerCost] = {}
    for path, layer, depth in _walk(net, "", 0):
        few, many = ([c for c in calls if c.path == path] for calls in seen)
        if not few:
            continue
        count = sum(b.flops() - a.flops() for a, b in zip(few, many, strict=True))
        own = [p for p in kept[0] if p == path or not path or p.startswith(f"{path}.")]
        memory = sum(kept[1][p] - kept[0][p] for p in own)
        out = tuple(few[-1].y.shape[1:]) if hasattr(few[-1].y, "shape") else ()
        size = tree.size(few[-1].params)
        lines[path] = LayerCost(path, type(layer).__name__, out, size, count, memory, depth - 1, bool(layer.children()))
    whole = lines.pop("")
    return Costs(
        tuple(lines.values()) or (dataclasses.replace(whole, depth=0),),
        shape, output, whole.parameters, whole.flops, whole.memory,
    )  # fmt: skip


@dataclass(frozen=True)
class _Call:
    """One call of a layer while the net is traced; `cache` and `y` are the traced arrays themselves."""

    path: str
    layer: Layer
    params: Tree
    state: Tree
    x: Tree
    y: Tree
    cache: Tree

    def flops(self) -> int:
        from backlit.engine import operations

        given = map(operations.like, (self.params, self.state, self.x))
        return operations.flops(lambda p, s, x: self.layer.forward(p, s, x, Context())[0], *given)

    def needed(self) -> set[int]:
        """Which arrays of the cache the gradient reads, by identity (of some it only wants the shape)."""
        from backlit.engine import operations

        parts = [operations.like(part) for part in (self.params, self.cache, self.y)]
        used = operations.read(lambda p, c, dy: self.layer.backward(p, c, dy)[1], *parts)
        arrays = tree.leaves(self.cache)
        start = len(tree.leaves(self.params))
        return {id(a) for a, is_read in zip(arrays, used[start : start + len(arrays)], strict=True) if is_read}


@dataclass(frozen=True)
class _Watch(Layer):
    """A layer that notes what goes through it."""

    abstract: ClassVar[bool] = True
    path: str = ""
    layer: Any = None
    original: Any = None
    calls: Any = None

    def __post_init__(self) -> None:
        """Not a setting of any experiment: nothing to check."""

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        started: tuple[Shape, Tree, Tree] = self.layer.init(key, shape)
        return started

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        y, after, cache = self.layer.forward(params, state, x, ctx)
        self.calls.append(_Call(self.path, self.original, params, state, x, y, cache))
        return y, after, cache

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        done: tuple[Array, Tree, Tree] = self.layer.backward(params, cache, dy)
        return done


def _watched(net: Layer, params: Tree, state: Tree, shape: Shape, dtype: Any, rows: int) -> list[_Call]:
    """Every call of every layer during one traced forward pass over `rows` rows, inner layers before outer ones."""
    from backlit.engine import operations

    calls: list[_Call] = []
    x = operations.like(np.empty((rows, *shape), dtype))
    ctx = Context(train=True, root=random.key(0))
    # y alone is returned: a cache may hold what no compiled program can return, such as a class.
    operations.result(lambda p, s, x: _watch(net, "", calls).forward(p, s, x, ctx)[0], params, state, x)
    return calls


def _watch(layer: Layer, path: str, calls: list[_Call]) -> Layer:
    """`layer` and all layers within it, watched."""
    inner = {id(child): _watch(child, join(path, name), calls) for name, child in layer.children()}

    def swap(value: Any) -> Any:
        if isinstance(value, Layer):
            return inner.get(id(value), value)
        return tuple(swap(item) for item in value) if type(value) is tuple else value

    changed = layer
    if inner:
        values = {f.name: swap(getattr(layer, f.name)) for f in dataclasses.fields(layer)}
        changed = dataclasses.replace(layer, **values)
    return _Watch(path, changed, layer, calls)


def _kept(calls: list[_Call]) -> dict[str, int]:
    """Bytes that each layer keeps for backward. An array that two layers keep is one array in memory."""
    found: dict[str, int] = {}
    left = calls[-1].needed()
    for call in calls:
        found.setdefault(call.path, 0)
        for array in tree.leaves(call.cache):
            if id(array) in left:
                left.remove(id(array))
                found[call.path] += int(np.prod(array.shape)) * array.dtype.itemsize
    return found


def _walk(layer: Layer, path: str, depth: int) -> list[tuple[str, Layer, int]]:
    below = [row for name, child in layer.children() for row in _walk(child, join(path, name), depth + 1)]
    return [(path, layer, depth), *below]
