"""Whole networks trained by backlit's trainer and by torch: the same start, the same rows, the same batches, Adam."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sides

PROBE = 64


@dataclass(frozen=True)
class Task:
    """A network by name (see `nets.py`), the shape of a row, and the batch."""

    net: str
    shape: tuple[int, ...]
    batch: int
    classes: int = 10
    rows: int = 2048

    def experiment(self) -> Any:
        import nets

        import backlit as bl

        rng = np.random.default_rng(0)
        x = rng.normal(size=(self.rows, *self.shape)).astype("f")
        # Labels that can be learnt: the strongest of a few random directions.
        flat = x.reshape(self.rows, -1)
        y = (flat @ rng.normal(size=(flat.shape[1], self.classes))).argmax(1).astype("i")
        return bl.Experiment(
            data=bl.Arrays(x, y, tuple(map(str, range(self.classes)))), net=nets.NETS[self.net](),
            loss="SoftmaxCrossEntropy", optimizer=bl.Adam(lr=sides.LR), split=bl.Split(validation=0, test=0, shuffle=False),
            batch_size=self.batch, epochs=1_000_000,
        )  # fmt: skip


class Backlit(sides.Backlit):
    """Ours."""

    def loss(self) -> float:
        """The loss of the first rows, as in training (batch statistics)."""
        import backlit as bl

        moving = self.carry.moving
        params, state = bl.tree.map(np.asarray, (moving.params, moving.state))
        y = self.setup.experiment.net.forward(params, state, self.x[:PROBE], bl.Context(train=True))[0]
        return float(self.setup.experiment.loss(y, self.y[:PROBE])[0])


class Torch(sides.Torch):
    """PyTorch."""

    def loss(self) -> float:
        with self.torch.no_grad():
            return float(self.plain(self.batch(np.arange(PROBE)), self.labels[:PROBE]))


def all_sides(task: Task, forms: tuple[str, ...] = ("",)) -> dict[str, Any]:
    """Ours with and without the extra, and torch in all its forms."""
    found: dict[str, Any] = {"backlit": (Backlit, (task,)), "backlit, XLA alone": (Backlit, (task, "off"))}
    for form in forms:
        name = f" ({form})" if form else ""
        found[f"torch eager{name}"] = (Torch, (task, False, form))
        found[f"torch.compile{name}"] = (Torch, (task, True, form))
    return found
