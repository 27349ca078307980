"""A description in pictures: what a glance tells sooner than numbers. How they are drawn is in describe_drawings.py."""

from functools import partial
from typing import Any

import numpy as np

from backlit.data.table import missing
from backlit.description.drawings import (
    ACROSS,
    PAST,
    draw_autocorrelation,
    draw_classes,
    draw_columns,
    draw_correlation,
    draw_histogram,
    draw_means,
    draw_missing,
    draw_pictures,
    draw_series,
    draw_words,
    limits_of,
)
from backlit.report.canvas import Picture
from backlit.report.html import number

MOST_COLUMNS, MOST_CLASSES, MOST_WORDS = 24, 30, 20
"""What one figure can show."""


def pictures(found: dict[str, Any], arrays: dict[str, Any]) -> list[Picture]:
    """The pictures of a description, those that there is something for."""
    made: list[Picture | None] = [
        _target(found, arrays),
        _columns(arrays.get("columns", {})),
        _missing(arrays.get("columns", {})),
        _correlation(*arrays.get("correlation", ([], np.zeros((0, 0))))),
        _samples(arrays),
        _means(arrays),
        _lengths(arrays),
        _words(found),
        _series(found, arrays),
        _autocorrelation(found, arrays),
    ]
    return [picture for picture in made if picture is not None]


def _target(found: dict[str, Any], arrays: dict[str, Any]) -> Picture | None:
    target = found["target"]
    if target.get("tokens"):
        return None
    if "classes" in target:
        classes = dict(list(target["classes"].items())[:MOST_CLASSES])
        rest = len(target["classes"]) - len(classes)
        alt = f"Rows of {len(target['classes'])} classes; the largest has {target['imbalance']:.3g} times the smallest."
        caption = "Share of each part's rows." + (f" {rest} more classes are not drawn." if rest else "")
        return Picture("classes", alt, caption, partial(draw_classes, classes, target["classes"]))
    alt = f"Histogram of the target from {number(target['min'])} to {number(target['max'])}."
    return Picture("target", alt, "Training part.", partial(draw_histogram, arrays["y"], "Target", "target"))


def _columns(columns: dict[str, np.ndarray]) -> Picture | None:
    shown = dict(list(columns.items())[:MOST_COLUMNS])
    if not shown:
        return None
    rest = len(columns) - len(shown)
    caption = "Blue: numbers and dates. Orange: the most frequent values of a category."
    caption += f" {rest} more columns are not drawn." if rest else ""
    return Picture("columns", f"Distribution of {len(shown)} columns.", caption, partial(draw_columns, shown))


def _missing(columns: dict[str, np.ndarray]) -> Picture | None:
    absent = {name: missing(values) for name, values in columns.items()}
    absent = {name: cells for name, cells in absent.items() if cells.any()}
    if not absent:
        return None
    shown = dict(sorted(absent.items(), key=lambda pair: -pair[1].mean())[:MOST_COLUMNS])
    worst = next(iter(shown))
    alt = f"Missing cells in {len(absent)} columns; most in {worst}, {100 * shown[worst].mean():.3g} %."
    caption = "Each line is a row of the training part. Columns without a missing cell are not drawn."
    return Picture("missing", alt, caption, partial(draw_missing, shown))


def _correlation(names: list[str], found: np.ndarray) -> Picture | None:
    if len(names) < 2:
        return None
    off = np.abs(found - np.eye(len(names)))
    i, j = np.unravel_index(int(off.argmax()), off.shape)
    alt = f"Correlation of {len(names)} columns; strongest between {names[i]} and {names[j]}: {found[i, j]:.2f}."
    caption = "Blue: columns rise together. Orange: one falls where the other rises."
    return Picture("correlation", alt, caption, partial(draw_correlation, names, found))


def _samples(arrays: dict[str, Any]) -> Picture | None:
    if "images" not in arrays:
        return None
    x, y, classes = arrays["images"], arrays["y"], arrays["classes"]
    if classes and y.ndim == 1:
        groups = [np.flatnonzero(y == k)[:ACROSS] for k in range(min(len(classes), 12))]
        rows = [(classes[k], x[places]) for k, places in enumerate(groups) if len(places)]
        caption = "The first pictures of each class."
    else:
        rows = [("", x[i : i + ACROSS]) for i in range(0, min(len(x), 4 * ACROSS), ACROSS)]
        caption = "The first pictures."
    return Picture(
        "samples", f"Pictures of {len(rows)} rows of a grid.", caption, partial(draw_pictures, rows, limits_of(x))
    )


def _means(arrays: dict[str, Any]) -> Picture | None:
    if "means" not in arrays:
        return None
    means, classes = arrays["means"], arrays["classes"] or ("all",)
    names = list(classes)[: len(means)]
    caption = "The mean of all pictures of a class: what a class shows only by its average shape and light."
    return Picture(
        "means",
        f"Mean picture of {len(names)} classes.",
        caption,
        partial(draw_means, means, names, limits_of(arrays["images"])),
    )


def _lengths(arrays: dict[str, Any]) -> Picture | None:
    lengths = arrays.get("lengths")
    if lengths is None or lengths.min() == lengths.max():
        return None
    alt = f"Histogram of lengths from {lengths.min()} to {lengths.max()}."
    return Picture(
        "lengths", alt, "Real steps of the training rows.", partial(draw_histogram, lengths, "Lengths", "steps")
    )


def _words(found: dict[str, Any]) -> Picture | None:
    words = found.get("sequences", {}).get("words", [])[:MOST_WORDS]
    if not words:
        return None
    alt = f"The most frequent tokens; first {words[0][0]!r}, {number(words[0][1])} times."
    return Picture("tokens", alt, "Training part.", partial(draw_words, words))


def _series(found: dict[str, Any], arrays: dict[str, Any]) -> Picture | None:
    if "values" not in arrays or not found["ordered"]:
        return None
    names = list(found["series"]["columns"])[:MOST_COLUMNS]
    steps = min(PAST, len(arrays["values"]))
    caption = f"The latest {number(steps)} of {number(len(arrays['values']))} training rows, the last step of each."
    return Picture("series", f"{len(names)} series.", caption, partial(draw_series, names, arrays["values"]))


def _autocorrelation(found: dict[str, Any], arrays: dict[str, Any]) -> Picture | None:
    values = arrays.get("autocorrelation")
    if values is None or not len(values) or not found["ordered"]:
        return None
    names = list(found["series"]["columns"])
    caption = "How a series goes with itself some rows later. Dotted: what chance alone gives, 95 %."
    best = int(np.argmax(np.where(np.arange(len(values))[:, None] > 1, values, -np.inf).max(axis=1))) + 1
    alt = f"Autocorrelation of {len(names)} series up to {len(values)} rows; highest after the first two at {best}."
    rows = len(arrays["values"])
    return Picture("autocorrelation", alt, caption, partial(draw_autocorrelation, names, values, rows))
