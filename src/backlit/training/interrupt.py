"""SIGINT and SIGTERM end a training politely: the chunk is finished, the state saved, the exit code says which it was."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from backlit.errors import BacklitError


class Interrupted(BacklitError):
    """Training stopped by a signal after saving; `code` is the exit code, 128 + the signal's number."""

    def __init__(self, number: int, step: int, where: str) -> None:
        self.code = 128 + number
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name} after step {step}; {where}")


class Asked:
    """Which signal has asked for the end, 0 for none."""

    number = 0


@contextmanager
def politely() -> Iterator[Asked]:
    """Within it, the first SIGINT or SIGTERM is only noted; a second SIGINT ends at once. Only the main thread can listen."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if asked.number == signal.SIGINT == number:
            raise KeyboardInterrupt
        asked.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
