"""XLA or oneDNN? Measured once for each operation and its shapes, kept in the cache directory, and checked on the way.

Both run in a compiled loop, as in training, in turn, on the same random numbers. oneDNN is taken where its results agree
and its shortest time is at least 5 % below XLA's.
"""

import json
import logging
import os
import time
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from backlit.engine import devices
from backlit.engine.onednn.backend import Backend, apart, backend, mode
from backlit.engine.onednn.library import Unavailable
from backlit.engine.onednn.operation import Operation, Way

log = logging.getLogger("backlit")

WORTH_MEASURING = 1_000_000
"""Operations of a call below which XLA is simply taken."""

GAIN = 0.95
"""oneDNN must take less than this share of XLA's time."""

TOLERANCE = 1e-3
"""Difference allowed, in terms of an array's largest number: rounding lies far below, a mistake far above."""

ROUNDS, CHECKS = 10, 3
"""How often both loops run in turn, and how often oneDNN's result is looked at."""

LOOP_OPERATIONS, LONGEST = 100_000_000, 100
"""About how many operations a loop has, and the most calls."""


class Found(NamedTuple):
    """What a measurement found: milliseconds a call, and the largest difference of the results."""

    xla: float
    onednn: float
    difference: float


_lock = Lock()
_known: dict[tuple[str, str], Way | None] = {}


def way(operation: Operation) -> Way | None:
    """How oneDNN computes the operation; None where XLA is to compute it."""
    how = mode()
    if how == "off" or (how == "auto" and operation.size < WORTH_MEASURING):
        return None
    ready = backend()
    with _lock:
        if ready is not None and (how, operation.name) not in _known:
            _known[how, operation.name] = _chosen(ready, operation, always=how == "on")
        return _known.get((how, operation.name))


def _chosen(ready: Backend, operation: Operation, always: bool) -> Way | None:
    found = recall(ready, operation.name)
    if found and not always and not _faster(found):
        return None
    try:
        way = operation.by_onednn(ready)
        if found is None:
            found = apart(lambda: measured(operation, way))
            remember(ready, operation.name, found)
            log.debug("%s: XLA %.3g ms, oneDNN %.3g ms", operation.name, found.xla, found.onednn)
    except Unavailable as reason:
        log.debug("%s: XLA, because %s", operation.name, reason)
        return None
    except jax.errors.JaxRuntimeError as reason:
        log.warning("%s: XLA, because %s", operation.name, reason)
        return None
    if not found.difference <= TOLERANCE:
        log.warning("%s: XLA, because oneDNN's result differs from its by %.1g", operation.name, found.difference)
        return None
    return way if always or _faster(found) else None


def _faster(found: Found) -> bool:
    return found.onednn < GAIN * found.xla


def measured(operation: Operation, way: Way) -> Found:
    """XLA against `way`, in loops."""
    length = min(max(1, LOOP_OPERATIONS // max(1, operation.size)), LONGEST)
    arrays = numbers(operation, seed=0)
    loops = [_loop(each, operation.results, length) for each in (operation.by_xla, way)]
    expected = loops[0](*arrays)
    worst = max(difference(expected, loops[1](*arrays)) for _ in range(CHECKS))
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for loop, seconds in zip(loops, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(loop(*arrays))
            seconds.append(time.perf_counter() - start)
    xla, onednn = (min(seconds) / length * 1e3 for seconds in times)
    return Found(xla, onednn, worst)


def numbers(operation: Operation, seed: int) -> list[Any]:
    """Random arguments."""
    draw = np.random.default_rng(seed)
    return [jnp.asarray(draw.standard_normal(a.shape, dtype=np.float32)) for a in operation.given]


def difference(expected: list[Any], found: list[Any]) -> float:
    """The largest difference of any of the arrays, in terms of its largest number; NaN where one is NaN."""
    worst = np.float64(0)
    for a, b in zip(expected, found, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        worst = np.maximum(worst, np.max(np.abs(a - b)) / max(np.max(np.abs(a)), 1e-30))
    return float(worst)


def _loop(way: Way, results: Any, length: int) -> Way:
    def run(*arrays: Any) -> Any:
        def body(carry: Any, _: None) -> tuple[Any, None]:
            first, _ = carry
            made = way(first, *arrays[1:])
            # A number that depends on the result is written over an equal one: no iteration can be left out.
            corner = (slice(0, 1),) * first.ndim
            return (first.at[corner].add(0 * made[0].ravel()[0]), made), None

        start = arrays[0], [jnp.zeros(a.shape, a.dtype) for a in results]
        return jax.lax.scan(body, start, None, length=length)[0][1]

    return jax.jit(run)


def recall(ready: Backend, name: str) -> Found | None:
    """What this machine found before."""
    try:
        xla, onednn, apart = json.loads(_file().read_text())[_machine(ready)][name]
        return Found(float(xla), float(onednn), float(apart))
    except (OSError, ValueError, TypeError, LookupError):
        return None


def remember(ready: Backend, name: str, found: Found) -> None:
    """For the next run; when it cannot be written, that measures again."""
    try:
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        known.setdefault(_machine(ready), {})[name] = found
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(known, indent=1))
        temporary.replace(path)
    except (OSError, ValueError, AttributeError):
        return


def _file() -> Path:
    return devices.cache_directory() / "onednn.json"


def _machine(ready: Backend) -> str:
    return f"JAX {devices.machine(jax)}, oneDNN {ready.library.version}, {ready.library.threads} threads"
