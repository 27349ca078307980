"""Sequences by time: which steps are real, and arrays with the time axis first, as a loop over time reads them."""

from backlit.engine import tree
from backlit.protocol import Array, Context, Tree, need


def real_steps(ctx: Context, x: Array, who: str) -> Array | None:
    """Which steps of x (B, T, ...) are real: (T, B), or None when all are.

    A mask of whole rows (B,) hides no step, since rows do not meet.
    """
    rows, steps = x.shape[:2]
    need(steps >= 1, f"{who} expected sequences of at least one step, got x of shape {tuple(x.shape)}")
    if ctx.mask is None:
        return None
    found = tuple(getattr(ctx.mask, "shape", ()))
    fits = found in ((rows,), (rows, steps))
    need(fits, f"{who} expected a mask with one number a step, {(rows, steps)}, got {found or type(ctx.mask).__name__}")
    return None if len(found) == 1 else (ctx.mask > 0).T


def swapped(x: Array) -> Array:
    """(B, T, ...) as (T, B, ...), and back."""
    return x.__array_namespace__().permute_dims(x, (1, 0, *range(2, x.ndim)))


def where(real: Array | None, new: Tree, old: Tree) -> Tree:
    """Leaf by leaf `new` (..., n) where the step is real (leading axes of every leaf), else `old`."""
    if real is None:
        return new
    return tree.map(lambda a, b: a.__array_namespace__().where(spread(real, a), a, b), new, old)


def zeroed(real: Array | None, values: Tree) -> Tree:
    """Leaf by leaf zero where the step is not real; what stood there, NaN included, has no say."""
    return where(real, values, tree.map(lambda a: a.__array_namespace__().zeros_like(a), values))


def spread(chosen: Array, a: Array) -> Array:
    """A choice along the leading axes of `a`, with as many axes as `a`."""
    return chosen.__array_namespace__().reshape(chosen, (*chosen.shape, *(1,) * (a.ndim - chosen.ndim)))
