"""Files of data: where they are looked for, and the IDX format of MNIST.

IDX: two zero bytes, a byte for the type, a byte for the number of axes, each axis as a big-endian 32-bit integer, then
the numbers, big-endian, row by row. Source: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from backlit.engine.devices import cache_directory
from backlit.errors import DataError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
GZIP = b"\x1f\x8b"
RATIO = 1032  # deflate cannot do better: a header that promises more than this is wrong, whatever follows


def directories() -> list[Path]:
    """Where data is looked for: the directories of $BACKLIT_DATA, then the cache."""
    named = [Path(d).expanduser() for d in os.environ.get("BACKLIT_DATA", "").split(os.pathsep) if d]
    return [*named, cache_directory() / "data"]


def find(name: str) -> Path:
    """The file `name` as it is written, else within `directories()`; DataError that says where it was looked for."""
    found = search(name)
    if found is None:
        places = ", ".join(str(d) for d in (Path.cwd(), *directories()))
        raise DataError(f"{name}: no such file; looked in {places}; BACKLIT_DATA may list more directories")
    return found


def search(*names: str) -> Path | None:
    """The first of these files that exists, or None; a relative name is also looked for within `directories()`."""
    for place in (Path(), *directories()):
        for name in names:
            path = place / os.path.expanduser(name)
            if os.path.exists(path):  # unlike Path.exists, false for what may not be looked at
                return path
    return None


def read(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file, or DataError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(-1 if limit is None else limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_idx(path: str | Path) -> np.ndarray:
    """The array in an IDX file, compressed by gzip or not.

    Errors: DataError with expected and real byte counts when the file is truncated, has bytes left over, or is no IDX.

    >>> import numpy as np, tempfile
    >>> from backlit.data.files import read_idx, write_idx
    >>> path = tempfile.mkdtemp() + "/labels-idx1-ubyte.gz"
    >>> write_idx(path, np.array([5, 0, 4], "u1"))
    >>> read_idx(path).tolist()
    [5, 0, 4]
    """
    path = Path(path)
    start = read(path, 65536)
    packed = start.startswith(GZIP)
    dtype, shape, offset = _header(path, _unpack(path, start, 4 + 4 * 255) if packed else start)
    expected = offset + math.prod(shape) * dtype.itemsize
    promise = f"expected {expected} bytes for {_by(shape)} numbers of type {dtype.name}"
    room = path.stat().st_size * (RATIO if packed else 1)
    if expected > room:
        raise DataError(f"{path}: truncated: {promise}, got {'at most ' if packed else ''}{room}; fetch the file again")
    content = read(path)
    if packed:
        content = _unpack(path, content, expected + 1, whole=True)
    if len(content) < expected:
        raise DataError(f"{path}: truncated: {promise}, got {len(content)}; fetch the file again")
    if len(content) > expected:
        count = "more" if packed else str(len(content))
        raise DataError(f"{path}: bytes left over: {promise}, got {count}; fetch the file again")
    array = np.frombuffer(content, dtype=dtype, offset=offset).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write an array of one of the six IDX types; a name that ends in .gz is compressed (the same bytes each time)."""
    codes = {np.dtype(name): code for code, name in TYPES.items()}
    array = np.asarray(array)
    if array.dtype.newbyteorder("=") not in codes or not 1 <= array.ndim <= 255:
        known = ", ".join(d.name for d in codes)
        found = f"{array.dtype} {array.shape}"
        raise DataError(f"{path}: expected an array of one of {known} with 1 to 255 axes, got {found}")
    head = bytes([0, 0, codes[array.dtype.newbyteorder("=")], array.ndim])
    content = head + np.array(array.shape, ">u4").tobytes() + array.astype(array.dtype.newbyteorder(">")).tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def _header(path: Path, start: bytes) -> tuple[np.dtype, tuple[int, ...], int]:
    if len(start) < 4 or start[:2] != b"\0\0":
        found = start[:4].hex(" ") or "an empty file"
        raise DataError(f"{path}: not an IDX file: expected it to start with two zero bytes, got {found}")
    if start[2] not in TYPES:
        known = ", ".join(f"0x{code:02x}" for code in TYPES)
        raise DataError(f"{path}: not an IDX file: expected a type byte of {known}, got 0x{start[2]:02x}")
    axes, offset = start[3], 4 + 4 * start[3]
    if axes == 0:
        raise DataError(f"{path}: not an IDX file: expected at least one axis, got 0")
    if len(start) < offset:
        promise = f"expected {offset} bytes for the header"
        raise DataError(f"{path}: truncated: {promise}, got {len(start)}; fetch the file again")
    shape = tuple(int(size) for size in np.frombuffer(start, ">u4", axes, 4))
    return np.dtype(TYPES[start[2]]).newbyteorder(">"), shape, offset


def _unpack(path: Path, packed: bytes, limit: int, whole: bool = False) -> bytes:
    # At most `limit` bytes come out, so a small file that would unpack to a vast one costs nothing.
    parts: list[bytes] = []
    rest, left = packed, limit
    try:
        while rest and left > 0:
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(rest, left))
            left -= len(parts[-1])
            if not member.eof:
                if whole and left > 0:
                    raise DataError(f"{path}: truncated: the compressed data ends early; fetch the file again")
                break
            rest = member.unused_data
    except zlib.error as error:
        raise DataError(f"{path}: not a readable gzip file ({error}); fetch the file again") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
