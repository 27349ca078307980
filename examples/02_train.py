"""Train, look, predict, go on, report: the fifteen lines of the README with room to breathe.

    python examples/02_train.py [DIRECTORY] [--epochs N]

The directory then holds the settings, the history, the checkpoints and the report: see docs/training.md.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import backlit as bl
from backlit.data import Scale
from backlit.training.events import EpochEnded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=Path(time.strftime("runs/02-train-%Y%m%d-%H%M%S")))
    parser.add_argument("--epochs", type=int, default=40)
    given = parser.parse_args()

    # A run is data: all settings in one frozen object, checked at once. Rows are split 70 / 15 / 15 by the seed.
    experiment = bl.Experiment(
        data="digits",  # 1 797 handwritten digits of 8 x 8 pixels, values 0 to 16
        preprocessing=[Scale(1 / 16)],
        net=bl.Chain(bl.Dense(64), bl.ReLU(), bl.Dropout(0.2), bl.Dense(32), bl.ReLU(), out=bl.Dense(10)),
        loss="SoftmaxCrossEntropy",
        optimizer=bl.Adam(lr=0.003),
        stopping=bl.Stopping(patience=15),  # on the validation loss; the best weights come back
        epochs=given.epochs,
    )

    print(f"1. Train into {given.directory}, one line every ten epochs")

    def listen(event) -> None:
        """Whatever happens in a training is an event of plain data."""
        if isinstance(event, EpochEnded) and event.record["epoch"] % 10 == 0:
            now, held_out = event.record, event.record["validation"]
            print(f"   epoch {now['epoch']:3}  loss {now['loss']:.4f}  validation {held_out['accuracy']:.4f}")

    run = bl.train(experiment, directory=given.directory, listener=listen)
    result = run.result
    print(f"   {result['stopped']} after {len(run.history)} epochs, best: {result['best_epoch']}")
    print(f"   test accuracy {result['test']['accuracy']:.4f}, test loss {result['test']['loss']:.4f}")
    print(f"   {result['steps_per_second']:.0f} steps/s, {result['seconds']['train']:.2f} s of training")

    print("2. Predict: rows go in as they came, preprocessing is part of the run")
    stored = np.load(given.directory / "test.npz")
    x, y = stored["x"], stored["target"]
    p = run.probabilities(x)
    unsure = int(p.max(axis=1).argmin())
    print(f"   first ten: {' '.join(run.predict(x[:10]))}, right: {' '.join(map(str, y[:10]))}")
    print(f"   least sure of row {unsure}: {run.predict(x)[unsure]} with p = {p[unsure].max():.2f}, right: {y[unsure]}")
    mean, spread = run.monte_carlo(x, draws=20)  # dropout stays on: how much do thinned nets disagree?
    right = mean.argmax(axis=1) == y
    print(f"   twenty thinned nets differ by {spread.max(axis=1).mean():.3f} a row")
    if not right.all():
        print(f"   and by {spread.max(axis=1)[~right].mean():.3f} on the {int((~right).sum())} rows they get wrong")

    print("3. Look inside: one step, every output and every error signal")
    scaled = run.experiment.preprocessing[0].apply({}, x[:32])
    _, _, _, trace = bl.gradient(run.experiment.net, run.experiment.loss, run.params, run.state, scaled, y[:32])
    for path, (output, delta) in bl.signals(trace).items():
        print(f"   {path:10} {output.shape!s:9} zeros {np.mean(output == 0):4.0%}   |delta| {np.abs(delta).mean():.1e}")

    print("4. Go on from where it stands: the same settings but more epochs")
    further = bl.train(replace(experiment, epochs=given.epochs + 10), directory=given.directory, resume=True)
    accuracy = further.result["test"]["accuracy"]
    print(f"   {len(run.history)} epochs became {len(further.history)}, test accuracy {accuracy:.4f}")

    print("5. Open it again, in this process or any other")
    again = bl.open_run(given.directory)
    print(f"   the same predictions: {np.array_equal(again.outputs(x), further.outputs(x))}")
    print(f"   report: {again.report()}")


if __name__ == "__main__":
    main()
