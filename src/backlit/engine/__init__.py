"""What the array-API standard lacks, with the same names, parameters and defaults on both engines.

`of(x)` gives the engine of an array, `get("numpy" | "xla")` the engine by name. A test walks both modules and compares
their signatures. Mathematics of a layer never moves in here. Only `engine/xla.py` imports JAX, and only when it is used.
"""

from types import ModuleType
from typing import Any

from backlit.errors import unknown

NAMES = ("numpy", "xla")


def get(name: str) -> ModuleType:
    """The engine module called `name`: 'numpy' (eager, for looking) or 'xla' (compiled, for training)."""
    if name == "numpy":
        from backlit.engine import numpy

        return numpy
    if name == "xla":
        from backlit.engine import xla

        return xla
    raise unknown("engine", name, NAMES)


def of(x: Any) -> ModuleType:
    """The engine whose array `x` is; an array of any other standard namespace is handled by the NumPy engine."""
    return get("xla" if type(x).__module__.split(".")[0] in ("jax", "jaxlib") else "numpy")
