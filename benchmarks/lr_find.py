"""Which suggestion of the range test trains best? Each is tried as a constant rate; docs/lr-find.md has the table.

python benchmarks/lr_find.py [CASE ...]
"""

import math
import sys
from dataclasses import replace

import backlit as bl
from backlit import config, optim
from backlit.errors import NonFiniteError

SEEDS = (0, 1)


def cases() -> dict[str, bl.Experiment]:
    """Named experiments as they are, shorter where that is enough, and one of them with other rules."""
    digits, mnist = replace(config.load("digits"), epochs=15), replace(config.load("mnist-mlp"), epochs=2)
    found = {name: config.load(name) for name in ("iris", "breast-cancer", "diabetes")}
    found |= {"mnist-softmax": replace(config.load("mnist-softmax"), epochs=2), "mnist-mlp": mnist}
    found["mnist-mlp, Momentum"] = replace(mnist, optimizer=optim.Momentum())
    rules = (optim.Adam, optim.SGD, optim.Momentum, optim.RMSProp, optim.AdaGrad, optim.Lion)
    return found | {f"digits, {rule.__name__}": replace(digits, optimizer=rule()) for rule in rules}


def held_out_loss(experiment: bl.Experiment, lr: float) -> float:
    """The smallest validation loss of a training, the mean over the seeds."""
    found: list[float] = []
    for seed in SEEDS:
        try:
            run = bl.train(replace(experiment, seed=seed, optimizer=replace(experiment.optimizer, lr=lr)))
            found.append(min(line["validation"]["loss"] for line in run.history))
        except NonFiniteError:
            found.append(math.inf)
    return sum(found) / len(found)


def main(chosen: list[str]) -> None:
    print("| case | valley | steep | minimum | recommended |\n|---|---|---|---|---|")
    for name, experiment in cases().items():
        if chosen and name not in chosen:
            continue
        plain = replace(experiment, stopping=None, halving=None, layout="one")
        curve = bl.lr_find(plain)
        cells = [f"{held_out_loss(plain, rate):.4f} ({rate:.2g})" for rate in curve.suggestions.values()]
        print(f"| {name} | {' | '.join(cells)} | {curve.recommended} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
