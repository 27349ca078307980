"""A layer that is short for several others."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from backlit.layers.compose import Named, backward_in_order, forward_in_order, init_in_order, step_in_order
from backlit.protocol import Array, Context, Layer, Shape, Tree


@dataclass(frozen=True)
class Block(Layer):
    """Base of layers whose settings unfold into a chain of others."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def unfold(self) -> Named:
        """The layers, in the order of the forward pass."""

    @cached_property
    def layers(self) -> Named:
        """The layers within, built once."""
        return self.unfold()

    def check(self) -> None:
        _ = self.layers

    def children(self) -> Named:
        return self.layers

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return init_in_order(self.layers, key, shape)

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        return forward_in_order(self.layers, params, state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Tree) -> tuple[Tree, Tree, Tree]:
        return backward_in_order(self.layers, params, cache, dy)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return {name: layer.memory(params[name], rows, length) for name, layer in self.layers}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        return step_in_order(self.layers, params, state, memory, x, ctx)
