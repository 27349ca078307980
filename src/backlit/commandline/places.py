"""Where things are: when the process began, which experiment is meant, which directory a run goes into."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backlit.errors import BacklitError

if TYPE_CHECKING:
    from backlit.config import Experiment

RUNS = Path("runs")


def process_start() -> float:
    """When this process began, as time.time() counts; now, where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    except (OSError, ValueError, IndexError, AttributeError):
        return time.time()


def settings(source: str, changes: list[str]) -> dict[str, Any]:
    """Plain settings of a named experiment, a file or a run directory, with every --set put in."""
    from backlit import config
    from backlit.overrides import changed

    stored = Path(source) / "experiment.yaml"
    return changed(config.read(stored if stored.is_file() else source), changes)


def experiment(source: str, changes: list[str]) -> "Experiment":
    """The experiment that CONFIG and --set mean."""
    from backlit import config

    return config.from_plain(settings(source, changes), source)


def name_of(source: str, named: str) -> str:
    """What a run is called on disk: the experiment's name or the file's, with nothing that leaves the directory."""
    return re.sub(r"[^\w.-]+", "-", named or Path(source).stem).strip("-.") or "run"


def fresh(name: str) -> Path:
    """runs/name, or runs/name-2, -3 ... where those exist."""
    number, path = 1, RUNS / name
    while os.path.lexists(path):
        number += 1
        path = RUNS / f"{name}-{number}"
    return path


def newest(name: str) -> Path | None:
    """The run of this name that was written to last, or None."""
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    found = [p for p in RUNS.glob("*") if pattern.fullmatch(p.name) and (p / "experiment.yaml").is_file()]
    return max(found, key=_written, default=None)


def existing(path: str) -> Path:
    """`path` as a run directory; BacklitError with the runs that there are."""
    if (Path(path) / "experiment.yaml").is_file():
        return Path(path)
    there = sorted(str(p) for p in RUNS.glob("*") if (p / "experiment.yaml").is_file())
    hint = f"runs here: {', '.join(there[-8:])}" if there else "train one first: backlit train digits"
    found = "no such directory" if not Path(path).exists() else "no experiment.yaml in it"
    raise BacklitError(f"{path}: expected the directory of a run, found {found}; {hint}")


def _written(run: Path) -> float:
    files = (run, run / "checkpoints", run / "metrics.jsonl", run / "experiment.yaml")
    return max(path.stat().st_mtime for path in files if path.exists())


def described() -> dict[str, str]:
    """Named experiments, each with the first line of its file, a comment that says what it is."""
    from importlib import resources

    folder = Path(str(resources.files("backlit"))) / "experiments"
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        found[path.stem] = first.lstrip("# ") if first.startswith("#") else ""
    return found
