"""What the net does with each class: confusion, ROC curves, calibration."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from backlit.evaluation import Calibration, Curve, interval
from backlit.evaluation.metrics import Array
from backlit.report.canvas import Picture, Theme, axes, figure, label, legend, rgb
from backlit.report.html import number

NEAR = 0.98
"""Curves of a larger area than this crowd in the upper left corner, so only that is drawn."""

SHOWN = 10
"""More curves than this in one figure cannot be told apart: then the worst five and the mean are drawn."""


def confusion_picture(counts: Array, names: Sequence[str]) -> Picture:
    """The confusion matrix: right answers in blue on the diagonal, mistakes in orange and strengthened."""
    wrong = counts.sum() - np.trace(counts)
    right = number(int(np.trace(counts)))
    alt = f"Confusion matrix of {len(names)} classes: {right} rows right, {number(int(wrong))} wrong."
    if wrong:
        (i, j), often = max(mistaken(counts), key=lambda pair: pair[1])
        alt += f" Most often {names[i]} was taken for {names[j]}: {often} times."
    caption = "Blue: share of a class that was recognised. Orange: mistakes, drawn stronger than they are."
    return Picture("confusion", alt, caption, partial(_draw_confusion, counts, names))


def mistaken(counts: Array) -> list[tuple[tuple[int, int], int]]:
    """((true, predicted), how often) of every pair of classes that was mistaken, the most frequent first."""
    pairs = [((int(i), int(j)), int(counts[i, j])) for i, j in np.argwhere(counts > 0) if i != j]
    return sorted(pairs, key=lambda pair: -pair[1])


def roc_picture(curves: dict[int, Curve], names: Sequence[str]) -> Picture:
    """One curve a class; of many classes the five worst and the mean area."""
    mean = float(np.mean([curve.area for curve in curves.values()]))
    order = sorted(curves, key=lambda k: curves[k].area)
    drawn = order if len(order) <= SHOWN else order[:5]
    worst = f"{names[order[0]]} with {number(curves[order[0]].area)}"
    alt = f"ROC curves, mean area under the curve {number(mean)}; the worst is {worst}."
    caption = "Each class against the rest." if len(curves) > 1 else ""
    if len(drawn) < len(order):
        caption = f"The five worst of {len(order)} classes, each against the rest; mean area of all {number(mean)}."
    if curves[order[0]].area > NEAR:
        caption += " Only the corner is drawn: the rest lies on the edge."
    return Picture("roc", alt, caption, partial(_draw_roc, curves, sorted(drawn), names))


def calibration_picture(found: Calibration) -> Picture:
    """How often the net is right when it is so and so sure."""
    alt = f"Calibration: confidence and share of right answers differ by {number(found.error)} on average."
    caption = "On the dotted line a net is right as often as it says. Bars: 95 % intervals; larger dots hold more rows."
    return Picture("calibration", alt, caption, partial(_draw_calibration, found))


def _draw_confusion(counts: Array, names: Sequence[str], theme: Theme) -> Figure:
    k = len(names)
    step = max(1, -(-k // 25))
    ticks = list(range(0, k, step))
    shown = [label(names[t], t) for t in ticks]
    longest = 0.075 * max(len(text) for text in shown)  # inches
    tilted = longest * len(shown) > 3.4
    made = figure(theme, height=4.6)
    margins = 0.48 + longest, 0.5 + (0.75 * longest if tilted else 0.05)
    plot = axes(made, theme, "Confusion matrix", "predicted", "true", margins=margins)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (K, K), each row sums to 1
    right = np.eye(k, dtype=bool)[:, :, None]  # (K, K, 1)
    visible = np.where(share > 0, 0.2 + 0.8 * np.sqrt(share), 0.0)  # one mistake of 100 must be seen
    strength = np.where(right[:, :, 0], share, visible)[:, :, None]  # (K, K, 1)
    paper, blue, orange = rgb(theme.paper), rgb(theme.train), rgb(theme.validation)  # (3,) each
    colours = paper + strength * (np.where(right, blue, orange) - paper)  # (K, K, 3)
    plot.imshow(colours, aspect="auto", interpolation="nearest")
    plot.grid(visible=False, which="major")
    plot.set_xticks(ticks, shown)
    if tilted:
        for text in plot.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")
    plot.set_yticks(ticks, shown)
    if k <= 16:
        light = colours @ [0.299, 0.587, 0.114]
        for i, j in np.argwhere(counts > 0):
            ink = "#10151b" if light[i, j] > 0.5 else "#ffffff"
            plot.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=9 if k <= 12 else 7, color=ink)
    return made


def _draw_roc(curves: dict[int, Curve], drawn: Sequence[int], names: Sequence[str], theme: Theme) -> Figure:
    made = figure(theme, height=4.6)
    plot = axes(made, theme, "ROC", "false positive rate", "true positive rate")
    plot.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=":")
    for i, k in enumerate(drawn):
        curve = curves[k]
        plot.plot(curve.false_positive_rate, curve.true_positive_rate, color=theme.lines[i % len(theme.lines)],
                  linewidth=1.6, label=f"{label(names[k], k)}  {curve.area:.3f}")  # fmt: skip
    side = 0.25 if min(curve.area for curve in curves.values()) > NEAR else 1.0
    plot.set_xlim(-0.02 * side, side * 1.02)
    plot.set_ylim(1 - side * 1.02, 1 + 0.02 * side)
    legend(plot, theme, "area under the curve", corner=True)
    return made


def _draw_calibration(found: Calibration, theme: Theme) -> Figure:
    made = figure(theme)
    plot = axes(made, theme, "Calibration", "confidence", "share right")
    low, high = np.transpose([interval(a, int(n)) for a, n in zip(found.accuracy, found.rows, strict=True)])
    plot.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=":")
    plot.vlines(found.confidence, low, high, color=theme.train, linewidth=2, alpha=0.45)
    plot.plot(found.confidence, found.accuracy, color=theme.train, linewidth=1.2)
    size = 14 + 90 * found.rows / found.rows.max()
    plot.scatter(found.confidence, found.accuracy, s=size, color=theme.train, zorder=3)
    plot.set_xlim(max(0.0, float(found.confidence.min()) - 0.08), 1.02)
    plot.set_ylim(-0.02, 1.04)
    return made
