"""Figures and film of the race of update rules."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from backlit.lab.panels import DPI, grid, power, short, table
from backlit.lab.racers import SHOWN
from backlit.lab.result import Film
from backlit.lab.surfaces import Surface
from backlit.report.canvas import Picture, Theme, axes, figure, rgb

LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1.5, 1)))
DISTANT = 1e6
"""Numbers beyond this are not drawn: a path that left."""

Ways = dict[str, Any]
"""Of each rule: path (T + 1, 2), value (T + 1), lr and steps."""


def pictures(surfaces: tuple[Surface, ...], ways: dict[str, Ways], seconds: dict[str, float]) -> list[Picture]:
    """The table of all surfaces, the loss curves, and the paths on each."""
    made = [
        Picture(
            "optimizers-steps",
            "Table of update rules by surfaces: updates until the minimum is reached, with the best learning rate.",
            "Updates until the value stays below 1/10 000 of the height of the start (on the saddle: until |y| is 1), and "
            "below it the learning rate, the best of the grid for this rule and surface. Grey: not within the race.",
            partial(_steps, surfaces, ways),
        ),
        Picture(
            "optimizers-loss",
            "Loss against update on each surface, and against time on Rosenbrock's valley.",
            "The lowest height above the minimum so far, each rule with its best learning rate; thin: the other rules. Time: "
            "measured, for an update of two numbers, so what counts is how many operations a rule has.",
            partial(_losses, surfaces, ways, seconds),
        ),
    ]
    for surface in surfaces:
        alt = f"Paths of all rules over the contours of {surface.formula}."
        caption = "Circle: start; star: minimum; number: updates until it is reached, with the best learning rate."
        made.append(Picture(f"optimizers-{surface.name}", alt, caption, partial(_paths, surface, ways[surface.name])))
    return made


def film(surface: Surface, ways: Ways, frames: int = 60) -> Film:
    """The race on one surface, update by update: slowly at first, then faster."""
    last = max(len(w["value"]) - 1 for w in ways.values())
    slow = [w["steps"] for w in ways.values() if np.isfinite(w["steps"])]
    end = int(min(last, max([*slow, 10])))
    moments = np.unique(np.round(np.concatenate([[0], np.geomspace(1, end, frames - 1)])).astype(int))
    caption = f"All at once on {surface.formula}, each with its best learning rate; the clock runs faster and faster."
    alt = f"Paths of {', '.join(ways)} growing over the contours of {surface.formula}."
    return Film("optimizers-race", alt, caption, partial(_frames, surface, ways, moments), 0.12)


def accuracy(theme: Theme, populations: dict[str, Any]) -> Figure:
    """Accuracy by rule and learning rate, a table for each net."""
    count = max(len(p["rules"]) for p in populations.values())
    made = figure(theme, 5.0 * len(populations), 1.0 + 0.24 * count)
    made.set_dpi(DPI)
    for i, population in enumerate(populations.values()):
        rules, rates = population["rules"], population["rates"]
        plot = axes(made, theme, population["title"], "learning rate", "", (i, len(populations)), (1.4, 0.55))
        cells = np.array([rule["accuracy"] for rule in rules.values()])
        lost = np.array([[v is None or not np.isfinite(v) for v in rule["loss"]] for rule in rules.values()])
        texts = [["–" if gone else f"{100 * v:.0f}" for v, gone in zip(*row, strict=True)]
                 for row in zip(cells, lost, strict=True)]  # fmt: skip
        names = [power(rate) if j % 2 == 0 else "" for j, rate in enumerate(rates)]
        table(plot, np.where(lost, np.nan, cells), list(rules), names, texts, (0.1, max(0.95, cells.max())), size=6.5)
    return made


def _contours(plot: Axes, theme: Theme, surface: Surface) -> None:
    (left, right), (low, high) = surface.view
    x, y = np.meshgrid(np.linspace(left, right, 120), np.linspace(low, high, 120))
    z = surface.value(x, y)
    if surface.minimum is None:
        levels, shown = np.linspace(-1.5, 1.5, 9), z
    else:
        shown = np.log10(z - surface.heights[1] + 1e-3)
        levels = np.linspace(shown.min(), shown.max(), 10)
    plot.contour(x, y, shown, levels=levels, colors=[_between(theme)], linewidths=0.6, linestyles="solid")
    plot.grid(visible=False)
    plot.set_xlim(left, right)
    plot.set_ylim(low, high)
    plot.plot(*surface.start, "o", color=theme.ink, markersize=4, zorder=5)
    if surface.minimum is not None:
        plot.plot(*surface.minimum, "*", color=theme.ink, markersize=9, zorder=5)


def _between(theme: Theme) -> Any:
    """A colour between the grid's and that of small letters, without transparency: files stay small."""
    return tuple(0.6 * rgb(theme.grid) + 0.4 * rgb(theme.muted))


def _seen(path: Any) -> Any:
    """The path until it leaves for good."""
    away = np.flatnonzero(~(np.abs(path).max(axis=1) < DISTANT))
    return path[: away[0]] if away.size else path


def _updates(steps: float) -> str:
    return f"{steps:.0f}" if np.isfinite(steps) else "never"


def _paths(surface: Surface, ways: Ways, theme: Theme) -> Figure:
    titles = [f"{name}: {_updates(way['steps'])}" for name, way in ways.items()]
    made, plots = grid(theme, titles, 6, (1.72, 1.6), margins=(0.3, 0.24), font=8)
    made.set_dpi(100)
    for plot, way in zip(plots, ways.values(), strict=True):
        _contours(plot, theme, surface)
        path = _seen(way["path"])
        plot.plot(path[:, 0], path[:, 1], color=theme.train, linewidth=1.1, marker=".", markersize=2.2)
        plot.tick_params(labelsize=6)
        plot.locator_params(nbins=4)
    return made


def _steps(surfaces: tuple[Surface, ...], ways: dict[str, Ways], theme: Theme) -> Figure:
    rules = list(ways[surfaces[0].name])
    made = figure(theme, 6.6, 0.8 + 0.29 * len(rules))
    made.set_dpi(DPI)
    plot = axes(made, theme, "Updates to the minimum (and learning rate)", "", "", margins=(1.45, 0.3))
    every = [[ways[s.name][rule] for s in surfaces] for rule in rules]
    values = np.log10([[max(w["steps"], 1.0) if np.isfinite(w["steps"]) else np.nan for w in row] for row in every])
    texts = [[_told(w) for w in row] for row in every]
    table(plot, values, rules, [s.name for s in surfaces], texts, (0.0, 3.0), reverse=True, size=8)
    return made


def _told(way: Any) -> str:
    rate = f" ({short(way['lr'])})" if way["tuned"] else ""
    return f"{_updates(way['steps'])}{rate}" if np.isfinite(way["steps"]) else f"–{rate}"


def _losses(surfaces: tuple[Surface, ...], ways: dict[str, Ways], seconds: dict[str, float], theme: Theme) -> Figure:
    bounded = [s for s in surfaces if s.minimum is not None]
    timed = next((s for s in bounded if s.name == "rosenbrock"), None) if seconds else None
    titles = [s.name for s in bounded] + (["rosenbrock, against time"] if timed else [])
    made, plots = grid(theme, titles, 2, (4.3, 2.6), y="lowest height so far", margins=(0.62, 0.5), head=0.1)
    made.set_dpi(100)
    names = [n for n in ways[bounded[0].name] if _style(n, theme) is not None]
    for plot, surface in zip(plots, bounded, strict=False):
        _curves(plot, theme, surface, ways[surface.name], names, None)
        plot.set_xlabel("update", fontsize=9, color=theme.muted)
    if timed:
        _curves(plots[-1], theme, timed, ways[timed.name], names, seconds)
        plots[-1].set_xlabel("microseconds", fontsize=9, color=theme.muted)
    handles, labels = plots[0].get_legend_handles_labels()
    if len(plots) % 2:  # the place of a plot that is not there
        made.legend(handles, labels, loc="lower right", bbox_to_anchor=(0.9, 0.08), frameon=False,
                    labelcolor=theme.ink, fontsize=9, ncols=2)  # fmt: skip
    else:
        plots[0].legend(frameon=False, labelcolor=theme.ink, fontsize=7)
    return made


def _curves(
    plot: Axes, theme: Theme, surface: Surface, ways: Ways, names: list[str], seconds: dict[str, float] | None
) -> None:
    begin, lowest = surface.heights
    for name, way in sorted(ways.items(), key=lambda item: item[0] in names):
        height = np.maximum(np.fmin.accumulate(way["value"]) - lowest, 1e-13)
        x = np.arange(len(height)) + (0.0 if seconds else 1.0)
        if seconds:
            x = (x + 1.0) * seconds[name] * 1e6
        style = _style(name, theme) or {"color": theme.grid, "linewidth": 0.9, "antialiased": False}
        plot.plot(x, height, **style, label=name if name in names else None)
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_ylim(1e-10, 2 * (begin - lowest))


def _style(name: str, theme: Theme) -> dict[str, Any] | None:
    """Colour and line of a rule that is shown; None for the others."""
    shown = [*SHOWN, "LBFGS", "Newton, saddle-free"]
    if name not in shown:
        return None
    i = shown.index(name)
    return {"color": theme.lines[i], "linewidth": 1.7, "linestyle": LINES[i % len(LINES)]}


def _frames(surface: Surface, ways: Ways, moments: Any, theme: Theme) -> Iterator[Any]:
    """One picture, changed for each frame: contours are drawn once."""
    from PIL import Image

    shown = [name for name in (*SHOWN, "LBFGS") if name in ways]
    made = figure(theme, 4.9, 3.6)
    made.set_dpi(DPI)
    plot = axes(made, theme, " ", "x", "y", margins=(0.5, 0.5))
    width = made.get_size_inches()[0]
    plot.set_position((0.62 / width, 0.14, 2.7 / width, 0.74))
    _contours(plot, theme, surface)
    drawn = {}
    for i, name in enumerate(shown):
        style = {**(_style(name, theme) or {}), "linestyle": "-", "linewidth": 1.4}
        (line,) = plot.plot([], [], **style)
        (head,) = plot.plot(
            [], [], "os^Dv<>Ph"[i], color=style["color"], markersize=6, markeredgecolor=theme.paper, zorder=6
        )
        note = made.text(3.6 / width, 0.84 - 0.075 * i, name, color=style["color"], fontsize=8.5, fontweight="bold")
        made.text(3.46 / width, 0.848 - 0.075 * i, "●■▲◆▼◀▶✚⬢"[i], color=style["color"], fontsize=7, ha="center")
        drawn[name] = line, head, note
    canvas: Any = FigureCanvasAgg(made)
    for t in moments:
        plot.set_title(
            f"{surface.name.capitalize()}: update {t}", loc="left", fontsize=10, fontweight="bold", color=theme.ink
        )
        for name, (line, head, note) in drawn.items():
            path, steps = _seen(ways[name]["path"][: t + 1]), ways[name]["steps"]
            line.set_data(path[:, 0], path[:, 1])
            head.set_data(path[-1:, 0], path[-1:, 1])
            note.set_text(f"{name}: {steps:.0f}" if t >= steps else name)
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
