"""When a training is saved, what is saved, and how it comes back."""

import time
from typing import Any

from backlit.config import Checkpointing
from backlit.errors import CheckpointError
from backlit.training import checkpoint
from backlit.training.directory import RunDirectory
from backlit.training.events import Listener, Notice
from backlit.training.program import Carry
from backlit.training.setup import Setup


class Keeper:
    """Saves a training's state when it is due; a save that fails is said, and the one before it stands."""

    def __init__(self, every: Checkpointing, directory: RunDirectory | None, setup: Setup, listener: Listener) -> None:
        self.every, self.directory, self.setup, self.listener = every, directory, setup, listener
        self.saved_at, self.saved_step = time.monotonic(), -1

    def due_in(self, step: int, steps_per_epoch: int) -> int:
        """Steps until the end of the next epoch that must be saved."""
        if self.directory is None or self.every.every_epochs is None:
            return 2**30
        period = self.every.every_epochs * steps_per_epoch
        return period - step % period

    def save(self, carry: Carry, records: int, seconds: float, force: bool) -> None:
        """A checkpoint of `carry` when one is due, or when `force` asks for it."""
        step = int(carry.moving.step)
        due = self.due_in(step - 1, self.setup.steps_per_epoch) == 1
        late = self.every.every_seconds is not None and time.monotonic() - self.saved_at > self.every.every_seconds
        if self.directory is None or step == self.saved_step or not (due or late or force):
            return
        prepared = {"prepared": self.setup.prepared, "target": self.setup.target_prepared}
        arrays = checkpoint.flat({"carry": carry, **prepared})
        meta = {"records": records, "seconds": seconds, "fingerprint": self.setup.fingerprint}
        try:
            self.directory.sync()
            checkpoint.save(self.directory.checkpoints, step, arrays, meta)
            self.saved_step = step
            best = int(carry.watch.best_epoch) * self.setup.steps_per_epoch
            checkpoint.prune(self.directory.checkpoints, self.every.keep, {best})
        except (CheckpointError, OSError) as error:
            self.listener(Notice(str(error)))
        self.saved_at = time.monotonic()

    def resumed(self, start: Carry) -> tuple[Carry, list[dict[str, Any]], float]:
        """Carry, history and seconds of the newest good checkpoint; `start` and nothing when there is none."""
        assert self.directory is not None
        self.directory.clean()
        checkpoint.clean(self.directory.checkpoints)
        found = checkpoint.newest(self.directory.checkpoints, lambda text: self.listener(Notice(text)))
        if found is None:
            self.directory.cut(0)
            return start, [], 0.0
        if found.meta["fingerprint"] != self.setup.fingerprint:
            text = "expected the data this run was started with, got other rows; restore them or choose another --out"
            raise CheckpointError(f"{found.path}: {text}")
        self.directory.cut(int(found.meta["records"]))
        self.saved_step = found.step
        carry: Carry = checkpoint.restore(start, found.arrays, "carry")
        return carry, self.directory.history(), float(found.meta["seconds"])

    def kept(self) -> str:
        """The end of a sentence about a training that went wrong: what is left of it."""
        if self.directory is None or self.saved_step < 0:
            return ""
        return f"; the checkpoint of step {self.saved_step} is kept in {self.directory.path}"
