"""Reading a run directory. A report must also come out of a run that died, so what cannot be read becomes a note."""

import json
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backlit.errors import BacklitError, DataError
from backlit.evaluation import HEADLINE, labels, measure, per_step, real_steps
from backlit.evaluation.metrics import Array

_BROKEN_ARRAYS = (OSError, ValueError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
_FILES = ("experiment.yaml", "metrics.jsonl", "data.json", "result.json", "environment.json")


@dataclass(frozen=True)
class Tested:
    """What the net said of the test rows: output and target (N, ...), the rows' numbers, the raw rows or None.

    Of sequences with a mask these are the real time steps, one below the other, and no raw rows. `of`: what is decided
    on, "rows" or the "steps" of sequences.
    """

    output: Array
    target: Array
    index: Array
    x: Array | None
    of: str = "rows"

    @property
    def scores(self) -> Array:
        """The output without NaN and infinities, which have no place in a figure."""
        return np.nan_to_num(self.output, nan=0.0, posinf=1e30, neginf=-1e30)


@dataclass(frozen=True)
class Record:
    """A run as its directory tells it. Empty dicts and lists where a file is missing; `notes` says what and why."""

    directory: Path
    experiment: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    test: Tested | None = None
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        return str(self.data.get("task", ""))

    @property
    def name(self) -> str:
        return str(self.data.get("name") or self.directory.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row, () when it is not told."""
        value = self.data.get("shape")
        return tuple(value) if isinstance(value, list) and all(isinstance(n, int) and n > 0 for n in value) else ()

    @property
    def vocabulary(self) -> list[str]:
        """What the numbers of a row stand for, [] when they are numbers."""
        return texts(self.data.get("vocabulary"))

    @property
    def features(self) -> list[str]:
        return texts(self.data.get("features"))

    def classes(self, count: int) -> list[str]:
        """`count` class names; the class's number where it has no name. White space is shown as ' ' or '\\n'."""
        names = texts(self.data.get("classes"))
        return [(names[k] if names[k].strip() else repr(names[k])) if k < len(names) else str(k) for k in range(count)]


def read(directory: Path) -> Record:
    """The record of a run directory. Errors: DataError when there is no such directory or it holds no run."""
    if not directory.is_dir() or not any((directory / name).exists() for name in _FILES):
        what = "a directory without them" if directory.is_dir() else "no such directory"
        raise DataError(
            f"report: expected a run directory with {_FILES[0]} and {_FILES[1]}, got {str(directory)!r} ({what}); "
            "write the directory that `backlit train` printed"
        )
    notes: list[str] = []
    history, skipped = _lines(directory / "metrics.jsonl")
    if skipped:
        notes.append(f"metrics.jsonl: {skipped} unreadable line{'s' * (skipped > 1)} left out.")
    data = _mapping(directory / "data.json", notes)
    return Record(
        directory=directory,
        experiment=_text(directory / "experiment.yaml", notes),
        environment=_mapping(directory / "environment.json", notes),
        data=data,
        result=_mapping(directory / "result.json", notes, "the run was interrupted, or is still under way"),
        history=by_epoch(history),
        findings=_lines(directory / "findings.jsonl")[0],
        test=_test(directory / "test.npz", str(data.get("task", "")), notes),
        notes=tuple(notes),
    )


def by_epoch(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line an epoch, the latest: a resumed run repeats the epochs after its last checkpoint."""
    latest = {
        line["epoch"]: line
        for line in lines
        if isinstance(line.get("epoch"), int | float) and math.isfinite(line["epoch"])
    }
    return [latest[epoch] for epoch in sorted(latest)]


def read_history(directory: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, one an epoch; a broken last line is left out."""
    return by_epoch(_lines(directory / "metrics.jsonl")[0])


def texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []


def _text(path: Path, notes: list[str], why: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        notes.append(f"There is no {path.name}{': ' + why if why else ''}.")
    except OSError as error:
        notes.append(f"{path.name} could not be read: {error.strerror}.")
    return ""


def _mapping(path: Path, notes: list[str], why: str = "") -> dict[str, Any]:
    text = _text(path, notes, why)
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        notes.append(f"{path.name} does not hold a JSON object and is left out.")
        return {}
    return value


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The JSON objects of a file, one a line, and how many lines were something else."""
    found, skipped = [], 0
    for line in _text(path, []).splitlines():
        try:
            value = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            found += [value] if value else []
        else:
            skipped += 1
    return found, skipped


def _test(path: Path, task: str, notes: list[str]) -> Tested | None:
    if not path.exists():
        notes.append("There is no test.npz: the net was not tested, so there is nothing to show about single rows.")
        return None
    if task not in HEADLINE:
        notes.append(f"data.json names no known task (got {task!r}), so test.npz is left out.")
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            output, target = file["output"], file["target"]
            if not (output.ndim and target.ndim):
                raise ValueError("a single number in place of one a row")
            index = file["index"] if "index" in file else np.arange(len(output))
            x = file["x"] if "x" in file and len(file["x"]) == len(output) else None
            mask = file.get("mask")
        if len(index) != len(output):
            raise ValueError(f"{len(output)} outputs but {len(index)} row numbers")
        of = "steps" if per_step(task, output.shape[1:]) else "rows"
        real, wanted = real_steps(task, output, target, mask)
        if mask is not None and real is not output:
            output, target, x = real, wanted, None
            index = np.array([f"{index[row]}, step {step}" for row, step in np.argwhere(mask > 0)])
        measure(task, output, target)  # shapes that fit, and at least one row
        if task in ("classification", "binary"):
            _check_labels(labels(task, output, target), output.shape[-1] if task == "classification" else 2)
        if lost := int((~np.isfinite(output.reshape(len(output), -1))).any(axis=1).sum()):
            notes.append(f"{lost} of {len(output)} test rows have outputs that are NaN or infinite.")
    except BacklitError as error:
        notes.append(f"test.npz is left out: {error}")
    except _BROKEN_ARRAYS as error:
        notes.append(f"test.npz could not be read and is left out: {error}")
    else:
        return Tested(output, target, index, x, of)
    return None


def _check_labels(found: Array, classes: int) -> None:
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(f"labels from {found.min()} to {found.max()}, but the net has {classes} outputs")
