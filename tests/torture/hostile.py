"""Checkpoints made by someone hostile, with correct hashes, loaded under an audit hook.

    python tests/torture/hostile.py            a table; exit code 1 when a case is accepted, does something it must not,
                                               takes over a second, or costs memory. --json prints the figures instead.

Loading may open files below the checkpoint's directory for reading, and nothing else: no import, no exec, no compile,
no unpickling, no process, no socket, no file written, renamed or removed.
"""

import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from torture.damage import ARRAYS, MANIFEST, good

from backlit.training import arrays, checkpoint, manifest

STEP = 20
EIGHT = {"a": ["U8", [8 << 40]]}
ALLOWED = {"os.scandir", "os.listdir", "object.__getattr__", "sys._getframe"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MEMORY = 64 << 20
"""What one load may add to the process at its peak; the largest manifest, parsed, takes a quarter of it."""


HANGS = 30
"""Seconds after which a load counts as hung. The bar of one second is processor time, which other work leaves alone."""


class Evil:
    """What a pickle would run."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/backlit-was-here",)


def put(here: Path, data: bytes, **changes: Any) -> None:
    """`data` as the arrays, with a manifest that vouches for it; `changes` replace fields of the manifest."""
    (here / ARRAYS).write_bytes(data)
    file = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    vouch(here, **{"files": {ARRAYS: file}, **changes})


def vouch(here: Path, **changes: Any) -> None:
    """Change fields of the manifest; its own hash is made correct again."""
    fields = json.loads((here / MANIFEST).read_text()) | changes
    del fields["sha256"]
    raw(here, json.dumps(fields)[1:].encode())


def raw(here: Path, body: bytes) -> None:
    """Any bytes as the manifest, behind a correct hash."""
    (here / MANIFEST).write_bytes(manifest.sealed(body))


def head(entries: dict[str, Any], payload: bytes, table: Any = None) -> bytes:
    """A safetensors file with any header, as long as the one that belongs to `table`."""
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(len(arrays.header(table)) - 8) if table else text
    return len(text).to_bytes(8, "little") + text + payload


def consistent(here: Path, table: Any, payload: bytes) -> None:
    """Everything agrees with everything; only the shapes or names are out of this world."""
    put(here, arrays.header(table) + payload, arrays=table)


def replaced(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(here: Path) -> None:
        (here / name).unlink()
        make(here / name)

    return apply


def sparse(size: int, **changes: Any) -> Callable[[Path], None]:
    """A file that claims far more than it holds."""

    def apply(here: Path) -> None:
        with open(here / ARRAYS, "wb") as file:
            file.truncate(size)
        vouch(here, files={ARRAYS: {"size": size, "sha256": "0" * 64}}, **changes)

    return apply


def grown(name: str, size: int) -> Callable[[Path], None]:
    return lambda here: os.truncate(here / name, size)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, W=np.array([Evil()], dtype=object))
    return buffer.getvalue()


def many_arrays(here: Path) -> None:
    """As many names as fit into the largest manifest, and a damaged header."""
    table = {f"a{i}": ["U8", [0]] for i in range(60_000)}
    data = bytearray(arrays.header(table))
    data[-9] ^= 1
    put(here, bytes(data), arrays=table)
    assert (here / MANIFEST).stat().st_size < manifest.LARGEST


def cases() -> Iterator[tuple[str, Callable[[Path], None]]]:
    """(name, what turns a good checkpoint into this one)."""
    evil = pickle.dumps(Evil())
    two = {"a": ["U8", [8]], "b": ["U8", [8]]}
    for name in ("../x", "/etc/passwd", "a/../../b", "..\\x", "a\0b", "", "x" * 5000):
        yield (
            f"array called {name[:12]!r}",
            lambda here, name=name: put(here, head({}, b""), arrays={name: ["U8", [0]]}),
        )
        yield f"file called {name[:12]!r}", lambda here, name=name: vouch(here, files={name: {"size": 1, "sha256": ""}})
    for shape in ([2**62, 2**62], [-1], [True], [1.5], ["8"], [2**64], [0, 2**62, 2**62], [1] * 200, 8, None, {}):
        yield f"shape {str(shape)[:24]}", lambda here, shape=shape: vouch(here, arrays={"a": ["U8", shape]})
    for code in ("O", "pickle", "F128", "U8 ", None, ["U8"], {"__reduce__": "os.system"}):
        yield f"dtype {code}", lambda here, code=code: vouch(here, arrays={"a": [code, [1]]})
    for step in (-1, 10, "20", 20.5, True, None, 5 * 10**18, 10**30):
        yield f"step {step}", lambda here, step=step: vouch(here, step=step)
    for field in ("files", "arrays", "meta", "step", "format", "version"):
        yield f"{field} is a list", lambda here, field=field: vouch(here, **{field: [1]})
        yield f"{field} is null", lambda here, field=field: vouch(here, **{field: None})
    yield "pickle as arrays", lambda here: put(here, evil)
    yield "pickle as manifest", lambda here: (here / MANIFEST).write_bytes(evil)
    yield "sealed pickle as manifest", lambda here: raw(here, evil)
    yield "archive of objects", lambda here: put(here, objects())
    yield "zip bomb", lambda here: put(here, zipped(a=bytes(100 << 20)), arrays={"a": ["U8", [100 << 20]]})
    yield "header of 2^63 bytes", lambda here: put(here, (2**63 - 1).to_bytes(8, "little") + b"{}" * 50)
    yield "header of 4 GB", lambda here: put(here, (2**32).to_bytes(8, "little") + b"{}" * 50)
    yield "header larger than the file", lambda here: put(here, head(two, bytes(16))[:20])
    for what, offsets in (("overlapping", [0, 8]), ("distant", [2**40, 2**40 + 8]), ("reversed", [8, 0])):
        entries = {n: {"dtype": "U8", "shape": [8], "data_offsets": offsets} for n in "ab"}
        if what != "distant":
            yield f"{what} offsets", lambda here, e=entries: put(here, head(e, bytes(16), two), arrays=two)
        yield f"{what} offsets, half the data", lambda here, e=entries: put(here, head(e, bytes(8)), arrays=two)
    yield "200 axes", lambda here: consistent(here, {"a": ["U8", [1] * 200]}, b"1")
    yield "no numbers along huge axes", lambda here: consistent(here, {"a": ["F64", [2**62, 0, 2**62]]}, b"")
    for name in ("../x", "/etc/passwd", "..\\x"):
        yield f"all agree on {name!r}", lambda here, name=name: consistent(here, {name: ["U8", [1]]}, b"1")
    yield "8 TB of nothing", sparse(8 << 40)
    yield "8 TB of nothing, claimed", sparse(len(arrays.header(EIGHT)) + (8 << 40), arrays=EIGHT)
    yield "manifest of 1 TB", grown(MANIFEST, 1 << 40)
    yield "arrays grown to 1 TB", grown(ARRAYS, 1 << 40)
    yield "deep nesting", lambda here: raw(here, b'"meta": ' + b"[" * 500_000 + b"]" * 500_000 + b"}")
    yield "deep nesting of mappings", lambda here: raw(here, b'"a":{' * 300_000 + b"}" * 300_001)
    yield "number of a million digits", lambda here: raw(here, b'"step": ' + b"9" * 1_000_000 + b"}")
    yield "names twice", lambda here: raw(here, b'"step": 20, "step": 20}')
    yield "no number", lambda here: raw(here, b'"step": NaN}')
    yield "YAML tag", lambda here: raw(here, b"!!python/object/apply:os.system ['true']")
    yield "invalid UTF-8", lambda here: raw(here, b'"step": "\xff\xfe"}')
    yield "empty manifest", lambda here: (here / MANIFEST).write_bytes(b"")
    yield "60 000 arrays", many_arrays
    yield "arrays are a link out", replaced(ARRAYS, lambda path: path.symlink_to("/etc/passwd"))
    yield "manifest is a link out", replaced(MANIFEST, lambda path: path.symlink_to("/etc/passwd"))
    yield "arrays are a dangling link", replaced(ARRAYS, lambda path: path.symlink_to("/nowhere/at/all"))
    yield "arrays are endless", replaced(ARRAYS, lambda path: path.symlink_to("/dev/zero"))
    yield "arrays are a pipe", replaced(ARRAYS, os.mkfifo)
    yield "manifest is a pipe", replaced(MANIFEST, os.mkfifo)
    yield "link to itself", replaced(MANIFEST, lambda path: path.symlink_to(path))


class Watch:
    """The audit hook: what happened that must not, while `on`."""

    def __init__(self) -> None:
        self.on, self.inside, self.events = False, "", []  # type: bool, str, list[str]
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or event in ALLOWED:
            return
        if event == "open":
            path, _, flags = args
            inside = isinstance(path, int) or os.fspath(path).startswith(self.inside)
            if inside and not flags & WRITING:
                return
        self.events.append(f"{event} {str(args)[:80]}")


def loaded(path: Path, watch: Watch) -> dict[str, Any]:
    """What loading this directory did."""
    watch.events, watch.inside, verdict = [], str(path), "accepted"
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    signal.alarm(HANGS)
    watch.on = True
    try:
        checkpoint.load(path)
    except checkpoint.BadCheckpoint as error:
        watch.on = False
        verdict = error.reason
    except BaseException as error:
        watch.on = False
        verdict = f"{type(error).__name__}: {str(error)[:80]}"
    watch.on = False
    signal.alarm(0)
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    return {"verdict": verdict, "events": watch.events, "seconds": seconds, "memory": grown}


def hung(number: int, frame: Any) -> None:
    raise TimeoutError(f"no answer in {HANGS} s")


def main() -> int:
    watch, results = Watch(), {}
    signal.signal(signal.SIGALRM, hung)
    with tempfile.TemporaryDirectory() as name:
        room = Path(name) / "room"
        # What is imported on the first load of any checkpoint is no doing of a hostile one.
        loaded(checkpoint.save(room, 1, {"a": np.zeros(1, checkpoint.named.dtype("BF16"))}, {}), watch)
        good(room, STEP)
        vouch(room / checkpoint.name_of(STEP), meta={"__reduce__": ["os.system", "true"], "py/object": "os.system"})
        results["harmless: a mapping that names os.system"] = loaded(room / checkpoint.name_of(STEP), watch)
        shutil.rmtree(room)
        for case, make in cases():
            make(good(room, STEP))
            results[case] = loaded(room / checkpoint.name_of(STEP), watch)
            shutil.rmtree(room)
    if "--json" in sys.argv:
        print(json.dumps(results))
        return 0
    failed = 0
    for case, found in results.items():
        expected = "accepted" if case.startswith("harmless") else found["verdict"]
        wrong = found["verdict"] != expected or (expected == "accepted") != case.startswith("harmless")
        wrong |= " " in found["verdict"] or bool(found["events"]) or found["seconds"] > 1 or found["memory"] > MEMORY
        failed += wrong
        print(f"{'FAILED' if wrong else 'ok':6} {case:44} {found['verdict']:12} {found['seconds']:.3f} s "
              f"{found['memory'] / 2**20:6.1f} MB {'; '.join(found['events'])}")  # fmt: skip
    print(f"{len(results)} hostile checkpoints, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
