"""Principal components: fewer numbers, or numbers that are no longer correlated.

With rows x (D numbers, flattened), their mean m and covariance C = V diag(l) V^T (over N rows, l_1 >= l_2 >= ...):

    PCA            y = (x - m) V
    Whiten "pca"   y = (x - m) V / sqrt(l + epsilon)
    Whiten "zca"   y = (x - m) V / sqrt(l + epsilon) V^T        of all whitened rows, those nearest to x
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from annotated_types import Interval

from backlit.data.preprocessing.base import Preprocessor, State, alike, floating, single
from backlit.data.statistics import Chunks, covariance
from backlit.errors import DataError, SettingError, ShapeError
from backlit.protocol import Array
from backlit.settings import Count, NonNegative

PartOfVariance = Annotated[float, Interval(gt=0, le=1)]


class Directions(NamedTuple):
    """Mean (D,), principal directions as columns (D, K), and the standard deviation along each (K,), the largest first."""

    mean: np.ndarray
    vectors: np.ndarray
    std: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Principal(Preprocessor):
    """Base of those that turn rows along the principal directions of the training rows.

    components  how many directions are kept, the largest first; None: all, min(N, D)
    variance    or: as many as hold this share of the variance
    solver      "eigen": eigenvectors of the covariance, which is measured in one pass, so that the rows may be larger than
                memory; "svd": singular vectors of the rows themselves, which must fit in memory. A covariance holds squares,
                and loses directions whose std is below 1e-8 of the largest. Both give the same, also in sign: the largest
                number of each direction is positive. Directions of equal variance are any basis of their plane
    memory      bytes that the rows ("svd") or the covariance ("eigen") may take in float64
    """

    abstract: ClassVar[bool] = True
    components: Count | None = None
    variance: PartOfVariance | None = None
    solver: Literal["eigen", "svd"] = "eigen"
    memory: Count = 2**31

    def check(self) -> None:
        if self.components is not None and self.variance is not None:
            raise SettingError([("variance", "expected components or variance, got both; leave one out")])

    @abstractmethod
    def kept(self, found: Directions, row: tuple[int, ...]) -> State:
        """The state, from directions of rows of this shape."""

    def measure(self, chunks: Chunks) -> State:
        row = next(iter(chunks)).shape[1:]
        found = self._eigen(chunks, math.prod(row)) if self.solver == "eigen" else self._svd(chunks, math.prod(row))
        count = self._count(found.std, min(len(chunks), math.prod(row)))
        vectors = found.vectors[:, :count]
        return self.kept(Directions(found.mean, vectors * signs(vectors), found.std[:count]), row)

    def _eigen(self, chunks: Chunks, columns: int) -> Directions:
        self._fits(columns, columns, "a covariance")
        found = covariance(chunks, columns)
        values, vectors = np.linalg.eigh(found.matrix)
        return Directions(found.mean, vectors[:, ::-1], np.sqrt(np.maximum(values[::-1], 0)))

    def _svd(self, chunks: Chunks, columns: int) -> Directions:
        self._fits(len(chunks), columns, "rows in memory")
        rows, done, amount = np.empty((len(chunks), columns)), 0, np.ones((len(chunks), 1))
        for chunk, weight in chunks.weighted():
            here = slice(done, done + len(chunk))
            rows[here] = chunk.reshape(len(chunk), -1)
            if weight is not None:
                amount[here] = weight.reshape(-1, 1)
            done += len(chunk)
        mean = (amount.T @ rows)[0] / amount.sum()
        rows -= mean
        rows *= np.sqrt(amount)
        _, values, vectors = np.linalg.svd(rows, full_matrices=False)
        return Directions(mean, vectors.T, values / math.sqrt(amount.sum()))

    def _fits(self, rows: int, columns: int, what: str) -> None:
        if 8 * rows * columns > self.memory:
            other = "eigen" if self.solver == "svd" else "svd"
            text = f"solver {self.solver!r} needs {what} of {rows} x {columns} numbers, {8 * rows * columns} bytes"
            hint = f"expected at most memory = {self.memory}; write solver={other!r}, fewer columns, or a larger memory"
            raise DataError(f"{type(self).__name__}: {text}; {hint}")

    def _count(self, std: np.ndarray, most: int) -> int:
        if self.components is not None:
            if self.components > most:
                text = f"expected at most {most}, the smaller of rows and numbers in a row, got {self.components}"
                raise SettingError([("components", f"{type(self).__name__}: {text}")])
            return self.components
        if self.variance is not None and std[0] > 0:
            share = np.cumsum(np.square(std)) / np.square(std).sum()
            # All of the variance is all that is more than rounding of it.
            return min(most, int(np.searchsorted(share, self.variance - 1e-12)) + 1)
        return most

    def _centred(self, state: State, x: Array) -> Array:
        """x - m as (B, D)."""
        x, known = floating(x), tuple(state["mean"].shape)
        if tuple(x.shape[1:]) != known:
            name, row = type(self).__name__, tuple(x.shape[1:])
            raise ShapeError(f"{name}: expected rows like those it was fitted on, {known}, got {row}")
        rows = x - alike(x, state["mean"])
        return x.__array_namespace__().reshape(rows, (x.shape[0], math.prod(known)))

    def _rows(self, state: State, y: Array) -> Array:
        """(x - m) V as (B, K) back to rows of their first shape."""
        xp, name = y.__array_namespace__(), "components"
        rows = y @ xp.matrix_transpose(alike(y, state[name]))  # (B, D)
        return xp.reshape(rows, (y.shape[0], *state["mean"].shape)) + alike(y, state["mean"])


@dataclass(frozen=True, kw_only=True)
class PCA(Principal):
    """y = (x - m) V: a row as its coordinates along the K directions in which the training rows vary most, (B, K).

    invert is y V^T + m, the nearest rows that the K directions hold. The settings are those of `Principal`: `components`
    or `variance` (a share), `solver`, `memory`.
    Errors: SettingError for more components than min(N, D); DataError where `memory` does not suffice.
    Source: Pearson 1901, https://doi.org/10.1080/14786440109462720; Hotelling 1933, https://doi.org/10.1037/h0071325.
    Others: scikit-learn's components_ is V^T, and its explained variance divides by N - 1.

    >>> import numpy as np
    >>> from backlit.data.preprocessing import PCA
    >>> x = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]], "f")
    >>> pca = PCA(components=1)
    >>> state = pca.fit(x)
    >>> y = pca.apply(state, x)
    >>> y.round(4).tolist(), pca.invert(state, y).round(4).tolist()
    ([[-5.0], [0.0], [5.0]], [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    """

    def kept(self, found: Directions, row: tuple[int, ...]) -> State:
        return single(mean=found.mean.reshape(row), components=found.vectors)

    def apply(self, state: State, x: Array) -> Array:
        rows = self._centred(state, x)
        return rows @ alike(rows, state["components"])  # (B, K)

    def invert(self, state: State, x: Array) -> Array:
        return self._rows(state, x)


@dataclass(frozen=True, kw_only=True)
class Whiten(Principal):
    """Numbers of variance l / (l + epsilon), 1 but for the smallest, and no correlation.

    kind "zca": y = (x - m) V / sqrt(l + epsilon) V^T, of the shape of x: an image stays an image, with its edges;
    kind "pca": y = (x - m) V / sqrt(l + epsilon), the coordinates (B, K). The other settings are those of `Principal`.

    epsilon is added to the variances, in the units of the rows squared: it keeps directions that hold little but noise from
    becoming as large as the others. 0.1 is common for standardised images. Directions along which the training rows do
    not vary, to the precision of what was measured, keep scale 1. With fewer than D components "zca" leaves the others out.
    invert undoes it for the directions kept.
    Errors: as PCA. Source: Bell, Sejnowski 1997, https://doi.org/10.1016/S0042-6989(97)00121-1; Krizhevsky 2009, "Learning
    multiple layers of features from tiny images", appendix A.
    Others: CS231n has sqrt(l + 1e-5), the default here; scikit-learn's PCA(whiten=True) has no epsilon and l over N - 1, so
    its numbers are sqrt((N - 1) / N) of those here; some divide by sqrt(l) + epsilon.

    >>> import numpy as np
    >>> from backlit.data.preprocessing import Whiten
    >>> x = np.array([[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [4.0, 2.0]], "f")
    >>> whiten = Whiten(epsilon=0.0)
    >>> y = whiten.apply(whiten.fit(x), x)
    >>> (y.T @ y / len(y)).round(4).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    kind: Literal["zca", "pca"] = "zca"
    epsilon: NonNegative = 1e-5

    def kept(self, found: Directions, row: tuple[int, ...]) -> State:
        scale = np.sqrt(np.square(found.std) + self.epsilon)
        # Of the covariance, float64 tells variances down to D eps of the largest; of rows in float32, std down to its eps.
        least = max(np.finfo(np.float32).eps, math.sqrt(len(found.mean) * np.finfo(np.float64).eps))
        floor = max(found.std[0] * least, float(np.finfo(np.float32).tiny))
        scale = np.where(scale <= floor, 1.0, scale)
        return single(mean=found.mean.reshape(row), components=found.vectors, scale=scale)

    def apply(self, state: State, x: Array) -> Array:
        rows = self._centred(state, x)
        xp, vectors = rows.__array_namespace__(), alike(rows, state["components"])
        y = (rows @ vectors) / alike(rows, state["scale"])  # (B, K)
        if self.kind == "pca":
            return y
        return xp.reshape(y @ xp.matrix_transpose(vectors), (x.shape[0], *state["mean"].shape))

    def invert(self, state: State, x: Array) -> Array:
        xp = x.__array_namespace__()
        if self.kind == "zca":
            rows = xp.reshape(x, (x.shape[0], math.prod(state["mean"].shape)))  # (B, D)
            x = rows @ alike(x, state["components"])  # (B, K)
        return self._rows(state, x * alike(x, state["scale"]))


def signs(vectors: np.ndarray) -> np.ndarray:
    """1 or -1 for each column, so that its largest number becomes positive; of equal ones, to rounding, the first counts.

    >>> import numpy as np
    >>> from backlit.data.preprocessing.whitening import signs
    >>> signs(np.array([[0.6, -0.6], [-0.8, 0.6]])).tolist()
    [-1.0, -1.0]
    """
    size = np.abs(vectors)
    largest = np.argmax(size >= size.max(axis=0) * (1 - 1e-6), axis=0)
    return np.where(np.take_along_axis(vectors, largest[None], axis=0)[0] < 0, -1.0, 1.0)
