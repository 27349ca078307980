"""How much each row and time step counts in a mean: Context.mask, scaled so that the mean of all shares is 1.

Then the mean over what is real is the mean of share * x, and wherever x moves the mean, it does so by its share.
"""

import math

from backlit.protocol import Array


def share_of_rows(mask: Array | None, x: Array) -> Array | None:
    """(B,) or (B, T) like `mask`; None when all count alike. Where x has no time axis, a row with a real step is real."""
    if mask is None:
        return None
    if mask.ndim == 2 and not has_steps(mask, x):
        mask = mask.__array_namespace__().max(mask, axis=1)
    return _scaled(mask, x)


def share_of_steps(mask: Array | None, x: Array) -> Array | None:
    """(B, T, 1, ...) like x (B, T, ...): what each step counts within its row; None when all count alike."""
    if mask is None or not has_steps(mask, x):
        return None
    share = _scaled(mask, x, axis=1)
    return share.__array_namespace__().reshape(share, (*share.shape, *(1,) * (x.ndim - 2)))


def has_steps(mask: Array, x: Array) -> bool:
    """Whether the mask says something about an axis of x."""
    return bool(mask.ndim == 2 and x.ndim > 2 and mask.shape[1] == x.shape[1])


def _scaled(mask: Array, x: Array, axis: int | None = None) -> Array:
    """The mask over its mean; 0 where nothing is real."""
    xp = x.__array_namespace__()
    mask = xp.astype(mask, x.dtype)
    size = mask.shape[axis] if axis else math.prod(mask.shape)
    total = xp.sum(mask, axis=axis, keepdims=True)
    return mask * (size / xp.where(total > 0, total, xp.ones_like(total)))
