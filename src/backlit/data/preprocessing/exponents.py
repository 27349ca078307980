"""The exponent that makes a column most like normal numbers, for all columns at once and a chunk of rows at a time.

With u = ln x (Box-Cox), or u = ln(1 + x) for x >= 0 and -ln(1 - x) below (Yeo-Johnson), both transforms are

    T(u) = (exp(k u) - 1) / k,    k = p, but p - 2 where Yeo-Johnson has u < 0

and the mean log-likelihood of T as normal numbers, their mean and variance chosen best, is, but for a constant,

    L(p) = -ln var(T) / 2 + p mean(u)
    L'   = -cov(T, T') / var(T) + mean(u)
    L''  = -(var(T') + cov(T, T'')) / var(T) + 2 (cov(T, T') / var(T))^2        ' is d/dp

L is concave: Newton's method, kept between the points where L' was seen above and below 0, finds the only maximum, most often
in four to eight passes over the rows. Where all numbers of a column lie on one side, u - u(c) stands for u, with c in their
midst: T is then only shifted and scaled, and numbers such as 2010^20 never arise.
Source: Box, Cox 1964, https://doi.org/10.1111/j.2517-6161.1964.tb00553.x. That L is concave for Yeo-Johnson too, and why an
unguarded search fails: Marchand et al. 2022, https://arxiv.org/abs/2210.01639
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Literal, TypeAlias

import numpy as np

from backlit.data.statistics import Axis, Chunks, Moments, extremes, group, measured
from backlit.errors import DataError

Kind: TypeAlias = Literal["yeo-johnson", "box-cox"]

Function: TypeAlias = Callable[[np.ndarray], np.ndarray]

SPREAD = 40.0
"""k times the range of u stays below: exp(40) is 2e17. Only a column that is nearly all one number comes near it: such a one
has no best exponent, and the search ends there."""

CLOSE = 1e-6
PASSES = 60


def exponents(chunks: Chunks, axis: Axis, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """(p, c) of each feature, each channel, or all numbers; c as float32 has it."""
    shape = group(next(iter(chunks)).shape[1:], axis)
    low, high = (edge.reshape(-1) for edge in extremes(chunks, axis))  # (G,)
    log, back = LOGARITHMS[kind]
    if kind == "box-cox":
        if low.min() <= 0:
            text = f"expected numbers above 0 for box-cox, got {low.min():g} in column {int(np.argmin(low))}"
            raise DataError(f"Power: {text}; write kind='yeo-johnson', or leave the column out")
        left = right = np.zeros_like(low)
    else:
        left, right = np.where(low < 0, -2.0, 0.0), np.where(high <= 0, -2.0, 0.0)
    spread = reduce(Moments.merge, (measured(log(table), weight) for table, weight in chunks.columns(axis)))
    centre = np.where(left == right, back(spread.mean), 0.0).astype(np.float32).astype(np.float64)
    transform = Transform(log, log(centre), left, right)
    # p = 1 is x itself, shifted: that is always finite.
    reach = SPREAD / np.maximum(log(high) - log(low), np.finfo(np.float32).tiny)
    most, least = np.maximum(reach - right, 1.0), np.minimum(-reach - left, 1.0)
    power, still = np.ones_like(low), spread.std <= 1e-7 * np.maximum(np.abs(spread.mean), 1.0)
    for _ in range(PASSES):
        if still.all():
            break
        first, second = _slopes(chunks, axis, transform, power, spread.mean - transform.origin, still)
        least, most = np.where(first > 0, power, least), np.where(first > 0, most, power)
        newton = power - first / np.where(second < 0, second, -1.0)
        inside = (second < 0) & (least < newton) & (newton < most)
        # Elsewhere three quarters of the way to the far end: a maximum at the edge is reached in ten passes.
        guarded = power + 0.75 * (np.where(first > 0, most, least) - power)
        new = np.where(still, power, np.where(inside, newton, guarded))
        still |= np.abs(new - power) <= CLOSE * np.maximum(np.abs(new), 1.0)
        power = new
    return power.reshape(shape), centre.reshape(shape)


@dataclass(frozen=True)
class Transform:
    """T of numbers of each column, by its `origin` u(c); k is p + left below the origin, p + right above."""

    log: Function
    origin: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def __call__(self, x: np.ndarray, power: np.ndarray) -> np.ndarray:
        """T and its first two derivatives by p, (3, n, G)."""
        u = self.log(x) - self.origin  # (n, G)
        zero, one, two = phi(u * np.where(u < 0, power + self.left, power + self.right))
        return np.stack([u * zero, u**2 * one, u**3 * two])


def phi(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(exp(z) - 1) / z and its first two derivatives; near 0 by their series, sum over j of z^j / (j! (j + i + 1)).

    >>> import numpy as np
    >>> from backlit.data.preprocessing.exponents import phi
    >>> [round(float(p[0]), 6) for p in phi(np.zeros(1))]
    [1.0, 0.5, 0.333333]
    """
    near = np.abs(z) < 0.1
    safe = np.where(near, 1.0, z)
    exp = np.exp(safe)
    zero = np.expm1(safe) / safe
    one = (exp - zero) / safe
    found = zero, one, (exp - 2 * one) / safe
    small, term = z[near], np.ones(int(near.sum()))
    sums = [np.zeros_like(term) for _ in found]
    for j in range(9):
        for i, total in enumerate(sums):
            total += term / (j + i + 1)
        term = term * small / (j + 1)
    for whole, total in zip(found, sums, strict=True):
        whole[near] = total
    return found


def signed_log(x: np.ndarray) -> np.ndarray:
    """ln(1 + x), and -ln(1 - x) below 0."""
    return np.asarray(np.copysign(np.log1p(np.abs(x)), x))


def signed_exp(u: np.ndarray) -> np.ndarray:
    """The inverse of `signed_log`."""
    return np.asarray(np.copysign(np.expm1(np.abs(u)), u))


LOGARITHMS: dict[Kind, tuple[Function, Function]] = {
    "box-cox": (np.log, np.exp),
    "yeo-johnson": (signed_log, signed_exp),
}

PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2))


def _slopes(
    chunks: Chunks, axis: Axis, transform: Transform, power: np.ndarray, mean: np.ndarray, still: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """L' and L'' of each column; 0 where it is settled."""
    count, middle, products = 0.0, np.zeros((3, *power.shape)), np.zeros((len(PAIRS), *power.shape))
    for table, weight in chunks.columns(axis):
        values = transform(table, power)  # (3, n, G)
        one = np.ones((len(table), 1)) if weight is None else weight
        amount = float(one.sum())
        here = (values * one).sum(axis=1) / amount
        values -= here[:, None]
        apart, total = here - middle, count + amount
        for pair, (i, j) in enumerate(PAIRS):  # merged as in statistics.py
            products[pair] += (values[i] * values[j] * one).sum(axis=0) + apart[i] * apart[j] * (count * amount / total)
        middle += apart * (amount / total)
        count = total
    variance = np.where(still, 1.0, products[0])
    ratio = products[1] / variance
    first = mean - ratio
    return np.where(still, 0.0, first), -(products[2] + products[3]) / variance + 2 * ratio**2
