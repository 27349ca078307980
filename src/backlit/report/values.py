"""Regression: what the net said against what was true, and what is left over."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backlit.evaluation.metrics import Array
from backlit.report.canvas import Picture, Theme, axes, figure, legend
from backlit.report.html import number

MOST = 5000
"""Dots beyond this many cover each other: an even sample is drawn."""


def pictures(output: Array, target: Array) -> list[Picture]:
    """Predicted against true, residuals against predicted, and how the residuals are spread; columns are outputs."""
    y, t = flat(output), flat(target)
    error = y - t
    finite = np.isfinite(error).all(axis=1)
    y, t, error = y[finite], t[finite], error[finite]
    if not len(y):
        return []
    step = -(-len(y) // MOST)
    note = f"Every {step}th row of {number(len(t))}. " if step > 1 else ""
    low, middle, high = (number(float(v)) for v in np.quantile(error, [0.05, 0.5, 0.95]))
    spread = f"half of the residuals lie below {middle}, nine of ten between {low} and {high}"
    return [
        Picture(
            "predicted", f"Predicted against true values of {number(len(y))} rows; {spread}.",
            f"{note}On the dotted line a prediction is right.", partial(_draw_predicted, y[::step], t[::step]),
        ),
        Picture(
            "residuals", f"Residuals (predicted minus true) against predicted values; {spread}.",
            f"{note}A good fit shows no pattern.", partial(_draw_residuals, y[::step], error[::step]),
        ),
        Picture("residual_spread", f"Histogram of the residuals; {spread}.", "", partial(_draw_spread, error)),
    ]  # fmt: skip


def flat(values: Array) -> Array:
    """(N, outputs) in float64, whatever the shape of one row."""
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _draw_predicted(y: Array, t: Array, theme: Theme) -> Figure:
    made = figure(theme, height=3.8)
    plot = axes(made, theme, "Predicted against true", "true", "predicted")
    _dots(plot, theme, t, y)
    ends = [float(min(t.min(), y.min())), float(max(t.max(), y.max()))]
    plot.plot(ends, ends, color=theme.muted, linewidth=1.2, linestyle=":")
    legend(plot, theme)
    return made


def _draw_residuals(y: Array, error: Array, theme: Theme) -> Figure:
    made = figure(theme, height=3.8)
    plot = axes(made, theme, "Residuals", "predicted", "predicted minus true")
    _dots(plot, theme, y, error)
    plot.axhline(0, color=theme.muted, linewidth=1.2, linestyle=":")
    legend(plot, theme)
    return made


def _draw_spread(error: Array, theme: Theme) -> Figure:
    made = figure(theme)
    plot = axes(made, theme, "Spread of the residuals", "predicted minus true", "rows")
    bins = int(np.clip(np.sqrt(len(error)), 5, 40))
    for k in range(min(error.shape[1], len(theme.lines))):
        plot.hist(error[:, k], bins=bins, color=theme.lines[k], alpha=0.75 if error.shape[1] == 1 else 0.4,
                  label=f"output {k}" if error.shape[1] > 1 else None)  # fmt: skip
    plot.axvline(0, color=theme.muted, linewidth=1.2, linestyle=":")
    legend(plot, theme)
    return made


def _dots(plot: Axes, theme: Theme, x: Array, y: Array) -> None:
    for k in range(min(x.shape[1], len(theme.lines))):
        plot.scatter(x[:, k], y[:, k], s=14, color=theme.lines[k], alpha=0.55, linewidths=0,
                     label=f"output {k}" if x.shape[1] > 1 else None)  # fmt: skip
