"""Raw tables, nothing cleaned by hand: backlit against scikit-learn's MLP in a pipeline, five folds, both tuned alike.

python benchmarks/tables.py titanic [--folds 5] [--rows 0]

Both sides get the same rows as they stand in the file, the same folds and a grid of eight settings. A setting is chosen
on a fifth of the first fold's training rows, then both are trained on every fold's training rows and measured on its test
rows. Printed: the ratio of the means first, then the mean difference, its interval of 95 % (Student's t over folds),
and the p-value of the paired t-test.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness
import numpy as np
import scipy.stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import backlit as bl
from backlit import config
from backlit.data import Dataset
from backlit.data.cleaning import ClipOutliers
from backlit.training.loop import fit

HIDDEN = [(64,), (128, 64)]
LR = [1e-3, 5e-3]
ALPHA = [1e-4, 1e-1]  # scikit-learn's L2, divided by the rows of a batch
DROPOUT = [0.0, 0.3]
TUNING = 5000
"""Rows that a setting is chosen on, at most."""
NAMES = ("titanic", "adult", "california-housing", "ames-housing", "wine-quality")


class Clipped(TransformerMixin, BaseEstimator):
    """Numbers between two quantiles of the training cells, as `ClipOutliers` leaves them."""

    def __init__(self, limits: tuple[float, float] = (0.01, 0.99)) -> None:
        self.limits = limits

    def fit(self, x: Any, y: Any = None) -> "Clipped":
        self.low_, self.high_ = np.nanquantile(np.asarray(x), self.limits, axis=0)
        return self

    def transform(self, x: Any) -> np.ndarray:
        return np.clip(np.asarray(x), self.low_, self.high_)


@dataclass(frozen=True)
class Theirs:
    """scikit-learn's MLP behind its own imputer, scaler and encoder."""

    hidden: tuple[int, ...]
    lr: float
    alpha: float

    def score(self, base: config.Experiment, train: Dataset, test: Dataset, seed: int) -> float:
        log = any(isinstance(step, bl.Log) for step in base.target_preprocessing)
        clips = [Clipped(step.limits) for step in base.cleaning if isinstance(step, ClipOutliers)]
        common: dict[str, Any] = {
            "hidden_layer_sizes": self.hidden, "learning_rate_init": self.lr, "alpha": self.alpha, "random_state": seed,
            "early_stopping": True, "n_iter_no_change": 15, "max_iter": 150,
        }  # fmt: skip
        numbers = [name for name, kind in train.x.kinds.items() if kind == "number"]
        words = [name for name, kind in train.x.kinds.items() if kind == "category"]
        columns = ColumnTransformer([
            ("n", make_pipeline(*clips, SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
            ("c", OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, sparse_output=False), words),
        ])  # fmt: skip
        frames = [frame(part) for part in (train, test)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if train.classes:
                model = make_pipeline(columns, MLPClassifier(**common)).fit(frames[0], train.y)
                return float((model.predict(frames[1]) == test.y).mean())
            scale = make_pipeline(FunctionTransformer(np.log, np.exp), StandardScaler()) if log else StandardScaler()
            inner = make_pipeline(columns, MLPRegressor(**common))
            model = TransformedTargetRegressor(inner, transformer=scale).fit(frames[0], train.y.astype(np.float64))
            return float(np.sqrt(np.mean((model.predict(frames[1]) - test.y) ** 2)))


@dataclass(frozen=True)
class Ours:
    """The experiment as it ships, with another net and rate."""

    hidden: tuple[int, ...]
    lr: float
    dropout: float

    def experiment(self, base: config.Experiment, outputs: int) -> config.Experiment:
        layers = [layer for n in self.hidden for layer in self._hidden(n)]
        optimizer = bl.AdamW(lr=bl.Cosine(self.lr), weight_decay=0.01)
        return replace(base, net=bl.Chain(*layers, bl.Dense(outputs)), optimizer=optimizer)

    def _hidden(self, units: int) -> list[bl.Layer]:
        return [bl.Dense(units), bl.ReLU(), *([bl.Dropout(self.dropout)] if self.dropout else [])]

    def score(self, base: config.Experiment, train: Dataset, test: Dataset, seed: int) -> float:
        experiment = replace(self.experiment(base, len(train.classes) or 1), seed=seed, split=bl.Split(0.1, 0.0))
        return fit(experiment, train).evaluate(test)["accuracy" if train.classes else "rmse"]


def frame(part: Dataset) -> Any:
    import pandas

    columns = {n: np.where(c == None, "<missing>", c) if c.dtype == object else c for n, c in part.x.columns.items()}  # noqa: E711
    return pandas.DataFrame(columns)


def best(sides: list[Any], score: Callable[[Any], float], larger: bool) -> Any:
    found = [score(side) for side in sides]
    for side, value in zip(sides, found, strict=True):
        print(f"    {value:.5g}  {side}")
    return sides[int(np.argmax(found) if larger else np.argmin(found))]


def compare(name: str, folds: int, rows: int) -> dict[str, Any]:
    base = config.load(name)
    data = base.data.load()
    if data.test is not None:
        data = replace(data, test=None)
    if rows and rows < len(data):
        data = data.take(np.sort(np.random.default_rng(0).permutation(len(data))[:rows]))
    larger = bool(data.classes)
    splitter = (StratifiedKFold if larger else KFold)(folds, shuffle=True, random_state=0)
    cuts = list(splitter.split(np.zeros(len(data)), data.y))
    whole = cuts[0][0]
    inner, held = train_test_split(whole, test_size=0.2, random_state=0, stratify=data.y[whole] if larger else None)
    first = data.take(inner[:TUNING]), data.take(held)
    ours = best([Ours(*s) for s in itertools.product(HIDDEN, LR, DROPOUT)], lambda s: s.score(base, *first, 0), larger)
    theirs = best(
        [Theirs(*s) for s in itertools.product(HIDDEN, LR, ALPHA)], lambda s: s.score(base, *first, 0), larger
    )
    scores = []
    for i, (train, test) in enumerate(cuts):
        pair = data.take(train), data.take(test)
        start = time.perf_counter()
        a = ours.score(base, *pair, i)
        middle = time.perf_counter()
        b = theirs.score(base, *pair, i)
        print(
            f"  fold {i}: {a:.5g} ({middle - start:.0f} s) and {b:.5g} ({time.perf_counter() - middle:.0f} s)",
            flush=True,
        )
        scores.append((a, b))
    found = summary(name, np.array(scores), "accuracy" if larger else "RMSE", str(ours), str(theirs))
    return {**found, "rows": len(data)}


def summary(name: str, scores: np.ndarray, metric: str, ours: str, theirs: str) -> dict[str, Any]:
    mean, other = scores.mean(axis=0)
    differences = scores[:, 0] - scores[:, 1]
    half = float(scipy.stats.t.ppf(0.975, len(scores) - 1) * differences.std(ddof=1) / np.sqrt(len(scores)))
    p = float(scipy.stats.ttest_rel(scores[:, 0], scores[:, 1]).pvalue)
    print(
        f"{name}: ratio {mean / other:.4f}; {metric} backlit {mean:.5g}, scikit-learn {other:.5g}; difference "
        f"{differences.mean():+.4g}, 95 % [{differences.mean() - half:+.4g}, {differences.mean() + half:+.4g}], p = {p:.2g}"
    )
    return {
        "metric": metric, "ratio": float(mean / other), "scores": scores.tolist(), "difference": float(differences.mean()),
        "half": half, "p": p, "ours": ours, "theirs": theirs,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=0, help="so many rows, drawn once; 0 for all")
    args = parser.parse_args()
    print(harness.machine())
    for name in args.names:
        found = compare(name, args.folds, args.rows)
        print("written:", harness.store("tables", {**stored(), name: found}))


def stored() -> dict[str, Any]:
    """What was measured before, of other tables."""
    path = Path(__file__).parent / "results" / "tables.json"
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    main()
