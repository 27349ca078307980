"""Figures of the signals before the first update."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from backlit.lab.panels import MAP, grid
from backlit.report.canvas import Theme, axes, figure

BINS = 48
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
SMALLEST = 1e-30


def ridges(looks: Any, what: str, theme: Theme) -> Figure:
    """A plot for each activation (rows) and initialiser (columns): the histogram of each layer, the first on top."""
    starts = list(dict.fromkeys(start for _, start in looks))
    titles = [f"{activation}, {start}" for activation, start in looks]
    made, plots = grid(theme, titles, len(starts), (1.95, 1.75), y="layer", margins=(0.44, 0.34), font=8.5)
    for plot, ((activation, _), seen) in zip(plots, looks.items(), strict=True):
        sizes = what == "delta" or activation not in RANGES
        values = [_sizes(layer[what]) if sizes else layer[what].ravel() for layer in seen]
        if sizes:
            alive = np.concatenate([v for v in values if v.size] or [np.zeros(1)])
            middle = float(np.median(alive))
            span = (
                min(float(np.percentile(alive, 1)), middle - 1.5),
                max(float(np.percentile(alive, 99.5)), middle + 1.5),
            )
        else:
            span = RANGES[activation]
        _stacked(plot, theme, values, span)
        if sizes:
            whole = list(range(int(np.ceil(span[0])), int(np.floor(span[1])) + 1))
            ticks = whole[:: max(1, -(-len(whole) // 4))]
            plot.set_xticks(ticks, [f"$10^{{{t}}}$" for t in ticks])
    return made


def _stacked(plot: Axes, theme: Theme, values: list[Any], span: tuple[float, float]) -> None:
    palette = matplotlib.colormaps[MAP]
    depth = len(values)
    for i, v in enumerate(values):
        counts, edges = np.histogram(v, BINS, range=span)
        height = counts / max(counts.max(), 1) * 1.5
        base = float(depth - i)
        colour = palette(0.08 + 0.8 * i / max(depth - 1, 1))
        plot.stairs(base + height, edges, baseline=base, fill=True, color=colour, linewidth=0, zorder=2 + i)
        plot.axhline(base, color=theme.grid, linewidth=0.5, zorder=2 + i)
    plot.set_xlim(*span)
    plot.set_ylim(0.6, depth + 1.8)
    plot.set_yticks([depth, 1], ["1", str(depth)])
    plot.grid(visible=False)


def levels(found: Any, theme: Theme) -> Figure:
    """Standard deviations by layer: activations above, error signals below."""
    titles = [f"{activation}: {what}" for what in ("activations", "error signals") for activation in found]
    made, plots = grid(theme, titles, len(found), (2.9, 2.2), x="layer", y="standard deviation", margins=(0.62, 0.44))
    styles = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1.5, 1)), "-")
    for i, plot in enumerate(plots):
        activation = list(found)[i % len(found)]
        what = "std" if i < len(found) else "delta_std"
        for j, (start, layers) in enumerate(found[activation].items()):
            values = np.array(layers[what])
            shown = np.where(values > SMALLEST, values, np.nan)
            plot.plot(np.arange(1, len(values) + 1), shown, color=theme.lines[j], linestyle=styles[j], linewidth=1.7,
                      marker="os^Dv"[j], markersize=3.2, label=start)  # fmt: skip
        plot.set_yscale("log")
        plot.yaxis.set_minor_formatter(NullFormatter())
        plot.set_ylabel("standard deviation" if i % len(found) == 0 else "", fontsize=8.5, color=theme.muted)
    plots[0].set_ylim(5e-3, 2)
    plots[1].legend(frameon=False, fontsize=7, labelcolor=theme.ink, loc="lower left")
    return made


def twins(found: Any, theme: Theme) -> Figure:
    """Distinct units before and after training."""
    made = figure(theme, 4.6, 2.6)
    plot = axes(made, theme, "Units that differ from one another", "", "distinct units")
    labels = [f"{name},\nlayer {i + 1}" for name in found for i in range(len(found[name][0]))]
    for j, when in enumerate(("before", "after training")):
        counts = [n for name in found for n in found[name][j]]
        places = np.arange(len(counts)) + 0.38 * (j - 0.5)
        plot.bar(places, counts, 0.36, color=theme.lines[j], hatch=("", "//")[j], edgecolor=theme.paper, label=when)
        for place, count in zip(places, counts, strict=True):
            plot.text(place, count + 0.2, str(count), ha="center", fontsize=8, color=theme.ink)
    plot.set_xticks(range(len(labels)), labels)
    plot.set_ylim(0, 15.5)
    plot.set_yticks([0, 4, 8, 12])
    plot.grid(visible=False, axis="x")
    plot.legend(frameon=False, fontsize=8, labelcolor=theme.ink, loc="upper left")
    return made


def _sizes(values: Any) -> Any:
    """log10 |value| of what is not zero."""
    sizes = np.abs(values.ravel())
    return np.log10(sizes[(sizes > SMALLEST) & np.isfinite(sizes)])
