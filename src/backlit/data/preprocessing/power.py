"""Powers that bring each column as near to a normal distribution as a power can."""

from dataclasses import dataclass

from backlit.data.preprocessing.base import Measured, State, floating, single
from backlit.data.preprocessing.exponents import Kind, exponents
from backlit.data.statistics import Chunks
from backlit.protocol import Array

LIMIT = 40.0
"""exp(40) is 2e17: what lies so far from all training rows goes no further, and nothing overflows in float32."""


@dataclass(frozen=True)
class Power(Measured):
    """Box-Cox or Yeo-Johnson with the exponent p of each column that makes the training rows most like normal ones.

    kind "yeo-johnson", for all numbers:  T(x) = ((1 + x)^p - 1) / p for x >= 0, else -((1 - x)^(2 - p) - 1) / (2 - p)
    kind "box-cox", for numbers above 0:  T(x) = (x^p - 1) / p
    where a divisor of 0 means the logarithm. p has the largest likelihood of T(x) as normal numbers (exponents.py).

    What comes out is (T(x) - T(c)) / c^p, for Yeo-Johnson (T(x) - T(c)) / (1 + c)^p, with c in the midst of the column: its
    geometric mean; for Yeo-Johnson 0, and so T itself, where the column has numbers of both signs. That is T up to shift and
    scale, which a Standardize after it removes; T itself loses its digits in float32 for a column of years, or overflows.
    A column that does not vary has p = 1. Numbers that T never reaches invert to the edge of what it does reach.
    Errors: DataError when Box-Cox meets a training number that is not above 0; later ones become NaN.
    Source: Box, Cox 1964, https://doi.org/10.1111/j.2517-6161.1964.tb00553.x; Yeo, Johnson 2000,
    https://doi.org/10.1093/biomet/87.4.954.
    Others: scikit-learn's PowerTransformer is Power and then Standardize; SciPy's boxcox and yeojohnson give T itself.

    >>> import numpy as np
    >>> from backlit.data.preprocessing import Power
    >>> x = np.exp(np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]], "f"))
    >>> power = Power("box-cox")
    >>> power.apply(power.fit(x), x)[:, 0].round(3).tolist()
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """

    kind: Kind = "yeo-johnson"

    def measure(self, chunks: Chunks) -> State:
        power, centre = exponents(chunks, self.axis, self.kind)
        return single(power=power, centre=centre)

    def apply(self, state: State, x: Array) -> Array:
        x = floating(x)
        power, centre = self.fitted(state, x, "power", "centre")
        xp = x.__array_namespace__()
        if self.kind == "box-cox":
            return grow(power, xp.log1p((x - centre) / centre))
        # The mirror image of Yeo-Johnson with p is Yeo-Johnson with 2 - p: a column below 0 is seen from there.
        side = xp.where(centre < 0, -xp.ones_like(centre), xp.ones_like(centre))
        power, centre, x = xp.where(centre < 0, 2 - power, power), side * centre, side * x
        near = grow(power, xp.log1p((xp.maximum(x, xp.zeros_like(x)) - centre) / (1 + centre)))
        far = -grow(2 - power, xp.log1p(xp.maximum(-x, xp.zeros_like(x))))
        start, unit = _zero(power, centre)
        return side * xp.where(x >= 0, near, start + far / unit)

    def invert(self, state: State, x: Array) -> Array:
        power, centre = self.fitted(state, x, "power", "centre")
        xp = x.__array_namespace__()
        if self.kind == "box-cox":
            return centre + centre * _expm1(shrink(power, x))
        side = xp.where(centre < 0, -xp.ones_like(centre), xp.ones_like(centre))
        power, centre, y = xp.where(centre < 0, 2 - power, power), side * centre, side * x
        start, unit = _zero(power, centre)
        near = centre + (1 + centre) * _expm1(shrink(power, xp.maximum(y, start)))
        far = -_expm1(shrink(2 - power, xp.maximum(start - y, xp.zeros_like(y)) * unit))
        return side * xp.where(y >= start, near, far)


def grow(power: Array, log: Array) -> Array:
    """(exp(p u) - 1) / p, and u for p = 0.

    >>> import numpy as np
    >>> from backlit.data.preprocessing.power import grow
    >>> grow(np.array([0.0, 1.0]), np.log([2.0, 2.0])).round(6).tolist()
    [0.693147, 1.0]
    """
    xp = log.__array_namespace__()
    some = xp.abs(power) > 1e-12
    safe = xp.where(some, power, xp.ones_like(power))
    return xp.where(some, _expm1(safe * log) / safe, log)


def shrink(power: Array, y: Array) -> Array:
    """ln(1 + p y) / p, and y for p = 0: the inverse of `grow`."""
    xp = y.__array_namespace__()
    some = xp.abs(power) > 1e-12
    safe = xp.where(some, power, xp.ones_like(power))
    least = xp.asarray(xp.finfo(y.dtype).eps - 1, dtype=y.dtype)
    return xp.where(some, xp.log1p(xp.maximum(safe * y, least)) / safe, y)


def _zero(power: Array, centre: Array) -> tuple[Array, Array]:
    """What Yeo-Johnson makes of 0, and (1 + c)^p, by which numbers on the other side of 0 are divided."""
    xp = centre.__array_namespace__()
    log = xp.log1p(centre)
    limit = xp.asarray(LIMIT, dtype=centre.dtype)
    return grow(power, -log), xp.exp(xp.minimum(xp.maximum(power * log, -limit), limit))


def _expm1(x: Array) -> Array:
    xp = x.__array_namespace__()
    return xp.expm1(xp.minimum(x, xp.asarray(LIMIT, dtype=x.dtype)))
