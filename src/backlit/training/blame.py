"""A loss became NaN or infinite: which layer was the first, and what to try?"""

from typing import Any

import numpy as np

from backlit.engine import tree
from backlit.protocol import paths, signals
from backlit.training.program import Feed, Moving, Program

REMEDY = "try a smaller optimizer.lr, clip: {limit: 1.0}, or standardised inputs"


def blame(program: Program, before: Moving, feed: Feed, places: np.ndarray, epoch: int) -> str:
    """The sentence for the step after `before`, repeated on the NumPy engine; `places` are its rows' numbers."""
    before, feed = (tree.map(np.asarray, t) for t in (before, feed))
    step = int(before.step)
    here = feed.place(step)
    rows, weight = feed.indices[here], None if feed.weight is None else feed.weight[here]
    with np.errstate(all="ignore"):
        where = _where(program, before, feed, rows, weight, places)
    return f"the loss is not finite at step {step + 1} (epoch {epoch + 1}): {where}; {REMEDY}"


def _where(
    program: Program, before: Moving, feed: Feed, rows: np.ndarray, weight: np.ndarray | None, places: np.ndarray
) -> str:
    broken = [path for path, w in tree.flatten(before.params).items() if not np.isfinite(w).all()]
    if broken:
        return f"the update before it left values that are not finite in {broken[0]}"
    batch = program.batch(before.step, feed, rows, weight)
    if not np.isfinite(batch.x).all():
        return f"rows {_bad(places, batch.x)} of the training part are not finite after preprocessing"
    value, _, _, trace = program.backpropagate(before, batch)
    seen = signals(trace)
    for path in [path for path in paths(program.experiment.net) if path in seen] or list(seen):
        y = seen[path][0]
        if not np.isfinite(y).all():
            return f"the first layer with such an output is {path or 'the net'}, rows {_bad(places, y)} of the training part"
    largest = max(float(np.abs(y).max()) for y, _ in seen.values())
    return f"every layer's output is finite (the largest is {largest:.3g}), the loss of it is {float(value)}"


def _bad(rows: np.ndarray, values: Any) -> list[int]:
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return [int(row) for row in rows[bad][:5]]
