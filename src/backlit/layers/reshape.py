"""Layers that move numbers without changing them; backward moves them back. Of the cache, only its shape is used."""

import math
from dataclasses import dataclass

from backlit.layers.activation import Activation
from backlit.protocol import Array, Context, Shape, Tree, need


@dataclass(frozen=True)
class Flatten(Activation):
    """(B, ...) -> (B, product of the rest), row-major.

    >>> import backlit as bl
    >>> bl.Flatten().init(bl.random.key(0), (28, 28, 1))[0]
    (784,)
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return (math.prod(shape),), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x.__array_namespace__().reshape(x, (x.shape[0], math.prod(x.shape[1:]))), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy.__array_namespace__().reshape(dy, cache.shape), {}, {}


@dataclass(frozen=True)
class Reshape(Activation):
    """(B, ...) -> (B, *shape), row-major; one entry may be -1.

    Errors: ShapeError when the number of values differs.

    >>> import backlit as bl
    >>> bl.Reshape((2, -1)).init(bl.random.key(0), (6,))[0]
    (2, 3)
    """

    shape: tuple[int, ...] = (-1,)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        size, known = math.prod(shape), math.prod(n for n in self.shape if n != -1)
        fits = size == known if -1 not in self.shape else self.shape.count(-1) == 1 and known > 0 and size % known == 0
        need(fits, f"Reshape expected rows that fit {self.shape}, got rows of shape {shape} with {size} values")
        return tuple(n if n != -1 else size // known for n in self.shape), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        size, known = math.prod(x.shape[1:]), math.prod(n for n in self.shape if n != -1)
        shape = [n if n != -1 else size // known for n in self.shape]
        return x.__array_namespace__().reshape(x, (x.shape[0], *shape)), state, x

    def backward(self, params: Tree, cache: Array, dy: Array) -> tuple[Array, Tree, Tree]:
        return dy.__array_namespace__().reshape(dy, cache.shape), {}, {}
