"""Whether oneDNN is wanted and works here; the library, the handler and the table of plans, started at first use."""

import ctypes
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from threading import Lock
from typing import Any

import jax
import numpy as np

from backlit.engine.onednn import handler, library
from backlit.engine.onednn.library import WHEEL, Library
from backlit.engine.onednn.plan import Table
from backlit.errors import unknown

log = logging.getLogger("backlit")

SETTING, MODES = "BACKLIT_ONEDNN", ("auto", "on", "off")
TARGET = "backlit_onednn"
"""The handler's name in compiled programs."""


@dataclass(frozen=True)
class Backend:
    """oneDNN, ready: the library and the plans of this process."""

    library: Library
    table: Table


def mode() -> str:
    """$BACKLIT_ONEDNN: 'auto' (where it is measured to be faster), 'on' (wherever it can), 'off'."""
    found = os.environ.get(SETTING, "auto")
    if found not in MODES:
        raise unknown(SETTING, found, MODES)
    return found


@cache
def versions() -> str | None:
    """What the extra [onednn] has installed; None where something is missing."""
    try:
        return ", ".join(f"{name} {metadata.version(name)}" for name in (WHEEL, "llvmlite"))
    except metadata.PackageNotFoundError:
        return None


def wanted() -> bool:
    """Whether to ask for the back end at all."""
    return mode() != "off" and _installed()


@cache
def _installed() -> bool:
    if versions() is None:
        log.info("oneDNN is not installed, XLA computes convolutions: pip install 'backlit[onednn]'")
    return versions() is not None


_lock = Lock()
_started: list[Backend | None] = []


def backend() -> Backend | None:
    """The back end; None where it does not work, with a line in the log that says why."""
    with _lock:
        if not _started:
            try:
                _started.append(_start())
            except Exception as reason:  # whatever is wrong with an optional library, XLA can compute
                log.warning("oneDNN is not used (%s)", reason)
                _started.append(None)
        return _started[0]


def _start() -> Backend:
    from backlit.engine.onednn import selftest

    made = Backend(library.load(), Table())
    run = handler.start(made.library, made.table.slots.ctypes.data)
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(ctypes.c_void_p(run)), platform="cpu")
    apart(lambda: selftest.check(made))
    return made


def call(results: Any, key: int, scratch: int, *arrays: Any) -> Any:
    """What the plan with this key computes: arrays like `results`."""
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in results]
    scratch_bytes = jax.ShapeDtypeStruct((scratch,), np.uint8)
    return jax.ffi.ffi_call(TARGET, [*shapes, scratch_bytes])(*arrays, plan=np.int64(key))[:-1]


def apart(work: Callable[[], Any]) -> Any:
    """What `work` returns, on a thread of its own: on this one JAX may be in the middle of tracing a program."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def alone(ctx: Any) -> bool:
    """Whether a program is lowered for one CPU and nothing else: XLA cannot split a foreign call."""
    # ctx.module_context is JAX's own affair: where it looks otherwise than today, XLA computes.
    context = ctx.module_context
    devices = getattr(getattr(context, "axis_context", None), "num_devices", None)
    return devices == 1 and tuple(getattr(context, "platforms", ())) == ("cpu",)
