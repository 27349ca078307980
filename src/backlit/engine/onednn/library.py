"""oneDNN's C library out of the wheel `onednn-cpu-gomp`, through ctypes: found, loaded with its threads settled, checked.

Source: oneDNN 3, C API, https://uxlfoundation.github.io/oneDNN/ ; the numbers below are those of dnnl_types.h.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from backlit.engine import devices

WHEEL = "onednn-cpu-gomp"

F32 = 3
ANY = 1
FORWARD = 64
DIRECT = 1
USER_SCRATCHPAD = 1
IMPLEMENTATION, ARGUMENT_LAYOUT = 8, 255

SRC, DST, WEIGHTS = 1, 17, 33
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS = 129, 145, 161
SCRATCHPAD = 80

SPINS = "1000"
"""How often an idle thread of libgomp looks for work before it sleeps, some 20 us. Its own default, milliseconds, keeps a
core from XLA's threads between two convolutions."""


class Unavailable(Exception):
    """oneDNN cannot be used here; the text says why."""


@dataclass(frozen=True)
class Library:
    """The loaded library: `call(name, ...)` runs a function of it, `engine` and `stream` are its CPU's."""

    functions: Any
    engine: int
    stream: int
    attributes: int  # of every primitive: scratch memory is an argument
    threads: int
    version: str

    def call(self, name: str, *arguments: Any) -> None:
        """A function that returns a status; Unavailable when it is not 0."""
        status = getattr(self.functions, name)(*map(_word, arguments))
        if status:
            raise Unavailable(f"{name} returned status {status}")

    def made(self, name: str, *arguments: Any) -> int:
        """As `call`, for a function whose first argument is where it puts the address of what it made."""
        return _made(self.functions, name, *arguments)

    def size(self, layout: int) -> int:
        """Bytes of a memory laid out so."""
        return int(self.functions.dnnl_memory_desc_get_size(_word(layout)))

    def same(self, one: int, other: int) -> bool:
        """Whether two layouts are the same."""
        return bool(self.functions.dnnl_memory_desc_equal(_word(one), _word(other)))

    def layout(self, description: int, role: int) -> int:
        """How a primitive wants the memory of a role to be laid out."""
        return self.functions.dnnl_primitive_desc_query_md(_word(description), ARGUMENT_LAYOUT, role) or 0

    def address(self, name: str) -> int:
        """Where a function lies in memory."""
        return ctypes.cast(getattr(self.functions, name), ctypes.c_void_p).value or 0


def load() -> Library:
    """The library; Unavailable when it is not installed, cannot be loaded or has threads that it cannot work with."""
    try:
        path = next(str(f.locate()) for f in metadata.files(WHEEL) or () if f.name == "libdnnl.so.3")
        with _settled():
            functions = ctypes.CDLL(path)
    except (metadata.PackageNotFoundError, StopIteration):
        raise Unavailable(f"{WHEEL} is not installed") from None
    except OSError as error:
        raise Unavailable(str(error)) from None
    # A primitive made for n threads waits for all n: a runtime that may give fewer would stop it for ever.
    threads = functions.omp_get_max_threads()
    if functions.omp_get_dynamic() or functions.omp_get_thread_limit() < threads:
        raise Unavailable("OMP_DYNAMIC or OMP_THREAD_LIMIT is set")
    functions.dnnl_version.restype = ctypes.POINTER(ctypes.c_int)
    functions.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
    functions.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
    version = ".".join(map(str, functions.dnnl_version()[:3]))
    if not version.startswith("3."):
        raise Unavailable(f"oneDNN {version} is not of the 3 series")
    engine = _made(functions, "dnnl_engine_create", 1, 0)
    stream = _made(functions, "dnnl_stream_create", engine, 1)
    attributes = _made(functions, "dnnl_primitive_attr_create")
    found = Library(functions, engine, stream, attributes, threads, version)
    found.call("dnnl_primitive_attr_set_scratchpad_mode", attributes, USER_SCRATCHPAD)
    return found


def _made(functions: Any, name: str, *arguments: Any) -> int:
    made = ctypes.c_void_p()
    status = getattr(functions, name)(ctypes.byref(made), *map(_word, arguments))
    if status or not made.value:
        raise Unavailable(f"{name} returned status {status}")
    return made.value


def _word(value: Any) -> Any:
    """An address or an enumeration as one word, numbers as an array of dimensions; ctypes' own as they are."""
    if isinstance(value, int):
        return ctypes.c_void_p(value)
    if isinstance(value, tuple):
        return (ctypes.c_int64 * 12)(*value)
    return value


@contextmanager
def _settled() -> Iterator[None]:
    """The environment that libgomp reads while it is loaded: a thread a core, no long spinning, unless the user says so."""
    ours = {"OMP_NUM_THREADS": str(devices.cores())}
    if "OMP_WAIT_POLICY" not in os.environ:
        ours["GOMP_SPINCOUNT"] = SPINS
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
