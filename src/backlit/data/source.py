"""Where data comes from. A source is a few settings; `load` gives the rows."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.frames import is_frame, of_frame
from backlit.data.targets import rows, targets
from backlit.errors import BacklitError, SettingError, received
from backlit.settings import Count, Settings, build


@dataclass(frozen=True)
class Source(Settings):
    """Base of all that data is loaded from. In a file: its name, or a mapping with `type` and the settings."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def load(self) -> Dataset:
        """The rows, checked; DataError with the file, row and column when they cannot be used."""


@dataclass(frozen=True, eq=False)
class Arrays(Source):
    """Arrays, lists or a DataFrame at hand, in Python only: an experiment that is written to a file names a file instead.

    x (N, ...): uint8 stays, all else becomes float32; but with a `vocabulary` (its words, or how many there are) x holds
    places in it, which a layer such as Embedding takes. y: text, truth values and integers are labels, floats are
    numbers to predict. With `classes`, labels are 0..K-1 or the names, one a row or, (N, T), one a time step.
    A pandas DataFrame may hold text, dates and missing cells too: it is then a table, which `cleaning` turns into numbers.
    `mask` (N, T): 1 for a real time step of x (N, T, ...), 0 for what fills a row up.
    Errors: DataError for NaN, infinite numbers, text in x, labels outside 0..K-1, tokens outside the vocabulary, lengths
    that differ.

    >>> from backlit.data import Arrays
    >>> data = Arrays([[0, 1], [2, 3], [4, 5]], ["cat", "dog", "cat"]).load()
    >>> data.x.shape, data.y.tolist(), data.classes
    ((3, 2), [0, 1, 0], ('cat', 'dog'))
    """

    x: Any
    y: Any
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    name: str = "arrays"
    vocabulary: tuple[str, ...] | Count = ()
    mask: Any = None

    def load(self) -> Dataset:
        y, classes = targets(self.y, names=self.classes)
        if is_frame(self.x):
            x, features = of_frame(self.x, self.name)
            return Dataset(x, y, classes, features if isinstance(x, np.ndarray) else (), name=self.name).checked()
        words = names_of(self.vocabulary) if isinstance(self.vocabulary, int) else self.vocabulary
        x = np.asarray(self.x) if words else rows(self.x)
        mask = None if self.mask is None else np.asarray(self.mask)
        return Dataset(x, y, classes, self.features, None, self.name, mask, words).checked()

    def to_plain(self) -> dict[str, Any]:
        text = "arrays in memory cannot be written to a file: save them with numpy.savez('data.npz', x=x, y=y)"
        raise BacklitError(f"{text} and use the source Npz('data.npz')")


def load_dataset(value: Any) -> Dataset:
    """The data set behind a Dataset, a Source, a name, a mapping with `type`, or a pair (x, y) of arrays or lists; also
    what other libraries hand over: Hugging Face, PyTorch, scikit-learn (data/adapters.py).

    >>> from backlit.data import load_dataset
    >>> len(load_dataset("iris")), load_dataset(([[1.0], [2.0]], [0.5, 0.7])).task
    (150, 'regression')
    """
    from backlit.data.adapters import adapted

    if isinstance(value, Dataset):
        return value.checked()
    if not isinstance(value, dict) or "type" not in value:
        found = adapted(value)
        if found is not None:
            return found
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise SettingError([("data", f"expected a pair (x, y), got {len(value)} things")])
        return Arrays(*value).load()
    if not isinstance(value, str | dict | Source):
        hint = "a Dataset, a Source, a name such as 'digits', a mapping with 'type', or a pair (x, y)"
        raise SettingError([("data", f"expected {hint}, got {received(value, 40)}")])
    return build(Source, value).load()  # type: ignore[type-abstract]


def names_of(count: int) -> tuple[str, ...]:
    """Class names '0', '1', ... of labels that have no other."""
    return tuple(str(i) for i in range(count))


def single(array: Any) -> np.ndarray:
    """float32."""
    return np.asarray(array, dtype=np.float32)
