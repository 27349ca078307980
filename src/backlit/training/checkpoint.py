"""Checkpoints: everything needed to go on, on disk, verified. Nothing is ever unpickled or executed.

    directory/step_0000001234/arrays.safetensors     all arrays under flat dotted names
                              manifest.json          step, settings and counters, a SHA-256 of everything

    save(directory, step, arrays, meta) -> path      whole or not at all; an earlier checkpoint is never at risk
    load(path) -> Checkpoint                         verified to the last bit, or BadCheckpoint
    newest(directory, warn) -> Checkpoint | None     computed from what verifies, never from a pointer
    clean(directory), prune(directory, keep, protect)

Which system calls a save makes, and why each damage is found: docs/checkpoints.md.
"""

import hashlib
import operator
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backlit.errors import CheckpointError, received
from backlit.training import arrays as named
from backlit.training import atomic, manifest
from backlit.training.arrays import flat, restore
from backlit.training.manifest import ARRAYS, MANIFEST, BadCheckpoint, File, Manifest
from backlit.training.reading import bad, read, reading

__all__ = ["BadCheckpoint", "Checkpoint", "clean", "flat", "listing", "load", "newest", "prune", "restore", "save"]


class Checkpoint(NamedTuple):
    """A verified checkpoint."""

    step: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    path: Path


def save(directory: Path, step: int, arrays: Mapping[str, Any], meta: dict[str, Any]) -> Path:
    """Write `directory/step_<step>/`, whole or not at all, replacing one of the same step.

    arrays: {dotted name: array} of any dtype in `arrays.DTYPES`, any shape and memory layout. meta: plain JSON.
    Errors: CheckpointError when an array or `meta` cannot be stored, or when the system refuses (disk full, I/O error,
    no permission): the earlier checkpoints are untouched and nothing temporary is left.

    >>> import numpy as np, tempfile
    >>> path = save(Path(tempfile.mkdtemp()), 10, {"params.W": np.ones((2, 3))}, {"epoch": 1})
    >>> path.name, load(path).arrays["params.W"].shape
    ('step_0000000010', (2, 3))
    """
    target = Path(directory) / name_of(step)
    values = {name: np.asarray(array) for name, array in arrays.items()}
    table = named.table(values)
    pieces = named.pieces(table, values)
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    file = File(sum(map(len, pieces)), digest.hexdigest())
    described = manifest.encode(Manifest(operator.index(step), {ARRAYS: file}, table, meta))
    with _saying(f"{target}: not saved, earlier checkpoints stand"):
        atomic.write_directory(target, {ARRAYS: pieces, MANIFEST: [memoryview(described)]})
    return target


def load(path: Path) -> Checkpoint:
    """Read and verify one checkpoint: sizes first, then hashes, then the arrays against the manifest.

    Errors: BadCheckpoint with a `reason` on any difference from what `save` wrote; links and devices are not followed.
    """
    path = Path(path)
    with reading(path):
        content = verified_manifest(path)
        start, size = named.header(content.arrays), content.files[ARRAYS].size
        if len(start) + sum(named.nbytes(*row) for row in content.arrays.values()) != size:
            raise bad("arrays", path / ARRAYS, "the sizes of the arrays do not add up to the size of the file")
        data = read(path / ARRAYS, size)
    if hashlib.sha256(data.data).hexdigest() != content.files[ARRAYS].sha256:
        raise bad("hash", path / ARRAYS, f"its SHA-256 is not the one in {MANIFEST}, so one of the two was damaged")
    try:
        arrays = named.parse(start, content.arrays, data)
    except ValueError as error:
        raise bad("arrays", path / ARRAYS, str(error)) from None
    return Checkpoint(content.step, arrays, content.meta, path)


def newest(directory: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies, None when there is none; `warn` gets a sentence for every newer, bad one."""
    for step in reversed(listing(directory)):
        try:
            return load(Path(directory) / name_of(step))
        except BadCheckpoint as error:
            warn(f"{error} (falling back to the checkpoint before it)")
    return None


def listing(directory: Path) -> list[int]:
    """The steps of all checkpoints present, good or bad, in ascending order."""
    directory = Path(directory)
    with _saying(f"{directory}: cannot list checkpoints"):
        names = os.listdir(directory) if directory.is_dir() else []
    steps = [int(found[1]) for name in names if (found := re.fullmatch(r"step_([0-9]{10,18})", name))]
    return sorted(step for step in steps if name_of(step) in names)


def prune(directory: Path, keep: int, protect: set[int]) -> None:
    """Delete what is older than the last `keep` *good* checkpoints, except the steps in `protect` (the best).

    A bad checkpoint is not counted: newer ones are read back before anything older goes.
    """
    if keep < 1:
        raise ValueError(f"keep: expected at least 1, got {keep}")
    steps, kept = listing(directory), 0
    if not set(steps[:-keep]) - protect:
        return
    for step in reversed(steps):
        path = Path(directory) / name_of(step)
        if kept < keep:
            kept += _is_good(path)
        elif step not in protect:
            with _saying(f"{path}: this old checkpoint could not be deleted"):
                atomic.remove_directory(path)


def clean(directory: Path) -> int:
    """Remove what interrupted saves and deletions left behind, at the start of a run; how many entries that were."""
    with _saying(f"{directory}: left-overs of an interrupted save could not be removed"):
        return atomic.clean(Path(directory))


def verified_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint, verified by itself and against the names and sizes on disk; reads no arrays."""
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise bad("link", path, "expected a directory, got a symbolic link")
    for file in (path / MANIFEST, path / ARRAYS):
        if not stat.S_ISREG(os.lstat(file).st_mode):
            raise bad("link", file, "expected a regular file, got a link or device")
    size = os.lstat(path / MANIFEST).st_size
    if size > manifest.LARGEST:
        raise bad("manifest", path / MANIFEST, f"expected at most {manifest.LARGEST} bytes, got {size}")
    content = manifest.decode(read(path / MANIFEST, size).tobytes(), str(path / MANIFEST))
    if path.name != name_of(content.step):
        text = f"expected a directory called {name_of(content.step)}, as its manifest says"
        raise BadCheckpoint("step", f"{path}: {text}, got {path.name!r}; rename it back")
    if set(content.files) != {ARRAYS}:
        raise bad("manifest", path / MANIFEST, f"expected the file {ARRAYS}, got {received(sorted(content.files))}")
    size, claimed = os.lstat(path / ARRAYS).st_size, content.files[ARRAYS].size
    if size != claimed:
        raise bad("size", path / ARRAYS, f"expected {claimed} bytes, got {size}")
    return content


def name_of(step: int) -> str:
    """The directory of a step: step_0000001234, so that names sort as steps do."""
    number = operator.index(step)
    if not 0 <= number < manifest.STEPS:
        raise ValueError(f"step: expected a whole number from 0 to {manifest.STEPS - 1}, got {number}")
    return f"step_{number:010d}"


def _is_good(path: Path) -> bool:
    try:
        load(path)
    except BadCheckpoint:
        return False
    return True


@contextmanager
def _saying(start: str) -> Iterator[None]:
    """What the system refuses, as a sentence that begins with `start`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{start}: {atomic.explained(error)}") from error
