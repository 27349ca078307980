"""The manifest of a checkpoint: what it holds, and a SHA-256 of everything, itself included.

    {"sha256": "<of every byte after this line>",
    "format": "backlit-checkpoint",
    "version": 1,
    "step": 1234,
    "files": {"arrays.safetensors": {"size": 1234, "sha256": "..."}},
    "arrays": {"params.dense_1.W": ["F32", [64, 32]], ...},
    "meta": {...}}

The file is JSON; its own hash is checked before it is parsed, so nothing damaged reaches the parser.
"""

import hashlib
import json
import math
from typing import Any, NamedTuple

from backlit.errors import CheckpointError, join, received
from backlit.training.arrays import DTYPES, Table, check_name

FORMAT, VERSION = "backlit-checkpoint", 1
ARRAYS, MANIFEST = "arrays.safetensors", "manifest.json"
STEPS = 10**18
"""Steps are below this number: 18 digits in a directory's name."""

LARGEST = 2 << 20
"""Bytes a manifest may have, tens of thousands of arrays: what a reader is willing to parse."""

_START, _MIDDLE = b'{"sha256": "', b'",\n'
_HEAD = len(_START) + 64 + len(_MIDDLE)


class BadCheckpoint(CheckpointError):
    """A checkpoint that must not be used; `reason` is one word.

    missing   no such directory or file          link      a link or device where a file was expected
    manifest  the manifest is damaged            version   written in another format
    step      directory and manifest disagree    size, hash   a file is not the one that was saved
    arrays    the arrays are not those the manifest describes
    unreadable  the system refuses to read it
    """

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class File(NamedTuple):
    """What the manifest says of a file."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """The content of a manifest."""

    step: int
    files: dict[str, File]
    arrays: Table
    meta: dict[str, Any]


def encode(manifest: Manifest) -> bytes:
    """The manifest as bytes. CheckpointError when `meta` is not plain JSON or too large."""
    check_plain(manifest.meta, "meta")
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "step": manifest.step,
        "files": {name: file._asdict() for name, file in manifest.files.items()},
        "arrays": {name: [code, list(shape)] for name, (code, shape) in manifest.arrays.items()},
        "meta": manifest.meta,
    }
    body = (",\n".join(f'"{key}": {json.dumps(value)}' for key, value in fields.items()) + "}\n").encode()
    if _HEAD + len(body) > LARGEST:
        text = f"meta and the names of the arrays: expected at most {LARGEST} bytes of JSON, got {len(body)}"
        raise CheckpointError(f"{text}; keep long records in a file of their own")
    return sealed(body)


def sealed(body: bytes) -> bytes:
    """`body` behind a first line that holds its SHA-256."""
    return _START + hashlib.sha256(body).hexdigest().encode() + _MIDDLE + body


def decode(data: bytes, where: str) -> Manifest:
    """The manifest in `data`; BadCheckpoint when it is damaged, of another format, or not what `encode` writes."""
    body = data[_HEAD:]
    if len(data) > LARGEST or data[:_HEAD] != sealed(body)[:_HEAD]:
        raise _bad(
            where, "its content does not match its own SHA-256, so it was damaged, edited, or not written by Backlit"
        )
    try:
        fields = json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _bad(where, f"it is not the JSON that was expected ({' '.join(str(error).split())[:80]})") from None
    if fields.get("format") != FORMAT or fields.get("version") != VERSION:
        found = f"{received(fields.get('format'))} version {received(fields.get('version'))}"
        text = f"{where}: expected {FORMAT!r} version {VERSION}, got {found}; read it with the Backlit that wrote it"
        raise BadCheckpoint("version", text)
    try:
        return _typed(fields)
    except (KeyError, TypeError, ValueError, AttributeError, CheckpointError) as error:
        raise _bad(where, f"a field is missing or of the wrong kind ({error})") from None


def _typed(fields: dict[str, Any]) -> Manifest:
    files = {str(name): File(_count(f["size"]), f["sha256"]) for name, f in fields["files"].items()}
    arrays: Table = {}
    for name, (code, shape) in fields["arrays"].items():
        check_name(name)
        if code not in DTYPES:
            raise ValueError(f"{name}: unknown dtype {received(code)}")
        arrays[name] = (code, tuple(_count(axis) for axis in shape))
    if not isinstance(fields["meta"], dict):
        raise ValueError("meta: expected a mapping")
    if _count(fields["step"]) >= STEPS:
        raise ValueError(f"step: expected a number below 10^18, got {fields['step']}")
    return Manifest(fields["step"], files, arrays, fields["meta"])


def check_plain(value: Any, path: str) -> None:
    """CheckpointError unless `value` is plain JSON that reads back equal (tuples read back as lists)."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"{path}: expected text as a key, got {received(key)}; write {str(key)!r}")
            check_plain(item, join(path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            check_plain(item, f"{path}.{i}")
    elif type(value) is float and not math.isfinite(value):
        raise CheckpointError(f"{path}: expected a finite number, JSON has no {value}; write None")
    elif value is not None and type(value) not in (bool, int, float, str):
        kind = type(value).__name__
        raise CheckpointError(f"{path}: expected plain JSON, got {received(value)} ({kind}); arrays go into `arrays`")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"expected a whole number >= 0, got {received(value)}")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _bad(where: str, what: str) -> BadCheckpoint:
    return BadCheckpoint("manifest", f"{where}: {what}; delete this checkpoint or copy it again from where it is whole")
