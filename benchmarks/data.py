"""Batches a second against torch's DataLoader with 2 workers; how long a trainer waits for images; what a large file takes.

    python benchmarks/data.py [--rounds 5] [--rows 60000] [--images 6400]
    python benchmarks/data.py --waiting [--images 50000]      # share of time a training waits, first epoch and later
    python benchmarks/data.py --memory [--gigabytes 8]        # growth of resident memory; resumed in the middle of an epoch

All files lie in a temporary folder (--folder names another), and are in the system's cache when they are read: what is
compared is the work of reading, not a disk. Run it alone.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import data_sides
import harness
import numpy as np

WANTED = {"memory": 3.0, "file": 2.0, "images": 1.0, "kept": 1.0}
TITLES = {
    "memory": "rows of 784 floats in memory",
    "file": "rows of 784 floats in a .npy file",
    "images": "images of 32 x 32, decoded in every epoch",
    "kept": "images of 32 x 32, ours decoded once and kept on the disk",
}
PLAIN, WHOLE = "torch DataLoader", "torch, batches at once"


def against_torch(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Ratios for each source, rounds in turn."""
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.random((args.rows, 784), dtype=np.float32))
    data_sides.write_images(folder / "images", args.images)
    results = {}
    for kind in WANTED:
        where = str(folder)
        sides: dict[str, Any] = {"backlit": (data_sides.Ours, (kind, where, args.batch))}
        sides[PLAIN] = (data_sides.Torch, (kind, where, args.batch))
        if kind in ("memory", "file"):
            sides[WHOLE] = (data_sides.Torch, (kind, where, args.batch, True))
        steps = (args.rows if kind in ("memory", "file") else args.images) // args.batch
        found = harness.race(sides, steps, args.rounds)
        print(
            "\n" + harness.table(f"{TITLES[kind]}, batch {args.batch}, an epoch of {steps} batches a round", found),
            flush=True,
        )
        ratio = harness.paired(found["backlit"]["rates"], found[PLAIN]["rates"])
        print(f"against the DataLoader {ratio:.2f} (wanted {WANTED[kind]:.0f})", flush=True)
        results[kind] = {"sides": found, "against_torch": ratio, "wanted": WANTED[kind]}
    return results


def waiting(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A small convolutional net on a folder of images: what share of the time its trainer waits for rows."""
    import backlit as bl
    from backlit.data.image_folder import ImageFolder

    data_sides.write_images(folder / "images", args.images)
    net = bl.Chain(
        bl.Conv(32, 3), bl.ReLU(), bl.MaxPool(2), bl.Conv(32, 3), bl.ReLU(), bl.MaxPool(2), bl.Flatten(), bl.Dense(10)
    )
    shares = {}
    for name in ("images never seen", "images kept"):
        source = ImageFolder(str(folder / "images"))
        run = bl.train(net, source, preprocessing=[bl.Scale()], epochs=1, batch_size=128, directory=folder / name)
        seconds = run.result["seconds"]
        share = seconds.get("waited", 0.0) / seconds["train"]
        rate = run.facts["rows"]["train"] / seconds["train"]
        print(f"{name}: begun after {seconds['startup']:.1f} s, trained in {seconds['train']:.1f} s ({rate:.0f} images/s), "
              f"waited {seconds.get('waited', 0.0):.1f} s: {share:.1%}", flush=True)  # fmt: skip
        shares[name] = {"share": share, "seconds": seconds, "images_per_second": rate}
        if name == "images never seen":
            shares["decoding"] = decoding(folder, args.images)
    return {"images": args.images, **shares}


def decoding(folder: Path, count: int) -> dict[str, float]:
    """Images a second that the workers decode when nothing else runs: the limit of a first epoch."""
    from backlit.data.image_folder import ImageFolder

    x = ImageFolder(str(folder / "images"), cache=False).load().x
    began = time.perf_counter()
    x.read(np.arange(min(count, 10000)))
    rate = min(count, 10000) / (time.perf_counter() - began)
    print(f"decoding alone: {rate:.0f} images/s", flush=True)
    return {"images_per_second": rate}


class Resident(threading.Thread):
    """Watches what this process holds of memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.first, self.most, self.ended = resident(), 0, False

    def run(self) -> None:
        while not self.ended:
            self.most = max(self.most, resident())
            time.sleep(0.02)

    def growth(self) -> float:
        """Megabytes since it began."""
        return (self.most - self.first) / 2**20


def resident() -> int:
    """Bytes, VmRSS of Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def memory(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train on a file of several gigabytes, stop in the middle of an epoch, go on: growth, and the same bits."""
    import backlit as bl
    from backlit.data.on_disk import Npy

    free = shutil.disk_usage(folder).free
    size = int(min(args.gigabytes * 2**30, 0.8 * free))
    if size < args.gigabytes * 2**30:
        print(f"{free / 2**30:.1f} GB are free: the file has {size / 2**30:.1f} GB, not {args.gigabytes}")
    rows = size // (4 * 784)
    rng = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, 784))
    block = rng.standard_normal((10000, 784), dtype=np.float32)
    for start in range(0, rows, len(block)):
        part = block[: rows - start]
        part[:, 0] = start
        x[start : start + len(part)] = part
    x.flush()
    del x
    np.save(folder / "y.npy", rng.integers(0, 10, rows).astype(np.uint8))
    source = Npy(str(folder / "x.npy"), str(folder / "y.npy"))
    net = bl.Chain(bl.Dense(32), bl.ReLU(), bl.Dense(10))
    settings: dict[str, Any] = {
        "batch_size": 1024, "epochs": 1, "split": {"validation": 0.01, "test": 0.01}, "checkpoint": {"every_seconds": 1.0},
    }  # fmt: skip
    few = rng.standard_normal((4096, 784), dtype=np.float32), rng.integers(0, 10, 4096)
    bl.train(net, few, **settings)  # JAX and its compiler are in memory before anything is read
    watch = Resident()
    watch.start()
    began = time.perf_counter()
    whole = bl.train(net, source, directory=folder / "whole", **settings)
    seconds = time.perf_counter() - began
    step = 0

    def stop(event: Any) -> None:
        nonlocal step
        if type(event).__name__ == "Progress" and event.step * 1024 > rows // 2:
            step = event.step
            raise KeyboardInterrupt

    try:
        bl.train(net, source, directory=folder / "cut", listener=stop, **settings)
    except KeyboardInterrupt:
        print(f"stopped at step {step} of {rows * 98 // 100 // 1024}", flush=True)
    resumed = bl.train(net, source, directory=folder / "cut", resume=True, **settings)
    watch.ended = True
    same = all(
        np.array_equal(whole.params[layer][name], resumed.params[layer][name])
        for layer in whole.params for name in whole.params[layer]
    )  # fmt: skip
    print(f"{size / 2**30:.1f} GB, {rows} rows of 784 floats: {watch.growth():.0f} MB more resident at the most, "
          f"an epoch in {seconds:.1f} s, {whole.result['seconds']}; "
          f"resumed to {'the same bits' if same else 'OTHER NUMBERS'}")  # fmt: skip
    return {
        "gigabytes": size / 2**30,
        "growth_mb": watch.growth(),
        "seconds": seconds,
        "stopped_at": step,
        "same": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--images", type=int)
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--waiting", action="store_true")
    parser.add_argument("--memory", action="store_true")
    args = parser.parse_args()
    args.images = args.images or (50000 if args.waiting else 6400)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="backlit-bench-") as name:
        folder = Path(name)
        os.environ["BACKLIT_CACHE"] = str(folder / "cache")
        part = "waiting" if args.waiting else "memory" if args.memory else "torch"
        work = {"waiting": waiting, "memory": memory, "torch": against_torch}[part]
        print(harness.machine())
        print("\nwritten:", harness.store(f"data_{part}", work(folder, args)))


if __name__ == "__main__":
    main()
