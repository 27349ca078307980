"""Who gives batches, and what from: rows in memory, rows of a file, images of a folder; each batch is summed.

Both sides read the same rows in orders of their own, all of them once an epoch; `loss` is the mean of all numbers given
so far, so that after whole epochs the sides must agree.
"""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 8
"""Batches in a window that is read; the DataLoader too is at most some batches ahead (2 for each worker)."""


class Ours:
    """As the trainer does it: a window of rows is read by a thread and placed, while the compiled loop has the one before."""

    def __init__(self, kind: str, folder: str, batch: int) -> None:
        from backlit import engine
        from backlit.engine import random

        self.engine, self.batch, self.key = engine.get("xla"), batch, random.key(0)
        self.x: Any = ours(kind, folder)
        self.held = kind == "memory"
        self.steps = len(self.x) // batch
        self.length = min(self.steps, 4096 if self.held else WINDOW)
        self.place, self.epoch, self.total, self.count = 0, 0, 0.0, 0
        self.rows = self.engine.place(self.x) if self.held else None
        self.thread = ThreadPoolExecutor(1)
        self.order = self._order(0)
        self.run = self.engine.compile(self._gathered if self.held else self._given)

    def advance(self, steps: int) -> None:
        """A round begins with nothing read ahead: what others are timed at is no time to read."""
        done, following = 0, self._ask(steps)
        while done < steps:
            window, count = following.result()
            done += count
            following = self._ask(steps - done)
            totals = self.run(self.rows, window)
            self.total += float(np.asarray(self.engine.ready(totals), np.float64)[:count].sum())
            self.count += count

    def loss(self) -> float:
        return self.total / (self.count * self.batch * self.x[:1].size)

    def _ask(self, left: int) -> Any:
        """The next window, of `left` steps at the most, to come."""
        if left <= 0:
            return None
        if self.place >= self.steps:
            self.place, self.epoch = 0, self.epoch + 1
            self.order = self._order(self.epoch)
        begin, self.place = self.place, min(self.place + min(self.length, left), self.steps)
        return self.thread.submit(
            self._window, self.order[begin : self.place], self.order[self.place : self.place + self.length]
        )

    def _window(self, places: np.ndarray, following: np.ndarray) -> tuple[Any, int]:
        """The rows of the window, or their places; the last of an epoch is filled up to the length of all others."""
        full = np.concatenate([places, np.zeros((self.length - len(places), self.batch), places.dtype)])
        if self.held:
            return self.engine.place(full), len(places)
        self.x.ahead(following.reshape(-1))
        rows = self.x.read(places.reshape(-1)).reshape(*places.shape, *self.x.shape[1:])
        if len(places) < self.length:
            rows = np.concatenate([rows, np.zeros((self.length - len(places), *rows.shape[1:]), rows.dtype)])
        return self.engine.place(self.engine.shareable(rows)), len(places)

    def _order(self, epoch: int) -> np.ndarray:
        from backlit.data import epochs_indices

        found = epochs_indices(self.key, len(self.x), self.batch, epoch, 1)[0][0]
        return found[: self.steps]

    def _gathered(self, x: Any, places: Any) -> Any:
        xp = x.__array_namespace__()
        return self.engine.scan(lambda carry, p: (carry, xp.sum(xp.astype(x[p], xp.float32))), 0, places)[1]

    def _given(self, _: Any, rows: Any) -> Any:
        xp = rows.__array_namespace__()
        return self.engine.scan(lambda carry, x: (carry, xp.sum(xp.astype(x, xp.float32))), 0, rows)[1]


def ours(kind: str, folder: str) -> Any:
    """The rows, by the library's own sources."""
    from backlit.data.image_folder import ImageFolder
    from backlit.data.on_disk import OnDisk

    if kind == "memory":
        return np.load(Path(folder) / "x.npy")
    if kind == "file":
        return OnDisk.npy(Path(folder) / "x.npy")
    return ImageFolder(str(Path(folder) / "images"), cache=kind == "kept").load().x


class Torch:
    """DataLoader with two workers that stay; `whole`: the data set is asked for batches, not for rows."""

    def __init__(self, kind: str, folder: str, batch: int, whole: bool = False) -> None:
        # A process of the harness is a daemon, which may have no children: these end with the loader.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        import torch
        from torch.utils.data import BatchSampler, DataLoader, RandomSampler

        torch.set_num_threads(1)
        data = (
            Pictures(Path(folder) / "images")
            if kind in ("images", "kept")
            else Numbers(Path(folder) / "x.npy", kind == "file")
        )
        # Forked, as on Linux outside of this harness: nothing is pickled, memory is shared.
        options: dict[str, Any] = {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "fork"}
        if whole:
            sampler = BatchSampler(RandomSampler(data), batch, drop_last=True)
            self.loader = DataLoader(data, sampler=sampler, batch_size=None, **options)
        else:
            self.loader = DataLoader(data, batch, shuffle=True, drop_last=True, **options)
        self.torch, self.batches = torch, iter(self.loader)
        self.total, self.count, self.numbers = 0.0, 0, batch * data[0].numel()

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            try:
                x = next(self.batches)
            except StopIteration:
                self.batches = iter(self.loader)
                x = next(self.batches)
            self.total += float(x.sum(dtype=self.torch.float32))
            self.count += 1

    def loss(self) -> float:
        return self.total / (self.count * self.numbers)


class Numbers:
    """Rows of an array in memory or mapped, as a data set of PyTorch."""

    def __init__(self, path: Path, mapped: bool) -> None:
        import torch

        self.torch, self.x = torch, np.load(path, mmap_mode="r" if mapped else None)
        if not mapped:
            self.x = torch.from_numpy(self.x)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: Any) -> Any:
        row = self.x[i]
        return row if isinstance(row, self.torch.Tensor) else self.torch.from_numpy(np.array(row))


class Pictures:
    """Images of a folder as a data set of PyTorch: Pillow decodes, as in torchvision's ImageFolder and PILToTensor."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(str(path) for path in folder.glob("*/*.png"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        import torch
        from PIL import Image

        with open(self.files[i], "rb") as file:
            image = Image.open(file).convert("RGB")
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def write_images(folder: Path, count: int, side: int = 32) -> None:
    """`count` PNGs in ten directories; smooth noise, so that they pack about as well as photographs."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class {number % 10}"
        if number < 10:
            place.mkdir(parents=True)
        coarse = rng.integers(0, 255, (side // 4, side // 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        image.save(place / f"{number:06d}.png", compress_level=1)
