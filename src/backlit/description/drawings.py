"""How the pictures of a description are drawn, each in a theme."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from backlit.data.table import kind, missing
from backlit.report.canvas import Theme, axes, figure, label, legend

MOST_ROWS = 400
"""Lines of a map of missing cells."""

PAST = 1000
"""Steps of a series that are drawn, the latest."""

ACROSS = 8
"""Pictures side by side."""


def grid(theme: Theme, titles: Sequence[str], columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A small plot for each title, `columns` side by side, each of `size` inches."""
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    width, height = columns * size[0], rows * size[1]
    made = figure(theme, width, height)
    plots = []
    for i, title in enumerate(titles):
        row, place = divmod(i, columns)
        plot = axes(made, theme, title, "", "")
        left, bottom = place * size[0] + 0.12, (rows - 1 - row) * size[1] + 0.3
        plot.set_position((left / width, bottom / height, (size[0] - 0.3) / width, (size[1] - 0.6) / height))
        plot.set_title(title, loc="left", fontsize=8, fontweight="bold", color=theme.ink, pad=4)
        plot.tick_params(labelsize=6.5, pad=2)
        plots.append(plot)
    return made, plots


def draw_classes(shown: dict[str, dict[str, int]], every: dict[str, dict[str, int]], theme: Theme) -> Figure:
    """Bars of each class, one a part; lying where there are many."""
    parts = list(next(iter(shown.values())))
    across = len(shown) * len(parts) > 40 or max(map(len, shown)) * len(shown) > 60
    made = figure(theme, height=max(3.2, 0.24 * len(shown) + 1.0) if across else 3.2)
    names = [label(name, k) for k, name in enumerate(shown)]
    wide = 0.35 + 0.08 * max(map(len, names)) if across else 0.72
    plot = axes(
        made,
        theme,
        "Classes",
        "share of rows" if across else "",
        "" if across else "share of rows",
        margins=(wide, 0.55),
    )
    width = 0.8 / len(parts)
    for i, part in enumerate(parts):
        total = max(1, sum(counts[part] for counts in every.values()))
        share = [counts[part] / total for counts in shown.values()]
        at = np.arange(len(shown)) + (i - (len(parts) - 1) / 2) * width
        draw: Any = plot.barh if across else plot.bar
        draw(at, share, width, color=theme.lines[i], label=part if len(parts) > 1 else None)
    (plot.set_yticks if across else plot.set_xticks)(range(len(shown)), names)
    plot.grid(visible=False, axis="y" if across else "x")
    if across:
        plot.invert_yaxis()
    if len(parts) > 1:  # above the plot, where no bar can reach
        plot.legend(frameon=False, labelcolor=theme.ink, fontsize=8.5, ncols=len(parts), loc="lower right",
                    bbox_to_anchor=(1.02, 0.98), columnspacing=1.2, handlelength=1.2)  # fmt: skip
    return made


def draw_histogram(values: np.ndarray, title: str, x: str, theme: Theme) -> Figure:
    """How often each value stands."""
    made = figure(theme)
    plot = axes(made, theme, title, x, "times")
    plot.hist(values, bins=bins_of(values).tolist(), color=theme.train)
    plot.locator_params(axis="x", nbins=5)
    return made


def bins_of(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram: one bin a value for few whole numbers, else at most 40 of equal width.

    >>> import numpy as np
    >>> bins_of(np.array([1.0, 2.0, 2.0, 4.0])).tolist()
    [0.5, 1.5, 2.5, 3.5, 4.5]
    """
    low, high = float(values.min()), float(values.max())
    if high - low <= 40 and (values == np.floor(values)).all():
        return np.arange(low - 0.5, high + 1.5)
    return np.linspace(low, high if high > low else low + 1, int(np.clip(np.sqrt(len(values)), 8, 40)) + 1)


def draw_columns(columns: dict[str, np.ndarray], theme: Theme) -> Figure:
    """A small histogram a column, or bars of its most frequent values."""
    names = [label(name, i, 22) for i, name in enumerate(columns)]
    made, plots = grid(theme, names, 4, (1.9, 1.5))
    for plot, values in zip(plots, columns.values(), strict=True):
        known = values[~missing(values)]
        plot.set_yticks([])
        plot.grid(visible=False)
        if not len(known):
            continue
        if kind(values) == "category":
            found, counts = np.unique(known.astype(str), return_counts=True)
            order = np.argsort(-counts, kind="stable")[:6]
            plot.barh(range(len(order)), counts[order], color=theme.validation, alpha=0.4, height=0.75)
            for i, k in enumerate(order):
                plot.text(0.02 * counts.max(), i, label(str(found[k]), i, 24), va="center", fontsize=6, color=theme.ink)
            plot.invert_yaxis()
            plot.set_ylim(5.5, -0.5)
            plot.set_xticks([])
            continue
        if kind(values) == "date":
            days = known.astype("datetime64[D]").astype(np.float64)
            plot.hist(days, bins=bins_of(days).tolist(), color=theme.train)
            ends = known.min(), known.max()
            plot.set_xticks([days.min(), days.max()], [str(end)[:10] for end in ends])
            for text, side in zip(plot.get_xticklabels(), ("left", "right"), strict=True):
                text.set(ha=side)
            continue
        plot.hist(known, bins=bins_of(known).tolist(), color=theme.train)
        plot.locator_params(axis="x", nbins=4, integer=bool((known == np.floor(known)).all()))
        plot.xaxis.get_offset_text().set(fontsize=6, color=theme.muted)
    return made


def draw_missing(absent: dict[str, np.ndarray], theme: Theme) -> Figure:
    """Rows by columns: what is missing."""
    cells = np.stack(list(absent.values()), axis=1)  # (N, D)
    rows = np.linspace(0, len(cells) - 1, min(len(cells), MOST_ROWS)).astype(int)
    # Lines that are drawn are rows that are there: a share of several rows would look like a guess.
    names = [f"{label(name, i)}  {100 * c.mean():.3g} %" for i, (name, c) in enumerate(absent.items())]
    long = 0.075 * max(map(len, names))
    made = figure(theme, width=max(3.4, 1.3 + 0.32 * len(names)), height=3.0 + 0.8 * long)
    plot = axes(made, theme, "Missing cells", "", "row", margins=(0.72, 0.35 + 0.8 * long))
    colours = LinearSegmentedColormap.from_list("missing", [theme.grid, theme.validation])
    plot.imshow(cells[rows], cmap=colours, aspect="auto", interpolation="nearest", vmin=0, vmax=1,
                extent=(-0.5, len(names) - 0.5, len(cells), 0))  # fmt: skip
    plot.set_xticks(range(len(names)), names)
    for text in plot.get_xticklabels():
        text.set(rotation=45, ha="right", rotation_mode="anchor")
    plot.grid(visible=False)
    return made


def draw_correlation(names: list[str], found: np.ndarray, theme: Theme) -> Figure:
    """Columns by columns, in colours; with numbers where there are few."""
    shown = [label(name, i, 18) for i, name in enumerate(names)]
    long = 0.07 * max(map(len, shown))
    side = max(2.6, 0.26 * len(names))
    # A cell is a square, and the scale stands on its right.
    made = figure(theme, width=side + long + 1.2, height=side + 0.75 * long + 0.95)
    plot = axes(made, theme, "Correlation", "", "", margins=(0.3 + long, 0.4 + 0.75 * long))
    width, height = made.get_size_inches()
    plot.set_position(((0.3 + long) / width, (0.4 + 0.75 * long) / height, side / width, side / height))
    colours = LinearSegmentedColormap.from_list("signs", [theme.validation, theme.paper, theme.train])
    image = plot.imshow(found, cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    plot.set_xticks(range(len(names)), shown)
    plot.set_yticks(range(len(names)), shown)
    for text in plot.get_xticklabels():
        text.set(rotation=45, ha="right", rotation_mode="anchor")
    plot.grid(visible=False)
    bar = made.add_axes(((0.3 + long + side + 0.15) / width, (0.4 + 0.75 * long) / height, 0.14 / width, side / height))
    made.colorbar(image, cax=bar)
    bar.tick_params(colors=theme.muted, labelsize=7.5, length=0)
    for spine in bar.spines.values():
        spine.set_visible(False)
    if len(names) <= 10:
        for (i, j), r in np.ndenumerate(found):
            ink = theme.paper if abs(r) > 0.6 else theme.ink
            plot.text(j, i, f"{r:.2f}", ha="center", va="center", fontsize=min(7.5, 60 / len(names)), color=ink)
    return made


def draw_pictures(rows: list[tuple[str, np.ndarray]], limits: tuple[float, float], theme: Theme) -> Figure:
    """A line of pictures a class."""
    names = [label(name, i) for i, (name, _) in enumerate(rows)]
    wide = 0.15 + 0.085 * max(map(len, names))
    cell = 0.62
    made = figure(theme, width=wide + ACROSS * cell + 0.1, height=len(rows) * cell + 0.15)
    width, height = made.get_size_inches()
    for r, (name, images) in enumerate(rows):
        bottom = height - 0.08 - (r + 1) * cell
        made.text(
            0.1 / width,
            (bottom + cell / 2) / height,
            names[r] if name else "",
            fontsize=8.5,
            color=theme.ink,
            va="center",
        )
        for c, picture in enumerate(images):
            _picture(made, picture, (wide + c * cell, bottom, cell - 0.05), limits)
    return made


def draw_means(means: np.ndarray, names: list[str], limits: tuple[float, float], theme: Theme) -> Figure:
    """The mean picture of each class."""
    cell, columns = 0.98, min(6, len(names))
    rows = -(-len(names) // columns)
    made = figure(theme, width=columns * cell + 0.2, height=rows * (cell + 0.25) + 0.1)
    width, height = made.get_size_inches()
    for k, mean in enumerate(means):
        r, c = divmod(k, columns)
        bottom = height - 0.05 - (r + 1) * (cell + 0.25)
        made.text(
            (0.1 + c * cell) / width, (bottom + cell - 0.04) / height, label(names[k], k), fontsize=8, color=theme.ink
        )
        _picture(made, mean, (0.1 + c * cell, bottom, cell - 0.08), limits)
    return made


def _picture(made: Figure, picture: np.ndarray, place: tuple[float, float, float], limits: tuple[float, float]) -> None:
    width, height = made.get_size_inches()
    left, bottom, side = place
    plot = made.add_axes((left / width, bottom / height, side / width, side / height))
    plot.axis("off")
    shown = np.clip((picture.astype(np.float64) - limits[0]) / (limits[1] - limits[0]), 0, 1)
    colours = shown[..., :3] if shown.shape[-1] >= 3 else shown[..., 0]
    plot.imshow(colours, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def limits_of(x: np.ndarray) -> tuple[float, float]:
    """What is drawn black and what white."""
    if x.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(x.min()), float(x.max())
    return low, high if high > low else low + 1.0


def draw_words(words: list[list[Any]], theme: Theme) -> Figure:
    """Bars, the most frequent token above."""
    names = [label(w if w.strip() else repr(w), i) for i, (w, _) in enumerate(words)]
    made = figure(theme, height=0.21 * len(words) + 1.0)
    plot = axes(made, theme, "Most frequent tokens", "times", "", margins=(0.35 + 0.075 * max(map(len, names)), 0.55))
    plot.barh(range(len(words)), [count for _, count in words], color=theme.train, height=0.75)
    plot.set_yticks(range(len(words)), names)
    plot.invert_yaxis()
    plot.grid(visible=False, axis="y")
    return made


def draw_series(names: list[str], values: np.ndarray, theme: Theme) -> Figure:
    """A line a column, below or beside each other."""
    made, plots = grid(
        theme, [label(name, i, 22) for i, name in enumerate(names)], 1 if len(names) < 4 else 2, (4.6, 1.6)
    )
    width = made.get_size_inches()[0]
    first = max(0, len(values) - PAST)
    for d, plot in enumerate(plots):
        box = plot.get_position()
        plot.set_position((box.x0 + 0.45 / width, box.y0, box.width - 0.45 / width, box.height))
        plot.plot(np.arange(first, len(values)), values[first:, d], color=theme.train, linewidth=1)
    return made


def draw_autocorrelation(names: list[str], values: np.ndarray, rows: int, theme: Theme) -> Figure:
    """A line a column, with what chance alone gives."""
    made = figure(theme)
    plot = axes(made, theme, "Autocorrelation", "rows later", "correlation")
    lags = np.arange(1, len(values) + 1)
    for d, name in enumerate(names[: len(theme.lines)]):
        plot.plot(lags, values[:, d], color=theme.lines[d], linewidth=1.4, marker="." if len(lags) < 60 else None,
                  label=label(name, d) if len(names) > 1 else None)  # fmt: skip
    for sign in (-1, 1):
        plot.axhline(sign * 1.96 / np.sqrt(rows), color=theme.muted, linewidth=1, linestyle=":")
    plot.axhline(0, color=theme.muted, linewidth=0.6)
    legend(plot, theme)
    return made
