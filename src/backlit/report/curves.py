"""What happened epoch by epoch: loss, the metric, the learning rate."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from backlit.evaluation.metrics import Array
from backlit.report.canvas import LIGHT, Picture, Theme, axes, figure, legend, moving_average, window
from backlit.report.html import number

METRICS = ("accuracy", "exact", "rmse", "hamming", "mae", "r2")
History = list[dict[str, Any]]


def series(history: History, name: str, part: str = "") -> Array:
    """One value an epoch, NaN where the epoch has none; `part` is "" for training or "validation"."""
    lines = [line.get(part) if part else line for line in history]
    values = [line.get(name) if isinstance(line, dict) else None for line in lines]
    return np.array([float(v) if isinstance(v, int | float) else np.nan for v in values])


def metric(history: History) -> str:
    """The metric beside the loss that this history holds, "" when it holds none."""
    for name in METRICS:
        if any(np.isfinite(series(history, name, part)).any() for part in ("", "validation")):
            return name
    return ""


def pictures(history: History, best_epoch: Any = None) -> list[Picture]:
    """Loss, metric and learning rate as pictures; none when no epoch was finished."""
    made = []
    smooth = window(len(history))
    how = f"Thin: each epoch; thick: mean over {smooth} epochs." if smooth > 1 else ""
    for name in ("loss", metric(history)):
        if name and told(history, name):
            alt = f"{name.capitalize()} by epoch: {told(history, name)}."
            made.append(Picture(name, alt, how, partial(_draw, history, name, best_epoch)))
    rate = series(history, "lr")
    if np.isfinite(rate).any():
        known = rate[np.isfinite(rate)]
        alt = f"Learning rate by epoch: from {number(known[0])} to {number(known[-1])}, at most {number(known.max())}."
        made.append(Picture("learning_rate", alt, "", partial(_draw_rate, history)))
    return made


def told(history: History, name: str) -> str:
    """The curve in words, for those who do not see it."""
    parts = []
    for title, part in (("training", ""), ("validation", "validation")):
        values = series(history, name, part)
        known = values[np.isfinite(values)]
        if known.size:
            parts.append(f"{title} goes from {number(float(known[0]))} to {number(float(known[-1]))}")
    return ", ".join(parts)


def both(history: History, best_epoch: Any = None, theme: Theme = LIGHT) -> Figure:
    """Loss and metric side by side, for a notebook."""
    names = [name for name in ("loss", metric(history)) if name]
    made = figure(theme, width=4.8 * len(names), height=3.6)
    for i, name in enumerate(names):
        draw(axes(made, theme, _title(name), "epoch", "", (i, len(names))), theme, history, name, best_epoch)
    return made


def draw(plot: Axes, theme: Theme, history: History, name: str, best_epoch: Any = None) -> None:
    """Training and validation: raw and thin, moving average and thick."""
    epochs = series(history, "epoch")
    smooth = window(len(history))
    seen = []
    for title, part, colour, style in (
        ("training", "", theme.train, "-"),
        ("validation", "validation", theme.validation, (0, (5, 1.5))),
    ):
        values = series(history, name, part)
        known = np.isfinite(values)
        if not known.any():
            continue
        seen.append(values[known])
        if smooth > 1:
            plot.plot(epochs[known], values[known], color=colour, linewidth=0.8, alpha=0.5)
            mean = moving_average(values, smooth)
            plot.plot(epochs[known], mean[known], color=colour, linewidth=2.2, linestyle=style, label=title)
        else:
            plot.plot(epochs[known], values[known], color=colour, linewidth=1.8, linestyle=style, marker="o",
                      markersize=4, label=title)  # fmt: skip
    if isinstance(best_epoch, int | float) and len(history) > 1:
        plot.axvline(best_epoch, color=theme.muted, linewidth=1, linestyle=":", label=f"best epoch: {best_epoch}")
    everything = np.concatenate(seen) if seen else np.ones(1)
    if name == "loss" and everything.min() > 0 and everything.max() > 50 * everything.min():
        plot.set_yscale("log")
        plot.yaxis.set_major_formatter("{x:g}")
        plot.set_ylabel("log scale", fontsize=9, color=theme.muted)
    plot.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    legend(plot, theme)


def _draw(history: History, name: str, best_epoch: Any, theme: Theme) -> Figure:
    made = figure(theme)
    draw(axes(made, theme, _title(name), "epoch", ""), theme, history, name, best_epoch)
    return made


def _draw_rate(history: History, theme: Theme) -> Figure:
    made = figure(theme, height=2.4)
    plot = axes(made, theme, "Learning rate", "epoch", "")
    plot.plot(series(history, "epoch"), series(history, "lr"), color=theme.train, linewidth=1.8,
              marker="o" if len(history) < 6 else None, markersize=4)  # fmt: skip
    plot.set_ylim(bottom=0)
    plot.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    return made


def _title(name: str) -> str:
    titles = {
        "rmse": "Root mean squared error",
        "mae": "Mean absolute error",
        "r2": "R²",
        "exact": "Rows with all labels right",
        "hamming": "Share of wrong labels",
    }
    return titles.get(name, name.capitalize())
