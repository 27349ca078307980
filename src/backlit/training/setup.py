"""From an experiment and its data to everything a training starts with; all that can be wrong is said here, before it."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from backlit.config import Experiment
from backlit.data import Dataset, Parts, apply_all, check_augmentation, fit_all
from backlit.data.cleaning import Cleaned
from backlit.data.duplicates import leaks
from backlit.data.table import Table
from backlit.engine import random, tree
from backlit.errors import DataError, SettingError, ShapeError
from backlit.evaluation.metrics import per_step
from backlit.labels import check_labels
from backlit.layers.tokens import check_tokens
from backlit.losses.rows import squeezed
from backlit.protocol import Shape, Tree
from backlit.training.initial import blank, worded
from backlit.training.ordering import Ordering


@dataclass(frozen=True)
class Setup:
    """What a training starts with; arrays are NumPy's. `raw`: the training part before it was cleaned, if it was."""

    experiment: Experiment
    parts: Parts
    prepared: Tree
    target_prepared: Tree
    params: Tree
    state: Tree
    row: Shape
    out: Shape
    target: Shape
    cleaned: Cleaned | None = None
    raw: Dataset | None = None

    @cached_property
    def ordering(self) -> Ordering:
        """Which rows stand in which step."""
        return Ordering(self.experiment, self.parts.train, self.raw)

    @cached_property
    def steps_per_epoch(self) -> int:
        return self.ordering.steps

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.experiment.epochs

    @property
    def per_step(self) -> bool:
        """Whether each time step has a target, and a loss, of its own."""
        return per_step(self.experiment.loss.task, self.out)

    def order(self, first: int, epochs: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows of each step of the epochs from `first` on (from 0), a function of seed and epoch alone."""
        return self.ordering.of(first, epochs)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this training part from any other."""
        return self.parts.train.fingerprint()

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the data, a sentence each: what reading and cleaning did, rows of a table that stand
        in two parts."""
        train = self.parts.train
        if self.cleaned is None or self.raw is None:
            return train.notes
        said = [*train.notes, *self.raw.x.notes, *self.cleaned.notes()]
        for name, part in (("validation", self.parts.validation), ("test", self.parts.test)):
            twice = len(leaks(train.x, part.x, train.y, part.y))
            if twice:
                text = f"{twice} of the {len(part)} {name} rows equal a training row, target included"
                said.append(f"{text}: rows that stand twice, or columns that do not tell rows apart; they prove little")
        return tuple(said)

    def facts(self) -> dict[str, Any]:
        """What prediction and the report need to know of the data: data.json."""
        train = self.parts.train
        return {
            "name": train.name or self.experiment.name,
            "task": self.experiment.loss.task,
            "classes": list(train.classes),
            "features": list(train.features),
            **({"vocabulary": list(train.vocabulary)} if train.vocabulary else {}),
            "shape": list(train.x.shape[1:]),
            "row": list(self.row),
            "target": list(self.target),
            "dtype": str(train.x.dtype),
            "rows": {name: len(part) for name, part in zip(Parts._fields, self.parts, strict=True)},
            "fingerprint": self.fingerprint,
            **({"cleaning": self.cleaned.to_plain()} if self.cleaned else {}),
        }


def setup(experiment: Experiment, dataset: Dataset | None = None) -> Setup:
    """Load, check, split, fit the preprocessing on the training part, initialise."""
    data = (dataset or experiment.data.load()).checked()
    if data.vocabulary and experiment.preprocessing:
        text = (
            f"expected none, {data.name or 'the data'} holds tokens; a layer such as Embedding takes them as they are"
        )
        raise SettingError([("preprocessing", text)])
    if experiment.order == "streams" and experiment.split.shuffle and not data.ordered:
        text = "expected rows that follow each other for streams, got rows that the split draws; write split.shuffle: false"
        raise SettingError([("order", text)])
    parts, cleaned, raw = tidied(experiment, experiment.split.apply(data, experiment.seed))
    parts = Parts(*map(typed, parts))
    if experiment.batch_size > len(parts.train):
        rows = len(parts.train)
        raise DataError(f"batch_size: expected at most the {rows} training rows, got {experiment.batch_size}")
    check_augmentation(experiment.augmentation, parts.train.x[:1], data.vocabulary)
    prepared = fit_all(experiment.preprocessing, parts.train.x)
    first = np.asarray(apply_all(experiment.preprocessing, prepared, parts.train.x[:1]))
    check_mixing(experiment, data, first)
    row = tuple(first.shape[1:])
    key = random.fold(random.key(experiment.seed), "init")
    try:
        out, params, state = worded(experiment.net, data.vocabulary).init(key, row)
    except ShapeError as error:
        raise error.under("net") from None
    for name, part in parts._asdict().items():
        if data.vocabulary and len(part):
            check_tokens(experiment.net, params, state, part.x, f"{name} part")
    check_shapes(experiment, data, out)
    check_widths(Ordering(experiment, parts.train), row, out, params)
    if experiment.loss.task in ("regression", "multilabel"):
        # One number a row is (N,) in the data and (N, 1) in the net: from here on, as in the net.
        parts = Parts(*(replace(part, y=part.y.reshape(len(part), *out)) for part in parts))
    target_prepared = fit_all(experiment.target_preprocessing, parts.train.y)
    check_values(experiment, data, out, target_prepared)
    return Setup(experiment, parts, prepared, target_prepared, params, state, row, out, data.y.shape[1:], cleaned, raw)


def tidied(experiment: Experiment, parts: Parts) -> tuple[Parts, Cleaned | None, Dataset | None]:
    """The parts as numbers, cleaned by what is fitted on the training part, and that part before; as they are where
    nothing is to be cleaned."""
    train = parts.train
    if not isinstance(train.x, Table) and not experiment.cleaning:
        return parts, None, None
    if not isinstance(train.x, Table) and (train.x.ndim != 2 or train.vocabulary or train.mask is not None):
        text = "expected a table, rows of one number a column, got rows of the shape"
        raise SettingError([("cleaning", f"{text} {train.x.shape[1:]}; leave it out")])
    tables = [as_columns(part) for part in parts]
    cleaned, places = Cleaned.fit(experiment.cleaning, tables[0].x, train.y)
    tables[0] = tables[0].take(places)
    done = [
        replace(part, x=cleaned.rows(part.x) if len(part) else np.zeros((0, len(cleaned.features)), np.float32),
                features=cleaned.features)
        for part in tables
    ]  # fmt: skip
    return Parts(*done), cleaned, tables[0]


def as_columns(part: Dataset) -> Dataset:
    """The same with x as a Table."""
    if isinstance(part.x, Table):
        return part
    names = part.features or tuple(map(str, range(part.x.shape[1])))
    columns = dict(zip(names, part.x[:].astype(np.float64).T, strict=True))
    return replace(part, x=Table(columns, part.name or "data"))


def check_mixing(experiment: Experiment, data: Dataset, first: np.ndarray) -> None:
    """Can rows of this data be mixed?"""
    mixing = experiment.mixing
    if mixing is None:
        return
    for wrong, got in ((data.vocabulary, "tokens"), (data.mask is not None, "sequences of different lengths")):
        if wrong:
            raise SettingError([("mixing", f"expected rows of numbers that are all real, got {got}; leave mixing out")])
    if experiment.loss.task == "ranking":
        raise SettingError([("mixing", "expected a loss with targets, got one that ranks; leave mixing out")])
    mixing.mix(random.key(0), first)


def typed(part: Dataset) -> Dataset:
    """Tokens as int32; other integers than the bytes of images as float32."""
    number = np.float32 if part.x.dtype.kind in "iu" and part.x.dtype != np.uint8 else part.x.dtype
    mask = None if part.mask is None else part.mask.astype(np.float32)
    number = np.int32 if part.vocabulary else number
    return replace(part, x=part.x if part.x.dtype == number else part.x.astype(number), mask=mask)


def check_shapes(experiment: Experiment, data: Dataset, out: Shape) -> None:
    """Do the net's output, the loss and the targets have shapes that fit together?"""
    task, name = experiment.loss.task, type(experiment.loss).__name__
    target, width = data.y.shape[1:], out[-1] if out else 1
    if task == "classification":
        classes = len(data.classes) or int(data.y.max()) + 1
        if data.y.dtype.kind == "f" and data.y.ndim == 1:
            text = f"loss: {name} expected class labels 0..K-1, got numbers; use SquaredError or turn the target into classes"
            raise DataError(text)
        if width < classes:
            raise ShapeError(f"expected at least {classes} outputs, one a class, for {name}, got {width}", "net")
        if squeezed(target) not in (squeezed(out[:-1]), squeezed(out)):
            text = f"expected outputs {(*target, width)}, {width} scores for each label of a row, for {name}, got {out}"
            raise ShapeError(text, "net")
    elif task == "ranking":
        if len(out) != 1 or width < 2:
            text = f"expected outputs (1 + C,), the true score before C corrupt ones, for {name}, got {out}"
            raise ShapeError(f"{text}; end the net with Dense(1), Flatten()", "net")
    elif math.prod(target) != math.prod(out):
        text = f"expected outputs of shape {target or (1,)}, the shape of a target, for {name}, got {out}"
        raise ShapeError(text, "net")
    if task == "regression" and data.mask is not None and data.mask.shape[1:] == target[:1]:
        text = f"{name} counts whole rows, so padded steps would count; cut the rows to one length"
        raise DataError(f"mask: expected none where numbers are to be predicted step by step: {text}")


def check_widths(ordering: Ordering, row: Shape, out: Shape, params: Tree) -> None:
    """Does the net take sequences as short as their bucket?"""
    widths = ordering.widths(0)
    if widths is None:
        return
    shapes = tree.map(lambda a: a.shape, params)
    for width in sorted(set(widths.tolist()) - {row[0]}):
        try:
            short, params, _ = blank(ordering.experiment.net).init(random.key(0), (width, *row[1:]))
            fits = tree.map(lambda a: a.shape, params) == shapes and len(short) == len(out)
        except ShapeError:
            fits = False
        if not fits:
            text = f"expected a net for sequences of any length, got one made for {row[0]} steps, not {width}"
            raise SettingError([("sampling", f"{text}; leave Buckets out, or end the net with a global pooling")])


def check_values(experiment: Experiment, data: Dataset, out: Shape, target_prepared: Tree) -> None:
    """Do the targets of all parts hold what the loss takes? Nobody complains later."""
    task, steps = experiment.loss.task, experiment.target_preprocessing
    for part in (data, data.validation, data.test):
        if part is not None and task != "ranking":
            prepare = steps and task != "regression"
            y = apply_all(steps, target_prepared, part.y.reshape(-1, *out)) if prepare else part.y
            check_labels(task, y, out or (1,))
