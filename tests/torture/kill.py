"""Kill a real training with SIGKILL at random moments, a quarter of them inside a save; resume; compare bit by bit.

    python tests/torture/kill.py --runs 30 [--seed 0] [--directory DIR]

A run passes when, after the resume, all arrays (parameters, optimiser, clock, best weights), the test metrics and the
recorded epochs equal those of an uninterrupted run, no finished save was lost, and no temporary file is left.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from backlit.training import checkpoint

# One device: "auto" may choose otherwise in another run. Long enough to be hit, and saved often enough to be hit there.
SETTINGS = ("layout=one", "epochs=400", "batch_size=16", "stopping=null", "checkpoint.every_epochs=4",
            "checkpoint.every_seconds=0.05")  # fmt: skip
COMMAND = [sys.executable, str(Path(__file__).with_name("watched.py"))]
PATIENCE = 300.0


class Saves(NamedTuple):
    """What `watched.py` wrote down."""

    begun: list[int]
    ended: list[int]
    calls: list[int]


class Outcome(NamedTuple):
    """One killed and resumed run."""

    how: str
    after: float
    step: int
    lost: int
    finished_lost: bool
    stale: list[str]
    problem: str


def start(out: Path, log: Path, kill: str = "-", resume: bool = False) -> "subprocess.Popen[str]":
    """A training process."""
    arguments = ["train", "digits", *[a for s in SETTINGS for a in ("--set", s)], "--out", str(out), "--json"]
    command = [*COMMAND, str(log), kill, *arguments, *(["--resume"] if resume else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process: "subprocess.Popen[str]") -> str:
    """Wait; '' when it ended well, else its last words."""
    try:
        words, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"still running after {PATIENCE:.0f} s"
    return "" if process.returncode == 0 else f"exit code {process.returncode}: {' '.join(words.split())[-300:]}"


def saves(log: Path) -> Saves:
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    ends = [line for line in lines if line[0] == "end"]
    return Saves([int(w[1]) for w in lines if w[0] == "begin"], [int(w[1]) for w in ends], [int(w[2]) for w in ends])


def result(out: Path) -> dict[str, Any]:
    """Everything a finished run must have in common with any other, as comparable values."""
    found = checkpoint.newest(out / "checkpoints", lambda text: print(text, file=sys.stderr))
    if found is None:
        return {}
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("seconds", None)
    return {
        "step": found.step,
        "arrays": {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in found.arrays.items()},
        "watch": found.meta.get("watch"),
        "test": json.loads((out / "result.json").read_text())["test"],
        "records": records,
    }


def difference(expected: dict[str, Any], got: dict[str, Any]) -> str:
    """'' when equal, else what differs."""
    for key, value in expected.items():
        if key == "arrays" and value != got.get(key):
            wrong = [name for name in value if value[name] != got.get(key, {}).get(name)]
            return f"{len(wrong)} of {len(value)} arrays differ, {wrong[:1]}"
        if value != got.get(key):
            return f"{key} differs: {str(value)[:60]} and {str(got.get(key))[:60]}"
    return ""


def stale(out: Path) -> list[str]:
    return [str(p.relative_to(out)) for p in out.rglob("*") if p.name.startswith(".tmp-") or p.name.endswith(".tmp")]


def killed(out: Path, rng: Random, inside: bool, normal: Saves, seconds: float) -> tuple[str, float]:
    """Start a training and kill it; how and after how long. Once more, earlier, when it was too quick to be hit."""
    log = out.with_suffix(".log")
    while True:
        how = f"{rng.randrange(len(normal.calls))}:{rng.randrange(min(normal.calls))}" if inside else "-"
        began = time.perf_counter()
        process = start(out, log, how)
        try:
            words, _ = process.communicate(timeout=PATIENCE if inside else rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            words, _ = process.communicate()
        after = time.perf_counter() - began
        if process.returncode == -signal.SIGKILL:
            return (f"save {how}" if inside else "anywhere"), after
        if process.returncode != 0:
            return f"nothing, it failed by itself: {' '.join(words.split())[-300:]}", after
        seconds *= 0.9
        shutil.rmtree(out)
        log.unlink(missing_ok=True)


def attempt(out: Path, rng: Random, inside: bool, normal: Saves, seconds: float, expected: dict[str, Any]) -> Outcome:
    """Kill, look, resume, compare."""
    how, after = killed(out, rng, inside, normal, seconds)
    before = saves(out.with_suffix(".log"))
    found = checkpoint.newest(out / "checkpoints", lambda text: None)
    step = found.step if found else 0
    lost = sum(s > step for s in before.begun)
    problem = finished(start(out, out.with_suffix(".log2"), resume=True))
    problem = problem or difference(expected, result(out))
    return Outcome(how, after, step, lost, any(s > step for s in before.ended), stale(out), problem)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, help="where the runs are kept; a temporary directory otherwise")
    options = parser.parse_args()
    rng = Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        room = options.directory or Path(name)
        room.mkdir(parents=True, exist_ok=True)
        return torture(room, rng, options.runs)


def torture(room: Path, rng: Random, runs: int) -> int:
    for reference in ("warm", "reference"):  # the first fills the compilation cache, the second is timed
        began = time.perf_counter()
        problem = finished(start(room / reference, room / f"{reference}.log"))
        seconds = time.perf_counter() - began
        if problem:
            print(f"the uninterrupted run failed: {problem}")
            return 1
    normal, expected = saves(room / "reference.log"), result(room / "reference")
    same = difference(expected, result(room / "warm"))
    print(f"uninterrupted: {seconds:.1f} s, {expected['step']} steps, {len(normal.ended)} saves of "
          f"{min(normal.calls)} system calls, two runs {same or 'equal'}")  # fmt: skip
    outcomes = []
    for i in range(runs):
        found = attempt(room / f"run{i:03}", rng, i % 4 == 3, normal, seconds, expected)
        outcomes.append(found)
        left = ", ".join(found.stale) or "none"
        print(f"{i + 1:4} killed in {found.how:12} after {found.after:5.1f} s, on disk: step {found.step:6}, "
              f"lost saves: {found.lost}, stale: {left}, {found.problem or 'identical'}", flush=True)  # fmt: skip
    identical = sum(not o.problem for o in outcomes)
    clean = sum(not o.stale for o in outcomes)
    print(f"\nruns                   {runs}\nidentical              {identical}\n"
          f"unfinished saves lost  at most {max(o.lost for o in outcomes)}\n"
          f"finished saves lost    {sum(o.finished_lost for o in outcomes)}\n"
          f"no temporary files     {clean}")  # fmt: skip
    good = identical == clean == runs and all(o.lost <= 1 and not o.finished_lost for o in outcomes) and not same
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
