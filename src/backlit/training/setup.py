"""From an experiment and its data to everything a training starts with; all that can be wrong is said here, before it."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from backlit.config import Experiment
from backlit.data import Dataset, Parts, apply_all, epochs_indices, fit_all
from backlit.engine import random
from backlit.errors import DataError, ShapeError
from backlit.labels import check_labels
from backlit.protocol import Shape, Tree


@dataclass(frozen=True)
class Setup:
    """What a training starts with; arrays are NumPy's."""

    experiment: Experiment
    parts: Parts
    prepared: Tree
    target_prepared: Tree
    params: Tree
    state: Tree
    row: Shape
    out: Shape
    target: Shape

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.parts.train) / self.experiment.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.experiment.epochs

    def order(self, first: int, epochs: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows of each step of the epochs from `first` on (from 0), a function of seed and epoch alone."""
        key = random.fold(random.key(self.experiment.seed), "order")
        return epochs_indices(key, len(self.parts.train), self.experiment.batch_size, first, epochs)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this training part from any other."""
        return self.parts.train.fingerprint()

    def facts(self) -> dict[str, Any]:
        """What prediction and the report need to know of the data: data.json."""
        train = self.parts.train
        return {
            "name": train.name or self.experiment.name,
            "task": self.experiment.loss.task,
            "classes": list(train.classes),
            "features": list(train.features),
            "shape": list(train.x.shape[1:]),
            "row": list(self.row),
            "target": list(self.target),
            "dtype": str(train.x.dtype),
            "rows": {name: len(part) for name, part in zip(Parts._fields, self.parts, strict=True)},
            "fingerprint": self.fingerprint,
        }


def setup(experiment: Experiment, dataset: Dataset | None = None) -> Setup:
    """Load, check, split, fit the preprocessing on the training part, initialise."""
    data = (dataset or experiment.data.load()).checked()
    parts = experiment.split.apply(data, experiment.seed)
    if experiment.batch_size > len(parts.train):
        rows = len(parts.train)
        raise DataError(f"batch_size: expected at most the {rows} training rows, got {experiment.batch_size}")
    prepared = fit_all(experiment.preprocessing, parts.train.x)
    row = tuple(np.asarray(apply_all(experiment.preprocessing, prepared, parts.train.x[:1])).shape[1:])
    key = random.fold(random.key(experiment.seed), "init")
    try:
        out, params, state = experiment.net.init(key, row)
    except ShapeError as error:
        raise error.under("net") from None
    check_targets(experiment, data, out)
    if experiment.loss.task == "regression":
        # One number a row is (N,) in the data and (N, 1) in the net: from here on, as in the net.
        parts = Parts(*(replace(part, y=part.y.reshape(len(part), *out)) for part in parts))
    target_prepared = fit_all(experiment.target_preprocessing, parts.train.y)
    return Setup(experiment, parts, prepared, target_prepared, params, state, row, out, data.y.shape[1:])


def check_targets(experiment: Experiment, data: Dataset, out: Shape) -> None:
    """Do the net's output, the loss and the targets fit together?"""
    task, name = experiment.loss.task, type(experiment.loss).__name__
    width = out[-1] if out else 1
    if task == "classification":
        classes = len(data.classes) or int(data.y.max()) + 1
        if data.y.dtype.kind == "f" and data.y.ndim == 1:
            text = f"loss: {name} expected class labels 0..K-1, got numbers; use SquaredError or turn the target into classes"
            raise DataError(text)
        if width < classes:
            raise ShapeError(f"expected at least {classes} outputs, one a class, for {name}, got {width}", "net")
        check_labels(task, data.y, width)
        return
    check_labels(task, data.y, width)
    target = data.y.shape[1:]
    if math.prod(target) != math.prod(out):
        text = f"expected outputs of shape {target or (1,)}, the shape of a target, for {name}, got {out}"
        raise ShapeError(text, "net")
