"""Update rules by themselves: updates a second of many parameters, against torch's and against the speed of memory.

    python benchmarks/optimizers.py [--rounds 7] [--only momentum adam]

Run it alone: a busy machine measures itself. Gradients are given and stay. Ours is a loop of updates in one program, as in
training, torch's a loop of calls, fused and foreach. The share of memory's speed counts the numbers that a rule must read
and write (w and its state both ways, the gradient once) against a + b of two long arrays.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import harness
import numpy as np

import backlit as bl

LR = 1e-3
SHAPES = {
    "10 M in 100": [(250, 400)] * 100,
    "200 of 1 k": [(25, 40)] * 200,
}
ROUND = {"10 M in 100": 20, "200 of 1 k": 500}
WANTED = {"10 M in 100": "1.0 and 80 % of memory's speed", "200 of 1 k": "3.0"}


@dataclass(frozen=True)
class Task:
    """A rule, its name and settings in torch (None: it has none), and how many numbers a parameter makes it read and write."""

    rule: Callable[[], Any]
    torch: tuple[str, dict[str, float]] | None
    numbers: float


TASKS = {
    "momentum": Task(lambda: bl.Momentum(lr=LR), ("SGD", {"momentum": 0.9}), 5),
    "adam": Task(lambda: bl.Adam(lr=LR), ("Adam", {}), 7),
    "adamw": Task(lambda: bl.AdamW(lr=LR), ("AdamW", {}), 7),
    "lion": Task(lambda: bl.optim.Lion(lr=LR), None, 5),
    "adam8bit": Task(lambda: bl.optim.Adam8bit(lr=LR), None, 4.03),  # two bytes and a part of two scales
}


def start(size: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and gradients."""
    rng = np.random.default_rng(0)
    draw = lambda: {f"w{i}": rng.normal(size=shape).astype("f") for i, shape in enumerate(SHAPES[size])}  # noqa: E731
    return draw(), draw()


class Backlit:
    """A loop of updates in one compiled program; `loops` "off" leaves our own out."""

    def __init__(self, name: str, size: str, loops: str = "auto") -> None:
        from backlit import engine
        from backlit.optim.rules import stepped

        os.environ["BACKLIT_FUSED"] = loops
        self.engine, rule = engine.get("xla"), TASKS[name].rule()
        params, grads = (bl.tree.map(self.engine.asarray, t) for t in start(size))
        self.carry, self.grads, self.step = (params, rule.init(params)), grads, 0

        def once(i: Any, carry: Any, grads: Any) -> Any:
            params, state = carry
            # Gradients that stay would let the compiler keep their squares; in a training each step has new ones.
            grads, i = self.engine.barrier((grads, i))
            return stepped(rule, grads, state, params, i, None)

        def run(first: Any, carry: Any, grads: Any, steps: Any) -> Any:
            return self.engine.repeat(steps, lambda i, c: once(first + i, c, grads), carry, lambda _: True)

        self.run = self.engine.compile(run, donate=(1,))

    def advance(self, steps: int) -> None:
        first, steps_ = np.int32(self.step), np.int32(steps)
        self.carry = self.engine.ready(self.run(first, self.carry, self.grads, steps_))
        self.step += steps

    def loss(self) -> float:
        """The mean of the first array, to show that both did the same work."""
        return float(np.mean(np.asarray(self.carry[0]["w0"])))


class Torch:
    """A loop of calls."""

    def __init__(self, name: str, size: str, how: str) -> None:
        import torch

        torch.set_num_threads(harness.THREADS)
        params, grads = start(size)
        self.params = [torch.tensor(w, requires_grad=True) for w in params.values()]
        for w, g in zip(self.params, grads.values(), strict=True):
            w.grad = torch.tensor(g)
        known = TASKS[name].torch
        assert known is not None
        rule, more = getattr(torch.optim, known[0]), known[1]
        self.rule = rule(self.params, lr=LR, **more, fused=how == "fused", foreach=how == "foreach")

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.rule.step()

    def loss(self) -> float:
        return float(self.params[0].detach().mean())


class Memory:
    """a <- a + b of 10 M numbers each, a part for each core: what memory can do. By NumPy: XLA's loop reaches a third of it."""

    def __init__(self) -> None:
        size = 10_000_000
        self.a, b = np.zeros(size, "f"), np.full(size, 2e-6, "f")
        ends = np.linspace(0, size, harness.THREADS + 1).astype(int)
        self.parts = [(self.a[i:k], b[i:k]) for i, k in pairwise(ends)]
        self.pool = ThreadPoolExecutor(harness.THREADS)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            list(self.pool.map(lambda part: np.add(*part, out=part[0]), self.parts))

    def loss(self) -> float:
        return float(self.a[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=list(TASKS), choices=list(TASKS))
    args = parser.parse_args()
    print(harness.machine())
    results = {}
    for size in SHAPES:
        for name in args.only:
            task = TASKS[name]
            sides: dict[str, Any] = {"backlit": (Backlit, (name, size))}
            sides["backlit, XLA alone"] = (Backlit, (name, size, "off"))
            for how in ("fused", "foreach") if task.torch else ():
                sides[f"torch {how}"] = (Torch, (name, size, how))
            if size == "10 M in 100":
                sides["memory"] = (Memory, ())
            found = harness.race(sides, ROUND[size], args.rounds)
            print(
                "\n"
                + harness.table(f"{name}, {size} arrays, {ROUND[size]} updates a round (wanted {WANTED[size]})", found)
            )
            share = None
            if size == "10 M in 100":
                share = harness.paired(found["backlit"]["rates"], found["memory"]["rates"]) * task.numbers / 3
                print(f"{100 * share:.0f} % of memory's speed, {found['memory']['median'] * 0.12:.1f} GB/s")
            results[f"{name}, {size}"] = {"sides": found, "share": share}
    print("\nwritten:", harness.store("optimizers", results))


if __name__ == "__main__":
    main()
