"""One training a fold, each tested on rows it has not seen: how good a net is, and how sure that is."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.folds import Fold, Folds, KFold
from backlit.errors import SettingError
from backlit.evaluation.metrics import HEADLINE
from backlit.settings import build

if TYPE_CHECKING:
    from backlit.config import Experiment
    from backlit.training.run import Run


SHARE, ANY = (0.0, 1.0), (-math.inf, math.inf)
LIMITS = {
    "accuracy": SHARE, "exact": SHARE, "hamming": SHARE, "entity_f1": SHARE, "rmse": (0.0, math.inf),
    "mae": (0.0, math.inf), "r2": (-math.inf, 1.0),
}  # fmt: skip
"""Where a metric can lie; others anywhere."""


class Interval(NamedTuple):
    """Where the true mean lies, as far as these folds tell."""

    low: float
    high: float


@dataclass(frozen=True)
class CrossValidation:
    """The runs of all folds and their test metrics.

    runs      one a fold, in the order of the folds
    scores    each metric by name, (folds,)
    metric    the one that names the quality of a run: accuracy, exact or rmse
    rows      (folds, 2) training rows, with those that validate, and test rows of each fold
    """

    runs: tuple["Run", ...]
    scores: dict[str, np.ndarray]
    metric: str
    rows: np.ndarray

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric over the folds."""
        return {name: float(np.mean(values)) for name, values in self.scores.items()}

    @property
    def std(self) -> dict[str, float]:
        """The standard deviation of each metric over the folds (n - 1 in the denominator)."""
        return {name: float(np.std(values, ddof=1)) for name, values in self.scores.items()}

    @property
    def interval(self) -> dict[str, Interval]:
        """The 95 % interval of each mean by the corrected resampled t-test.

            mean +- t(0.975, J - 1) std sqrt(1 / J + n_test / n_train),  cut where a metric cannot lie

        J folds share most of their training rows, so their scores hang together and std / sqrt(J) is too small; the second
        term makes up for it. Source: Nadeau, Bengio 2003, https://doi.org/10.1023/A:1024068626366
        """
        from scipy.stats import t

        folds = len(self.rows)
        train, test = self.rows.mean(axis=0)
        half = float(t.ppf(0.975, folds - 1)) * math.sqrt(1 / folds + test / train)
        found = {}
        for name, std in self.std.items():
            lowest, highest = LIMITS.get(name, ANY)
            low, high = self.mean[name] - half * std, self.mean[name] + half * std
            found[name] = Interval(max(low, lowest), min(high, highest))
        return found

    def __str__(self) -> str:
        lines = [f"{len(self.runs)} folds of {self.rows[:, 1].min()} to {self.rows[:, 1].max()} rows"]
        for name in sorted(self.scores, key=lambda n: (n != self.metric, n == "loss")):
            low, high = self.interval[name]
            lines.append(f"{name} {self.mean[name]:.4f} +- {self.std[name]:.4f} (95 %: {low:.4f} to {high:.4f})")
        return "\n".join(lines)


def cross_validate(
    experiment: "Experiment",
    folds: Any = KFold(5),
    dataset: Dataset | None = None,
    directory: str | Path | None = None,
) -> CrossValidation:
    """Train once for each fold and test on its rows; everything is as in the experiment but for the test rows.

    folds      Folds, a name or a mapping with `type`, as in a file
    dataset    stands in for the experiment's source
    directory  each run is kept in it, as fold-1, fold-2, ...

    The validation part is `split.validation` of each fold's training rows, drawn as the split draws it. Cleaning and
    preprocessing are fitted in each fold on what is left to train on. Every fold starts from the same initial parameters
    (the experiment's seed), so scores differ by the rows alone. A test part that the source itself brings is left alone, for
    the one test at the end; a validation part of its own validates every fold.
    Errors: SettingError for `split.rows`; DataError for fewer rows, groups or rows of a class than folds (data/folds.py).

    >>> import backlit as bl
    >>> from backlit.evaluation.cross_validation import cross_validate
    >>> e = bl.Experiment(data="iris", net=[{"type": "Dense", "units": 3}], loss="SoftmaxCrossEntropy", epochs=1,
    ...                   engine="numpy")
    >>> found = cross_validate(e, {"type": "KFold", "k": 2})
    >>> found.scores["accuracy"].shape, found.rows.tolist()
    ((2,), [[75, 75], [75, 75]])
    """
    from backlit.training.loop import fit

    if experiment.split.rows is not None:
        raise SettingError([("split.rows", "expected none, as the folds decide which rows are tested; leave it out")])
    data = (dataset or experiment.data.load()).checked()
    found = build(Folds, folds).folds(data, experiment.seed)  # type: ignore[type-abstract]
    runs = []
    for i, fold in enumerate(found):
        place = None if directory is None else Path(directory) / f"fold-{i + 1}"
        runs.append(fit(experiment, dataset=fold_of(data, fold), directory=place))
    scores = {name: np.array([run.result["test"][name] for run in runs]) for name in runs[0].result["test"]}
    rows = np.array([[len(train), len(test)] for train, test in found])
    return CrossValidation(tuple(runs), scores, HEADLINE[experiment.loss.task], rows)


def fold_of(dataset: Dataset, fold: Fold) -> Dataset:
    """The training rows of a fold, with its test rows as the test part."""
    train, test = fold
    return replace(dataset.take(train), test=dataset.take(test), validation=dataset.validation)
