"""A net with other initialisers: with nothing drawn, where only shapes are wanted; with the words of the data."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from backlit.initializers import Initializer, Zeros
from backlit.protocol import Layer
from backlit.word_vectors import WordVectors


def blank(net: Layer) -> Layer:
    """The same net with nothing drawn at its start: only the shapes of its parameters are wanted."""
    return changed(net, lambda _: Zeros())


def worded(net: Layer, vocabulary: tuple[str, ...]) -> Layer:
    """The same net with the vocabulary of the data where WordVectors leave it open (`vocabulary: []`)."""

    def filled(start: Initializer) -> Initializer:
        empty = isinstance(start, WordVectors) and not start.vocabulary
        return replace(start, vocabulary=vocabulary) if empty else start  # type: ignore[call-arg]

    return changed(net, filled) if vocabulary else net


def changed(layer: Layer, change: Callable[[Initializer], Initializer]) -> Layer:
    """`layer`, and all layers within it, with `change` of each initialiser."""

    def swap(value: Any) -> Any:
        if isinstance(value, Initializer):
            return change(value)
        if isinstance(value, Layer):
            return changed(value, change)
        return tuple(map(swap, value)) if type(value) is tuple else value

    values = {f.name: getattr(layer, f.name) for f in fields(layer) if f.init}
    new = {name: swap(value) for name, value in values.items()}
    return replace(layer, **new) if any(new[name] is not value for name, value in values.items()) else layer
