"""One device with threaded products, or one device a core? Whose products? It depends on the net, so it is measured.

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
from typing import Any, NamedTuple

from backlit.config import Experiment
from backlit.engine import devices
from backlit.errors import BacklitError
from backlit.settings import plain

WORTH_MEASURING = 60.0
"""Seconds of training below which one device is simply taken: the measurement costs compilations."""

ROUNDS = 5
"""How often all layouts run in turn."""

ROUND_SECONDS = 0.2

GAIN = 0.95
"""A layout must take less than this share of one device's time: devices that wait for each other suffer most when
something else runs on the machine."""


class Layout(NamedTuple):
    """How many devices share a batch, and which library multiplies matrices."""

    cores: int = 1
    products: str = "default"

    def __str__(self) -> str:
        place = "one device" if self.cores == 1 else f"{self.cores} devices"
        return place if self.products == "default" else f"{place}, products by {self.products}"


Trial = Callable[[Layout, int], float]
"""trial(layout, steps) -> seconds for that many steps in that layout."""


def choose(
    experiment: Experiment, engine: ModuleType, steps: int, shape: tuple[int, ...], trial: Trial
) -> tuple[Layout, str]:
    """The layout to train in, and why, for a training of `steps` updates on rows of `shape`."""
    wide, one = engine.width(), Layout()
    if experiment.layout == "one" or engine.name == "numpy":
        return one, str(one)
    divides = experiment.batch_size % wide == 0
    if experiment.layout == "cores":
        if divides:
            return Layout(wide), f"{Layout(wide)} (as set)"
        return one, f"one device (a batch of {experiment.batch_size} does not divide by {wide})"
    key = _key(experiment, engine, shape)
    known = _recall(key)
    if known:
        return known, f"{known} (measured before)"
    trial(one, 2)
    pace = trial(one, 8) / 8
    if pace * steps < WORTH_MEASURING:
        return one, "one device (the training is too short to measure)"
    widths = (1, wide) if divides and wide > 1 else (1,)
    layouts = [Layout(cores, products) for cores in widths for products in engine.product_libraries()]
    times = measured(layouts, max(2, int(ROUND_SECONDS / pace)), trial)
    shares = {k: median(a / b for a, b in zip(times[k], times[one], strict=True)) for k in layouts}
    best = min(shares, key=shares.__getitem__)
    best = best if shares[best] < GAIN else one
    _remember(key, best)
    found = "; ".join(f"{layout}: {median(times[layout]) * 1e3:.3g}" for layout in layouts)
    return best, f"{best} (measured, ms a step: {found})"


def measured(layouts: list[Layout], steps: int, trial: Trial) -> dict[Layout, list[float]]:
    """Seconds a step of each layout, all in turn: a machine that slows down for a while slows all of them."""
    for layout in layouts:
        trial(layout, steps)
    times: dict[Layout, list[float]] = {layout: [] for layout in layouts}
    for _ in range(ROUNDS):
        for layout in layouts:
            times[layout].append(trial(layout, steps) / steps)
    return times


def clock(run: Callable[[], Any], engine: ModuleType) -> float:
    """Seconds until everything `run` returns is computed."""
    start = time.perf_counter()
    engine.ready(run())
    return time.perf_counter() - start


def _key(experiment: Experiment, engine: ModuleType, shape: tuple[int, ...]) -> str | None:
    """What names this measurement; None for what holds functions, which no file can name."""
    e = experiment
    try:
        parts = [plain(e.net), plain(e.loss), plain(e.optimizer), e.batch_size, shape]
        parts += [plain(more) for more in (e.augmentation, e.wrappers, e.groups, e.mixing) if more]
    except BacklitError:
        return None
    text = json.dumps(
        [parts, {k: v for k, v in engine.describe().items() if k != "devices"}, engine.width()], default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _file() -> Path:
    return devices.cache_directory() / "layouts.json"


def _recall(key: str | None) -> Layout | None:
    if key is None:
        return None
    try:
        cores, products = json.loads(_file().read_text())[key]
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return Layout(cores, products) if isinstance(cores, int) and cores >= 1 and isinstance(products, str) else None


def _remember(key: str | None, layout: Layout) -> None:
    if key is None:
        return
    # Only a memory of a measurement: when it cannot be written, the next run measures again.
    try:
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({**known, key: layout}))
        temporary.replace(path)
    except (OSError, ValueError):
        return
