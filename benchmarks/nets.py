"""Whole networks: training steps a second and memory of ours, with and without the extra, against torch's best.

    python benchmarks/nets.py [--rounds 7] [--only cnn-28 lstm-128]

Run it alone: a busy machine measures itself. Rows are random numbers; all sides start alike, see the same batches, and their
final losses are printed.
"""

import argparse
from typing import Any

import harness
import nets_sides
from nets_sides import Task

import backlit as bl


def cnn_28() -> Any:
    """28x28x1, convolutions of 16 and 32 channels."""
    return bl.Chain(
        bl.Conv(16, 3), bl.ReLU(), bl.MaxPool(2), bl.Conv(32, 3), bl.ReLU(), bl.MaxPool(2), bl.Flatten(), bl.Dense(10)
    )


def cnn_32() -> Any:
    """32x32x3, convolutions of 32, 32, 64 and 64 channels."""
    layers = [layer for n in (32, 64) for layer in (*_conv(n), *_conv(n), bl.MaxPool(2))]
    return bl.Chain(*layers, bl.Flatten(), bl.Dense(10))


def _conv(channels: int) -> list[Any]:
    return [bl.Conv(channels, 3), bl.ReLU()]


def resnet_20() -> Any:
    """ResNet-20 on 32x32, as the named experiment has it."""
    return bl.config.load("resnet20").net


def recurrent(kind: Any, units: int) -> Any:
    """One recurrent layer, its last output to ten classes."""
    return bl.Chain(kind(units, returns="last"), bl.Dense(10))


def transformer() -> Any:
    """One encoder block, D 128, four heads, the mean over time to ten classes."""
    return bl.Chain(bl.TransformerEncoderBlock(4), bl.GlobalAveragePool(), bl.Dense(10))


NETS = {
    "cnn-28": cnn_28,
    "cnn-32": cnn_32,
    "resnet-20": resnet_20,
    "lstm-128": lambda: recurrent(bl.LSTM, 128),
    "lstm-256": lambda: recurrent(bl.LSTM, 256),
    "gru-128": lambda: recurrent(bl.GRU, 128),
    "gru-256": lambda: recurrent(bl.GRU, 256),
    "transformer": transformer,
}

TASKS = {
    "cnn-28": Task("cnn-28", (28, 28, 1), 64),
    "cnn-32": Task("cnn-32", (32, 32, 3), 64),
    "resnet-20": Task("resnet-20", (32, 32, 3), 128),
    "lstm-128": Task("lstm-128", (50, 64), 64),
    "lstm-256": Task("lstm-256", (100, 64), 64),
    "gru-128": Task("gru-128", (50, 64), 64),
    "gru-256": Task("gru-256", (100, 64), 64),
    "transformer": Task("transformer", (128, 128), 32),
}

STEPS = {"cnn-28": 100, "cnn-32": 30, "resnet-20": 10, "lstm-128": 80, "lstm-256": 20, "gru-128": 80, "gru-256": 20}

WANTED = {
    "cnn-28": (1.2, 1.2),
    "cnn-32": (1.1, 0.9),
    "resnet-20": (1.1, 0.6),
    "lstm-128": (1.0, 1.0),
    "lstm-256": (1.0, 1.0),
    "gru-128": (1.0, 1.0),
    "gru-256": (1.0, 1.0),
    "transformer": (1.2, 1.2),
}
"""Wanted against the best of torch: with the extra, and by XLA alone."""

FORMS = {"transformer": ("layer", "by hand")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    args = parser.parse_args()
    print(harness.machine())
    results = {}
    for name in args.only:
        steps = STEPS.get(name, 20)
        found = harness.race(nets_sides.all_sides(TASKS[name], FORMS.get(name, ("",))), steps, args.rounds)
        print("\n" + harness.table(f"{name}, batch {TASKS[name].batch}, {steps} steps a round", found))
        best = harness.best(found, [n for n in found if n.startswith("torch")])
        lines = {}
        for side, wanted in zip(("backlit", "backlit, XLA alone"), WANTED[name], strict=True):
            if "error" in found[side]:
                continue
            ratio = harness.paired(found[side]["rates"], found[best]["rates"])
            memory = found[side]["memory"] / min(found[n]["memory"] for n in found if n.startswith("torch"))
            lines[side] = {"ratio": ratio, "memory": memory}
            print(f"{side}: {ratio:.2f} times {best} (wanted {wanted}); {memory:.2f} times the least memory of torch")
        results[name] = {"sides": found, **lines}
    print("\nwritten:", harness.store("nets", results))


if __name__ == "__main__":
    main()
