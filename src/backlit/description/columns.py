"""What a column holds, and how much of the target it tells by itself."""

from typing import Any

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.table import Table, kind, missing
from backlit.engine import random

JUDGED, LEAVES = 10_000, 32
"""Rows on which a column is judged, and intervals that its numbers are cut into."""

TOP = 5


def columns_of(dataset: Dataset, x: Any) -> dict[str, np.ndarray]:
    """The columns of a table, or of rows (N, D) of numbers, each (N,), by name; {} for other rows."""
    if isinstance(x, Table):
        return dict(x.columns)
    if x.ndim != 2 or dataset.vocabulary:
        return {}
    names = dataset.features or tuple(map(str, range(x.shape[1])))
    return {name: x[:, i].astype(np.float64) for i, name in enumerate(names)}


def column(values: np.ndarray) -> dict[str, Any]:
    """The facts of one column: type, missing cells, different values; range and quartiles, or the most frequent values.

    >>> import numpy as np
    >>> found = column(np.array([1.0, 2.0, np.nan, 2.0]))
    >>> found["type"], found["missing"], found["distinct"], found["median"]
    ('whole number', 1, 2, 2.0)
    """
    absent = missing(values)
    known = values[~absent]
    found: dict[str, Any] = {"type": kind(values), "missing": int(absent.sum()), "rows": len(values)}
    if found["type"] == "category":
        names, counts = np.unique(known.astype(str), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        found["distinct"] = len(names)
        found["top"] = [[str(names[i]), int(counts[i])] for i in order[:TOP]]
    elif found["type"] == "date":
        found["distinct"] = len(np.unique(known))
        if len(known):
            found |= {"min": str(known.min()), "median": str(np.sort(known)[len(known) // 2]), "max": str(known.max())}
    else:
        found |= numbers(known)
    found["constant"] = found["distinct"] <= 1
    return found


def numbers(known: np.ndarray) -> dict[str, Any]:
    """Range, quartiles, mean and standard deviation of numbers without gaps."""
    known = known.astype(np.float64)
    distinct = np.unique(known)
    found: dict[str, Any] = {"distinct": len(distinct)}
    if len(known):
        whole = bool((distinct == np.floor(distinct)).all())
        found["type"] = "whole number" if whole else "number"
        if distinct.tolist() == [0.0, 1.0]:
            found["type"] = "0 or 1"
        quartiles = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
        found |= dict(zip(("min", "q25", "median", "q75", "max"), map(float, quartiles), strict=True))
        found |= {"mean": float(known.mean()), "std": float(known.std())}
    return found


def alone(values: np.ndarray, y: np.ndarray, classes: int) -> float:
    """How well the target is told by this column alone, on rows that were not looked at: accuracy, or R^2.

    Half of the rows tell, the other half tests, and then the other way round; of more than 10 000 rows, as many are used,
    evenly spread. Categories tell the most frequent class (the mean target) of each value; numbers and dates are cut into at
    most 32 intervals by a decision tree. An identifier tells nothing here, as no value of it comes twice.
    Source of the tree: Breiman, Friedman, Olshen, Stone 1984, "Classification and regression trees".
    """
    if len(y) > JUDGED:
        places = np.linspace(0, len(y) - 1, JUDGED).astype(np.intp)
        values, y = values[places], y[places]
    fit = _by_value if values.dtype == object else _by_tree
    codes = coded(values) if values.dtype == object else ordered(values)
    half = random.permutation(random.key(0), len(y)) % 2
    scores = []
    for side in (0, 1):
        learn, test = half == side, half != side
        said = fit(codes[learn], y[learn], codes[test], classes)
        if classes:
            scores.append(float((said == y[test]).mean()))
        else:
            spread = float(((y[test] - y[test].mean()) ** 2).sum())
            scores.append(1 - float(((y[test] - said) ** 2).sum()) / spread if spread else 0.0)
    return float(np.mean(scores))


def coded(values: np.ndarray) -> np.ndarray:
    """(N,) integers: the place of each text among all that occur, from 1; 0 for a missing cell.

    >>> import numpy as np
    >>> coded(np.array(["b", None, "a", "b"], dtype=object)).tolist()
    [2, 0, 1, 2]
    """
    absent = missing(values)
    codes = np.zeros(len(values), dtype=np.int64)
    codes[~absent] = 1 + np.unique(values[~absent].astype(str), return_inverse=True)[1].reshape(-1)
    return codes


def ordered(values: np.ndarray) -> np.ndarray:
    """(N,) float64: numbers as they are, dates in seconds; a missing cell lies below all others.

    >>> import numpy as np
    >>> ordered(np.array([2.5, np.nan, -1.0])).tolist()
    [2.5, -2.0, -1.0]
    """
    absent = missing(values)
    known = values[~absent]
    real = (known.astype("datetime64[s]").astype(np.int64) if kind(values) == "date" else known).astype(np.float64)
    found = np.full(len(values), real.min() - 1 if len(real) else 0.0)
    found[~absent] = real
    return found


def _by_value(codes: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """The most frequent class, or the mean, of each value; of all rows, for a value that was not met."""
    size = max(codes.max(), asked.max()) + 1
    if classes:
        counts = np.zeros((size, classes))
        np.add.at(counts, (codes, y), 1)
        usual = int(counts.sum(axis=0).argmax())
        found: np.ndarray = np.where(counts.any(axis=1), counts.argmax(axis=1), usual)
    else:
        count = np.bincount(codes, minlength=size)
        found = np.where(count > 0, np.bincount(codes, y, minlength=size) / np.maximum(count, 1), y.mean())
    said: np.ndarray = found[asked]
    return said


def _by_tree(codes: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """The most frequent class, or the mean, of intervals that a tree cuts where they differ most."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = (DecisionTreeClassifier if classes else DecisionTreeRegressor)(
        max_leaf_nodes=LEAVES, min_samples_leaf=min(3, len(y)), random_state=0
    )
    said: np.ndarray = tree.fit(codes[:, None], y).predict(asked[:, None])
    return said


def correlation(columns: dict[str, np.ndarray], most: int = 40) -> tuple[list[str], np.ndarray]:
    """Names and Pearson correlations (D, D) of the columns of numbers that vary, over the rows where both are known."""
    used = [name for name, c in columns.items() if kind(c) == "number" and np.nanstd(_some(c)) > 0][:most]
    if not used:
        return [], np.zeros((0, 0))
    table = np.stack([columns[name] for name in used])  # (D, N)
    known = np.isfinite(table)
    filled = np.where(known, table, np.nanmean(table, axis=1, keepdims=True))
    centred = filled - filled.mean(axis=1, keepdims=True)
    if known.all():
        norm = np.sqrt((centred**2).sum(axis=1))
        return used, centred @ centred.T / np.outer(norm, norm)
    found = np.eye(len(used))
    for i in range(len(used)):
        for j in range(i):
            both = known[i] & known[j]
            a, b = table[i, both], table[j, both]
            if both.sum() > 2 and a.std() > 0 and b.std() > 0:
                found[i, j] = found[j, i] = float(np.corrcoef(a, b)[0, 1])
    return used, found


def _some(values: np.ndarray) -> np.ndarray:
    return values if np.isfinite(values).any() else np.zeros(1)
