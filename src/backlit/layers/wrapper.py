"""Layers that run another one with other weights than those it would have."""

from abc import abstractmethod
from typing import ClassVar

from backlit.errors import SettingError
from backlit.layers.compose import init_child
from backlit.protocol import Array, Context, Layer, Seen, Shape, Tree, need

KEY = ".key"
"""Where the cache keeps the key of a pass that drew. No layer has a dot in its name."""


class Wrapper(Layer):
    """Base: y = layer(x) with used(params) in place of params. Its fields stand in the final classes, in their order."""

    abstract: ClassVar[bool] = True
    layer: Layer
    names: tuple[str, ...]

    @abstractmethod
    def stored(self, params: Tree) -> Tree:
        """What is learned in place of the layer's own parameters."""

    @abstractmethod
    def used(self, params: Tree, key: Array | None) -> Tree:
        """The parameters with which the layer runs."""

    @abstractmethod
    def pulled(self, params: Tree, key: Array | None, grads: Tree) -> Tree:
        """dL/dparams from dL/dused."""

    def draw(self, ctx: Context) -> Array | None:
        """The key of this pass; None when nothing is drawn."""
        return None

    def check(self) -> None:
        if self.layer.children():
            name = type(self).__name__
            text = f"expected a layer with weights of its own, got {type(self.layer).__name__}, which holds layers"
            raise SettingError([("layer", f"{text}; put {name} around those within it")])

    def children(self) -> tuple[tuple[str, Layer], ...]:
        return (("layer", self.layer),)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        out, params, state = init_child("layer", self.layer, key, shape)
        for name in self.names:
            fits = getattr(params.get(name), "ndim", 0) >= 2
            known = ", ".join(params) or "none"
            text = f"{type(self).__name__} expected a layer with weights {name!r}, got {type(self.layer).__name__}"
            need(fits, f"{text} with the parameters: {known}; set names")
        return out, {"layer": self.stored(params)}, {"layer": state}

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        key = self.draw(ctx)
        used = self.used(params["layer"], key)
        y, after, inside = self.layer.forward(used, state["layer"], x, ctx.at("layer"))
        cache = {"layer": Seen(y, inside)}
        return y, {"layer": after}, cache if key is None else {**cache, KEY: key}

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Tree, Tree, Tree]:
        mine, key = params["layer"], cache.get(KEY)
        dx, grads, deltas = self.layer.backward(self.used(mine, key), cache["layer"].inside, dy)
        return dx, {"layer": self.pulled(mine, key, grads)}, {"layer": Seen(dy, deltas)}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return self.layer.memory(self.used(params["layer"], None), rows, length)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        return self.layer.step(self.used(params["layer"], None), state["layer"], memory, x, ctx.at("layer"))
