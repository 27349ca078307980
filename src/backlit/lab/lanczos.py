"""The ends of the spectrum of a symmetric matrix that is known only by its products with vectors."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from backlit.errors import ShapeError


class Spectrum(NamedTuple):
    """Ritz values in rising order, their vectors (size, steps) as columns, and how far each may be from an eigenvalue.

    error   |A v - value v|: an eigenvalue lies within that distance of the value
    """

    values: np.ndarray
    vectors: np.ndarray
    error: np.ndarray

    @property
    def largest(self) -> float:
        return float(self.values[-1])

    @property
    def smallest(self) -> float:
        """The most negative one, where there are negative ones."""
        return float(self.values[0])


def lanczos(product: Callable[[np.ndarray], np.ndarray], size: int, steps: int = 60, seed: int = 0) -> Spectrum:
    """After k products, the eigenvalues of A seen from span{q, Aq, ..., A^(k-1) q}: those at both ends come first.

    alpha_j = q_j^T A q_j;   r = A q_j - alpha_j q_j - beta_(j-1) q_(j-1), made orthogonal to *all* q so far, twice;
    beta_j = |r|;   q_(j+1) = r / beta_j.   The eigenvalues of the tridiagonal T (alpha; beta) are the Ritz values.

    Without that orthogonalisation rounding lets found eigenvalues appear again as ghosts. With `steps` >= size, or when
    the vectors span all that A can reach from q, the values are exact; a repeated eigenvalue is found once.

    Shapes: product takes and gives float64 vectors (size,). Errors: ShapeError for fewer than one step or number.
    Source: Lanczos 1950, https://doi.org/10.6028/jres.045.026; twice is enough: Giraud et al. 2005,
    https://doi.org/10.1007/s00211-005-0615-4; for the Hessian of a net: Ghorbani et al. 2019, https://arxiv.org/abs/1901.10159

    >>> import numpy as np
    >>> from backlit.lab.lanczos import lanczos
    >>> found = lanczos(lambda v: np.array([-1.0, 2.0, 5.0]) * v, size=3)
    >>> found.values.round(6).tolist()
    [-1.0, 2.0, 5.0]
    """
    if size < 1 or steps < 1:
        raise ShapeError(f"lanczos: expected at least one number and one step, got size {size} and steps {steps}")
    steps = min(steps, size)
    q = np.random.default_rng(seed).normal(size=size)
    basis, alpha, beta = np.zeros((steps, size)), np.zeros(steps), np.zeros(steps)
    basis[0] = q / np.linalg.norm(q)
    for j in range(steps):
        r = product(basis[j])
        alpha[j] = basis[j] @ r
        so_far = basis[: j + 1]
        length = np.linalg.norm(r)
        for _ in range(2):
            r = r - so_far.T @ (so_far @ r)
        beta[j] = np.linalg.norm(r)
        if beta[j] <= 1e-12 * max(length, abs(alpha[j]), np.finfo(float).tiny) or j + 1 == steps:
            break
        basis[j + 1] = r / beta[j]
    count = j + 1
    values, parts = np.linalg.eigh(np.diag(alpha[:count]) + _beside(beta[: count - 1]))
    return Spectrum(values, basis[:count].T @ parts, np.abs(beta[count - 1] * parts[-1]))


def _beside(beta: np.ndarray) -> np.ndarray:
    """beta above and below the diagonal."""
    return np.diag(beta, 1) + np.diag(beta, -1)
