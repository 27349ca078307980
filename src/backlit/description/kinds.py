"""What images, sequences and series are like, beyond what any rows have."""

from typing import Any

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.statistics import Chunks, moments
from backlit.data.table import Table, kind
from backlit.data.vocabulary import PADDING, UNKNOWN

WORDS, LAGS = 30, 48


def kind_of(dataset: Dataset) -> str:
    """What rows are: 'table', 'tokens', 'images' (N, height, width, channels), 'series' (N, T, D), or 'rows'."""
    if dataset.vocabulary:
        return "tokens"
    if isinstance(dataset.x, Table) or dataset.x.ndim == 2:
        return "table"
    return {4: "images", 3: "series"}.get(dataset.x.ndim, "rows")


def images(x: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> tuple[dict[str, Any], np.ndarray]:
    """Size, mean and standard deviation of each channel; and the mean picture of each class (K, H, W, C) in float64."""
    seen = moments(Chunks(x), "channel")
    facts = {
        "height": x.shape[1], "width": x.shape[2], "channels": x.shape[3], "dtype": str(x.dtype),
        "min": float(x.min()), "max": float(x.max()), "mean": np.ravel(seen.mean).tolist(), "std": np.ravel(seen.std).tolist(),
    }  # fmt: skip
    labelled = bool(classes) and y.ndim == 1
    groups = [x[y == k] for k in range(len(classes))] if labelled else [x]
    empty = np.zeros(x.shape[1:])
    means = [group.mean(axis=0, dtype=np.float64) if len(group) else empty for group in groups]
    return facts, np.stack(means)


def sequences(parts: dict[str, Dataset]) -> dict[str, Any]:
    """Lengths, padding and the most frequent tokens of the training part; the share of unknown tokens of every part."""
    train = parts["train"]
    words = train.vocabulary
    lengths = lengths_of(train)
    tokens = _tokens(train)
    counts = np.bincount(tokens, minlength=len(words))
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i] and words[i] != PADDING][:WORDS]
    found: dict[str, Any] = {
        "vocabulary": len(words), "tokens": len(tokens), "lengths": quartiles(lengths),
        "padding": 1 - float(lengths.sum()) / (len(lengths) * train.x.shape[1]),
        "words": [[words[i], int(counts[i])] for i in order],
        "once": int((counts == 1).sum()), "never": int((counts == 0).sum()),
    }  # fmt: skip
    if UNKNOWN in words:
        place = words.index(UNKNOWN)
        found["unknown"] = {name: float((_tokens(part) == place).mean()) for name, part in parts.items() if len(part)}
    return found


def lengths_of(dataset: Dataset) -> np.ndarray:
    """(N,) real steps of each row."""
    if dataset.mask is None:
        return np.full(len(dataset), dataset.x.shape[1])
    found: np.ndarray = (dataset.mask > 0).sum(axis=1)
    return found


def series(dataset: Dataset, x: np.ndarray) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Facts, the last step of each row (N, D) and its autocorrelation (lags, D): in rows that follow each other, the series."""
    values = x[:, -1].astype(np.float64)
    names = dataset.features[-x.shape[2] :] if dataset.features else tuple(map(str, range(x.shape[2])))
    found = autocorrelation(values)
    facts: dict[str, Any] = {
        "length": x.shape[1],
        "ordered": dataset.ordered,
        "columns": {},
    }
    for d, name in enumerate(names):
        own: dict[str, Any] = dict(quartiles(values[:, d]))
        own["lag 1"] = float(found[0, d]) if len(found) else None
        own["longest standstill"] = standstill(values[:, d])
        facts["columns"][name] = own
    return facts, values, found


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """(lags, D) correlation of each column with itself 1, 2, ... rows later, about the mean of all rows.

    >>> import numpy as np
    >>> autocorrelation(np.tile([1.0, -1.0], 50)[:, None])[:2, 0].round(2).tolist()
    [-0.99, 0.98]
    """
    centred: np.ndarray = values - values.mean(axis=0)
    power = np.square(centred).sum(axis=0)
    lags = min(LAGS, len(values) // 4)
    rows = [(centred[lag:] * centred[:-lag]).sum(axis=0) for lag in range(1, lags + 1)]
    found = np.array(rows).reshape(lags, values.shape[1])
    shares: np.ndarray = np.divide(found, power, out=np.zeros_like(found), where=np.greater(power, 0))
    return shares


def standstill(values: np.ndarray) -> int:
    """How many steps in a row one value stays at most: a sensor that hangs.

    >>> import numpy as np
    >>> standstill(np.array([1.0, 2.0, 2.0, 2.0, 3.0]))
    3
    """
    changes = np.flatnonzero(np.append(np.append(True, values[1:] != values[:-1]), True))
    return int(np.diff(changes).max())


def gaps(table: Table) -> dict[str, Any]:
    """For each column of dates that rises: the usual step in seconds, and how many steps are longer than one and a half."""
    found: dict[str, Any] = {}
    for name, values in table.columns.items():
        if kind(values) != "date" or np.isnat(values).any() or len(values) < 3:
            continue
        steps: np.ndarray = np.diff(values.astype("datetime64[s]").astype(np.int64))
        usual = float(np.median(steps))
        if (steps >= 0).all() and usual > 0:
            found[name] = {"step": usual, "gaps": int((steps > 1.5 * usual).sum()), "longest": int(steps.max())}
    return found


def quartiles(values: np.ndarray) -> dict[str, float]:
    """Range and quartiles."""
    names = ("min", "q25", "median", "q75", "max")
    return dict(zip(names, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist(), strict=True))


def _tokens(part: Dataset) -> np.ndarray:
    """All real tokens; of several tokens a step, the first."""
    x = np.asarray(part.x[:])
    if x.ndim == 3 and part.mask is not None:
        x = x[..., 0]
    found: np.ndarray = x[part.mask > 0] if part.mask is not None else x.reshape(-1)
    return found.reshape(-1)
