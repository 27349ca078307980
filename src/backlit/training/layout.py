"""One device with threaded products, or one device a core? Which is faster depends on the net, so it is measured.

The answer is kept in the cache directory, by net, batch, rows and machine; a training shorter than the measurement takes
one device.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from backlit.config import Experiment
from backlit.engine import devices
from backlit.settings import plain

WORTH_MEASURING = 20.0
"""Seconds of training below which one device is simply taken: the measurement costs a compilation."""

ROUNDS = 7
"""How often both layouts run in turn."""

Trial = Callable[[int, int], float]
"""trial(cores, steps) -> seconds for that many steps in that layout."""


def choose(
    experiment: Experiment, engine: ModuleType, steps: int, shape: tuple[int, ...], trial: Trial
) -> tuple[int, str]:
    """(devices to use, why) for a training of `steps` updates on rows of `shape`."""
    wide = engine.width()
    if engine.name == "numpy":
        return 1, "one device"
    if experiment.layout == "one" or wide == 1:
        return 1, "one device" if wide > 1 else "one device (there is only one)"
    if experiment.batch_size % wide:
        return 1, f"one device (a batch of {experiment.batch_size} does not divide by {wide})"
    if experiment.layout == "cores":
        return wide, f"{wide} devices (as set)"
    known = _recall(_key(experiment, engine, shape))
    if known:
        return known, f"{_say(known)} (measured before)"
    trial(1, 2)
    pace = trial(1, 8) / 8
    if pace * steps < WORTH_MEASURING:
        return 1, "one device (the training is too short to measure)"
    count = max(2, int(0.25 / pace))
    trial(wide, count)
    # In turn, and compared round by round: a machine that slows down for a while slows both.
    rounds = [(trial(1, count) / count, trial(wide, count) / count) for _ in range(ROUNDS)]
    best = wide if median(many / one for one, many in rounds) < 1.0 else 1
    _remember(_key(experiment, engine, shape), best)
    one, many = (median(times) * 1e3 for times in zip(*rounds, strict=True))
    return best, f"{_say(best)} (measured: {one:.3g} ms a step on one, {many:.3g} ms on {wide})"


def clock(run: Callable[[], Any], engine: ModuleType) -> float:
    """Seconds until everything `run` returns is computed."""
    start = time.perf_counter()
    engine.ready(run())
    return time.perf_counter() - start


def _say(cores: int) -> str:
    return "one device" if cores == 1 else f"{cores} devices"


def _key(experiment: Experiment, engine: ModuleType, shape: tuple[int, ...]) -> str:
    parts = [plain(experiment.net), plain(experiment.loss), plain(experiment.optimizer), experiment.batch_size, shape]
    text = json.dumps(
        [parts, {k: v for k, v in engine.describe().items() if k != "devices"}, engine.width()], default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _file() -> Path:
    return devices.cache_directory() / "layouts.json"


def _recall(key: str) -> int | None:
    try:
        value = json.loads(_file().read_text()).get(key)
    except (OSError, ValueError, AttributeError):
        return None
    return value if isinstance(value, int) and value >= 1 else None


def _remember(key: str, cores: int) -> None:
    # Only a memory of a measurement: when it cannot be written, the next run measures again.
    try:
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({**known, key: cores}))
        temporary.replace(path)
    except (OSError, ValueError):
        return
