"""Weight normalisation: the length of each unit's weights apart from their direction."""

from dataclasses import dataclass

from backlit.layers.wrapper import Wrapper
from backlit.protocol import Array, Layer, Tree


@dataclass(frozen=True)
class WeightNorm(Wrapper):
    """The layer with W = g v / ||v||, one length g for each column of v: the weights of one unit (the last axis).

    With e = v / ||v|| and dW = dL/dW of the layer, sums over all axes but the last:
        dL/dg = sum e dW,   dL/dv = g / ||v|| (dW - e dL/dg):   what is left of dW at right angles to v
    so a step of gradient descent can only make v longer, and a long v turns slowly.

    `layer` is any with parameters `names`, such as Dense, Conv, or with names=("W", "U") an LSTM. In their place stand
    {"v": ..., "g": ...}; the layer's others stay. v starts as W and g as its length, so the net starts as without.
    Shapes: v as W (..., O), g (O,).
    Errors: SettingError when the layer has no such parameter, as one that holds layers: wrap those within it.
    Source: Salimans, Kingma 2016, https://arxiv.org/abs/1602.07868, without its start from the data
    Others: torch has one g for each index of the first axis, which is the unit there.

    >>> import backlit as bl
    >>> layer = bl.WeightNorm(bl.Dense(3))
    >>> shape, params, _ = layer.init(bl.random.key(0), (2,))
    >>> {path: a.shape for path, a in bl.tree.flatten(params).items()}
    {'layer.W.g': (3,), 'layer.W.v': (2, 3), 'layer.b': (3,)}
    """

    layer: Layer
    names: tuple[str, ...] = ("W",)

    def stored(self, params: Tree) -> Tree:
        return {**params, **{name: _apart(params[name]) for name in self.names}}

    def used(self, params: Tree, key: Array | None) -> Tree:
        return {**params, **{name: params[name]["g"] * _direction(params[name]["v"])[0] for name in self.names}}

    def pulled(self, params: Tree, key: Array | None, grads: Tree) -> Tree:
        return {**grads, **{name: _pulled(grads[name], **params[name]) for name in self.names}}


def _apart(W: Array) -> Tree:
    """v and g; a column of zeros has no direction and gets one."""
    xp = W.__array_namespace__()
    g = _length(W)  # (O,)
    return {"v": xp.where(g > 0, W, xp.ones_like(W)), "g": g}


def _pulled(dW: Array, v: Array, g: Array) -> Tree:
    """dL/dv and dL/dg."""
    e, length = _direction(v)
    dg = dW.__array_namespace__().sum(e * dW, axis=tuple(range(dW.ndim - 1)))  # (O,)
    return {"v": g / length * (dW - e * dg), "g": dg}


def _direction(v: Array) -> tuple[Array, Array]:
    """e (..., O) and ||v|| (O,)."""
    length = _length(v)
    return v / length, length


def _length(v: Array) -> Array:
    xp = v.__array_namespace__()
    return xp.sqrt(xp.sum(v * v, axis=tuple(range(v.ndim - 1))))
