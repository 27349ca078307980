"""Several views of a row to be judged, and one answer from what the net says of all of them: pure functions of a batch.

apply(x (B, ...))      -> (B V, ...)    the V views of a row follow each other
averaged(task, y (B V, ...)) -> (B, ...)      outputs of the same kind as the net's, so a loss and all metrics take them
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from backlit.engine import random, tree
from backlit.errors import ShapeError
from backlit.protocol import Array, Layer, Shape, Tree
from backlit.settings import Count, Settings


@dataclass(frozen=True)
class Views(Settings):
    """Base of all ways to look at an image more than once, or at a part of it."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def of(self, x: Array) -> tuple[Array, ...]:
        """The views of images x (B, height, width, channels), each (B, h, w, channels)."""

    def apply(self, x: Array) -> Array:
        """(B V, h, w, channels): the views of row b stand at b V .. b V + V - 1."""
        name = type(self).__name__
        if x.ndim != 4:
            text = f"expected images, rows of shape (height, width, channels), got rows of shape {tuple(x.shape[1:])}"
            raise ShapeError(f"{name}: {text}; predict without views")
        xp, found = x.__array_namespace__(), self.of(x)
        return xp.reshape(xp.stack(found, axis=1), (-1, *found[0].shape[1:]))

    def averaged(self, task: str, y: Array, rows: int) -> Array:
        """One answer for each of `rows` rows from the outputs y (rows V, ...) for all views, as an output of the same kind:
        the logits of the mean probability, or the mean of values.

        Where the classes share a probability of 1 (task "classification") these logits are ln(mean p), else ln(p / (1 - p)).
        Others: Caffe and torchvision's ten crops average the scores before the softmax as often as after it.
        """
        xp = y.__array_namespace__()
        y = xp.reshape(y, (rows, -1, *y.shape[1:]))  # (rows, V, ...)
        if task == "classification":
            return _mean_exp(y - _log_sum(y, -1), 1)
        if task in ("binary", "multilabel"):
            # ln p = -ln(1 + exp(-y)) and ln(1 - p) = -ln(1 + exp(y)); the logit is the difference of their means' logarithms.
            zero = xp.zeros_like(y)
            return _mean_exp(-xp.logaddexp(zero, -y), 1) - _mean_exp(-xp.logaddexp(zero, y), 1)
        return xp.mean(y, axis=1)


@dataclass(frozen=True)
class FlipAverage(Views):
    """The image and its mirror image, left and right.

    >>> import numpy as np
    >>> from backlit.data.views import FlipAverage
    >>> FlipAverage().apply(np.arange(3.0).reshape(1, 1, 3, 1)).reshape(2, 3).tolist()
    [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    """

    def of(self, x: Array) -> tuple[Array, ...]:
        return x, _mirrored(x)


@dataclass(frozen=True)
class Crops(Views):
    """Base of those that look at squares of `size` x `size` pixels; the net must take them (`check_views`)."""

    abstract: ClassVar[bool] = True
    size: Count

    def part(self, x: Array, down: float, right: float) -> Array:
        """The square with so large a share of the free rows above it and of the free columns to its left."""
        height, width = x.shape[1:3]
        if self.size > min(height, width):
            text = f"expected images of at least {self.size} x {self.size} pixels, got {height} x {width}"
            raise ShapeError(f"{type(self).__name__}: {text}; use a smaller size")
        top, left = (int(share * (side - self.size)) for share, side in ((down, height), (right, width)))
        return x[:, top : top + self.size, left : left + self.size, :]


@dataclass(frozen=True)
class CentreCrop(Crops):
    """The square in the middle: what a net that was trained on crops is usually tested on. Also: CenterCrop.

    >>> import numpy as np
    >>> from backlit.data.views import CentreCrop
    >>> CentreCrop(2).apply(np.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
    [5.0, 6.0, 9.0, 10.0]
    """

    aliases: ClassVar[tuple[str, ...]] = ("CenterCrop",)

    def of(self, x: Array) -> tuple[Array, ...]:
        return (self.part(x, 0.5, 0.5),)


@dataclass(frozen=True)
class FiveCrop(Crops):
    """The squares at the four corners and in the middle.

    >>> import numpy as np
    >>> from backlit.data.views import FiveCrop
    >>> FiveCrop(1).apply(np.arange(9.0).reshape(1, 3, 3, 1)).ravel().tolist()
    [0.0, 2.0, 6.0, 8.0, 4.0]
    """

    def of(self, x: Array) -> tuple[Array, ...]:
        return tuple(self.part(x, *place) for place in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)))


@dataclass(frozen=True)
class TenCrop(Crops):
    """The five squares of FiveCrop and their mirror images.

    Source: Krizhevsky, Sutskever, Hinton 2012, https://doi.org/10.1145/3065386, section 4.1.

    >>> import numpy as np
    >>> from backlit.data.views import TenCrop
    >>> TenCrop(2).apply(np.zeros((3, 4, 4, 1), "f")).shape
    (30, 2, 2, 1)
    """

    def of(self, x: Array) -> tuple[Array, ...]:
        five = FiveCrop(self.size).of(x)
        return (*five, *map(_mirrored, five))


def check_views(views: Views, net: Layer, params: Tree, row: Shape) -> None:
    """ShapeError unless the net, with these parameters, takes views of images of the shape `row`.

    It does where its parameters do not depend on the size of an image: convolutions, and a pooling over all of it.

    >>> import backlit as bl
    >>> from backlit.data.views import CentreCrop, check_views
    >>> net = bl.Chain(bl.Conv(2, 3), bl.GlobalAveragePool(), bl.Dense(2))
    >>> _, params, _ = net.init(bl.random.key(0), (6, 6, 1))
    >>> check_views(CentreCrop(4), net, params, (6, 6, 1))
    """
    import numpy as np

    given = tuple(views.apply(np.zeros((1, *row), np.float32)).shape[1:])
    try:
        _, other, _ = net.init(random.key(0), given)
        wrong = [path for path, a in tree.flatten(other).items() if a.shape != tree.flatten(params)[path].shape]
        reason = f"{wrong[0]} belongs to rows of {tuple(row)}" if wrong else ""
    except ShapeError as error:
        reason = str(error)
    if reason:
        text = f"expected a net that takes rows of shape {given} as well, but {reason}"
        raise ShapeError(
            f"{type(views).__name__}: {text}; pool over the whole image (GlobalAveragePool) before the first Dense layer, "
            "or use FlipAverage, which changes no shape"
        )


def _mirrored(x: Array) -> Array:
    return x.__array_namespace__().flip(x, axis=2)


def _log_sum(y: Array, axis: int) -> Array:
    """ln(sum(exp(y))) along an axis, which stays with size 1."""
    xp = y.__array_namespace__()
    most = xp.max(y, axis=axis, keepdims=True)
    return most + xp.log(xp.sum(xp.exp(y - most), axis=axis, keepdims=True))


def _mean_exp(y: Array, axis: int) -> Array:
    """ln(mean(exp(y))) along an axis, which goes."""
    xp = y.__array_namespace__()
    found = _log_sum(y, axis) - xp.log(xp.asarray(y.shape[axis], dtype=y.dtype))
    return xp.squeeze(found, axis=axis)
