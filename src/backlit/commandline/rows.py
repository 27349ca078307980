"""Rows from a file to a trained net, and its answers to a file."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backlit.errors import BacklitError, DataError, SettingError, nearest, received

if TYPE_CHECKING:
    from backlit.data import Dataset
    from backlit.data.views import Views
    from backlit.training.run import Run

TABLES = (".csv", ".tsv", ".txt")
EXPERIMENTS = (".yaml", ".yml", ".json")


def read_rows(run: "Run", name: str) -> Any:
    """(N, ...) rows as the run's net was trained on: a table's columns by name, or an array.

    A table may hold more columns (the target, say) in any order. Where its first line is data, not names, the columns
    are taken as they stand. Errors: DataError with file, row and column.
    """
    from backlit.data import files

    path = files.find(name)
    if run.cleaned is not None:
        return _raw(run, path)
    if path.suffix.lower() in TABLES:
        return _table(run, path)
    if path.suffix.lower() == ".npy":
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: expected an array as numpy.save writes it, got: {error}") from None
    if path.suffix.lower() == ".npz" or path.is_dir():
        return _archive(run, path)
    if path.name.removesuffix(".gz").endswith("ubyte"):
        return files.read_idx(path)
    kinds = ".csv, .tsv, .txt, .npz, .npy or an IDX file (-ubyte)"
    raise DataError(f"{path}: expected {kinds}, got {path.suffix or 'no ending'}; save the rows as one of these")


def _raw(run: "Run", path: Path) -> Any:
    """A table as the run's own source reads one, uncleaned, with or without the target."""
    from backlit.data.columns import TableSource
    from backlit.data.tables import Csv

    source = run.experiment.data
    if not isinstance(source, TableSource):
        source = Csv(str(path), target=0, separator=_separator(run, path))
    if isinstance(source, Csv) and source.names:
        # A file to be predicted has no target, as a rule; its columns are told by their number.
        count = len(replace(source, names=(), header=False).sheet(path).names)
        names = [n for n in source.names if n in run.cleaned.like["names"]] if run.cleaned else []
        if count != len(source.names):
            source = replace(source, names=tuple(names))
    sheet = source.sheet(path)
    return sheet.replaced(dict(source.replace), source.blanks).frame


def _table(run: "Run", path: Path) -> np.ndarray:
    from backlit.data.tables import read_table

    features = list(run.facts.get("features") or ())
    separator = _separator(run, path)
    table = read_table(path, separator, header=True)
    names = [str(name).strip() for name in table.columns]
    headless = all(_is_number(name) for name in names) and not set(features) & set(names)
    if headless:
        table = read_table(path, separator, header=False)
        names = [str(i) for i in range(len(table.columns))]
    wanted = names if headless or not features else features
    for feature in wanted:
        if feature not in names:
            text = f"expected a column {feature!r}, as the run was trained on, found none; {nearest(feature, names)}"
            raise DataError(f"{path}: {text}")
    shape = tuple(run.facts["shape"])
    if len(wanted) != int(np.prod(shape)):
        raise DataError(f"{path}: expected {int(np.prod(shape))} columns, as the run was trained on, got {len(wanted)}")
    columns = [_numbers(path, table.iloc[:, names.index(name)], name, headless) for name in wanted]
    return np.stack(columns, axis=1).reshape(-1, *shape)


def _numbers(path: Path, column: Any, name: str, headless: bool) -> np.ndarray:
    import pandas

    values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(np.argmax(bad))
        row, value = int(column.index[at]) + 1, column.iloc[at]
        found = "an empty cell" if value != value else received(value.item() if hasattr(value, "item") else value)
        place = f"row {row} (line {row + (not headless)} of the file), column {name!r}"
        raise DataError(f"{path}: {place}: expected a number, got {found}; fill it in or leave the row out")
    return np.asarray(values)


def _archive(run: "Run", path: Path) -> np.ndarray:
    from backlit.data.tables import Npz, read_arrays

    source = run.experiment.data
    name = source.x if isinstance(source, Npz) else "x"
    return read_arrays(path, [name])[name]


def _separator(run: "Run", path: Path) -> str:
    from backlit.data.tables import Csv

    source = run.experiment.data
    return source.separator if isinstance(source, Csv) else "\t" if path.suffix.lower() == ".tsv" else ","


def read_dataset(run: "Run", data: str | None) -> tuple["Dataset", str]:
    """Rows with targets to evaluate a run on, and what they are called.

    None: the test part that the run left aside (the validation part where there is none). A named experiment or its
    file: that experiment's test part. A table or an archive: all its rows.
    """
    from backlit.training.setup import as_columns

    if data is None:
        return _own(run)
    dataset, name = _named(run, data)
    # A file without a gap reads as numbers, also where the run's own table had gaps.
    return (as_columns(dataset) if run.cleaned is not None else dataset), name


def _named(run: "Run", data: str) -> tuple["Dataset", str]:
    from backlit import config

    if Path(data).suffix.lower() in EXPERIMENTS or data in config.named():
        other = config.load(data)
        parts = other.split.apply(other.data.load().checked(), other.seed)
        part, name = (parts.test, "test") if len(parts.test) else (parts.validation, "validation")
        if not len(part):
            raise DataError(f"{data}: expected an experiment with a test part, it has none; write split.test: 0.2")
        return _renamed(run, part, data), f"{name} part of {data}"
    return _renamed(run, _file(run, data), data), data


def _own(run: "Run") -> tuple["Dataset", str]:
    from backlit.training.setup import setup

    ready = setup(run.experiment)
    parts = ready.parts
    if ready.fingerprint != run.facts.get("fingerprint"):
        text = "expected the data this run was trained on, got other rows: its test part may have been trained on"
        raise DataError(f"{run.directory}: {text}; restore the data, or name other rows with --data")
    part, name = (parts.test, "test part") if len(parts.test) else (parts.validation, "validation part")
    if not len(part):
        raise DataError(f"{run.directory}: this run left no rows aside to evaluate on; name some with --data")
    return part, name


def _file(run: "Run", name: str) -> "Dataset":
    """All rows of a file, read like the run's own source where that is of the same kind."""
    from backlit.data import files
    from backlit.data.tables import Csv, Npz, read_table

    path, source = files.find(name), run.experiment.data
    task: Any = "classification" if run.facts.get("classes") else "regression"
    if path.suffix.lower() in (".npz", ".npy") or path.is_dir():
        own = replace(source, path=str(path), task=task) if isinstance(source, Npz) else Npz(str(path), task=task)
        return own.load()
    if path.suffix.lower() not in TABLES:
        kinds = "an experiment (.yaml, .json), a table (.csv, .tsv, .txt) or an archive (.npz)"
        raise DataError(f"{path}: expected {kinds}, got {path.suffix or 'no ending'}")
    if isinstance(source, Csv):
        return replace(source, path=str(path), task=task).load()
    separator, features = _separator(run, path), list(run.facts.get("features") or ())
    names = [str(column) for column in read_table(path, separator, header=True).columns]
    others = [column for column in names if column not in features]
    if len(others) != 1 or len(names) != len(features) + 1:
        found = f"besides them {', '.join(map(repr, others)) or 'nothing'}"
        wanted = ", ".join(features) or "unnamed"
        text = f"expected the columns this run was trained on ({wanted}) and one target, got {found}"
        raise DataError(f"{path}: {text}")
    dataset = Csv(str(path), target=others[0], task=task, separator=separator).load()
    order = [dataset.features.index(feature) for feature in features]
    return replace(dataset, x=dataset.x[:, order], features=tuple(features))


def _renamed(run: "Run", dataset: "Dataset", where: str) -> "Dataset":
    """The same rows with labels as this run numbers them; DataError for a class it does not know."""
    known, there = tuple(run.facts.get("classes") or ()), dataset.classes
    if known == there or not known:
        if there and not known:
            text = f"expected numbers to compare with, as this run predicts, got the classes {received(there)}"
            raise DataError(f"{where}: {text}")
        return dataset
    if not there:
        raise DataError(f"{where}: expected labels of the classes {received(known)}, got numbers")
    if not set(there) <= set(known) and all(name.isdigit() and int(name) < len(known) for name in there):
        there = tuple(known[int(name)] for name in there)  # 0..K-1 in place of the names
    for name in there:
        if name not in known:
            raise DataError(f"{where}: expected a class this run knows, got {name!r}; {nearest(name, known)}")
    table = np.array([known.index(name) for name in there], dtype=np.int32)
    return replace(dataset, y=table[dataset.y], classes=known)


def read_views(text: str) -> "Views":
    """How to look at an image, from its name or a mapping: FlipAverage, {type: TenCrop, size: 24}."""
    import yaml

    from backlit.config import loader
    from backlit.data.views import Views
    from backlit.settings import build

    try:
        return build(Views, yaml.load(text, Loader=loader()))  # type: ignore[type-abstract]
    except yaml.YAMLError:
        raise SettingError([("--views", f"expected a name such as FlipAverage, or a mapping, got {text!r}")]) from None
    except SettingError as error:
        raise error.under("--views") from None


@dataclass(frozen=True)
class Answers:
    """What a run says of rows: predictions (N,) or (N, K), and (N, classes) probabilities where asked for."""

    predictions: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def plain(self) -> dict[str, Any]:
        """For JSON: a list of predictions, and a list of probabilities for each class."""
        found: dict[str, Any] = {"predictions": self.predictions.tolist()}
        if self.probabilities is not None:
            columns = self.probabilities.T.tolist()
            found["probabilities"] = dict(zip(self.classes, columns, strict=True))
        return found

    def lines(self, header: bool) -> list[str]:
        """CSV: a row a line; a value that holds a comma or a quote is quoted."""
        table = self.predictions.reshape(len(self), -1).tolist()
        names = ["prediction"] if self.predictions.ndim == 1 else [f"prediction_{i}" for i in range(len(table[0]))]
        if self.probabilities is not None:
            names += [f"p({name})" for name in self.classes]
            table = [[*row, *more] for row, more in zip(table, self.probabilities.tolist(), strict=True)]
        return [",".join(map(_cell, row)) for row in ([names, *table] if header else table)]


def answers(run: "Run", x: np.ndarray, with_probabilities: bool) -> Answers:
    """Predictions, and probabilities where asked for; BacklitError when a run that predicts numbers has none."""
    if with_probabilities and run.experiment.loss.task == "regression":
        raise BacklitError("--probabilities: expected a run with classes, this one predicts numbers; leave it out")
    predictions = np.asarray(run.predict(x))
    if predictions.ndim == 2 and predictions.shape[1] == 1:
        predictions = predictions[:, 0]
    if not with_probabilities:
        return Answers(predictions, None, ())
    p = np.asarray(run.probabilities(x))
    known = tuple(run.facts.get("classes") or ())
    return Answers(predictions, p, known if len(known) == p.shape[1] else tuple(str(i) for i in range(p.shape[1])))


def write(path: Path, text: list[str]) -> None:
    """A file of these lines, whole or not at all."""
    if path.is_dir() or not path.parent.is_dir():
        raise BacklitError(f"{path}: expected the name of a file in a directory that exists; choose another --out")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text("\n".join(text) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BacklitError(f"{path}: could not be written: {error.strerror}; choose another --out") from None


def _cell(value: Any) -> str:
    text = f"{value:.7g}" if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
