"""What is wrong with an array of rows, labels, tokens or masks: the first fault, with its row, as a DataError."""

from typing import Any

import numpy as np

from backlit.errors import DataError, received


def finite(array: np.ndarray, where: str, names: tuple[str, ...] = (), places: np.ndarray | None = None) -> None:
    """DataError for the first NaN or infinite number, with its row and column; row i stands at `places[i]` of all."""
    if array.dtype.kind != "f":
        return
    # One pass without a mask: the sum is finite only when all terms are; a bad or a vast sum needs a closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):
            return
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    row, *position = (int(i) for i in np.unravel_index(int(np.argmax(bad)), array.shape))
    place = f"row {row if places is None else places[row]}"
    if len(position) == 1:
        place += f", column {position[0]}" + (f" ({names[position[0]]!r})" if names else "")
    elif position:
        place += f", position {tuple(position)}"
    value = float(array[(row, *position)])
    count = "" if bad.sum() == 1 else f" ({int(bad.sum())} such numbers in all)"
    raise DataError(
        f"{where}: {place} (from 0): expected a finite number, got {value}{count}; fill it in or leave the row out"
    )


def labels(y: np.ndarray, classes: int, where: str) -> None:
    """DataError for the first label that is not an integer 0..K-1, with its row and, in a sequence, its step."""
    if y.dtype.kind not in "iu":
        bad = np.argwhere(np.asarray(y != np.floor(y))) if y.dtype.kind == "f" else np.zeros((0, y.ndim), int)
        index = tuple(bad[0]) if len(bad) else (0,) * y.ndim
        text = f"expected integer labels 0..{classes - 1}, got {received(y[index].item())}; write y.astype('int32')"
        raise DataError(f"{where}: {_place(index)}: {text}")
    _within(y, classes, f"{where}: ", "a label", f"{classes} classes")


def tokens(x: np.ndarray, vocabulary: int, where: str, places: np.ndarray | None = None) -> None:
    """DataError for the first integer of x that is no place in the vocabulary: inside a compiled step nothing tells.

    Row i stands at `places[i]` of all.
    """
    if x.dtype.kind not in "iu":
        text = f"expected integers, places in the vocabulary of {vocabulary}, got {x.dtype}"
        raise DataError(f"{where}: {text}; write x.astype('int32'), or leave the vocabulary out")
    _within(x, vocabulary, f"{where}: ", "a token", f"{vocabulary} in the vocabulary", places)


def masked(mask: np.ndarray, shape: tuple[int, ...], where: str) -> None:
    """DataError unless `mask` (N, T) holds 1 and 0 for the time steps of rows of `shape`, and a 1 in every row."""
    if mask.shape != shape[:2]:
        raise DataError(f"{where}: expected one number a time step, {shape[:2]}, got the shape {mask.shape}")
    bad = ~((mask == 0) | (mask == 1))
    if bad.any():
        index = np.unravel_index(int(np.argmax(bad)), mask.shape)
        text = f"expected 1 for a real step or 0 for padding, got {mask[index].item()}"
        raise DataError(f"{where}: {_place(index)}: {text}")
    empty = ~mask.any(axis=1)
    if empty.any():
        row = int(np.argmax(empty))
        raise DataError(f"{where}: row {row} (from 0): expected at least one real step, got padding only; leave it out")


def _within(values: np.ndarray, count: int, where: str, what: str, of: str, places: np.ndarray | None = None) -> None:
    if values.min() < 0 or values.max() >= count:
        index = np.unravel_index(int(np.argmax((values < 0) | (values >= count))), values.shape)
        place = _place(index if places is None else (places[index[0]], *index[1:]))
        raise DataError(f"{where}{place}: expected {what} 0..{count - 1} ({of}), got {int(values[index])}")


def _place(index: Any) -> str:
    """'row 3 (from 0)', 'row 3, step 1 (from 0)'; deeper arrays show the whole position."""
    row, *rest = (int(i) for i in index)
    if not rest:
        return f"row {row} (from 0)"
    return f"row {row}, step {rest[0] if len(rest) == 1 else tuple(rest)} (from 0)"


def holds(dtype: np.dtype[Any], x: np.ndarray) -> bool:
    """Whether the dtype has all these numbers as they are; floating dtypes may round.

    >>> import numpy as np
    >>> from backlit.data.checks import holds
    >>> [holds(np.dtype("u1"), np.array(x)) for x in ([0.0, 255.0], [0.5], [-1], [256])]
    [True, False, False, False]
    """
    if dtype.kind not in "iu" or np.can_cast(x.dtype, dtype):
        return True
    limits = np.iinfo(dtype)
    return bool(np.array_equal(x, np.clip(np.rint(x), limits.min, limits.max)))
