"""From scores to weights: which keys a query may look at, and the softmax over them."""

import math

from backlit import engine
from backlit.protocol import Array, Tree, need


def keys_mask(mask: Tree, name: str, keys: Array) -> Array | None:
    """The mask (B, Tk) of `keys` (B, Tk, ...) in Context.mask, under `name` where it is a dict.

    None when every key is real; a mask of whole rows (B,) hides no key, since rows do not meet.
    """
    found = mask.get(name) if isinstance(mask, dict) else mask
    if found is None:
        return None
    rows, steps = keys.shape[:2]
    fits = tuple(found.shape) in ((rows,), (rows, steps))
    need(fits, f"expected a mask of the {name}, one number a step, {(rows, steps)}, got the shape {tuple(found.shape)}")
    return None if found.ndim == 1 else found


def visible(mask: Array | None, causal: bool, queries: Array, keys: Array) -> Array | None:
    """True where a query may look: (B or 1, 1, Tq or 1, Tk), None for everywhere. Causal: query i sees keys 0 .. i."""
    xp = keys.__array_namespace__()
    may = None
    if causal:
        at, last = xp.arange(keys.shape[1]), xp.arange(queries.shape[1])
        may = (at[None, :] <= last[:, None])[None, None, :, :]  # (1, 1, Tq, Tk)
    if mask is not None:
        real = (mask > 0)[:, None, None, :]  # (B, 1, 1, Tk)
        may = real if may is None else may & real
    return may


def softmax(scores: Array, may: Array | None) -> Array:
    """Weights (..., Tq, Tk): exp(s_j) / sum over visible j; all zero for a query that sees no key."""
    xp, home = scores.__array_namespace__(), engine.of(scores)
    if may is not None:
        scores = xp.where(may, scores, xp.asarray(-math.inf, dtype=scores.dtype))
    lowest = xp.asarray(float(xp.finfo(scores.dtype).min), dtype=scores.dtype)
    top = xp.maximum(home.row_max(scores), lowest)  # finite, also where nothing is visible
    e = xp.exp(scores - top)  # (..., Tq, Tk): exp(-inf) = 0
    total = home.row_sum(e)  # (..., Tq, 1)
    return e / xp.where(total > 0, total, xp.ones_like(total))


def softmax_backward(p: Array, dp: Array) -> Array:
    """ds_j = p_j (dp_j - sum_k p_k dp_k): the whole Jacobian of a row; a hidden key has p = 0, so ds = 0."""
    xp = p.__array_namespace__()
    return p * (dp - xp.sum(p * dp, axis=-1, keepdims=True))
