"""A sheet of rows before and after augmentation, to be looked at before anything is trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.augmentation import Augmenter, augment_all, check_augmentation
from backlit.data.dataset import Dataset
from backlit.engine import random
from backlit.errors import MissingLibraryError, SettingError
from backlit.protocol import Context

PAPER, INK, MUTED, BEFORE, AFTER = "#ffffff", "#1b2430", "#5b6675", "#0b63b8", "#c2490c"
DPI = 100
WIDEST, MOST_COLUMNS = 110, 8
"""Letters in a line of tokens; columns of a table that are shown."""


def preview(
    dataset: Dataset,
    augmenters: Sequence[Augmenter],
    path: str | Path,
    rows: int = 8,
    copies: int = 7,
    seed: int = 0,
) -> Path:
    """Draw `rows` rows of the data, each before and `copies` times after `augmenters`, into a picture at `path`.

    The rows stand at equal distances in the data; copy c is what step c of a training with this seed would make of them if
    they were its batch. Images are shown as images, series as lines, tokens as text, and of tables the first columns.
    Errors: SettingError where an augmenter does not fit the rows, or there is none; MissingLibraryError without matplotlib.

    >>> import backlit as bl, tempfile
    >>> from backlit.data.augmentation import Flip
    >>> from backlit.data.preview import preview
    >>> data = bl.Digits(image=True).load()
    >>> preview(data, [Flip()], f"{tempfile.mkdtemp()}/sheet.png", rows=2, copies=3).name
    'sheet.png'
    """
    if not augmenters:
        raise SettingError(
            [("augmentation", "expected at least one augmenter to show, got none; write one, such as Flip")]
        )
    part = dataset.take(np.unique(np.linspace(0, len(dataset) - 1, rows).astype(int)))
    x = np.asarray(part.x)
    if part.vocabulary or (x.dtype.kind in "iu" and x.dtype != np.uint8):
        x = x.astype(np.int32 if part.vocabulary else np.float32)
    check_augmentation(augmenters, x[:1], part.vocabulary)
    after = [
        np.asarray(augment_all(augmenters, Context(train=True, root=random.key(seed), path=(step,)), x, part.mask))
        for step in range(copies)
    ]
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ModuleNotFoundError:
        raise MissingLibraryError(
            "a preview needs matplotlib, which is not installed; pip install matplotlib"
        ) from None
    title = ", ".join(map(_described, augmenters))
    if part.vocabulary:
        figure = _lines(title, _tokens(x, after, part.vocabulary))
    elif x.ndim == 4:
        figure = _images(title, x, after)
    elif x.ndim == 3:
        figure = _series(title, x, after)
    else:
        figure = _lines(title, _table(x, after, part.features))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_figure(path, dpi=DPI, facecolor=PAPER)
    return path


def _described(augmenter: Augmenter) -> str:
    """'Flip', 'RandomCrop(padding=2)': what differs from the defaults."""
    given = ", ".join(f"{name}={value}" for name, value in augmenter.to_plain().items())
    return f"{type(augmenter).__name__}({given})" if given else type(augmenter).__name__


def _figure(title: str, width: float, height: float) -> Any:
    """An empty figure of so many inches, its title at the upper left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER)
    figure.text(0.15 / width, 1 - 0.27 / height, title, fontsize=10, fontweight="bold", color=INK, parse_math=False)
    return figure


def _images(title: str, x: np.ndarray, after: list[np.ndarray]) -> Any:
    """One image a cell: before at the left, a gap, and the copies."""
    low, high = (0.0, 255.0) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
    shades = [np.clip((a.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1) for a in (x, *after)]
    shades = [a if a.shape[3] == 3 else np.repeat(a.mean(axis=3, keepdims=True), 3, axis=3) for a in shades]
    n, height, width, _ = x.shape
    gap, side = max(1, height // 12), max(2, width // 4)
    sheet = np.ones((n * (height + gap) - gap, (1 + len(after)) * (width + gap) - gap + side, 3))
    for column, images in enumerate(shades):
        left = column * (width + gap) + (side if column else 0)
        for row, image in enumerate(images):
            sheet[row * (height + gap) : row * (height + gap) + height, left : left + width] = image
    inches = 8.0
    tall = inches * sheet.shape[0] / sheet.shape[1]
    figure = _figure(title, inches + 0.3, tall + 0.8)
    axes = figure.add_axes((0.15 / (inches + 0.3), 0.1 / (tall + 0.8), inches / (inches + 0.3), tall / (tall + 0.8)))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for left, text in ((0, "before"), (width + gap + side, "after")):
        axes.text(left, -0.5 - gap, text, fontsize=9, color=MUTED, va="bottom")
    return figure


def _series(title: str, x: np.ndarray, after: list[np.ndarray]) -> Any:
    """One plot a row, its first column of numbers: before as a thick line, the copies as thin ones."""
    figure = _figure(title, 8.0, 0.6 + 1.1 * len(x))
    plots = figure.subplots(len(x), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.09, right=0.98, top=1 - 0.45 / (0.6 + 1.1 * len(x)), bottom=0.06, hspace=0.35)
    for row, plot in enumerate(plots):
        for copy in after:
            plot.plot(copy[row, :, 0], color=AFTER, linewidth=0.7, alpha=0.6)
        plot.plot(x[row, :, 0], color=BEFORE, linewidth=1.8)
        plot.tick_params(colors=MUTED, labelsize=7, length=0)
        for spine in plot.spines.values():
            spine.set_visible(False)
    return figure


def _lines(title: str, lines: list[str]) -> Any:
    """Text, one line below another."""
    width, height = 9.0, 0.6 + 0.17 * len(lines)
    figure = _figure(title, width, height)
    for i, line in enumerate(lines):
        colour = BEFORE if line.startswith("before") else INK
        place = 1 - (0.5 + 0.17 * i) / height
        figure.text(0.15 / width, place, line, fontsize=8, family="monospace", color=colour, parse_math=False)
    return figure


def _tokens(x: np.ndarray, after: list[np.ndarray], vocabulary: tuple[str, ...]) -> list[str]:
    """Each row as text, words apart (letters together), and its copies below."""
    joint = "" if max(map(len, vocabulary)) == 1 else " "

    def text(row: np.ndarray) -> str:
        words = [vocabulary[i].replace("\n", "\u21b5") for i in (row[:, 0] if row.ndim == 2 else row)]
        line = joint.join(words)
        return line if len(line) <= WIDEST else line[: WIDEST - 1] + "\u2026"

    found = []
    for row in range(len(x)):
        found += [f"before  {text(x[row])}", *(f"after   {text(copy[row])}" for copy in after), ""]
    return found


def _table(x: np.ndarray, after: list[np.ndarray], features: tuple[str, ...]) -> list[str]:
    """Each row as a line of numbers, and its copies below; a star where a number has changed."""
    shown = min(MOST_COLUMNS, x[0].size)
    names = [name[:12] for name in features[:shown]] or [f"x{i}" for i in range(shown)]
    found = ["        " + "".join(f"{name:>13}" for name in names), ""]
    for row in range(len(x)):
        old = x[row].ravel()[:shown]
        found.append("before  " + "".join(f"{v:>12.4g} " for v in old))
        for copy in after:
            new = copy[row].ravel()[:shown]
            found.append(
                "after   " + "".join(f"{v:>12.4g}{'*' if v != o else ' '}" for v, o in zip(new, old, strict=True))
            )
        found.append("")
    return found
