"""The command line, with its saves written down and, if asked, a kill inside one of them.

    python tests/torture/watched.py LOG KILL train digits --out DIR ...

LOG gets a line 'begin STEP' and 'end STEP CALLS' for every save, CALLS being the system calls it made. KILL is '-', or
'SAVE:CALL': SIGKILL at that call of that save, both counted from 0. The package itself knows nothing of this.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from torture.system import System

from backlit.training import atomic, checkpoint


def kill(name: str, real: Any, args: Any) -> None:
    """An event for `System`: no more than half a write, then nothing ever again."""
    if name == "write":
        real(args[0], args[1][: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    log, when, *arguments = sys.argv[1:]
    doomed, call = (int(part) for part in when.split(":")) if when != "-" else (-1, -1)
    real, saves = checkpoint.save, 0

    def note(text: str) -> None:
        with open(log, "a") as file:
            file.write(text + "\n")

    def save(directory: Path, step: int, arrays: Any, meta: Any) -> Path:
        nonlocal saves
        system = System(call if saves == doomed else -1, kill)
        atomic.os = atomic.shutil = system
        saves += 1
        note(f"begin {step}")
        path = real(directory, step, arrays, meta)
        note(f"end {step} {len(system.log)}")
        atomic.os, atomic.shutil = os, __import__("shutil")
        return path

    checkpoint.save = save
    sys.argv = ["backlit", *arguments]
    runpy.run_module("backlit", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
