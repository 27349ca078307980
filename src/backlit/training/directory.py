"""A run directory: experiment, environment, metrics, checkpoints, result. Everything else reads these files.

experiment.yaml  environment.json  data.json  metrics.jsonl  checkpoints/  result.json  test.npz  report/
"""

import json
import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backlit import __version__, config
from backlit.config import Experiment
from backlit.data import Arrays, Npz, Rows, Table
from backlit.data.frames import is_frame
from backlit.errors import BacklitError, CheckpointError, received

MAY_DIFFER = ("epochs", "checkpoint", "name", "layout")
"""Settings that a resumed training may change without becoming another experiment."""


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"

    def check(self, experiment: Experiment, resume: bool) -> None:
        """May this experiment be trained here? Nothing is written yet."""
        there = (self.path / "experiment.yaml").exists()
        if self.path.exists() and not self.path.is_dir():
            raise BacklitError(f"{self.path}: expected a directory for the run, got a file; choose another --out")
        if self.path.exists() and self._holds_files() and not (resume and there):
            text = "add --resume to go on with it, or choose another --out" if there else "choose another --out"
            raise BacklitError(f"{self.path}: expected a new directory, this one holds files; {text}")
        if there:
            self._same(experiment)

    def create(self, experiment: Experiment) -> bool:
        """Make it; True when there is a run to go on with. Arrays in memory are stored beside the experiment."""
        there, temporary = (self.path / "experiment.yaml").exists(), self.path / ".experiment.yaml"
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not (there and isinstance(experiment.data, Arrays)):
                # Also when it is there: a resumed run may be longer than the one that was started.
                config.write(self._stored(experiment), temporary)
                os.replace(temporary, self.path / "experiment.yaml")
        except OSError as error:
            raise BacklitError(f"{self.path}: could not be written: {error.strerror}; choose another --out") from None
        return there

    def _holds_files(self) -> bool:
        """Whether there is more than what a training leaves that was killed before its experiment was written."""
        early = ("checkpoints", ".experiment.yaml", "data.npz")
        present = [p for p in self.path.iterdir() if p.name not in early]
        return bool(present) or (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))

    def _stored(self, experiment: Experiment) -> Experiment:
        if not isinstance(experiment.data, Arrays):
            return experiment
        if isinstance(experiment.data.x, Rows | Table) or is_frame(experiment.data.x):
            text = "expected a source that a file can name, such as Npy, ImageFolder or Csv"
            raise BacklitError(
                f"{self.path}: {text}, got rows at hand; save them to a file, or train without a directory"
            )
        data, path = experiment.data.load(), self.path / "data.npz"
        names = {n: np.array(getattr(data, n), "U") for n in ("classes", "features", "vocabulary") if getattr(data, n)}
        more = {} if data.mask is None else {"mask": data.mask}
        np.savez(path, x=data.x, y=data.y, **names, **more)  # type: ignore[arg-type]
        return replace(experiment, data=Npz(str(path)))

    def experiment(self) -> Experiment:
        """The experiment of this run."""
        path = self.path / "experiment.yaml"
        if not path.exists():
            raise BacklitError(f"{self.path}: expected a run directory with experiment.yaml, found none")
        return config.load(path)

    def environment(self, describe: dict[str, Any], layout: dict[str, Any], why: str) -> None:
        """Store versions and devices."""
        facts = {"backlit": __version__, "python": sys.version.split()[0], "platform": platform.platform(),
                 "cores": os.cpu_count(), "layout": layout, "layout_chosen": why, "numpy": np.__version__}  # fmt: skip
        self.write("environment.json", {**facts, **describe})

    def write(self, name: str, value: Any) -> None:
        """One JSON file, whole or not at all."""
        temporary = self.path / f".{name}.tmp"
        try:
            temporary.write_text(json.dumps(value, indent=2), encoding="utf-8")
            os.replace(temporary, self.path / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise BacklitError(f"{self.path / name}: could not be written: {error.strerror}; free some space") from None

    def read(self, name: str) -> dict[str, Any]:
        """One JSON file; {} when it is not there."""
        path = self.path / name
        if not path.exists():
            return {}
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise BacklitError(
                f"{path}: expected JSON as a run writes it, got {received(path.read_bytes()[:40])}"
            ) from None
        return value if isinstance(value, dict) else {}

    def append(self, record: dict[str, Any]) -> None:
        """One more line of metrics.jsonl."""
        try:
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise BacklitError(
                f"{self.path}/metrics.jsonl: could not be written: {error.strerror}; free some space"
            ) from None

    def sync(self) -> None:
        """Make metrics.jsonl outlast a power cut: a checkpoint is about to count its lines."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def history(self) -> list[dict[str, Any]]:
        """The records of metrics.jsonl; a last line that was cut off is left out."""
        path = self.path / "metrics.jsonl"
        records: list[dict[str, Any]] = []
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    break
        return records

    def cut(self, records: int) -> None:
        """Keep the first `records` lines: a resumed run writes the later ones again."""
        path = self.path / "metrics.jsonl"
        lines = [json.dumps(record) + "\n" for record in self.history()[:records]]
        if len(lines) < records:
            raise CheckpointError(
                f"{path}: expected at least {records} records, as the checkpoint says, got {len(lines)}"
            )
        temporary = path.with_name(".metrics.tmp")
        temporary.write_text("".join(lines), encoding="utf-8")
        os.replace(temporary, path)

    def clean(self) -> None:
        """Remove what an interrupted write left."""
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink()

    def _same(self, experiment: Experiment) -> None:
        before, now = config.paths(self.experiment()), config.paths(experiment)
        for path in sorted(before.keys() | now.keys()):
            old, new = before.get(path), now.get(path)
            may = (*MAY_DIFFER, "data") if isinstance(experiment.data, Arrays) else MAY_DIFFER
            if path.split(".")[0] not in may and old != new:
                text = f"{path}: expected {received(old)}, as this run was started, got {received(new)}"
                raise BacklitError(f"{self.path}: {text}; resume with the same settings or choose another --out")
