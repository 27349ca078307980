"""Reading files that may be damaged, or made by someone hostile: regular files only, exact sizes, every error named."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from backlit.training.manifest import ARRAYS, MANIFEST, BadCheckpoint

STRIDE = 1 << 20


def read(path: Path, size: int) -> np.ndarray:
    """Exactly `size` bytes, as uint8. Nothing is allocated beyond what the file holds, no link is followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise bad("size", path, f"expected a file of {size} bytes, got {found.st_size}")
        if size > memory():
            raise MemoryError
        data = np.empty(size, dtype=np.uint8)
        at = 0
        while at < size:
            count = file.readinto(data[at : at + STRIDE].data)
            if not count:
                raise bad("size", path, f"expected {size} bytes, got {at}")
            at += count
    return data


def memory() -> int:
    """Bytes of memory in this machine: a system that promises more than it has must not be asked."""
    if not hasattr(os, "sysconf"):
        return 2**63
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Everything that reading can meet, as BadCheckpoint."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        text = f"expected a directory with {ARRAYS} and {MANIFEST}, {error.filename or path} does not exist"
        raise bad("missing", path, text) from None
    except OSError as error:
        reason = "link" if error.errno == errno.ELOOP else "unreadable"
        raise bad(reason, path, f"cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise bad("size", path, "does not fit into this machine's memory") from None


def bad(reason: str, where: Path, what: str) -> BadCheckpoint:
    """The error for a damaged checkpoint: where, what, and the way out."""
    return BadCheckpoint(reason, f"{where}: {what}; delete this checkpoint or copy it again from where it is whole")
