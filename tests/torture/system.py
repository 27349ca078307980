"""A stand-in for the modules `os` and `shutil` inside one module: it logs every call that changes the disk, and at the
k-th one lets something happen: an error of the system, or the end of the process."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

CHANGES = ("mkdir", "makedirs", "open", "write", "fsync", "close", "rename", "unlink", "rmdir")


class Dead(BaseException):
    """What a killed process does next: nothing. Every later call raises it again."""


class System:
    """`at`: number of the call, from 0; `event(name, real, args)`: what happens there instead of the call."""

    def __init__(self, at: int = -1, event: Callable[[str, Any, Any], Any] | None = None) -> None:
        self.at, self.event = at, event
        self.log: list[tuple[str, str]] = []
        self.dead = False
        self.names: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return partial(self._call, name, real) if name in CHANGES else real

    def rmtree(self, path: Any, ignore_errors: bool = False) -> None:
        """shutil.rmtree, call by call."""
        try:
            for entry in sorted(os.listdir(path)):
                self.unlink(os.path.join(path, entry))
            self.rmdir(path)
        except OSError:
            if not ignore_errors:
                raise

    def _call(self, name: str, real: Any, *args: Any, **more: Any) -> Any:
        if self.dead:
            if name == "close":  # the system closes the files of a dead process
                real(*args)
            raise Dead
        what = self.names.get(args[0], "") if isinstance(args[0], int) else os.path.basename(args[0])
        self.log.append((name, what))
        if len(self.log) - 1 == self.at and self.event is not None:
            return self.event(name, real, args)
        result = real(*args, **more)
        if name == "open":
            self.names[result] = what
        return result

    def die(self, name: str, real: Any, args: Any) -> None:
        """An event: the process is killed in this call; a write has come half way."""
        if name == "write":
            real(args[0], args[1][: len(args[1]) // 2])
        if name == "close":
            real(*args)
        self.dead = True
        raise Dead


def refusing(number: int) -> Callable[[str, Any, Any], Any]:
    """An event: the system refuses this call with an error number; a write has come half way."""

    def event(name: str, real: Any, args: Any) -> Any:
        if name == "write":
            real(args[0], args[1][: len(args[1]) // 2])
        if name == "close":
            real(*args)
        raise OSError(number, os.strerror(number), str(args[0]))

    return event
