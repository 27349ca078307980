"""The rows that the net got most wrong, and their pictures when rows are images."""

import re
from io import BytesIO
from typing import NamedTuple

import numpy as np

from backlit.evaluation import decide, labels, probabilities
from backlit.evaluation.metrics import Array, floating
from backlit.report.record import Record, Tested

MOST = 24
_FLAT_SIDES = {64: 8, 784: 28}
_PIXEL = re.compile(r"(pixel|px|p|x|f|feature)?[ _]?\d+([x_ ]\d+)*", re.IGNORECASE)


class Mistake(NamedTuple):
    """One row: its place among the tested rows, its number in the data, and what was true and said."""

    place: int
    row: str
    true: str
    predicted: str
    confidence: float


def worst(task: str, tested: Tested, names: list[str]) -> tuple[list[Mistake], int, int]:
    """The worst mistakes, how many mistakes there are, and among how many decisions.

    classification, binary: least probability given to the true class first; confidence is that of the wrong decision.
    multilabel: the rows with the surest wrong label first; confidence is that of the wrong label.
    """
    true, said = labels(task, tested.output, tested.target), decide(task, tested.scores)
    p = probabilities(task, floating(tested.scores))
    if task == "multilabel":
        wrong = np.flatnonzero((true != said).any(axis=1))
        gap = np.abs(p - true).max(axis=1)  # (N,)
        order = wrong[np.argsort(-gap[wrong], kind="stable")][:MOST]
        made = [
            Mistake(int(i), str(tested.index[i]), _join(names, true[i]), _join(names, said[i]), float(gap[i]))
            for i in order
        ]
        return made, len(wrong), len(true)
    steps = true.size // len(true)  # more than one where a row is a sequence
    true, said, p = true.reshape(-1), said.reshape(-1), p.reshape(-1, p.shape[-1])
    wrong = np.flatnonzero(true != said)
    order = wrong[np.argsort(p[wrong, true[wrong]], kind="stable")][:MOST]
    made = [
        Mistake(int(i) // steps, _row(tested, int(i), steps), names[true[i]], names[said[i]], float(p[i, said[i]]))
        for i in order
    ]
    return made, len(wrong), len(true)


def images(record: Record, places: list[int]) -> Array | None:
    """Some tested rows as images (n, H, W) or (n, H, W, 3) in uint8, None when rows are no images.

    Images are rows of shape (H, W), (H, W, 1) or (H, W, 3), and flat rows of 64 or 784 values that are named like
    pixels or not at all. The darkest value of all rows is black and the brightest white.
    """
    x = record.test.x if record.test else None
    if x is None or x.ndim < 2 or not len(x) or x.dtype.kind not in "uifb" or record.vocabulary:
        return None
    shape = record.shape or x.shape[1:]
    if len(shape) == 1 and shape[0] in _FLAT_SIDES and all(_PIXEL.fullmatch(name) for name in record.features):
        shape = (_FLAT_SIDES[shape[0]],) * 2
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))) or min(shape[:2]) < 2:
        return None
    if x[0].size != np.prod(shape):
        return None
    low, high = _range(x)
    chosen = x[places].reshape(len(places), *(shape[:2] if shape[-1] == 1 else shape)).astype(np.float64)
    share = (np.nan_to_num(chosen, nan=low, posinf=high, neginf=low) - low) / (high - low or 1.0)
    return np.asarray((share * 255).round().astype(np.uint8))


def image_png(image: Array) -> bytes:
    """One image as a PNG file, small ones enlarged pixel by pixel so that they can be looked at."""
    from PIL import Image

    times = max(1, 96 // max(image.shape[:2]))
    file = BytesIO()
    Image.fromarray(np.repeat(np.repeat(image, times, axis=0), times, axis=1)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _range(x: Array) -> tuple[float, float]:
    """The least and the largest finite value."""
    known = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _row(tested: Tested, place: int, steps: int) -> str:
    row = str(tested.index[place // steps])
    return row if steps == 1 else f"{row}, step {place % steps}"


def _join(names: list[str], chosen: Array) -> str:
    return ", ".join(names[k] for k in np.flatnonzero(chosen)) or "none"
