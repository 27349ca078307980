"""The pictures of backlit.lab.batch_size: from its numbers to figures."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from backlit.report.canvas import Theme, axes, figure, legend

SCALINGS = {"fixed": 0.0, "root": 0.5, "linear": 1.0}
"""lr (B / reference)^power."""

LOSS_LIMIT = 10.0
"""Losses above it are drawn at the roof: those trainings have diverged."""


def bounded(values: np.ndarray) -> np.ndarray:
    """Losses that can be drawn: what is larger or not a number becomes LOSS_LIMIT."""
    return np.minimum(np.nan_to_num(np.asarray(values, np.float64), nan=np.inf), LOSS_LIMIT)


def draw_noise(numbers: dict[str, Any], theme: Theme) -> Figure:
    made = figure(theme)
    plot = axes(made, theme, "Noise of the gradient", "batch size", "variance of a batch's gradient")
    found = numbers["noise"]
    for (name, moment), colour, mark in zip(found["moments"].items(), theme.lines, "os^", strict=False):
        x = found["batches"][: len(moment["measured"])]
        plot.plot(x, moment["expected"], color=colour, linewidth=1.4)
        plot.plot(
            x, moment["measured"], mark, color=colour, markersize=5, label=rf"{name}: $B^{{{moment['slope']:.2f}}}$"
        )
    plot.set(xscale="log", yscale="log")
    _batches(plot, found["batches"])
    legend(plot, theme)
    return made


def draw_scaling(numbers: dict[str, Any], theme: Theme) -> Figure:
    made = figure(theme)
    found = numbers["scaling"]
    plot = axes(made, theme, "Learning rate and batch", "batch size", f"training loss, {found['epochs']} epochs")
    names = {"fixed": "fixed", "root": "times the root of B", "linear": "times B"}
    for (name, label), colour, mark in zip(names.items(), theme.lines, "os^", strict=False):
        mean = bounded(found[name]["train"].mean(axis=0))
        good = mean < LOSS_LIMIT
        x = np.array(found["batches"])
        plot.plot(x[good], mean[good], color=colour, marker=mark, markersize=5, linewidth=1.8, label=f"lr {label}")
        plot.plot(x[~good], mean[~good], "x", color=colour, markersize=8, markeredgewidth=2)
    plot.set(xscale="log", yscale="log")
    plot.yaxis.set_major_formatter("{x:g}")
    plot.axvline(found["reference"], color=theme.muted, linewidth=1, linestyle=":")
    _batches(plot, found["batches"])
    legend(plot, theme)
    return made


def draw_minima(numbers: dict[str, Any], theme: Theme) -> Figure:
    made = figure(theme, width=9.0)
    found = numbers["minima"]
    plot = axes(made, theme, "Sharpness of the minimum", "batch size", "largest eigenvalue", (0, 2))
    for row in found["eigenvalue"]:
        plot.plot(found["batches"], row, "o", color=theme.train, markersize=5, alpha=0.7)
    plot.plot(found["batches"], found["eigenvalue"].mean(axis=0), color=theme.train, linewidth=1.8)
    plot.set(xscale="log", ylim=(0, None))
    _batches(plot, found["batches"])
    first, last = found["batches"][0], found["batches"][-1]
    plot = axes(made, theme, "Between two minima", f"0: batches of {first},   1: batches of {last}", "loss", (1, 2))
    line = found["line"]
    plot.plot(line["share"], line["train"], color=theme.train, linewidth=1.8, label="training rows")
    plot.plot(
        line["share"],
        line["held_out"],
        color=theme.validation,
        linewidth=1.8,
        linestyle=(0, (5, 1.5)),
        label="held-out rows",
    )
    for end in (0.0, 1.0):
        plot.axvline(end, color=theme.muted, linewidth=1, linestyle=":")
    plot.set_yscale("log")
    plot.yaxis.set_major_formatter("{x:g}")
    legend(plot, theme)
    return made


def _batches(plot: Any, batches: list[int]) -> None:
    """The batch sizes themselves on the axis."""
    plot.set_xticks(batches, [str(b) for b in batches])
    plot.minorticks_off()
