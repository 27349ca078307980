"""What figures of the lab share: plots in a grid, tables in colours, contours."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backlit.report.canvas import Theme, axes, figure

DPI = 120
"""Of large figures: sharp on a page, and small as a file."""

MAP = "cividis"
"""Even in lightness, and the same to people who confuse red and green."""


def grid(
    theme: Theme,
    titles: Sequence[str],
    columns: int,
    size: tuple[float, float],
    x: str = "",
    y: str = "",
    margins: tuple[float, float] = (0.55, 0.5),
    head: float = 0.0,
    font: float = 9.5,
) -> tuple[Figure, list[Axes]]:
    """A plot for each title, `columns` side by side, each of `size` inches; x is written below the last row, y on the left.

    `margins`: inches left of each plot and below it; `head`: inches above all of them; `font`: of the titles.
    """
    rows = -(-len(titles) // columns)
    width, height = columns * size[0], rows * size[1] + head
    made = figure(theme, width, height)
    made.set_dpi(DPI)
    plots = []
    for i, title in enumerate(titles):
        row, column = divmod(i, columns)
        lowest = i + columns >= len(titles)
        plot = axes(made, theme, title, x if lowest else "", y if column == 0 else "")
        left, bottom = column * size[0] + margins[0], (rows - 1 - row) * size[1] + margins[1]
        across, up = size[0] - margins[0] - 0.12, size[1] - margins[1] - 0.32
        plot.set_position((left / width, bottom / height, across / width, up / height))
        plot.set_title(title, loc="left", fontsize=font, fontweight="bold", color=theme.ink, pad=5)
        plot.tick_params(labelsize=7.5, pad=2)
        plots.append(plot)
    return made, plots


def table(
    plot: Axes,
    values: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Any,
    limits: tuple[float, float],
    reverse: bool = False,
    size: float = 7.5,
    empty: str = "#9aa3ad",
) -> None:
    """A table (R, C) whose cells are coloured by `values` and say `texts`; NaN is grey."""
    palette = matplotlib.colormaps[MAP + "_r" if reverse else MAP].with_extremes(bad=empty)
    scale = colors.Normalize(*limits)
    values = np.asarray(values, np.float64)
    plot.imshow(np.ma.masked_invalid(values), cmap=palette, norm=scale, aspect="auto")
    plot.set_xticks(range(len(columns)), columns)
    plot.set_yticks(range(len(rows)), rows)
    plot.grid(visible=False)
    for spine in plot.spines.values():
        spine.set_visible(False)
    for (r, c), text in np.ndenumerate(np.asarray(texts, dtype=object)):
        colour = palette(scale(values[r, c])) if np.isfinite(values[r, c]) else colors.to_rgba(empty)
        light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.5
        plot.text(c, r, text, ha="center", va="center", fontsize=size, color="#101418" if light else "#ffffff")


def short(value: float) -> str:
    """Two digits, without an exponent for what has three.

    >>> short(100.0), short(0.0464)
    ('100', '0.046')
    """
    return f"{value:.0f}" if 100 <= value < 1000 else f"{value:.2g}"


def power(rate: float) -> str:
    """A learning rate as a label: 0.001 is 10⁻³, others in full.

    >>> power(0.001), power(0.0316227766)
    ('10⁻³', '0.032')
    """
    exponent = round(float(np.log10(rate)))
    if abs(10.0**exponent - rate) > 1e-3 * rate:
        return f"{rate:.2g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
