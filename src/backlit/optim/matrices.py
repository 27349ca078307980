"""What rules that treat a weight array as a matrix share: which arrays are one, second moments of both sides, their bases.

An array (..., O) is the matrix (rest, O): of a kernel (H, W, I, O) the H W I inputs of each of its O outputs.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim.rules import decays
from backlit.protocol import Array, Shape, Tree


class Sides(NamedTuple):
    """Second moments G G' (rows, rows) and G' G (columns, columns), and what is made of each; None for a long axis."""

    rows: Array | None
    columns: Array | None
    left: Array | None
    right: Array | None


def flat_shape(shape: Shape) -> tuple[int, int]:
    """(rest, O)."""
    return math.prod(shape[:-1]), shape[-1]


def flat(x: Array) -> Array:
    """x (..., O) as (rest, O)."""
    return x.__array_namespace__().reshape(x, flat_shape(x.shape))


def shaped(x: Array, like: Array) -> Array:
    """x (rest, O) in the shape of `like`."""
    return x.__array_namespace__().reshape(x, like.shape)


def is_matrix(path: str, w: Array) -> bool:
    """Whether this parameter is one: no bias and no scale, and more than one number along both sides."""
    return w.ndim > 1 and decays(path) and min(flat_shape(w.shape)) > 1


def only_matrices(
    params: Tree, rule: str, made: Callable[[str, Array], Any], chosen: Callable[[str, Array], bool]
) -> Tree:
    """made(path, w) for each chosen matrix, None for all else; SettingError where there is none.

    A part of a net, None standing for what other rules have, may hold vectors alone: a group of all biases, say.
    """
    found = tree.map_with_path(lambda p, w: made(p, w) if is_matrix(p, w) and chosen(p, w) else None, params)
    if not tree.leaves(found) and not _is_part(params):
        names = ", ".join(f"{path} {tuple(w.shape)}" for path, w in tree.flatten(params).items()) or "no parameters"
        text = f"{rule} expected at least one matrix among the parameters it is given, got {names}; use AdamW here"
        raise SettingError([("", text)])
    return found


def _is_part(params: Tree) -> bool:
    inside = params.values() if isinstance(params, dict) else params if isinstance(params, tuple | list) else ()
    return params is None or any(map(_is_part, inside))


def sides(w: Array, largest: int) -> Sides:
    """Zeros, for axes of at most `largest` numbers."""
    xp = w.__array_namespace__()
    rows, columns = (xp.zeros((n, n), dtype=w.dtype) if n <= largest else None for n in flat_shape(w.shape))
    return Sides(rows, columns, rows, columns)


def seen(old: Sides, G: Array, kept: Array, fresh: Array) -> Sides:
    """The second moments with this gradient: kept L + fresh G G', kept R + fresh G' G."""
    rows = None if old.rows is None else kept * old.rows + fresh * (G @ G.T)
    columns = None if old.columns is None else kept * old.columns + fresh * (G.T @ G)
    return old._replace(rows=rows, columns=columns)


def between(left: Array | None, G: Array, right: Array | None) -> Array:
    """left G right, without what is None."""
    G = G if left is None else left @ G
    return G if right is None else G @ right


def turned(side: Array | None) -> Array | None:
    """The transpose."""
    return None if side is None else side.T


def eigen(A: Array) -> tuple[Array, Array]:
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix; of the unit matrix where a number is not finite.

    NumPy would raise an error of its own there; NaN in the gradient shows in the update in any case.
    """
    xp = A.__array_namespace__()
    A = xp.where(xp.all(xp.isfinite(A)), A, xp.eye(A.shape[0], dtype=A.dtype))
    values, vectors = xp.linalg.eigh(A)
    return values, signed(vectors)


def signed(Q: Array) -> Array:
    """Each column with the sign that makes its largest number positive: libraries choose at will."""
    xp = Q.__array_namespace__()
    at = xp.argmax(xp.abs(Q), axis=0)
    row = xp.reshape(xp.arange(Q.shape[0], dtype=at.dtype), (-1, 1))
    top = xp.sum(xp.where(row == at, Q, xp.zeros_like(Q)), axis=0)  # the largest of each column
    return Q * xp.where(top < 0, -xp.ones_like(top), xp.ones_like(top))
