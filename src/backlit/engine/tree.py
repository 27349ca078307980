"""Trees: dicts, tuples, lists and NamedTuples with arrays (or None) at the leaves. Plain Python, for both engines.

Dicts are walked in the order of their sorted keys, as XLA's compiled programs return them, so that a flattened tree
has the same order on both engines. Paths are dotted: 'dense_1.W'.
"""

from collections.abc import Callable
from typing import Any

from backlit.errors import join


def map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`f` over the leaves of one or several trees of the same structure."""
    if isinstance(tree, dict):
        return {k: map(f, tree[k], *[r[k] for r in rest]) for k in sorted(tree)}
    if isinstance(tree, tuple | list):
        items = [map(f, *leaves) for leaves in zip(tree, *rest, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return None if tree is None else f(tree, *rest)


def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, path: str = "") -> Any:
    """As `map`, and `f` also gets the leaf's dotted path first."""
    if isinstance(tree, dict):
        return {k: map_with_path(f, tree[k], *[r[k] for r in rest], path=join(path, str(k))) for k in sorted(tree)}
    if isinstance(tree, tuple | list):
        items = [
            map_with_path(f, leaf, *[r[i] for r in rest], path=join(path, name))
            for i, (name, leaf) in enumerate(zip(_names(tree), tree, strict=True))
        ]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return None if tree is None else f(path, tree, *rest)


def flatten(tree: Any) -> dict[str, Any]:
    """`{path: leaf}`, for files and tables."""
    found: dict[str, Any] = {}
    map_with_path(found.__setitem__, tree)
    return found


def unflatten(template: Any, flat: dict[str, Any]) -> Any:
    """The tree shaped like `template` with the leaves of `flat`; KeyError names a missing path."""
    return map_with_path(lambda path, _: flat[path], template)


def leaves(tree: Any) -> list[Any]:
    """All leaves, in the order of `flatten`."""
    return list(flatten(tree).values())


def size(tree: Any) -> int:
    """How many numbers the tree holds."""
    return sum(int(leaf.size) for leaf in leaves(tree))


def cast(tree: Any, dtype: Any) -> Any:
    """Floating leaves in another precision; integers and booleans stay."""
    return map(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, tree)


def _names(items: Any) -> list[str]:
    return list(items._fields) if hasattr(items, "_fields") else [str(i) for i in range(len(items))]
