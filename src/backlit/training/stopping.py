"""When to stop, when to halve the learning rate, which parameters to keep: decisions on the validation loss.

The decisions are arrays and run inside the compiled program, so that many short epochs are one call.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from backlit.protocol import Array
from backlit.settings import Count, Fraction, NonNegative, Settings


@dataclass(frozen=True)
class Stopping(Settings):
    """Stop after `patience` epochs in which the validation loss fell by less than `min_delta`; the best weights return.

    Source: Prechelt 1998, "Early stopping - but when?"

    >>> import backlit as bl
    >>> bl.Stopping(patience=5).min_delta
    0.0
    """

    abstract: ClassVar[bool] = False
    patience: Count = 10
    min_delta: NonNegative = 0.0


@dataclass(frozen=True)
class Halving(Settings):
    """Multiply the learning rate by `factor` after every `patience` epochs in which the validation loss stalled.

    >>> import backlit as bl
    >>> bl.Halving(patience=3).factor
    0.5
    """

    abstract: ClassVar[bool] = False
    patience: Count = 5
    factor: Fraction = 0.5
    min_delta: NonNegative = 0.0


class Watch(NamedTuple):
    """What has been seen of the validation loss so far.

    best, best_epoch   the smallest loss, and the epoch (from 1) that had it
    mark, stalled      the loss that patience counts from, and for how many epochs it has not been beaten
    halving_*          the same for halving;  lr_scale  what the learning rate is multiplied by;  stop  patience ran out
    """

    best: Array
    best_epoch: Array
    mark: Array
    stalled: Array
    halving_mark: Array
    halving_stalled: Array
    lr_scale: Array
    stop: Array


def first_watch(xp: Any) -> Watch:
    """Before the first epoch."""
    infinite, none = xp.asarray(xp.inf, dtype=xp.float32), xp.asarray(0, dtype=xp.int32)
    one = xp.asarray(1.0, dtype=xp.float32)
    return Watch(infinite, none, infinite, none, infinite, none, one, xp.asarray(False))


def seen(watch: Watch, loss: Array, epoch: Array, stopping: Stopping | None, halving: Halving | None) -> Watch:
    """The watch after an epoch (counted from 1) with this validation loss. NaN never counts as better."""
    xp = loss.__array_namespace__()
    better = loss < watch.best
    watch = watch._replace(
        best=xp.where(better, loss, watch.best), best_epoch=xp.where(better, epoch, watch.best_epoch)
    )
    if stopping is not None:
        mark, stalled = _counted(loss, watch.mark, watch.stalled, stopping.min_delta)
        watch = watch._replace(mark=mark, stalled=stalled, stop=stalled >= stopping.patience)
    if halving is not None:
        mark, stalled = _counted(loss, watch.halving_mark, watch.halving_stalled, halving.min_delta)
        due = stalled >= halving.patience
        watch = watch._replace(
            halving_mark=mark,
            halving_stalled=xp.where(due, 0 * stalled, stalled),
            lr_scale=xp.where(due, watch.lr_scale * halving.factor, watch.lr_scale),
        )
    return watch


def _counted(loss: Array, mark: Array, stalled: Array, min_delta: float) -> tuple[Array, Array]:
    xp = loss.__array_namespace__()
    enough = loss < mark - min_delta
    return xp.where(enough, loss, mark), xp.where(enough, 0 * stalled, stalled + 1)
