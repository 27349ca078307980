"""What keeps a net from learning its few training rows by heart, and what each remedy does to the weights."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from backlit.config import Experiment
from backlit.data import Dataset, Digits, Scale, Split
from backlit.engine import random, tree
from backlit.lab.regularisation_pictures import BINS, draw_curves, draw_weights
from backlit.lab.result import Result, Table
from backlit.layers import Chain, Dense, Dropout, ReLU
from backlit.losses import SoftmaxCrossEntropy
from backlit.optim import L1L2, Adam, AdamW, Cosine, MaxNorm
from backlit.optim.rules import decays
from backlit.report.canvas import Picture
from backlit.training.loop import fit
from backlit.training.stopping import Stopping

NEAR = 0.01
"""Weights smaller than this count as near zero."""


def run(
    epochs: int = 150, units: int = 128, rows: int = 300, wrong: float = 0.1, seed: int = 0, quick: bool = False
) -> Result:
    """Seven trainings of one net on `rows` rows of digits, from one start and in one order; the others are held out.

    A share `wrong` of the training labels is drawn at random, as no data is without mistakes: who learns them by heart is
    wrong elsewhere too. A net of 64-units-units-10 with ReLU, Adam with a cosine from 0.003, batches of 30. The remedies:
    an L2 or L1 penalty in the loss, decoupled weight decay, dropout of half the units, a largest norm for the weights of a
    unit, early stopping. For each: the loss of training and held-out rows with dropout off, their gap, the norm of the
    weights, the share of weights below 0.01.

    Source: Krogh, Hertz 1991 (L2); Tibshirani 1996 (L1); Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101;
    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html (dropout, max-norm); Prechelt 1998

    >>> from backlit.lab import regularisation
    >>> train, held_out = regularisation.data(rows=300, wrong=0.1, seed=0)
    >>> len(train), len(held_out)
    (300, 1497)
    """
    train, held_out = data(rows, wrong, seed)
    if quick:
        epochs, units = min(epochs, 30), min(units, 16)
        train, held_out = train.take(range(90)), held_out.take(range(300))
    cosine: Any = Cosine(0.003)
    plain = Experiment(
        data=Digits(), net=net(units), loss=SoftmaxCrossEntropy(), optimizer=Adam(lr=cosine), batch_size=30, epochs=epochs,
        preprocessing=(Scale(1 / 16),), split=Split(test=0.0), seed=seed, engine="numpy" if quick else "xla", layout="one",
    )  # fmt: skip
    found = {name: measured(one, train, held_out) for name, one in remedies(plain, units).items()}
    numbers = {
        "epochs": epochs, "rows": {"train": len(train), "held_out": len(held_out), "wrong": wrong}, "near": NEAR,
        "bins": BINS, "trainings": found,
    }  # fmt: skip
    pictures = (
        Picture("regularisation-curves", "Training and held-out loss by epoch for each remedy.",
                "Solid: training rows as they were trained on, with dropout; dashed: held-out rows.",
                partial(draw_curves, numbers)),
        Picture("regularisation-weights", "Histograms of the weights under each remedy, on a logarithmic scale.",
                "Filled: the weights of the three matrices; line: without a remedy.", partial(draw_weights, numbers)),
    )  # fmt: skip
    title = "What keeps a net from learning by heart"
    return Result("regularisation", title, numbers, told(numbers), pictures, table=table(found))


def net(units: int, dropout: float = 0.0) -> Chain:
    """64-units-units-10 with ReLU."""
    drop = (Dropout(dropout),) if dropout else ()
    return Chain(Dense(units), ReLU(), *drop, Dense(units), ReLU(), *drop, out=Dense(10))


def remedies(plain: Experiment, units: int) -> dict[str, Experiment]:
    """One training without, and one with each."""
    return {
        "none": plain,
        "L2": replace(plain, penalty=L1L2(l2=0.003)),
        "L1": replace(plain, penalty=L1L2(l1=0.0003)),
        "decay": replace(plain, optimizer=AdamW(lr=plain.optimizer.lr, weight_decay=1.0)),
        "dropout": replace(plain, net=net(units, dropout=0.5)),
        "max-norm": replace(plain, wrappers=(MaxNorm(limit=1.0),)),
        "early stopping": replace(plain, stopping=Stopping(patience=5)),
    }


def data(rows: int, wrong: float, seed: int) -> tuple[Dataset, Dataset]:
    """Training rows, some of them with a label drawn at random, and the rows that are held out, with the right ones."""
    whole = Digits().load()
    key = random.key(seed)
    order = np.asarray(random.permutation(random.fold(key, "rows"), len(whole)))
    train, held_out = whole.take(order[:rows]), whole.take(order[rows:])
    drawn = np.asarray(random.uniform(random.fold(key, "labels"), (rows,)) * len(whole.classes)).astype(np.int32)
    mistaken = np.asarray(random.uniform(random.fold(key, "wrong"), (rows,))) < wrong
    return replace(train, y=np.where(mistaken, drawn, train.y)), held_out


def measured(experiment: Experiment, rows: Dataset, held_out: Dataset) -> dict[str, Any]:
    """Curves, the loss of all rows at the end (early stopping: at the best epoch) with dropout off, and the weights."""
    watched = fit(experiment, replace(rows, validation=held_out))
    run = watched
    if experiment.stopping is None:
        # A run that watches held-out rows keeps its best epoch, which is early stopping already; one that has none makes
        # the same updates and keeps the last.
        run = fit(replace(experiment, split=Split(validation=0.0, test=0.0)), rows)
    train, other = run.evaluate(rows), run.evaluate(held_out)
    weights = np.concatenate([w.reshape(-1) for path, w in tree.flatten(run.params).items() if decays(path)])
    return {
        "epochs": len(watched.history),
        "best_epoch": watched.result["best_epoch"],
        "train": train["loss"],
        "held_out": other["loss"],
        "gap": other["loss"] - train["loss"],
        "accuracy": other["accuracy"],
        "norm": float(np.linalg.norm(weights)),
        "near_zero": float((np.abs(weights) < NEAR).mean()),
        "curves": {
            "train": [line["loss"] for line in watched.history],
            "held_out": [line["validation"]["loss"] for line in watched.history],
        },
        "histogram": np.histogram(weights, BINS)[0],
    }


def table(found: dict[str, Any]) -> Table:
    """A line for each training, with headings first."""
    return (
        ("", "train loss", "held-out loss", "gap", "held-out accuracy", "norm of weights", "near zero"),
        *(
            (name, f"{one['train']:.4f}", f"{one['held_out']:.3f}", f"{one['gap']:.3f}", f"{one['accuracy']:.3f}",
             f"{one['norm']:.1f}", f"{100 * one['near_zero']:.0f} %")
            for name, one in found.items()
        ),
    )  # fmt: skip


def told(numbers: dict[str, Any]) -> str:
    """What is to be seen, with the numbers."""
    found, rows = numbers["trainings"], numbers["rows"]
    none, early = found["none"], found["early stopping"]
    best = min(found, key=lambda name: float(found[name]["held_out"]))
    sparse = max(found, key=lambda name: float(found[name]["near_zero"]))
    short = min(found, key=lambda name: float(found[name]["norm"]))
    plain, kept = f"{none['held_out']:.3f}", found[best]
    return (
        f"{100 * rows['wrong']:.0f} % of the labels of the {rows['train']} training rows are drawn at random. Without a remedy "
        f"the net fits all of them to a loss of {none['train']:.1g}, and the {rows['held_out']} held-out rows end at {plain} "
        f"(accuracy {none['accuracy']:.3f}). Lowest is {best}: {kept['held_out']:.3f}, accuracy {kept['accuracy']:.3f}. "
        f"Early stopping ends after {early['epochs']} epochs and keeps epoch {early['best_epoch']}, held-out loss "
        f"{early['held_out']:.3f}; the gap to the training loss is {early['gap']:.3f} in place of {none['gap']:.3f}. "
        f"{sparse} leaves the fewest weights: {100 * found[sparse]['near_zero']:.0f} % of them end below {NEAR:g}, without it "
        f"{100 * none['near_zero']:.0f} %. The weights are shortest with {short}: norm {found[short]['norm']:.1f}, without a "
        f"remedy {none['norm']:.1f}."
    )
