"""A directory that appears whole or not at all, whatever happens in between: kill -9, a full disk, a power cut.

    .tmp-save-…     being written; every file is synced, then the directory, then it is renamed into place
    .tmp-aside-…    an older directory of the same name, kept until the new one stands
    .tmp-delete-…   on its way out: renamed first, so that no half-deleted directory keeps its name

What a kill leaves behind starts with `.tmp-`; `clean` removes it, and puts back what had only been set aside.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

PREFIX = ".tmp-"
PIECE = 1 << 24


def write_directory(target: Path, files: Mapping[str, Iterable[memoryview]]) -> None:
    """Write `files` in this order as the directory `target`, replacing one of that name; OSError changes nothing."""
    make(target.parent)
    temporary = temporary_name(target, "save")
    try:
        os.mkdir(temporary)
        for name, pieces in files.items():
            write_file(temporary / name, pieces)
        sync(temporary)
        place(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_file(path: Path, pieces: Iterable[memoryview]) -> None:
    """Write and sync a new file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        for piece in pieces:
            while len(piece):
                piece = piece[os.write(descriptor, piece[:PIECE]) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`. What stood there is set aside first and goes only once the new one is safe."""
    aside = temporary_name(target, "aside") if os.path.lexists(target) else None
    if aside is not None:
        os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except BaseException:
        if aside is not None:
            os.rename(aside, target)
        raise
    sync(target.parent)
    if aside is not None:
        with suppress(OSError):  # the new one stands; `clean` tries again
            discard(aside)


def remove_directory(target: Path) -> None:
    """Delete `target`: under its own name it is either whole or gone."""
    doomed = temporary_name(target, "delete")
    os.rename(target, doomed)
    sync(target.parent)
    discard(doomed)


def clean(parent: Path) -> int:
    """Undo what interrupted saves and deletions left in `parent`; how many entries that were."""
    stale = sorted(name for name in os.listdir(parent) if name.startswith(PREFIX)) if parent.is_dir() else []
    for name in stale:
        # .tmp-aside-<token>-<name>: a kill between the two renames of `place`; the older one is still the valid one.
        home = parent / name.split("-", 3)[-1]
        if name.startswith(PREFIX + "aside-") and not os.path.lexists(home):
            os.rename(parent / name, home)
        else:
            discard(parent / name)
    if stale:
        sync(parent)
    return len(stale)


def temporary_name(target: Path, purpose: str) -> Path:
    """A new name beside `target`, so on the same file system."""
    return target.parent / f"{PREFIX}{purpose}-{os.urandom(4).hex()}-{target.name}"


def make(directory: Path) -> None:
    """Create a directory and what is missing above it; its own name is synced too."""
    if not directory.is_dir():
        os.makedirs(directory, exist_ok=True)
        sync(directory.parent)


def discard(path: Path) -> None:
    """Delete a directory or whatever else has that name; a link goes, what it points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        os.unlink(path)


def sync(directory: Path) -> None:
    """Make the names in `directory` survive a power cut (Windows has no such call)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError) -> str:
    """What happened and what to do about it, for the middle of a sentence."""
    known = {
        errno.ENOSPC: "the disk is full; free some space or write to another disk",
        errno.EDQUOT: "the disk quota is used up; free some space or write to another disk",
        errno.EFBIG: "the file is larger than this process may write; raise the limit (ulimit -f)",
        errno.EROFS: "the file system is read-only; write to another directory",
        errno.EACCES: "writing there is not permitted; change the directory's permissions or write to another",
        errno.EPERM: "writing there is not permitted; change the directory's permissions or write to another",
        errno.EIO: "the disk reported an input/output error; check it, and write to another disk meanwhile",
        errno.ENOTDIR: "a part of this path is a file; write to another directory",
        errno.EEXIST: "a part of this path is a file; write to another directory",
    }
    return known.get(error.errno or 0, f"the system reported: {error.strerror or error}; mend that or write elsewhere")
