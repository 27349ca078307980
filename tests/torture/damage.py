"""Ways in which a checkpoint can be damaged. Each takes (random, directory of the checkpoint, another checkpoint)."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from backlit.training import checkpoint, manifest

ARRAYS, MANIFEST = "arrays.safetensors", "manifest.json"


def good(directory: Path, step: int, rows: int = 7) -> Path:
    """A small checkpoint of several dtypes whose numbers depend on the step."""
    draw = np.random.default_rng(step)
    arrays = {
        "carry.params.dense_1.W": draw.normal(size=(rows, 5)).astype("f"),
        "carry.params.dense_1.b": draw.normal(size=5),
        "carry.step": np.asarray(step),
        "key": draw.integers(0, 2**32, 2, dtype=np.uint32),
        "mask": draw.random(9) < 0.5,
        "empty": np.zeros((0, 3), "f"),
    }
    return checkpoint.save(directory, step, arrays, {"epoch": step // 10, "note": "grün", "best": None})


def files(rng: Random, here: Path) -> Path:
    """One of the two files."""
    return here / rng.choice([ARRAYS, MANIFEST])


def flip(rng: Random, path: Path, start: int = 0, end: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(start, end or len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def header_end(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


def flip_header(rng: Random, here: Path, other: Path) -> None:
    flip(rng, here / ARRAYS, 0, header_end(here / ARRAYS))


def flip_data(rng: Random, here: Path, other: Path) -> None:
    flip(rng, here / ARRAYS, header_end(here / ARRAYS))


def flip_manifest(rng: Random, here: Path, other: Path) -> None:
    flip(rng, here / MANIFEST)


def flip_many(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    data = bytearray(path.read_bytes())
    for at in rng.sample(range(len(data)), rng.randrange(2, 20)):
        data[at] = (data[at] + rng.randrange(1, 256)) % 256
    path.write_bytes(data)


def truncate(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    os.truncate(path, rng.randrange(path.stat().st_size))


def append(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    path.write_bytes(path.read_bytes() + rng.choice([b"\0", b"\n", b" ", b"}", rng.randbytes(rng.randrange(1, 300))]))


def random_bytes(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    path.write_bytes(rng.randbytes(path.stat().st_size))


def zeroed_block(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data) - 16)
    data[start : start + 16] = bytes(16) if any(data[start : start + 16]) else b"\xff" * 16
    path.write_bytes(data)


def blocks_exchanged(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    data = path.read_bytes()
    middle = rng.randrange(1, len(data))
    path.write_bytes(data[middle:] + data[:middle])


def swapped_arrays(rng: Random, here: Path, other: Path) -> None:
    shutil.copy(other / ARRAYS, here / ARRAYS)


def swapped_manifest(rng: Random, here: Path, other: Path) -> None:
    shutil.copy(other / MANIFEST, here / MANIFEST)


def swapped_both(rng: Random, here: Path, other: Path) -> None:
    swapped_arrays(rng, here, other)
    swapped_manifest(rng, here, other)


def missing(rng: Random, here: Path, other: Path) -> None:
    files(rng, here).unlink()


def folder_instead(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    path.unlink()
    path.mkdir()


def linked_file(rng: Random, here: Path, other: Path) -> None:
    path = files(rng, here)
    moved = path.rename(path.with_suffix(".moved"))
    path.symlink_to(moved)


def linked_directory(rng: Random, here: Path, other: Path) -> None:
    moved = here.rename(here.with_name("moved"))
    here.symlink_to(moved)


def rewritten_manifest(rng: Random, here: Path, other: Path) -> None:
    """The same JSON in another layout: not what was written, so not to be trusted."""
    path = here / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()), indent=rng.choice([None, 1, 2])))


def foreign_version(rng: Random, here: Path, other: Path) -> None:
    """Another format version, with a correct hash."""
    path = here / MANIFEST
    body = path.read_bytes().split(b"\n", 1)[1]
    version = str(rng.choice([0, 2, 3, 99])).encode()
    path.write_bytes(manifest.sealed(body.replace(b'"version": 1', b'"version": ' + version)))


def foreign_program(rng: Random, here: Path, other: Path) -> None:
    """A safetensors file and a manifest of someone else."""
    (here / MANIFEST).write_text(json.dumps({"weights": ARRAYS, "step": 20, "torch": "2.9"}))


DAMAGES: list[Callable[[Random, Path, Path], None]] = [
    flip_header, flip_data, flip_manifest, flip_many, truncate, append, random_bytes, zeroed_block, blocks_exchanged,
    swapped_arrays, swapped_manifest, swapped_both, missing, folder_instead, linked_file, linked_directory,
    rewritten_manifest, foreign_version, foreign_program,
]  # fmt: skip


def attempt(rng: Random, damage: Callable[[Random, Path, Path], None], source: Path, room: Path) -> str:
    """Copy two checkpoints to `room`, damage the newer; the reason of its rejection, else a sentence with a blank."""
    shutil.copytree(source, room)
    older, newer = sorted(room.iterdir())
    damage(rng, newer, older)
    try:
        checkpoint.load(newer)
    except checkpoint.BadCheckpoint as error:
        reason, sentence = error.reason, str(error)
    else:
        return f"ACCEPTED {damage.__name__}"
    said: list[str] = []
    found = checkpoint.newest(room, said.append)
    if found is None or found.path != older or len(said) != 1 or not said[0].startswith(sentence):
        return f"WRONG {damage.__name__}: fell back to {found and found.path}, said {said}"
    return reason
