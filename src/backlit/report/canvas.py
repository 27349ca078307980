"""One look for all figures, in daylight and in the dark. Styles are set on each figure: nothing global is touched.

Figures are made with matplotlib's objects and drawn by Agg, without pyplot, so a report can be written in any thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colors, font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from backlit.evaluation.metrics import Array

WIDTH, HEIGHT, DPI = 5.0, 3.2, 180


@dataclass(frozen=True)
class Theme:
    """Colours: those of `lines` differ for people who confuse red and green, and stand out from the paper."""

    paper: str
    ink: str
    muted: str
    grid: str
    lines: tuple[str, ...]

    @property
    def train(self) -> str:
        return self.lines[0]

    @property
    def validation(self) -> str:
        return self.lines[1]


LIGHT = Theme(
    "#ffffff", "#1b2430", "#5b6675", "#e3e7ec",
    ("#0b63b8", "#c2490c", "#0a7d5a", "#a3358f", "#7a5c00", "#3b3f9e", "#b3263b", "#007c89", "#5d6b1e", "#6b4a3a"),
)  # fmt: skip
DARK = Theme(
    "#171c23", "#e6ebf1", "#a3aebb", "#2c343e",
    ("#6cb6ff", "#ffab66", "#56d4a4", "#e59ad6", "#e3c35a", "#a9adff", "#ff8f9b", "#5fd3df", "#bccb73", "#d3aa95"),
)  # fmt: skip


class Picture(NamedTuple):
    """A figure of the report: its file name, what it shows in words, a caption, and how to draw it in a theme."""

    name: str
    alt: str
    caption: str
    draw: Callable[[Theme], Figure]


def figure(theme: Theme, width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """An empty figure that shows itself in a notebook, with no backend chosen for the rest of the program."""
    made = Figure(figsize=(width, height), dpi=DPI, facecolor=theme.paper, edgecolor=theme.paper)
    FigureCanvasAgg(made)
    made._repr_png_ = partial(png, made)  # type: ignore[attr-defined]
    return made


def axes(
    made: Figure,
    theme: Theme,
    title: str,
    x: str,
    y: str,
    place: tuple[int, int] = (0, 1),
    margins: tuple[float, float] = (0.72, 0.55),
) -> Axes:
    """One plot with a title, named axes and a quiet grid; `place` is (column, columns).

    `margins`: inches left of the plot and below it. Given rather than measured: measuring doubles the time of a figure.
    """
    width, height = made.get_size_inches()
    column, columns = place
    left, bottom = margins
    across, up = width / columns - left - 0.18, height - bottom - 0.42
    plot = made.add_axes((column / columns + left / width, bottom / height, across / width, up / height))
    plot.set_facecolor(theme.paper)
    plot.set_title(title, loc="left", fontsize=11, fontweight="bold", color=theme.ink, pad=8)
    plot.set_xlabel(x, fontsize=9, color=theme.muted)
    plot.set_ylabel(y, fontsize=9, color=theme.muted)
    plot.tick_params(which="both", colors=theme.muted, labelsize=8.5, length=0, pad=4)
    plot.grid(visible=True, which="major", color=theme.grid, linewidth=0.8, linestyle="-")
    plot.set_axisbelow(True)
    for side, spine in plot.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.grid)
    return plot


def legend(plot: Axes, theme: Theme, title: str | None = None, corner: bool = False) -> None:
    """A legend without a frame, when there is something to name."""
    if plot.get_legend_handles_labels()[0]:
        made = plot.legend(frameon=False, labelcolor=theme.ink, fontsize=8.5, title=title,
                           loc="lower right" if corner else "best")  # fmt: skip
        made.get_title().set(color=theme.muted, fontsize=8.5)


def png(made: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    file = BytesIO()
    canvas: Any = FigureCanvasAgg(made)  # print_png draws once, savefig twice
    canvas.print_png(file, metadata={"Software": None})
    return file.getvalue()


def label(name: str, number: int, limit: int = 14) -> str:
    """A class name as a figure can show it: short, no formula, and `#number` when the font lacks its letters."""
    text = " ".join(name.split())
    if len(text) > limit:
        text = text[: limit // 2] + "…" + text[1 + limit // 2 - limit :]  # names often differ at their end
    face = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    known = text != "" and all(face.get_char_index(ord(c)) for c in text)
    return text.replace("$", r"\$") if known else f"#{number}"


def moving_average(values: Array, window: int) -> Array:
    """Mean over `window` neighbours (odd), half before and half after; fewer at the ends, and without the gaps (NaN).

    >>> moving_average(np.array([0.0, 3.0, 6.0, 0.0]), 3).tolist()
    [1.5, 3.0, 3.0, 3.0]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    kernel = np.ones(window)
    half = window // 2
    total = np.convolve(np.where(known, values, 0.0), kernel)[half : half + len(values)]
    count = np.convolve(known.astype(np.float64), kernel)[half : half + len(values)]
    return np.where(count > 0.5, total / np.maximum(count, 1.0), np.nan)


def window(length: int) -> int:
    """An odd window of about an eighth of the curve; 1 (no smoothing) for curves of fewer than 6 points."""
    return 1 if length < 6 else max(3, (length // 8) | 1)


def rgb(colour: str) -> Array:
    """Red, green and blue from 0 to 1."""
    return np.array(colors.to_rgb(colour))
