"""Figures for notebooks."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backlit.errors import DataError, MissingLibraryError, received

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_loss_and_accuracy(run: Any) -> "Figure":
    """Loss and accuracy (rmse for regression) by epoch, training and validation: raw thin, moving average thick.

    run: a run, or anything with `.history` (a list with one mapping an epoch, as in metrics.jsonl), or the path of a
    run directory. Returns a matplotlib Figure: as the last line of a notebook cell it shows itself, and
    `figure.savefig("loss.png")` keeps it. No pyplot state and no global style is touched.

    Errors: DataError when there is no finished epoch to plot, MissingLibraryError without matplotlib.

    >>> from types import SimpleNamespace
    >>> history = [{"epoch": e, "loss": 1 / e, "validation": {"loss": 1.1 / e}} for e in range(1, 9)]
    >>> figure = plot_loss_and_accuracy(SimpleNamespace(history=history))
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Loss']
    """
    from backlit.report.record import by_epoch, read_history

    if isinstance(run, str | PathLike):
        history = read_history(Path(run))
    elif isinstance(getattr(run, "history", None), list):
        history = by_epoch(run.history)
    else:
        raise DataError(
            f"plot_loss_and_accuracy: expected a run, or the path of a run directory, got {received(run)}; "
            "write plot_loss_and_accuracy(bl.train(net, data))"
        )
    if not history:
        raise DataError(
            f"plot_loss_and_accuracy: expected at least one finished epoch, got none in {received(run)}; "
            "train for one epoch or more"
        )
    try:
        from backlit.report.curves import both
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("matplotlib"):
            raise
        raise MissingLibraryError("plots need matplotlib, which is not installed; pip install matplotlib") from None
    return both(history)
