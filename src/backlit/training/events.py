"""What a training tells its listener: plain data, so a terminal, a page or a test can listen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Started:
    """Training begins (or goes on, when `step` is not 0)."""

    name: str
    parameters: int
    rows: dict[str, int]
    steps: int
    steps_per_epoch: int
    step: int
    layout: str


@dataclass(frozen=True)
class Progress:
    """A chunk has ended: where training stands. Loss and accuracy are those of the epoch so far."""

    step: int
    epoch: int
    loss: float
    accuracy: float | None
    steps_per_second: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch has ended; `record` is its line in metrics.jsonl."""

    record: dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """A sentence the user should read: a checkpoint that was passed over, a layout that was chosen, a failed save."""

    text: str


@dataclass(frozen=True)
class Finished:
    """Training has ended; `result` is what result.json holds."""

    result: dict[str, Any]


Event: TypeAlias = Started | Progress | EpochEnded | Notice | Finished
Listener: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that hears nothing."""
