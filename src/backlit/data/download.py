"""Files from the network into the cache: several mirrors, SHA-256 checked, moved into place in one step."""

import hashlib
import http.client
import logging
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from backlit.engine.devices import cache_directory
from backlit.errors import DataError

log = logging.getLogger("backlit")

BLOCK = 2**16
STALE = 3600.0  # seconds without a write after which a temporary file has no owner any more: reads time out long before


def fetch(name: str, urls: Sequence[str], sha256: str, timeout: float = 30.0) -> Path:
    """The file `name` in the cache, fetched from the first of `urls` that gives the bytes of this SHA-256.

    It is written beside its place and renamed, so that a file with this name is always whole. BACKLIT_OFFLINE=1 forbids
    the network. Errors: DataError that names every mirror and what was wrong with it.
    """
    target = cache_directory() / "data" / name
    if target.exists() and digest(target) == sha256:
        return target
    if os.environ.get("BACKLIT_OFFLINE", "") not in ("", "0"):
        hint = f"put it into {target.parent} or a directory of BACKLIT_DATA, or unset BACKLIT_OFFLINE"
        raise DataError(f"{name}: not found, and BACKLIT_OFFLINE forbids to download it; {hint}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise DataError(_cannot_write(target, error)) from None
    tried = []
    try:
        with os.fdopen(handle, "wb") as file:
            for url in urls:
                log.info("fetching %s", url)
                problem = _download(url, file, sha256, timeout)
                if problem is None:
                    file.flush()
                    os.fsync(file.fileno())
                    os.chmod(part, 0o644)  # a temporary file is private; a cache may be shared
                    os.replace(part, target)
                    return target
                log.info("%s: %s", url, problem)
                tried.append(f"{url} ({problem})")
    except OSError as error:
        raise DataError(_cannot_write(target, error)) from None
    finally:
        Path(part).unlink(missing_ok=True)
    hint = f"try again, or put the file into a directory of BACKLIT_DATA as {name}"
    raise DataError(f"{name}: no mirror gave the file: {'; '.join(tried)}; {hint}")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, file: BinaryIO, sha256: str, timeout: float) -> str | None:
    """Write what `url` gives over the file; None, or what was wrong with it."""
    if not url.startswith(("http://", "https://")):
        return "expected an address that starts with http:// or https://"
    file.seek(0)
    file.truncate()
    seen, size = hashlib.sha256(), 0
    try:
        response = urllib.request.urlopen(url, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code} {error.reason}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no connection: {getattr(error, 'reason', error)}"
    with response:
        promised = response.headers.get("Content-Length", "")
        while True:
            try:
                block = response.read(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                return f"the connection broke after {size} bytes: {error}"
            if not block:
                break
            file.write(block)
            seen.update(block)
            size += len(block)
    if promised.isdecimal() and size < int(promised):
        return f"the connection broke after {size} of {promised} bytes"
    if seen.hexdigest() != sha256.lower():
        return f"corrupt: expected SHA-256 {sha256.lower()}, got {seen.hexdigest()} in {size} bytes"
    return None


def _sweep(target: Path) -> None:
    """Remove what killed processes left behind; a download under way elsewhere is younger."""
    for part in target.parent.glob(f".{target.name}.*.part"):
        try:
            age = time.time() - part.stat().st_mtime
        except FileNotFoundError:  # its download has just ended
            continue
        if age > STALE:
            part.unlink(missing_ok=True)


def _cannot_write(target: Path, error: OSError) -> str:
    hint = "make room or set BACKLIT_CACHE to a directory that can be written to"
    return f"{target}: cannot be written: {error.strerror or error}; {hint}"
