"""Worker processes that decode images, and the queue before them."""

import itertools
import json
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from backlit.data import decoder

IDLE = 10.0
"""Seconds without work after which a worker process ends; the next job starts another."""

PROGRAM = Path(decoder.__file__)
"""What a worker process runs."""

DIED = "the process that decoded it ended ({code}); the file may be damaged"


class Decoders:
    """Jobs for `decoder.py`, done by `workers` processes; 0 does each at once, where it is asked for.

    What is wanted now goes before what was announced. A process that ends over an image (a fault in a decoder, no memory)
    is replaced, and the image is named; the processes end with this object, and with this process, however it ends.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers if sys.executable else 0
        self.jobs: queue.PriorityQueue[Any] = queue.PriorityQueue()
        self.count = itertools.count()
        self.threads = [
            threading.Thread(target=_serve, args=(self.jobs,), daemon=True, name="backlit-decoder")
            for _ in range(self.workers)
        ]
        for thread in self.threads:
            thread.start()
        self.close = weakref.finalize(self, _end, self.jobs, self.threads)

    def submit(self, job: dict[str, Any], then: Callable[[Any], Any], now: bool = True) -> "Future[Any]":
        """What `then` makes of the answer to a job, to come; `now`: before those that were only announced."""
        future: Future[Any] = Future()
        if self.workers == 0:
            future.set_result(then(decoder.answered(job)))
        else:
            self.jobs.put((0 if now else 1, next(self.count), job, then, future))
        return future


class _Process:
    """One worker, started when it is first asked."""

    def __init__(self) -> None:
        # -P: the folder of decoder.py holds names of the standard library.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def ask(self, job: dict[str, Any]) -> Any:
        """The answer; EOFError when the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except (BrokenPipeError, OSError):
            line = b""
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    def end(self) -> int:
        """Let it go; its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _serve(jobs: "queue.PriorityQueue[Any]") -> None:
    """One thread for each process: it waits for the answer, so that nobody else needs to."""
    process: _Process | None = None
    while True:
        try:
            _, _, job, then, future = jobs.get(timeout=IDLE if process else None)
        except queue.Empty:
            if process:
                process.end()
            process = None
            continue
        if job is None:
            break
        try:
            process, answer = _asked(process, job)
            future.set_result(then(answer))
        except Exception as error:
            future.set_exception(error)
        del job, then, future  # the last of them may be what keeps the rows, and with them this queue, alive
    if process:
        process.end()


def _asked(process: _Process | None, job: dict[str, Any]) -> tuple[_Process | None, Any]:
    """The answer, and the process that goes on; image by image when one of them ends it."""
    process = process or _Process()
    try:
        return process, process.ask(job)
    except EOFError:
        code = process.end()
    name = "sizes" if "sizes" in job else "images"
    if len(job[name]) == 1:
        return None, [DIED.format(code=f"exit status {code}")]
    following, answers = None, []
    for image in job[name]:
        following, answer = _asked(following, {**job, name: [image]})
        if isinstance(answer, dict):
            return following, answer
        answers += answer
    return following, answers


def _end(jobs: "queue.PriorityQueue[Any]", threads: list[threading.Thread]) -> None:
    """Nothing more is begun; threads end with what they are at, and processes with them."""
    while True:
        try:
            *_, future = jobs.get_nowait()
        except queue.Empty:
            break
        if future is not None:
            future.cancel()
    for number in range(len(threads)):
        jobs.put((-1, number, None, None, None))
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(10)
