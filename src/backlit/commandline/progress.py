"""A training as a person follows it, on stderr: a bar in a terminal, a line an epoch where there is none."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from backlit.training.events import EpochEnded, Event, Finished, Listener, Notice, Progress, Started

REFRESH = 0.1
"""Seconds between two drawings of the bar."""

LINES_EVERY = 1.0
"""Seconds between two plain lines; the first and the last epoch are always said."""

STILL_THERE = 20.0
"""Seconds after which an epoch that has not ended is heard of."""


@contextmanager
def shown(file: TextIO | None = None) -> Iterator[Listener]:
    """A listener that shows a training, and puts the terminal right when it ends in whatever way."""
    file = file or sys.stderr
    if not file.isatty():
        yield Lines(file)
        return
    from rich.console import Console

    console = Console(file=file, highlight=False)
    if console.is_dumb_terminal:
        yield Lines(file)
        return
    bar = Bar(console)
    bar.waiting.start()
    try:
        yield bar
    finally:
        bar.close()


class Standing:
    """What the events so far add up to."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.began = 0.0
        self.epoch = 0
        self.step = 0
        self.pace = 0.0
        self.train: dict[str, Any] = {}
        self.validation: dict[str, Any] = {}

    def hear(self, event: Event) -> None:
        match event:
            case Started():
                self.started, self.began, self.step = event, time.monotonic(), event.step
                self.epoch = event.step // event.steps_per_epoch
            case Progress():
                self.step, self.epoch, self.pace = event.step, event.epoch, event.steps_per_second
                self.train = {**self.train, "loss": event.loss}
                if event.accuracy is not None:
                    self.train["accuracy"] = event.accuracy
            case EpochEnded(record):
                self.epoch, self.step = record["epoch"], record["step"]
                self.train = {k: record[k] for k in ("loss", "accuracy", "rmse") if k in record}
                self.validation = record.get("validation", {})

    @property
    def epochs(self) -> int:
        return -(-self.started.steps // self.started.steps_per_epoch) if self.started else 0

    @property
    def left(self) -> float | None:
        """Seconds to the end at the pace so far, pauses for validation and saving included."""
        if self.started is None or self.step <= self.started.step:
            return None
        spent = time.monotonic() - self.began
        return spent / (self.step - self.started.step) * (self.started.steps - self.step)

    def parts(self) -> list[str]:
        """Loss, accuracy, validation, speed, as texts."""
        found = [f"{name} {figure(value)}" for name, value in self.train.items()]
        if self.validation:
            found.append("validation " + " ".join(f"{name} {figure(value)}" for name, value in self.validation.items()))
        return [*found, f"{grouped(round(self.pace))} steps/s"] if self.pace else found


class Lines:
    """Plain lines, for files and pipes. A reader who has gone does not end the training."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.standing = file, Standing()
        self.said, self.said_step = 0.0, -1

    def __call__(self, event: Event) -> None:
        self.standing.hear(event)
        now = time.monotonic()
        match event:
            case Started():
                self.write(*opening(event))
                self.said, self.said_step = now, event.step
            case Notice(text):
                self.write(text)
            case EpochEnded(record):
                last = self.standing.epochs == record["epoch"]
                if last or record["epoch"] == 1 or now - self.said >= LINES_EVERY:
                    self.line(now)
            case Progress() if now - self.said >= STILL_THERE:
                self.line(now)
            case Finished() if self.said_step != self.standing.step:
                self.line(now)  # stopped early, between two lines

    def line(self, now: float) -> None:
        standing, self.said, self.said_step = self.standing, now, self.standing.step
        left = standing.left
        rest = [] if not left else [f"{clock(left)} left"]
        self.write("  ".join([f"epoch {standing.epoch}/{standing.epochs}", *standing.parts(), *rest]))

    def write(self, *lines: str) -> None:
        try:
            for line in lines:
                print(line, file=self.file, flush=True)
        except (OSError, ValueError):
            return


class Bar:
    """Two lines that stay in place: a bar with epoch and time left, and what the net does below it."""

    def __init__(self, console: Any) -> None:
        from rich.live import Live
        from rich.status import Status

        self.console, self.standing, self.drawn = console, Standing(), 0.0
        self.waiting = Status("[dim]reading data, compiling[/]", console=console)
        self.live = Live(console=console, auto_refresh=False)

    def __call__(self, event: Event) -> None:
        self.standing.hear(event)
        match event:
            case Started():
                self.waiting.stop()
                for line in opening(event):
                    self.console.print(line, markup=False)
                self.live.start()
                self.draw()
            case Notice(text):
                self.console.print(text, markup=False, style="yellow")
            case Finished():
                self.draw()
            case _ if time.monotonic() - self.drawn >= REFRESH:
                self.draw()

    def draw(self) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        standing, started = self.standing, self.standing.started
        assert started is not None
        left = standing.left
        ended = standing.step >= started.steps
        rest = f"{clock(left)} left" if left is not None else ""
        rest = clock(time.monotonic() - standing.began) if ended else rest
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right", min_width=9)
        total = max(1, started.steps)
        bar = ProgressBar(total, standing.step, complete_style="cyan", finished_style="green")
        grid.add_row(bar, Text(f"epoch {standing.epoch}/{standing.epochs}"), Text(rest, style="dim"))
        text = Text("   ".join(standing.parts()), overflow="ellipsis", no_wrap=True)
        self.live.update(Group(grid, text), refresh=True)
        self.drawn = time.monotonic()

    def close(self) -> None:
        self.waiting.stop()
        self.live.stop()


def opening(event: Started) -> list[str]:
    """What is trained, on how much, how; where it goes on."""
    rows = ", ".join(f"{grouped(count)} {name}" for name, count in event.rows.items() if count)
    epochs = -(-event.steps // event.steps_per_epoch)
    lines = [
        f"{event.name or 'training'}: {grouped(event.parameters)} parameters; rows: {rows}",
        f"{counted(epochs, 'epoch')} of {counted(event.steps_per_epoch, 'step')}; {event.layout}",
    ]
    if event.step:
        epoch = min(event.step // event.steps_per_epoch + 1, epochs)
        lines.append(f"going on after step {grouped(event.step)} of {grouped(event.steps)} (epoch {epoch})")
    return lines


def figure(value: Any) -> str:
    """A number as short as it can be read."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def grouped(value: int) -> str:
    """12 345 rather than 12345."""
    return f"{value:,}".replace(",", " ")


def counted(value: int, thing: str) -> str:
    """1 epoch, 2 epochs."""
    return f"{grouped(value)} {thing}{'' if value == 1 else 's'}"


def clock(seconds: float) -> str:
    """1:02:03, 2:03, or 0:03."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
