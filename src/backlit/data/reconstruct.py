"""Rows that are their own targets."""

from dataclasses import dataclass, replace
from typing import ClassVar

from backlit.data.dataset import Dataset
from backlit.data.source import Source
from backlit.errors import DataError


@dataclass(frozen=True)
class Reconstruct(Source):
    """The rows of another source as x and as y: for an autoencoder, which learns to give back what it sees.

    y is x as the source has it, so what `preprocessing` does to x stands once more in `target_preprocessing`; it takes the
    shape of the net's output, (28, 28, 1) or (784,), by itself. Augmentation changes x alone: with `Noise` the net learns
    to take the noise away. The loss is one for numbers, such as SquaredError, or MultiLabelCrossEntropy for 0..1.
    Errors: DataError for a source of tokens.
    Source: Hinton, Salakhutdinov 2006, https://doi.org/10.1126/science.1127647

    >>> from backlit.data import Reconstruct
    >>> data = Reconstruct("digits").load()
    >>> data.y.shape, data.classes, bool((data.x == data.y).all())
    ((1797, 64), (), True)
    """

    aliases: ClassVar[tuple[str, ...]] = ("reconstruct",)
    source: Source

    def load(self) -> Dataset:
        data = self.source.load()
        if data.vocabulary:
            text = "expected rows of numbers, got tokens, which have no value to come near to"
            raise DataError(f"{data.name}: {text}; a sequence of tokens is predicted as classes")
        return _own_targets(data).checked()


def _own_targets(data: Dataset) -> Dataset:
    validation, test = (None if part is None else _own_targets(part) for part in (data.validation, data.test))
    return replace(data, y=data.x, classes=(), validation=validation, test=test)
