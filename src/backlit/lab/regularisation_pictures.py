"""The pictures of backlit.lab.regularisation: from its numbers to figures."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backlit.lab.panels import grid
from backlit.report.canvas import Theme

BINS = np.linspace(-0.8, 0.8, 81)
"""Of the histograms of weights."""

ACROSS = 4


def panels(names: list[str], theme: Theme, x: str, y: str) -> tuple[Figure, list[Axes]]:
    """A small plot for each name, four in a row, on one scale."""
    made, plots = grid(theme, names, ACROSS, (2.4, 2.0), x, y)
    for plot in plots[1:]:
        plot.sharex(plots[0])
        plot.sharey(plots[0])
    return made, plots


def draw_curves(numbers: dict[str, Any], theme: Theme) -> Figure:
    found = numbers["trainings"]
    made, plots = panels(list(found), theme, "epoch", "loss")
    for plot, one in zip(plots, found.values(), strict=True):
        epochs = range(1, one["epochs"] + 1)
        plot.plot(epochs, one["curves"]["train"], color=theme.train, linewidth=1.6, label="training")
        plot.plot(
            epochs,
            one["curves"]["held_out"],
            color=theme.validation,
            linewidth=1.6,
            linestyle=(0, (5, 1.5)),
            label="held out",
        )
        plot.axhline(one["held_out"], color=theme.muted, linewidth=0.9, linestyle=":")
        plot.set_yscale("log")
        plot.text(
            0.97,
            0.93,
            f"gap {one['gap']:.2f}",
            transform=plot.transAxes,
            ha="right",
            va="top",
            fontsize=8.5,
            color=theme.ink,
        )
        plot.minorticks_off()
    plots[0].set_ylim(1e-4, 20)
    named(made, plots[0], theme)
    return made


def draw_weights(numbers: dict[str, Any], theme: Theme) -> Figure:
    found = numbers["trainings"]
    made, plots = panels(list(found), theme, "weight", "weights")
    middle = (BINS[1:] + BINS[:-1]) / 2
    for plot, one in zip(plots, found.values(), strict=True):
        plot.stairs(one["histogram"], BINS, color=theme.train, fill=True, alpha=0.85)
        plot.plot(middle, found["none"]["histogram"], color=theme.validation, linewidth=1.0)
        plot.set_yscale("log")
        plot.text(0.97, 0.93, f"norm {one['norm']:.1f}\n{100 * one['near_zero']:.0f} % near 0", transform=plot.transAxes,
                  ha="right", va="top", fontsize=8, color=theme.ink)  # fmt: skip
        plot.minorticks_off()
    plots[0].set_ylim(bottom=0.8)
    return made


def named(made: Figure, plot: Axes, theme: Theme) -> None:
    """One legend for all panels, in the empty place after the last."""
    handles, labels = plot.get_legend_handles_labels()
    made.legend(
        handles, labels, frameon=False, labelcolor=theme.ink, fontsize=9, loc="lower right", bbox_to_anchor=(0.97, 0.2)
    )
