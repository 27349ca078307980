"""What augmentation costs within the compiled step: its share of a step of ResNet-20 on CIFAR-10, batch 128.

    python benchmarks/augmentation.py [--rounds 7] [--only Flip Affine]

Run it alone: a busy machine measures itself. `flip + crop + erasing` is measured twice: as the difference of two trainings,
one with it and one without, and as a loop of batches that are taken from the bytes in memory and augmented, less the same
loop without augmentation. All else is measured in such loops; what is not for images, on rows of its own kind, in
milliseconds alone.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import harness
import numpy as np
import sides

import backlit as bl
from backlit.data import CutMix, Mixup
from backlit.data.augmentation import (
    Affine,
    Augmenter,
    Brightness,
    ColourJitter,
    Contrast,
    CutOut,
    Flip,
    Grey,
    Hue,
    Jitter,
    Noise,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomResizedCrop,
    Rotate,
    Saturation,
    Shear,
    SwapNoise,
    TimeMasking,
    TokenDropping,
    Translate,
    TrivialAugment,
    Zoom,
    augment_all,
)

BATCH, BATCHES, WANTED = 128, 30, 0.10
"""Rows of a batch, batches of a loop for each step of the trainings beside it, and the largest share that is wanted."""

USUAL = "flip + crop + erasing"
AUGMENTERS: dict[str, tuple[Augmenter, ...]] = {
    "none": (),
    USUAL: (Flip(), RandomCrop(), RandomErasing()),
    **{
        type(a).__name__: (a,)
        for a in (
            Flip(), RandomCrop(), CutOut(), RandomErasing(), Affine(15, 0.1, 0.1, 10), Rotate(), Shear(), Translate(), Zoom(),
            RandomResizedCrop(), Brightness(), Contrast(), Saturation(), Hue(), Grey(), ColourJitter(), Noise(10.0),
            RandAugment(), TrivialAugment(),
        )
    },
    "RandomErasing, random": (RandomErasing(value="random"),),
    "Affine, nearest": (Affine(15, 0.1, 0.1, 10, method="nearest"),),
}  # fmt: skip
MIXING = {"Mixup": Mixup(), "CutMix": CutMix()}
OTHERS: dict[str, tuple[str, tuple[Augmenter, ...]]] = {
    "TokenDropping": ("tokens", (TokenDropping(),)),
    "TimeMasking": ("series", (TimeMasking(),)),
    "Jitter": ("series", (Jitter(scaling=0.1, shift=3),)),
    "SwapNoise": ("table", (SwapNoise(),)),
}
NAMES = [*list(AUGMENTERS)[1:], *MIXING, *OTHERS]


@dataclass(frozen=True)
class Task:
    """The named experiment, with this augmentation."""

    augmentation: str
    batch: int = BATCH

    def experiment(self) -> Any:
        return replace(bl.config.load("resnet20"), augmentation=AUGMENTERS[self.augmentation], epochs=100_000)


class Training(sides.Backlit):
    """A training of ResNet-20."""

    def loss(self) -> float:
        return float(self.carry.moving.sums.loss / self.carry.moving.sums.rows)


class Loop:
    """Batches taken from the rows in memory and augmented, in one program; the last is kept whole, so all are worked out."""

    def __init__(self, name: str) -> None:
        os.environ["BACKLIT_ONEDNN"] = "off"
        from backlit import engine

        self.engine, self.start = engine.get("xla"), 0
        rows = self.engine.place(rows_of(OTHERS[name][0] if name in OTHERS else "images"))
        change = _change(name)
        xp = rows.__array_namespace__()

        def run(rows: Any, indices: Any, root: Any, first: Any, last: Any) -> Any:
            def batch(i: Any, _: Any) -> Any:
                x = change(bl.Context(train=True, root=root, path=(first + i,)), rows[indices[i]])
                return xp.astype(x, xp.float32)

            return self.engine.repeat(np.int32(BATCHES), batch, last, lambda _: True)

        self.run = self.engine.compile(run)
        indices = np.random.default_rng(1).integers(len(rows), size=(BATCHES, BATCH)).astype("i4")
        self.given = self.engine.place((rows, indices, bl.random.key(0)))
        self.last = self.engine.place(np.zeros((BATCH, *rows.shape[1:]), np.float32))

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.last = self.engine.ready(self.run(*self.given, np.int32(self.start), self.last))
            self.start += BATCHES

    def loss(self) -> float:
        """The mean of the last batch."""
        return float(np.mean(np.asarray(self.last)))


def _change(name: str) -> Callable[[Any, Any], Any]:
    if name in MIXING:
        return lambda ctx, x: MIXING[name].mix(ctx.at("mixing").key, x.astype("float32"))[0]
    augmenters = OTHERS[name][1] if name in OTHERS else AUGMENTERS.get(name, ())
    return lambda ctx, x: augment_all(augmenters, ctx, x)


def rows_of(kind: str) -> np.ndarray:
    """The first 4096 images of CIFAR-10, or random rows of another kind."""
    rng = np.random.default_rng(0)
    if kind == "images":
        return bl.Cifar10().load().x[:4096].copy()
    if kind == "tokens":
        return rng.integers(2, 1000, (4096, 128)).astype("i4")
    return rng.normal(size=(4096, 128, 32) if kind == "series" else (4096, 64)).astype("f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="steps of the trainings in a round")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    args = parser.parse_args()
    print(harness.machine())
    racing: dict[str, Any] = {"step": (Training, (Task("none"),))}
    if USUAL in args.only:
        racing[f"step, {USUAL}"] = (Training, (Task(USUAL),))
    racing |= {name: (Loop, (name,)) for name in ["none", *args.only]}
    found = harness.race(racing, args.steps, args.rounds)
    step = found["step"]["rates"]
    print(f"\na step: {1000 / statistics.median(step):.0f} ms; shares of it in the median of {args.rounds} rounds")
    print(f"{'':<28}{'share':>9}{'ms':>9}{'min':>9}{'max':>9}")
    results = {}
    for name in args.only:
        none = found["none"]["rates"] if name not in OTHERS else [float("inf")] * args.rounds
        added = [1 / a - 1 / b for a, b in zip(found[name]["rates"], none, strict=True)]
        ms = [1000 * a / BATCHES for a in added]
        shares = [m / 1000 * rate for m, rate in zip(ms, step, strict=True)]
        share = None if name in OTHERS else statistics.median(shares)
        shown = "" if share is None else f"{100 * share:.2f} %"
        print(f"{name:<28}{shown:>9}{statistics.median(ms):>9.2f}{min(ms):>9.2f}{max(ms):>9.2f}")
        results[name] = {"share": share, "ms": ms}
    if USUAL in args.only:
        slower = harness.paired(step, found[f"step, {USUAL}"]["rates"]) - 1
        print(f"a training with {USUAL}: {100 * slower:+.1f} % a step (wanted at most {100 * WANTED:.0f} %)")
        results["whole"] = {"share": slower}
    print("written:", harness.store("augmentation", {"results": results, "sides": found}))


if __name__ == "__main__":
    main()
