"""Element by element: what changes whole arrays at once, each number by itself, in one pass over memory.

XLA on a CPU has no loop with several results: where an update rule makes m, v and w of the same numbers, it reads them three
times. Here such a formula is one loop in machine code, made by LLVM (llvmlite, of the extra [onednn]). The formula stays what
it is, a program of JAX: groups.py finds the parts that one loop can compute, loop.py writes the loop, handler.py has XLA
call it. Everything else is XLA's.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

from backlit.errors import unknown

log = logging.getLogger("backlit")

SETTING, MODES = "BACKLIT_FUSED", ("auto", "off")

LEAST = 1 << 16
"""Numbers in all arrays of a call below which it saves too little for the time that LLVM takes at the start."""


def renewed(fn: Callable[..., Any], old: Any, *given: Any) -> Any:
    """fn(old, *given), which has the structure of `old`."""
    import jax
    import numpy as np

    large = sum(a.size for a in jax.tree.leaves(old) if getattr(a, "dtype", None) == np.float32)
    if large < LEAST or not wanted():
        return fn(old, *given)
    from backlit.engine.fused.primitive import either

    return either(fn, old, *given)


def mode() -> str:
    """$BACKLIT_FUSED: 'auto', 'off'."""
    found = os.environ.get(SETTING, "auto")
    if found not in MODES:
        raise unknown(SETTING, found, MODES)
    return found


def wanted() -> bool:
    """Whether loops of our own are to be had here."""
    import jax

    return mode() != "off" and bool(jax.default_backend() == "cpu") and version() is not None


@cache
def version() -> str | None:
    """Of llvmlite; None where it is not installed."""
    try:
        return metadata.version("llvmlite")
    except metadata.PackageNotFoundError:
        log.info(
            "llvmlite is not installed, XLA computes update rules in several passes: pip install 'backlit[onednn]'"
        )
        return None


def describe() -> str:
    """What a choice between programs depends on."""
    return "off" if mode() == "off" else f"llvmlite {version()}" if version() else "not installed"
