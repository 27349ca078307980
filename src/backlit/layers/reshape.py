"""Layers that move numbers without changing them; backward moves them back. Of the cache, only its shape is used."""

import math
from dataclasses import dataclass
from typing import ClassVar

from backlit.errors import BacklitError
from backlit.layers.activation import Activation
from backlit.protocol import Array, Context, Shape, Tree, need


@dataclass(frozen=True)
class Rearranging(Activation):
    """Base of the layers after which the steps of a sequence are others than before."""

    abstract: ClassVar[bool] = True

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError(f"{type(self).__name__} needs the whole sequence, so it cannot go step by step")


@dataclass(frozen=True)
class Flatten(Rearranging):
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
class Reshape(Rearranging):
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


@dataclass(frozen=True)
class Transpose(Rearranging):
    """The axes of a row in another order, counted as in x, where 0 is the batch: Transpose((2, 1)) is (B, T, D) -> (B, D, T).

    dL/dx is dL/dy with the axes put back.
    Errors: ShapeError unless `order` holds each of the axes 1, 2, ... of x once.

    >>> import backlit as bl
    >>> bl.Transpose((3, 1, 2)).init(bl.random.key(0), (4, 5, 6))[0]
    (6, 4, 5)
    """

    order: tuple[int, ...] = (2, 1)

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        fits = sorted(self.order) == list(range(1, len(shape) + 1))
        need(fits, f"Transpose expected rows with the axes {tuple(sorted(self.order))}, got rows of shape {shape}")
        return tuple(shape[axis - 1] for axis in self.order), {}, {}

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return x.__array_namespace__().permute_dims(x, (0, *self.order)), state, {}

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        back = [self.order.index(axis) + 1 for axis in sorted(self.order)]
        return dy.__array_namespace__().permute_dims(dy, (0, *back)), {}, {}

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return {} if self.order[0] == 1 else super().memory(params, rows, length)
