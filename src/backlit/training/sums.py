"""What a training counts: sums over rows of loss, score and 1, so that means over any number of batches are exact."""

from typing import Any, NamedTuple

from backlit.protocol import Array


class Sums(NamedTuple):
    """Weighted sums over rows: of the loss, of the score (right answers, or squared error of a regression), of 1.

    Where each time step has a target of its own, the real steps are the rows. The penalty on the parameters is counted
    apart, so that the loss can be compared with that of held-out rows.
    """

    loss: Array
    score: Array
    rows: Array
    penalty: Array


def scores(task: str, y: Array, target: Array) -> Array:
    """What a row adds to the score, (B,), or a time step with a target of its own, (B, T): 1 when it is right; for a
    regression, a row's mean squared error."""
    xp = y.__array_namespace__()
    if task == "ranking":
        return xp.argmax(y, axis=-1) == 0
    if task == "classification":
        return xp.argmax(y, axis=-1) == (target if target.ndim < y.ndim else xp.argmax(target, axis=-1))
    if task == "binary":
        right = (xp.reshape(y, (-1,)) > 0) == (xp.reshape(target, (-1,)) > 0.5)
        return xp.reshape(right, decisions(task, y))
    if task == "multilabel":
        return xp.all((y > 0) == (target > 0.5), axis=-1)
    error = xp.reshape(y - xp.reshape(target, y.shape), (y.shape[0], -1))
    return xp.mean(error * error, axis=-1)


def decisions(task: str, y: Array) -> tuple[int, ...]:
    """The shape of what a net decides with outputs y: (B,), or (B, T) step by step."""
    alone = task == "binary" and y.shape[1:] and y.shape[-1] != 1
    return tuple(y.shape if y.ndim == 1 or alone else y.shape[:-1])


def no_sums(xp: Any, epochs: int | None = None) -> Sums:
    """Zero sums: of one epoch, or a column with one entry an epoch."""
    return Sums(*(xp.zeros(() if epochs is None else (epochs,), dtype=xp.float32) for _ in Sums._fields))
