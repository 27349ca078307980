"""Rows that have parts: x is a dict, or a tuple, of arrays, each of which goes its own way.

Columns(widths, ...)   one array becomes a dict of its columns, which the layers within take
Parallel(a=f, b=g)     y = {a: f(x_a), b: g(x_b)}
Select(part, ...)      y = f(x_part), the way of one part
Branch(Select(...), Select(...)) joins several parts in one array.

The mask goes with its part: a mask that is a tree like x is split as x is; any other holds for every part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backlit.engine import tree
from backlit.errors import BacklitError, SettingError, received
from backlit.layers.compose import (
    Composite,
    backward_in_order,
    forward_child,
    forward_in_order,
    init_child,
    init_in_order,
    step_in_order,
)
from backlit.protocol import Array, Context, Seen, Shape, Tree, need
from backlit.settings import Count, checked

WHOLE = ".x"
"""Where a composite's cache keeps x beside what its layers keep. No layer has a dot in its name."""


@dataclass(frozen=True, init=False)
class Parallel(Composite):
    """Each part of x through its own layer: y_i = f_i(x_i), dL/dx_i = f_i.backward(dL/dy_i).

    x is a dict with the layers' names, or a tuple in their order, and y is the same. Chain() keeps a part as it is.
    Errors: ShapeError when parts and layers differ.

    >>> import backlit as bl
    >>> net = bl.Parallel(words=bl.Embedding(size=50, units=4), numbers=bl.Dense(3))
    >>> net.init(bl.random.key(0), {"words": (7,), "numbers": (2,)})[0]
    {'words': (7, 4), 'numbers': (3,)}
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        names, parts = [name for name, _ in self.layers], parts_of(shape)
        fits = sorted(parts) == sorted(names) if isinstance(shape, dict) else 0 < len(parts) == len(names)
        need(fits, f"Parallel expected x with a part for each of its layers {names}, got the shape {received(shape)}")
        shapes = self._named(shape)
        out, params, state = {}, {}, {}
        for name, layer in self.layers:
            out[name], params[name], state[name] = init_child(name, layer, key, shapes[name])
        return self._like(shape, out), params, state

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        parts, contexts = self._named(x), self._contexts(ctx)
        out, after, cache = {}, {}, {}
        for name, layer in self.layers:
            given = (params[name], state[name], parts[name], contexts[name])
            out[name], after[name], inside = forward_child(name, layer, *given)
            cache[name] = Seen(out[name], inside)
        return self._like(x, out), after, cache

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Tree, Tree, Tree]:
        parts = self._named(dy)
        dx, grads, deltas = {}, {}, {}
        for name, layer in self.layers:
            dx[name], grads[name], inside = layer.backward(params[name], cache[name].inside, parts[name])
            deltas[name] = Seen(parts[name], inside)
        return self._like(dy, dx), grads, deltas

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        parts, contexts = self._named(x), self._contexts(ctx)
        out, after = {}, {}
        for name, layer in self.layers:
            out[name], after[name] = layer.step(params[name], state[name], memory[name], parts[name], contexts[name])
        return self._like(x, out), after

    def _named(self, x: Tree) -> dict[str, Any]:
        """The parts of a dict or a tuple by the names of their layers."""
        return x if isinstance(x, dict) else dict(zip((name for name, _ in self.layers), x, strict=True))

    def _like(self, x: Tree, parts: dict[str, Any]) -> Tree:
        """Parts by name as a dict or a tuple, whichever x is."""
        return parts if isinstance(x, dict) else tuple(parts.values())

    def _contexts(self, ctx: Context) -> dict[str, Context]:
        by_place = isinstance(ctx.mask, tuple)
        masks = {name: mask_of(ctx.mask, i if by_place else name) for i, (name, _) in enumerate(self.layers)}
        return {name: replace(ctx.at(name), mask=mask) for name, mask in masks.items()}


@dataclass(frozen=True, init=False)
class Select(Composite):
    """y = f(x[part]): one part of x, by name or place, and its mask, through the layers within, chained.

    dL/dx[part] = f.backward(dL/dy), and 0 for the other parts. Without layers y is the part itself.
    Errors: ShapeError when x has no such part.

    >>> import backlit as bl
    >>> bl.Select("numbers", bl.Dense(3)).init(bl.random.key(0), {"words": (7,), "numbers": (2,)})[0]
    (3,)
    """

    part: str | int = 0

    def __init__(self, part: str | int = 0, *layers: Any, **more: Any) -> None:
        object.__setattr__(self, "part", part)
        super().__init__(*layers, **more)

    def check(self) -> None:
        object.__setattr__(self, "part", setting("part", str | int, self.part))

    def to_plain(self) -> dict[str, Any]:
        return {"part": self.part, **super().to_plain()}

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        parts = parts_of(shape)
        need(self.part in parts, f"Select expected x with the part {self.part!r}, got the shape {received(shape)}")
        return init_in_order(self.layers, key, parts[self.part])

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        y, after, cache = forward_in_order(self.layers, params, state, x[self.part], self._context(ctx))
        return y, after, {**cache, WHOLE: x}

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Tree, Tree, Tree]:
        dx, grads, deltas = backward_in_order(self.layers, params, cache, dy)
        leaf = tree.leaves(dy)[0]
        rest = tree.map(lambda a: a.__array_namespace__().zeros(a.shape, dtype=leaf.dtype), cache[WHOLE])
        whole = {name: dx if name == self.part else part for name, part in parts_of(rest).items()}
        return whole if isinstance(rest, dict) else tuple(whole.values()), grads, deltas

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        return step_in_order(self.layers, params, state, memory, x[self.part], self._context(ctx))

    def _context(self, ctx: Context) -> Context:
        return replace(ctx, mask=mask_of(ctx.mask, self.part))


@dataclass(frozen=True, init=False)
class Columns(Composite):
    """One array (B, sum of widths, ...) as a dict of its columns, which the layers within take, chained.

    Columns({"source": 5, "target": 7}, f) hands f {"source": x[:, :5], "target": x[:, 5:]}: several sequences, or several
    columns of words, travel as one array of tokens. A mask (B, sum of widths) is cut alike, for the layers within only.
    dL/dx: the parts' dL/dx side by side.
    In a file: `widths: [[source, 5], [target, 7]]`.
    Errors: SettingError without widths or layers; ShapeError when the widths do not add up to the length of a row.

    >>> import backlit as bl
    >>> net = bl.Columns({"left": 2, "right": 3}, bl.Select("right"))
    >>> net.init(bl.random.key(0), (5,))[0]
    (3,)
    """

    widths: tuple[tuple[str, Count], ...] = ()

    def __init__(self, widths: Any = (), *layers: Any, **more: Any) -> None:
        object.__setattr__(self, "widths", tuple(widths.items()) if isinstance(widths, Mapping) else widths)
        super().__init__(*layers, **more)

    def check(self) -> None:
        widths = setting("widths", tuple[tuple[str, Count], ...], self.widths)
        object.__setattr__(self, "widths", widths)
        if not widths or len(dict(widths)) < len(widths):
            text = f"expected widths with different names, as in {{'source': 5, 'target': 7}}, got {received(widths)}"
            raise SettingError([("widths", text)])
        if not self.layers:
            text = "expected layers within Columns that take the parts, got none; write Columns(widths, Select('name'))"
            raise SettingError([("layers", text)])

    def to_plain(self) -> dict[str, Any]:
        return {"widths": [list(pair) for pair in self.widths], **super().to_plain()}

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        total = sum(width for _, width in self.widths)
        fits = isinstance(shape, tuple) and shape[:1] == (total,)
        need(fits, f"Columns with {dict(self.widths)} expected rows of {total}, got the shape {received(shape)}")
        return init_in_order(self.layers, key, {name: (width, *shape[1:]) for name, width in self.widths})

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Tree, Tree, Tree]:
        ctx = replace(ctx, mask=self._cut(ctx.mask) if ctx.mask is not None and ctx.mask.ndim > 1 else ctx.mask)
        return forward_in_order(self.layers, params, state, self._cut(x), ctx)

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Array, Tree, Tree]:
        dx, grads, deltas = backward_in_order(self.layers, params, cache, dy)
        parts = [dx[name] for name, _ in self.widths]
        return parts[0].__array_namespace__().concat(parts, axis=1), grads, deltas

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError("Columns cuts the whole sequence, so it cannot go step by step")

    def _cut(self, x: Array) -> dict[str, Array]:
        """{name: (B, width, ...)}."""
        parts, start = {}, 0
        for name, width in self.widths:
            parts[name], start = x[:, start : start + width, ...], start + width
        return parts


def parts_of(shape: Shape) -> dict[Any, Any]:
    """The parts of a tree by name or place, also those of a tree of shapes; {} for the shape of one array."""
    if isinstance(shape, dict):
        return shape
    return {} if all(isinstance(n, int) for n in shape) else dict(enumerate(shape))


def mask_of(mask: Tree, part: Any) -> Tree:
    """The mask of a part: its own where the mask is a tree, else the one of all parts."""
    if isinstance(mask, dict):
        return mask.get(part)
    return mask[part] if isinstance(mask, tuple) else mask


def setting(name: str, hint: Any, value: Any) -> Any:
    """`value` as `hint` wants it; SettingError names the field."""
    try:
        return checked(hint, value)
    except SettingError as error:
        raise error.under(name) from None
