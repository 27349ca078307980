"""Softmax regression on MNIST: what momentum, learning rate and batch size do. Tables on the screen, pictures in files.

    python examples/mnist_softmax.py [DIRECTORY] [--quick]

`--quick` takes the embedded 8 x 8 digits and a few epochs: no MNIST needed. Everything is compared on the validation
part; the test part is looked at once for each row of the first table, after its training, and decides nothing.

What it shows on MNIST, with one seed:
- Momentum 0.9 needs a third of the epochs of plain SGD at the same learning rate. It does so by longer steps: SGD at
  0.1 and momentum at 0.01 draw the same curve. SGD at ten times the rate is as quick, but far rougher on other rows.
- Below the best learning rate (0.3 without, 0.03 with momentum) training is slow, above it the loss stops falling.
- At a fixed learning rate a larger batch takes fewer steps and learns less in an epoch. When the rate grows with the
  batch, the curves for 16 to 512 rows are one; at 2048 rows the step is too long for the first epochs.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

import backlit as bl
from backlit import config
from backlit.data import Dataset, Digits, Scale
from backlit.errors import NonFiniteError
from backlit.evaluation import interval
from backlit.optim import Rule
from backlit.training.loop import fit


@dataclass(frozen=True)
class Study:
    """What is varied: the experiment that all runs start from, and the values that are tried."""

    shipped: bl.Experiment
    base: bl.Experiment
    data: Dataset
    rates: tuple[float, ...]
    batches: tuple[int, ...]
    target: float

    @property
    def tested(self) -> int:
        """How many rows the test part has."""
        return len(self.base.split.apply(self.data, self.base.seed).test)

    def run(self, name: str, **changes: Any) -> "Line":
        """One training that differs from the base."""
        return self.line(name, replace(self.base, **changes))

    def line(self, name: str, experiment: bl.Experiment) -> "Line":
        """One training; a loss that is not finite is a result too."""
        try:
            run = fit(experiment, self.data)
        except NonFiniteError:
            return Line(name, [], {})
        return Line(name, run.history, run.result)


@dataclass(frozen=True)
class Line:
    """One training of the study: its history, one record an epoch, and its result; both empty when it diverged."""

    name: str
    history: list[dict[str, Any]]
    result: dict[str, Any]

    def column(self, *path: str) -> list[float]:
        """One number an epoch: column('validation', 'loss')."""
        found: Any = self.history
        for key in path:
            found = [record[key] for record in found]
        return list(found)

    @property
    def best(self) -> float:
        """The smallest validation loss."""
        return min(self.column("validation", "loss"), default=float("inf"))

    @property
    def accuracy(self) -> float:
        """Validation accuracy at the epoch with the smallest validation loss."""
        held_out = [record["validation"] for record in self.history]
        return float(min(held_out, key=lambda v: v["loss"])["accuracy"]) if held_out else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training, without start-up and compilation."""
        return float(self.history[-1]["seconds"]) if self.history else 0.0

    @property
    def seconds_an_epoch(self) -> float:
        return self.seconds / len(self.history)

    def until(self, loss: float) -> str:
        """Epochs and seconds until the validation loss was at most `loss`."""
        for record in self.history:
            if record["validation"]["loss"] <= loss:
                return f"{record['epoch']:3} {record['seconds']:7.2f} s"
        return "never"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=Path("runs/mnist-softmax-study"))
    parser.add_argument("--quick", action="store_true", help="8 x 8 digits, few epochs, few values")
    given = parser.parse_args()
    study = quick() if given.quick else full()
    given.directory.mkdir(parents=True, exist_ok=True)
    print(f"{len(study.data)} rows, {study.base.epochs} epochs, batches of {study.base.batch_size}")

    momentum = [
        *(study.run(describe(rule), optimizer=rule) for rule in rules()),
        study.line("mnist-softmax as it ships (Adam, cosine)", study.shipped),
    ]
    print_momentum(momentum, study.target, study.tested)
    draw_momentum(momentum).savefig(given.directory / "momentum.png", dpi=150)

    rates = {
        kind.__name__: [study.run(f"{lr:g}", optimizer=kind(lr=lr)) for lr in study.rates]
        for kind in (bl.SGD, bl.Momentum)
    }
    for kind, lines in rates.items():
        print_sweep(f"Learning rate, {kind}", "lr", lines, study.target)
    draw_rates(rates).savefig(given.directory / "learning_rate.png", dpi=150)

    # Beside a fixed rate, one that grows with the batch: k times the rows, k times the step (Goyal et al. 2017).
    base, size = study.base.optimizer.lr, study.base.batch_size
    batches = {
        f"lr {base:g}": [study.run(str(b), batch_size=b) for b in study.batches],
        f"lr {base:g} B / {size}": [
            study.run(str(b), batch_size=b, optimizer=bl.SGD(lr=base * b / size)) for b in study.batches
        ],
    }
    for kind, lines in batches.items():
        print_sweep(f"Batch size, SGD, {kind}", "B", lines, study.target)
    draw_batches(batches).savefig(given.directory / "batch_size.png", dpi=150)

    everything = {"momentum": momentum, **{f"rate, {k}": v for k, v in rates.items()},
                  **{f"batch, {k}": v for k, v in batches.items()}}  # fmt: skip
    stored = {name: [vars(line) for line in lines] for name, lines in everything.items()}
    (given.directory / "study.json").write_text(json.dumps(stored), encoding="utf-8")
    print(f"\npictures and study.json: {given.directory}")


def full() -> Study:
    """All of MNIST. Every run has one device and the split, net and batch of the experiment that ships."""
    shipped = replace(config.load("mnist-softmax"), layout="one")
    base = replace(shipped, optimizer=bl.SGD(lr=0.1), epochs=15)
    rates, batches = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), (16, 32, 128, 512, 2048)
    return Study(shipped, base, base.data.load(), rates, batches, target=0.30)


def quick() -> Study:
    """The same on data that comes with scikit-learn, without compiling: in a few seconds."""
    small = {"data": Digits(), "preprocessing": (Scale(1 / 16),), "epochs": 6, "batch_size": 32, "engine": "numpy"}
    shipped = replace(config.load("mnist-softmax"), **small)
    base = replace(shipped, optimizer=bl.SGD(lr=0.1))
    return Study(shipped, base, base.data.load(), (0.01, 0.1, 1.0), (16, 128), target=0.5)


def rules() -> list[Rule]:
    """Without and with momentum (0.9). A constant gradient g makes v grow to g / (1 - 0.9), so SGD at ten times the
    learning rate takes steps as long: the last one shows what momentum adds beyond that."""
    return [bl.SGD(lr=0.1), bl.Momentum(lr=0.1), bl.Nesterov(lr=0.1), bl.SGD(lr=1.0)]


def describe(rule: Rule) -> str:
    """'Momentum lr=0.1': the rule and its settings that differ from their defaults."""
    return " ".join([type(rule).__name__, *(f"{name}={value:g}" for name, value in rule.to_plain().items())])


def print_momentum(lines: list[Line], target: float, tested: int) -> None:
    print(f"\nWith and without momentum ('until': epochs and seconds until the validation loss is at most {target})")
    head = ("until", 14), ("loss", 8), ("best val.", 10), ("val. acc.", 10), ("test accuracy (95 %)", 26)
    print(f"{'':42}{'seconds':>8}", *(f"{name:>{width}}" for name, width in head))
    for line in lines:
        if not line.history:
            print(f"{line.name:42}diverged")
            continue
        right = line.result["test"]["accuracy"]
        low, high = interval(right, tested)
        print(f"{line.name:42}{line.seconds:8.2f} {line.until(target):>14} {line.history[-1]['loss']:8.4f}"
              f" {line.best:10.4f} {line.accuracy:10.4f} {right:9.4f} ({low:.3f} to {high:.3f})")  # fmt: skip


def print_sweep(title: str, what: str, lines: list[Line], target: float) -> None:
    print(f"\n{title}")
    print(f"{what:>8} {'seconds':>8} {'until':>14} {'loss':>8} {'best val.':>10} {'last val.':>10} {'val. acc.':>10}")
    for line in lines:
        if not line.history:
            print(f"{line.name:>8} diverged")
            continue
        last = line.history[-1]
        print(f"{line.name:>8} {line.seconds:8.2f} {line.until(target):>14} {last['loss']:8.4f} {line.best:10.4f}"
              f" {last['validation']['loss']:10.4f} {line.accuracy:10.4f}")  # fmt: skip


def draw_momentum(lines: list[Line]) -> Figure:
    figure, (left, right) = panels(2)
    for line in filter(lambda line: line.history, lines):
        left.plot(line.column("epoch"), line.column("loss"), label=line.name, linewidth=1.6)
        right.plot(line.column("seconds"), line.column("validation", "accuracy"), linewidth=1.6)
    label(left, "Training loss", "epoch", "loss", log=True)
    label(right, "Validation accuracy against time", "seconds of training", "accuracy")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def draw_rates(groups: dict[str, list[Line]]) -> Figure:
    figure, axes = draw_sweep(groups, "lr")
    for kind, lines in groups.items():
        there = [line for line in lines if line.history]
        axes[-1].plot([float(line.name) for line in there], [line.best for line in there], "o-", label=kind)
    label(axes[-1], "Best validation loss", "learning rate", "loss", log=True)
    axes[-1].set_xscale("log")
    axes[-1].legend(fontsize=8, frameon=False)
    return figure


def draw_batches(groups: dict[str, list[Line]]) -> Figure:
    figure, axes = draw_sweep(groups, "batch size")
    for kind, lines in groups.items():
        there = [line for line in lines if line.history]
        axes[-1].plot(
            [int(line.name) for line in there], [1e3 * line.seconds_an_epoch for line in there], "o-", label=kind
        )
    label(axes[-1], "Milliseconds an epoch", "batch size", "ms")
    axes[-1].set_xscale("log", base=2)
    axes[-1].xaxis.set_major_formatter("{x:g}")
    axes[-1].set_ylim(0, None)
    axes[-1].legend(fontsize=8, frameon=False)
    return figure


def draw_sweep(groups: dict[str, list[Line]], what: str) -> tuple[Figure, Any]:
    """A panel of validation losses for each group, dark to light as the value grows, and an empty panel beside them."""
    figure, axes = panels(len(groups) + 1)
    for axis, (kind, lines) in zip(axes, groups.items(), strict=False):
        for i, line in enumerate(lines):
            if line.history:
                colour, losses = (
                    colormaps["viridis"](0.9 * i / max(1, len(lines) - 1)),
                    line.column("validation", "loss"),
                )
                axis.plot(line.column("epoch"), losses, label=line.name, color=colour, linewidth=1.6)
        label(axis, f"{kind}: validation loss", "epoch", "loss", log=True)
    low, high = min(a.get_ylim()[0] for a in axes[:-1]), max(a.get_ylim()[1] for a in axes[:-1])
    for axis in axes[:-1]:
        axis.set_ylim(low, high)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, title=what, loc="outside left center", fontsize=8, title_fontsize=8, frameon=False)
    return figure, axes


def panels(count: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.2 * count, 3.6), layout="constrained")
    return figure, figure.subplots(1, count)


def label(axis: Any, title: str, x: str, y: str, log: bool = False) -> None:
    axis.set_title(title, loc="left", fontsize=10)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(True, which="both", color="#e3e7ec", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=x == "epoch"))
    if log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())


if __name__ == "__main__":
    main()
