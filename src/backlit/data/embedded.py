"""Small data sets that need no file and no network: those that come with scikit-learn, and a noisy curve."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.libraries import library
from backlit.data.source import Source, names_of, single
from backlit.engine import random
from backlit.settings import Count, NonNegative


@dataclass(frozen=True)
class Digits(Source):
    """1797 handwritten digits of 8 x 8 pixels, 0..16: x (1797, 64), or (1797, 8, 8, 1) with `image`; 10 classes.

    Source: Alpaydin, Kaynak 1998, https://doi.org/10.24432/C50P49 (the test part of it).

    >>> from backlit.data import Digits
    >>> data = Digits(image=True).load()
    >>> data.x.shape, float(data.x.max()), data.y[:4].tolist()
    ((1797, 8, 8, 1), 16.0, [0, 1, 2, 3])
    """

    aliases: ClassVar[tuple[str, ...]] = ("digits",)
    image: bool = False

    def load(self) -> Dataset:
        found = _bundled("digits")
        x = single(found.data).reshape((-1, 8, 8, 1) if self.image else (-1, 64))
        y = found.target.astype(np.int32)
        return Dataset(x, y, names_of(10), tuple(found.feature_names), name="digits").checked()


@dataclass(frozen=True)
class Iris(Source):
    """150 flowers, 4 lengths in cm, 3 species. Source: Fisher 1936, https://doi.org/10.24432/C56C76

    >>> from backlit.data import Iris
    >>> Iris().load().classes
    ('setosa', 'versicolor', 'virginica')
    """

    aliases: ClassVar[tuple[str, ...]] = ("iris",)

    def load(self) -> Dataset:
        return _classes("iris")


@dataclass(frozen=True)
class Wine(Source):
    """178 wines, 13 chemical measurements, 3 growers. Source: Aeberhard, Forina 1992, https://doi.org/10.24432/C5PC7J

    >>> from backlit.data import Wine
    >>> Wine().load().x.shape
    (178, 13)
    """

    aliases: ClassVar[tuple[str, ...]] = ("wine",)

    def load(self) -> Dataset:
        return _classes("wine")


@dataclass(frozen=True)
class BreastCancer(Source):
    """569 tumours, 30 measurements, malignant (0) or benign (1). Source: https://doi.org/10.24432/C5DW2B

    >>> from backlit.data import BreastCancer
    >>> BreastCancer().load().classes
    ('malignant', 'benign')
    """

    aliases: ClassVar[tuple[str, ...]] = ("breast-cancer",)

    def load(self) -> Dataset:
        return _classes("breast_cancer")


@dataclass(frozen=True)
class Diabetes(Source):
    """442 patients, 10 measurements (centred, each column of length 1), progress of the disease in a year, 25..346.

    Source: Efron, Hastie, Johnstone, Tibshirani 2004, https://doi.org/10.1214/009053604000000067

    >>> from backlit.data import Diabetes
    >>> data = Diabetes().load()
    >>> data.task, data.x.shape, data.y[:2].tolist()
    ('regression', (442, 10), [151.0, 75.0])
    """

    aliases: ClassVar[tuple[str, ...]] = ("diabetes",)

    def load(self) -> Dataset:
        found = _bundled("diabetes")
        names = tuple(found.feature_names)
        return Dataset(single(found.data), single(found.target), (), names, name="diabetes").checked()


@dataclass(frozen=True)
class Polynomial(Source):
    """y = 4 x^3 - 3 x + noise e,  x uniform in [-1, 1], e standard normal: one wave within -1..1, drawn from `seed`.

    x (n, 1); with `powers`, (n, degree): the columns x, x^2, ... x^degree, on which a linear model fits a polynomial.

    >>> from backlit.data import Polynomial
    >>> data = Polynomial(n=20, degree=3, noise=0.0, powers=True).load()
    >>> data.features, float(abs(data.y - (4 * data.x[:, 2] - 3 * data.x[:, 0])).max()) < 1e-6
    (('x', 'x^2', 'x^3'), True)
    """

    aliases: ClassVar[tuple[str, ...]] = ("polynomial",)
    n: Count = 200
    degree: Count = 3
    noise: NonNegative = 0.1
    seed: int = 0
    powers: bool = False

    def load(self) -> Dataset:
        key = random.key(self.seed)
        x = random.uniform(random.fold(key, "x"), (self.n,), -1.0, 1.0).astype(np.float64)
        y = 4 * x**3 - 3 * x + self.noise * random.normal(random.fold(key, "noise"), (self.n,))
        exponents = range(1, self.degree + 1 if self.powers else 2)
        columns = np.stack([x**k for k in exponents], axis=1)  # (n, degree) or (n, 1)
        names = tuple("x" if k == 1 else f"x^{k}" for k in exponents)
        return Dataset(single(columns), single(y), (), names, name="polynomial").checked()


def _classes(name: str) -> Dataset:
    found = _bundled(name)
    classes, features = (tuple(map(str, names)) for names in (found.target_names, found.feature_names))
    y = found.target.astype(np.int32)
    return Dataset(single(found.data), y, classes, features, name=name.replace("_", "-")).checked()


def _bundled(name: str) -> Any:
    datasets = library("sklearn.datasets", "scikit-learn", f"the data set {name!r}")
    return getattr(datasets, f"load_{name}")()
