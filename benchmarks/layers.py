"""Single layers and a loss, forward and backward, against torch: passes a second inside one compiled program.

    python benchmarks/layers.py [--rounds 7] [--only batch-norm max-pool]

Run it alone: a busy machine measures itself. A pass is forward and backward with all gradients computed and none used;
ours is a scan of passes, torch's a loop of them, eager (images channels last) or compiled. A round is long enough (about a
second of large arrays) that what a call costs does not count, as in the chunks of a training.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import harness
import numpy as np
import torch_nets

import backlit as bl


@dataclass(frozen=True)
class Task:
    """A layer (or None: softmax cross-entropy), the shape of its batch, passes a round, and the ratio that is wanted."""

    layer: Callable[[], Any] | None
    shape: tuple[int, ...]
    passes: int
    wanted: float = 1.5


TASKS = {
    "batch-norm 128x32x32x16": Task(lambda: bl.BatchNorm(), (128, 32, 32, 16), 300),
    "batch-norm 128x8x8x64": Task(lambda: bl.BatchNorm(), (128, 8, 8, 64), 1000),
    "batch-norm 128x256": Task(lambda: bl.BatchNorm(), (128, 256), 2000),
    "layer-norm 32x128x128": Task(lambda: bl.LayerNorm(), (32, 128, 128), 1000),
    "layer-norm 128x512": Task(lambda: bl.LayerNorm(), (128, 512), 3000),
    "max-pool 64x28x28x16": Task(lambda: bl.MaxPool(2), (64, 28, 28, 16), 500),
    "max-pool 64x32x32x32": Task(lambda: bl.MaxPool(2), (64, 32, 32, 32), 300),
    "cross-entropy 128x10": Task(None, (128, 10), 5000),
    "cross-entropy 8192x65": Task(None, (8192, 65), 500),
    "conv 3x3 128x32x32x16": Task(lambda: bl.Conv(16, 3), (128, 32, 32, 16), 30, 1.0),
    "conv 3x3 128x16x16x32": Task(lambda: bl.Conv(32, 3), (128, 16, 16, 32), 30, 1.0),
    "conv 3x3 128x8x8x64": Task(lambda: bl.Conv(64, 3), (128, 8, 8, 64), 30, 1.0),
}


def start(task: Task) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Parameters, state, x, and what arrives from above: dL/dy, or labels for a loss."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=task.shape).astype("f")
    if task.layer is None:
        return {}, {}, x, rng.integers(task.shape[-1], size=task.shape[0]).astype("i")
    out, params, state = task.layer().init(bl.random.key(0), task.shape[1:])
    return params, state, x, rng.normal(size=(task.shape[0], *out)).astype("f")


class Backlit:
    """A scan of passes in one program. All that a pass finds is carried on whole: else the compiler would leave out what
    nobody looks at, since its barriers are gone when it decides that."""

    def __init__(self, name: str, kernels: str = "auto") -> None:
        os.environ["BACKLIT_ONEDNN"] = kernels
        from backlit import engine

        self.engine, task = engine.get("xla"), TASKS[name]
        params, state, x, above = (bl.tree.map(self.engine.asarray, t) for t in start(task))
        layer, loss = task.layer() if task.layer else None, bl.SoftmaxCrossEntropy()

        def once(given: Any) -> Any:
            params, state, x, above = given
            if layer is None:
                return loss(x, above)
            y, after, cache = layer.forward(params, state, x, bl.Context(train=True))
            # The backward pass is another moment of a training: nothing of the forward pass may melt into it.
            y, after, cache = self.engine.barrier((y, after, cache))
            return y, after, layer.backward(params, cache, above)[:2]

        def again(carry: Any, _: Any) -> Any:
            # What is given goes through a barrier too: nothing is known beforehand, nothing can be moved out of the loop.
            given = self.engine.barrier(carry[0])
            return (given, once(given)), 0.0

        self.given = params, state, x, above
        self.found = self.engine.compile(once)(self.given)
        self.run = self.engine.compile(lambda given, found, n: self.engine.scan(again, (given, found), n)[0][1])

    def advance(self, passes: int) -> None:
        self.found = self.engine.ready(self.run(self.given, self.found, np.zeros(passes, "f")))

    def loss(self) -> float:
        """Some number that the pass computed, to show that it did."""
        return float(np.asarray(bl.tree.leaves(self.found)[-1]).ravel()[0])


class Torch:
    """A loop of passes, eager or compiled."""

    def __init__(self, name: str, compiled: bool) -> None:
        import torch

        torch.set_num_threads(harness.THREADS)
        task = TASKS[name]
        params, _, x, above = start(task)
        images = x.ndim == 4
        self.x = torch.tensor(torch_nets.torch_rows(x))
        self.above = torch.tensor(above.astype("i8") if task.layer is None else torch_nets.torch_rows(above))
        if images:
            self.x, self.above = (a.to(memory_format=torch.channels_last) for a in (self.x, self.above))
        self.x.requires_grad_(True)
        self.net = (
            torch.nn.CrossEntropyLoss()
            if task.layer is None
            else torch_nets.torch_net(task.layer(), params, "" if images else "rows")
        )
        self.is_loss = task.layer is None
        self.call = torch.compile(self.net) if compiled else self.net
        self.advance(1)

    def advance(self, passes: int) -> None:
        for _ in range(passes):
            self.x.grad = None
            self.net.zero_grad(set_to_none=True)
            if self.is_loss:
                self.call(self.x, self.above).backward()
            else:
                self.call(self.x).backward(self.above)

    def loss(self) -> float:
        grads = [p.grad for p in self.net.parameters()] or [self.x.grad]
        return float(grads[-1].flatten()[0])


def sides(name: str) -> dict[str, Any]:
    """Ours with and without the extra, torch eager and compiled."""
    return {
        "backlit": (Backlit, (name,)),
        "backlit, XLA alone": (Backlit, (name, "off")),
        "torch eager": (Torch, (name, False)),
        "torch.compile": (Torch, (name, True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of names")
    args = parser.parse_args()
    print(harness.machine())
    results = {}
    for name, task in TASKS.items():
        if not name.startswith(tuple(args.only)):
            continue
        found = harness.race(sides(name), task.passes, args.rounds)
        print("\n" + harness.table(f"{name}, {task.passes} passes a round", found))
        best = harness.best(found, [n for n in found if n.startswith("torch")])
        ratios = {
            side: harness.paired(found[side]["rates"], found[best]["rates"])
            for side in ("backlit", "backlit, XLA alone")
            if "error" not in found[side]
        }
        print(
            "; ".join(f"{side} {ratio:.2f} times {best}" for side, ratio in ratios.items()), f"(wanted {task.wanted})"
        )
        results[name] = {"sides": found, "ratios": ratios}
    print("\nwritten:", harness.store("layers", results))


if __name__ == "__main__":
    main()
