"""A tree of parameters as one vector, so that second-order mathematics reads like the textbook's."""

from collections.abc import Callable
from math import prod

from backlit.engine import tree
from backlit.protocol import Array, Tree


def ravel(params: Tree) -> tuple[Array, Callable[[Array], Tree]]:
    """All numbers of a tree in one vector (n,), and the way back. Leaves lie in the order of tree.flatten.

    >>> import numpy as np
    >>> x, back = ravel({"b": np.zeros(1), "a": np.ones((1, 2))})
    >>> x.tolist(), back(2 * x)["a"].tolist()
    ([1.0, 1.0, 0.0], [[2.0, 2.0]])
    """
    leaves = tree.flatten(params)
    first = next(iter(leaves.values()))
    xp = first.__array_namespace__()
    flat = [xp.reshape(a, (-1,)) for a in leaves.values()]
    shapes = {path: (a.shape, a.dtype) for path, a in leaves.items()}

    def back(x: Array) -> Tree:
        parts, begin = {}, 0
        for path, (shape, dtype) in shapes.items():
            end = begin + prod(shape)
            parts[path] = xp.astype(xp.reshape(x[begin:end], shape), dtype, copy=False)
            begin = end
        return tree.unflatten(params, parts)

    return flat[0] if len(flat) == 1 else xp.concat(flat), back
