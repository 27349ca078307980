"""What must be settled before XLA's backend starts: flags, CPU devices, compilation cache, layout over cores.

Measured facts behind each choice: docs/decisions.md.
"""

import hashlib
import logging
import os
import platform
from pathlib import Path
from typing import Any

log = logging.getLogger("backlit")

# XLA's CPU backend hands convolutions to a single-threaded library unless only matrix products may go there.
FLAG_NAME = "xla_cpu_experimental_ynn_fusion_type"
FLAG = f"--{FLAG_NAME}=individual_dot"
FLAG_SINCE = (0, 10)


def prepare(already_started: bool) -> None:
    """Append our flag to XLA_FLAGS unless the user set it; older jaxlibs abort on a flag they do not know."""
    flags = os.environ.get("XLA_FLAGS", "")
    if not flag_is_known() or FLAG_NAME in flags:
        return
    if already_started and _backend_runs():
        log.info("JAX was started before backlit: %s could not be set, convolutions use one core", FLAG)
        return
    os.environ["XLA_FLAGS"] = f"{flags} {FLAG}".strip()


def flag_is_known() -> bool:
    """Whether this jaxlib is new enough for the flag."""
    from importlib.metadata import version

    return tuple(int(part) for part in version("jaxlib").split(".")[:2]) >= FLAG_SINCE


def configure(jax: Any) -> None:
    """One CPU device per core, and the persistent compilation cache; both only while the backend has not started."""
    if not _backend_runs() and "JAX_NUM_CPU_DEVICES" not in os.environ:
        jax.config.update("jax_num_cpu_devices", cores())
    if jax.config.jax_compilation_cache_dir is None and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "xla" / machine(jax)))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_directory() -> Path:
    """Where compiled programs and downloaded data are kept: $BACKLIT_CACHE, else the user's cache directory."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("BACKLIT_CACHE") or Path(home) / "backlit")


def machine(jax: Any) -> str:
    """The CPU and the version of JAX: a compiled program holds instructions of one CPU, as does a measurement."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        cpu = "".join(sorted({line for line in Path("/proc/cpuinfo").read_text().splitlines()
                              if line.startswith(("model name", "flags"))}))  # fmt: skip
    return f"{jax.__version__}-{hashlib.sha256(cpu.encode()).hexdigest()[:12]}"


def _backend_runs() -> bool:
    import sys

    bridge = sys.modules.get("jax._src.xla_bridge")
    return bool(bridge is not None and bridge.backends_are_initialized())
