"""Whole networks trained by backlit's trainer and by torch: the same start, the same rows, the same batches, Adam."""

import os
from dataclasses import dataclass
from typing import Any

import harness
import numpy as np
import torch_nets

LR, B1, B2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
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
            loss="SoftmaxCrossEntropy", optimizer=bl.Adam(lr=LR), split=bl.Split(validation=0, test=0, shuffle=False),
            batch_size=self.batch, epochs=1_000_000,
        )  # fmt: skip


class Side:
    """What all sides share: start, rows, order of the batches."""

    def __init__(self, task: Task) -> None:
        from backlit.training.setup import setup

        self.task, self.setup = task, setup(task.experiment())
        self.x, self.y = self.setup.parts.train.x, self.setup.parts.train.y
        self.step, self.order = 0, np.zeros((0, task.batch), np.int32)

    def batches(self, steps: int) -> np.ndarray:
        """The rows of the next steps, (steps, B): the same for every side."""
        size = self.setup.steps_per_epoch
        while len(self.order) < self.step + steps:
            self.order = np.concatenate([self.order, *self.setup.order(len(self.order) // size, 8)[0]])
        self.step += steps
        return self.order[self.step - steps : self.step]


class Backlit(Side):
    """Ours: the trainer itself, its own chunks, batches drawn by itself; `kernels` "off" leaves the extra out."""

    def __init__(self, task: Task, kernels: str = "auto") -> None:
        os.environ["BACKLIT_ONEDNN"] = kernels
        super().__init__(task)
        from backlit import engine
        from backlit.training.events import silent
        from backlit.training.loop import Clock, Training
        from backlit.training.program import program

        functions = program(self.setup.experiment, self.setup.params, self.setup.steps)
        self.training = Training(self.setup, functions, engine.get("xla"), None, silent, Clock(0.0))
        self.carry = self.training.begin()

    def advance(self, steps: int) -> None:
        from backlit.training.interrupt import Asked

        end = int(self.carry.moving.step) + steps
        while (step := int(self.carry.moving.step)) < end:
            self.training.longest = end - step
            self.carry = self.training.advance(self.carry, Asked())

    def loss(self) -> float:
        """The loss of the first rows, as in training (batch statistics)."""
        import backlit as bl

        moving = self.carry.moving
        params, state = bl.tree.map(np.asarray, (moving.params, moving.state))
        y = self.setup.experiment.net.forward(params, state, self.x[:PROBE], bl.Context(train=True))[0]
        return float(self.setup.experiment.loss(y, self.y[:PROBE])[0])


class Torch(Side):
    """PyTorch with channels_last images and fused Adam, eager or compiled; rows gathered from a tensor in memory."""

    def __init__(self, task: Task, compiled: bool, form: str = "") -> None:
        super().__init__(task)
        import torch

        torch.set_num_threads(harness.THREADS)
        self.torch = torch
        self.net = torch_nets.torch_net(self.setup.experiment.net, self.setup.params, form).train()
        self.rule = torch.optim.Adam(self.net.parameters(), lr=LR, betas=(B1, B2), eps=EPSILON, fused=True)
        self.rows, self.labels = torch.tensor(torch_nets.torch_rows(self.x)), torch.tensor(self.y.astype("i8"))
        criterion = torch.nn.CrossEntropyLoss()
        self.value = self.plain = lambda x, y: criterion(self.net(x), y)
        if compiled:
            self.value = torch.compile(self.plain)
            self.value(self._batch(np.arange(task.batch)), self.labels[: task.batch]).backward()

    def advance(self, steps: int) -> None:
        for rows in self.torch.from_numpy(self.batches(steps).astype("i8")):
            self.rule.zero_grad(set_to_none=True)
            self.value(self._batch(rows), self.labels[rows]).backward()
            self.rule.step()

    def loss(self) -> float:
        with self.torch.no_grad():
            return float(self.plain(self._batch(np.arange(PROBE)), self.labels[:PROBE]))

    def _batch(self, rows: Any) -> Any:
        x = self.rows[rows]
        return x.to(memory_format=self.torch.channels_last) if x.ndim == 4 else x


def sides(task: Task, forms: tuple[str, ...] = ("",)) -> dict[str, Any]:
    """Ours with and without the extra, and torch in all its forms."""
    found: dict[str, Any] = {"backlit": (Backlit, (task,)), "backlit, XLA alone": (Backlit, (task, "off"))}
    for form in forms:
        name = f" ({form})" if form else ""
        found[f"torch eager{name}"] = (Torch, (task, False, form))
        found[f"torch.compile{name}"] = (Torch, (task, True, form))
    return found
