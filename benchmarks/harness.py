"""How a figure is taken: every side in a process of its own, one at a time, in turn, after a warm-up; then ratios.

A side is a class with `advance(steps)` (returns when the work is done) and `loss()` (on rows fixed beforehand, to show
that all sides did the same work). The table gives medians, the ratio of ours to each, and the spread.
"""

import ctypes
import gc
import json
import multiprocessing as mp
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """One side in its own process, so that no library's threads stand in another's way."""

    def __init__(self, name: str, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.name = name
        context = mp.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, make, args), daemon=True)
        self.process.start()
        far.close()
        self.error = self._ask("ready")

    def time(self, steps: int) -> float:
        """Seconds for that many steps."""
        return float(self._ask(steps))

    def loss(self) -> float:
        """The loss after all steps so far."""
        return float(self._ask("loss"))

    def settle(self) -> None:
        """Let go what compiling and trying left behind: from here on `memory` is that of the work itself."""
        self._ask("settle")

    def memory(self) -> float:
        """The most memory that the process has held since it settled, MB; where Linux does not tell, since its start."""
        return float(self._ask("memory"))

    def end(self) -> None:
        """Let the process go."""
        if self.process.is_alive():
            self.pipe.send("end")
        self.process.join(10)

    def _ask(self, what: Any) -> Any:
        self.pipe.send(what)
        try:
            return self.pipe.recv()
        except EOFError:
            return "the process ended"


def _serve(pipe: Any, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    side = None
    while (what := pipe.recv()) != "end":
        if what == "ready":
            try:
                side, answer = make(*args), None
            except Exception as error:  # a library that is missing or cannot compile is a line of the table
                answer = f"{type(error).__name__}: {str(error).splitlines()[0][:90] if str(error) else ''}"
        elif what == "loss":
            answer = side.loss()
        elif what == "memory":
            answer = _peak()
        elif what == "settle":
            answer = _settle()
        else:
            begin = time.perf_counter()
            side.advance(what)
            answer = time.perf_counter() - begin
        pipe.send(answer)


def _settle() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc and Linux only
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def race(
    sides: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]], steps: int, rounds: int = 7, warm: int = 1
) -> dict[str, Any]:
    """Steps a second of every side, in turn, `rounds` times after `warm` rounds that do not count; and final losses."""
    workers = [Worker(name, make, args) for name, (make, args) in sides.items()]
    running = [w for w in workers if w.error is None]
    seconds: dict[str, list[float]] = {w.name: [] for w in running}
    for number in range(warm + rounds):
        # Forth and back: whoever follows a side whose threads still spin does so in every other round only.
        for worker in running if number % 2 == 0 else reversed(running):
            if number == warm:
                worker.settle()
            spent = worker.time(steps)
            if number >= warm:
                seconds[worker.name].append(spent)
    found = {}
    for worker in workers:
        if worker.error is not None:
            found[worker.name] = {"error": worker.error}
            continue
        rates = [steps / s for s in seconds[worker.name]]
        found[worker.name] = {
            "median": statistics.median(rates),
            "min": min(rates),
            "max": max(rates),
            "rates": rates,
            "memory": worker.memory(),
            "loss": worker.loss(),
        }
    for worker in workers:
        worker.end()
    return found


def table(title: str, found: dict[str, Any], ours: str = "backlit") -> str:
    """Ratio first: how many times as fast ours is, round by round in the median."""
    lines = [title, f"{'side':<28}{'ours / side':>12}{'steps/s':>10}{'min':>9}{'max':>9}{'MB':>7}{'final loss':>12}"]
    for name, row in found.items():
        if "error" in row:
            lines.append(f"{name:<28}  not run: {row['error']}")
            continue
        ratio = paired(found[ours]["rates"], row["rates"])
        lines.append(
            f"{name:<28}{ratio:>12.2f}{_rate(row['median']):>10}{_rate(row['min']):>9}{_rate(row['max']):>9}"
            f"{row['memory']:>7.0f}{row['loss']:>12.5f}"
        )
    return "\n".join(lines)


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def paired(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of ours / theirs: both ran within the same seconds, so drift cancels."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def best(found: dict[str, Any], names: list[str]) -> str:
    """The fastest of these sides by its median."""
    ran = [n for n in names if n in found and "median" in found[n]]
    return max(ran, key=lambda n: found[n]["median"])


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    names = ["numpy", "jax", "jaxlib", "torch", "flax", "optax", "scikit-learn"]
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {"cpu": cpu, "threads": THREADS, "python": sys.version.split()[0], **{n: _version(n) for n in names}}


def store(name: str, value: dict[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **value}, indent=1) + "\n")
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
