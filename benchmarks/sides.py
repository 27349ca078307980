"""What every benchmark of trainings shares: the same start, the same rows, the same batches, Adam; ours, and torch."""

import os
from typing import Any

import harness
import numpy as np
import torch_nets

LR, B1, B2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


class Side:
    """Start, rows, order of the batches of a task (`batch`, `experiment()`)."""

    def __init__(self, task: Any) -> None:
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

    def __init__(self, task: Any, kernels: str = "auto") -> None:
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


class Torch(Side):
    """PyTorch with channels_last images and fused Adam, eager or compiled; rows gathered from a tensor in memory."""

    def __init__(self, task: Any, compiled: bool, form: str = "") -> None:
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
            self.value(self.batch(np.arange(task.batch)), self.labels[: task.batch]).backward()

    def advance(self, steps: int) -> None:
        for rows in self.torch.from_numpy(self.batches(steps).astype("i8")):
            self.rule.zero_grad(set_to_none=True)
            self.value(self.batch(rows), self.labels[rows]).backward()
            self.rule.step()

    def batch(self, rows: Any) -> Any:
        """The rows of a batch, images channels last."""
        x = self.rows[rows]
        return x.to(memory_format=self.torch.channels_last) if x.ndim == 4 else x
