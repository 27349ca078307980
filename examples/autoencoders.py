"""Autoencoders: pictures through 32 numbers and back, and pictures without their noise.

    python examples/autoencoders.py [DIRECTORY] [--quick]

The first net is held against the best linear one, PCA with as many numbers. The second learns with noise on its input and
the clean picture as its target; it is held against a median filter, against PCA, and against the first net, which has never
seen noise. All errors are those of pixels (0 black, 1 white) of the test part; reconstructions.png shows the first digits.
`--quick` takes the small digits and one epoch: it will not reconstruct well.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import median_filter
from sklearn.decomposition import PCA

import backlit as bl
from backlit import config
from backlit.config import Experiment
from backlit.data import Digits, Noise, Reconstruct, Scale
from backlit.training.events import EpochEnded

SHOWN = 10
ROWS = ("digit", "through 32 numbers", "PCA, 32 numbers", "digit with noise", "noise taken away", "median filter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=Path("runs/autoencoders"))
    parser.add_argument("--quick", action="store_true", help="small digits, one epoch")
    given = parser.parse_args()
    plain, denoising = config.load("autoencoder"), config.load("denoising-autoencoder")
    white = 255.0
    if given.quick:
        white = 16.0
        plain, denoising = small(plain, white), small(denoising, white)

    first, second = (
        bl.train(experiment, directory=given.directory / experiment.name, listener=listen)
        for experiment in (plain, denoising)
    )
    parts = plain.split.apply(plain.data.load(), plain.seed)
    train, test = (part.x.reshape(len(part), -1) / white for part in (parts.train, parts.test))
    shape, side = parts.test.x.shape[1:], round(test.shape[1] ** 0.5)
    (noise,) = denoising.augmentation
    noisy = test + np.random.default_rng(0).normal(0, noise.std / white, test.shape).astype("f")

    def net(run: bl.Run) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: run.outputs((white * x).astype("f").reshape(-1, *shape)).reshape(len(x), -1) / white

    def median(x: np.ndarray) -> np.ndarray:
        return np.asarray(median_filter(x.reshape(-1, side, side), size=(1, 3, 3)).reshape(x.shape))

    pca = {numbers: PCA(numbers, random_state=0).fit(train) for numbers in (32, 64)}

    def linear(numbers: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: np.asarray(pca[numbers].inverse_transform(pca[numbers].transform(x)))

    mean = np.broadcast_to(train.mean(axis=0), test.shape)
    print(f"\nRoot mean square error of a pixel, {len(test)} pictures of the test part")
    say("the mean picture", mean, test)
    say("PCA, 32 numbers", linear(32)(test), test)
    say("autoencoder, 32 numbers", net(first)(test), test)
    print("\nThe same with noise")
    say("the noisy picture itself", noisy, test)
    say("the first autoencoder", net(first)(noisy), test)
    say("median filter", median(noisy), test)
    say("PCA, 64 numbers", linear(64)(noisy), test)
    say("denoising autoencoder, 64 numbers", net(second)(noisy), test)

    clean, dirty = test[:SHOWN], noisy[:SHOWN]
    rows = (clean, net(first)(clean), linear(32)(clean), dirty, net(second)(dirty), median(dirty))
    path = given.directory / "reconstructions.png"
    draw([row.reshape(-1, side, side) for row in rows]).savefig(path, dpi=150)
    print(f"\nwhat the nets make of the first {SHOWN}: {path}")


def small(experiment: Experiment, white: float) -> Experiment:
    """The same on the digits of scikit-learn: 8 x 8 pixels from 0 to 16."""
    net = bl.Chain(bl.Dense(48), bl.ReLU(), bl.Dense(32), bl.Dense(48), bl.ReLU(), bl.Dense(64), bl.Sigmoid())
    return replace(
        experiment, data=Reconstruct(Digits()), net=net, split=bl.Split(validation=0.05, test=0.2), epochs=1,
        preprocessing=[Scale(1 / white)], target_preprocessing=[Scale(1 / white)], engine="numpy", batch_size=32,
        augmentation=[Noise(white / 2)] if experiment.augmentation else [],
    )  # fmt: skip


def say(name: str, found: np.ndarray, true: np.ndarray) -> None:
    """A line of the table."""
    print(f"  {name:36}{np.sqrt(np.mean((found - true) ** 2)):.4f}")


def draw(rows: list[np.ndarray]) -> Figure:
    """A row of pictures each, with its name on the left."""
    figure = Figure(figsize=(SHOWN * 0.75 + 1.8, len(rows) * 0.75), layout="constrained")
    axes = figure.subplots(len(rows), SHOWN)
    for name, pictures, line in zip(ROWS, rows, axes, strict=True):
        for picture, axis in zip(pictures, line, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return figure


def listen(event: object) -> None:
    """A line an epoch."""
    if isinstance(event, EpochEnded):
        held_out = event.record["validation"]
        print(f"epoch {event.record['epoch']:2}  validation loss {held_out['loss']:.4f}")


if __name__ == "__main__":
    main()
