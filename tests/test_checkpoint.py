"""Checkpoints: the round trip, and every way to break one. Long forms of these tests: tests/torture."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torture.damage import DAMAGES, attempt, good
from torture.hostile import MEMORY
from torture.system import Dead, System, refusing

import backlit as bl
from backlit.engine import tree
from backlit.errors import CheckpointError
from backlit.training import arrays as named
from backlit.training import atomic, checkpoint, manifest, reading

REFUSALS = {
    errno.ENOSPC: "disk is full", errno.EDQUOT: "quota", errno.EIO: "input/output error", errno.EFBIG: "ulimit -f",
    errno.EROFS: "read-only", errno.EACCES: "not permitted", errno.ENXIO: "the system reported",
}  # fmt: skip


class Pair(NamedTuple):
    m: Any
    v: Any


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def stale(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(".")]


def fail(text: str) -> None:
    raise AssertionError(text)


# The round trip


@pytest.mark.parametrize("name", named.CODES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (4, 5)], ids=str)
def test_every_dtype_and_shape_comes_back_bit_by_bit(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    dtype = named.dtype(named.CODES[name])
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.random.default_rng(0).integers(0, 2 if name == "bool" else 256, size, dtype=np.uint8)
    array = raw.view(dtype).reshape(shape)
    back = checkpoint.load(checkpoint.save(tmp_path, 3, {"a": array, "b": array}, {})).arrays
    assert list(back) == ["a", "b"]
    for got in back.values():
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, shape, array.tobytes())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(24, dtype=np.int16).reshape(4, 6)[::-2, 1::2],
        np.asfortranarray(np.arange(6, dtype=np.uint32).reshape(2, 3)),
        np.arange(5, dtype=">f8"),
        np.broadcast_to(np.float32(2), (3, 2)),
        np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    ],
    ids=["transposed", "strided", "fortran", "big-endian", "broadcast", "masked"],
)
def test_memory_layout_does_not_matter(tmp_path: Path, array: np.ndarray) -> None:
    back = checkpoint.load(checkpoint.save(tmp_path, 0, {"a": array}, {})).arrays["a"]
    np.testing.assert_array_equal(back, np.asarray(array))
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.flags.c_contiguous


leaves = st.builds(
    lambda code, shape, seed: (
        np.random.default_rng(seed)
        .integers(0, 2 if code == "BOOL" else 256, int(np.prod(shape)) * named.dtype(code).itemsize, dtype=np.uint8)
        .view(named.dtype(code))
        .reshape(shape)
    ),
    st.sampled_from(sorted(named.DTYPES)),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.integers(0, 2**32),
)
names = st.text("abcW_1 é", min_size=1, max_size=5)
trees = st.recursive(
    st.one_of(leaves, st.none()),
    lambda inner: st.one_of(
        st.dictionaries(names, inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=8,
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, database=None)
@given(value=trees, meta=st.dictionaries(st.text(), plain, max_size=3), step=st.integers(0, 10**18 - 1))
def test_any_tree_and_any_meta_come_back(tmp_path_factory: Any, value: Any, meta: Any, step: int) -> None:
    directory = tmp_path_factory.mktemp("any")
    path = checkpoint.save(directory, step, checkpoint.flat({"carry": value, "other": (np.ones(2),)}), meta)
    found = checkpoint.load(path)
    back = checkpoint.restore(value, found.arrays, "carry")
    assert (found.step, found.meta, found.path) == (step, meta, path)
    assert json.dumps(found.meta) == json.dumps(meta)  # 1 is not 1.0
    tree.map(lambda a, b: (a.dtype == b.dtype and a.tobytes() == b.tobytes()) or fail("differs"), value, back)
    assert str(tree.map(lambda a: a.shape, value)) == str(tree.map(lambda a: a.shape, back))
    shutil.rmtree(directory)


def test_a_network_and_its_rule_come_back_from_both_engines(tmp_path: Path) -> None:
    net, rule = bl.Chain(bl.Dense(4), bl.ReLU(), bl.Dense(3)), bl.Adam()
    params = net.init(bl.random.key(0), (5,))[1]
    state = tree.map(bl.engine.get("xla").asarray, {"params": params, "rule": rule.init(params)})
    found = checkpoint.load(checkpoint.save(tmp_path, 1, checkpoint.flat(state), {}))
    back = checkpoint.restore(state, found.arrays, "")
    assert type(back["rule"]).__name__ == "Moments"
    tree.map(np.testing.assert_array_equal, back["params"], params)


def test_other_programs_read_the_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = good(tmp_path, 10)
    ours, theirs = checkpoint.load(path).arrays, load_file(path / "arrays.safetensors")
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    assert json.loads((path / "manifest.json").read_text())["meta"]["note"] == "grün"


def test_the_format_stays_as_it_is(tmp_path: Path) -> None:
    """A change here is a new format version: checkpoints of released versions must go on to load."""
    path = checkpoint.save(tmp_path, 7, {"b": np.array([1, 2], np.uint8), "a": np.array(0.5)}, {"epoch": 1})
    header = (
        b'{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}}'
    )
    data = (112).to_bytes(8, "little") + header.ljust(112) + np.array(0.5).tobytes() + b"\1\2"
    assert (path / "arrays.safetensors").read_bytes() == data
    body = (
        f'"format": "backlit-checkpoint",\n"version": 1,\n"step": 7,\n'
        f'"files": {{"arrays.safetensors": {{"size": 130, "sha256": "{sha256(data).hexdigest()}"}}}},\n'
        f'"arrays": {{"a": ["F64", []], "b": ["U8", [2]]}},\n"meta": {{"epoch": 1}}}}\n'
    )
    start = f'{{"sha256": "{sha256(body.encode()).hexdigest()}",\n'
    assert (path / "manifest.json").read_text() == start + body


# What cannot be stored


@pytest.mark.parametrize(
    ("arrays", "meta", "says"),
    [
        ({"a": np.array(["text"])}, {}, "a: expected an array of one of float64"),
        ({"a": np.array([object()])}, {}, "got object"),
        ({"a": np.zeros(2, np.complex128)}, {}, "got complex128; cast it first"),
        ({"../a": np.zeros(2)}, {}, "expected a dotted name such as params.dense_1.W, got '../a'"),
        ({"": np.zeros(2)}, {}, "got ''"),
        ({}, {"best": float("inf")}, "meta.best: expected a finite number, JSON has no inf; write None"),
        ({}, {"a": [1, np.float32(2)]}, "meta.a.1: expected plain JSON, got np.float32(2.0) (float32)"),
        ({}, {"a": {3: 4}}, "meta.a: expected text as a key, got 3; write '3'"),
        ({}, {"a": "x" * manifest.LARGEST}, "bytes of JSON"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(
    tmp_path: Path, arrays: Any, meta: Any, says: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        checkpoint.save(tmp_path, 1, arrays, meta)
    assert says in str(error.value)
    assert os.listdir(tmp_path) == []


def test_two_leaves_of_one_path_are_not_lost_silently() -> None:
    with pytest.raises(CheckpointError, match=r"a\.b: expected one array of this name, got two"):
        checkpoint.flat({"a": {"b": np.zeros(1)}, "a.b": np.ones(1)})


@pytest.mark.parametrize("step", [-1, 10**18])
def test_steps_have_a_range(tmp_path: Path, step: int) -> None:
    with pytest.raises(ValueError, match="step"):
        checkpoint.save(tmp_path, step, {}, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.pop("params.d.W"), "params.d.W: expected float64 of shape (2, 3), got nothing of this name"),
        (lambda a: a.update({"params.e.W": a["params.d.W"]}), "params.e.W: expected nothing of this name, got float64"),
        (
            lambda a: a.update({"params.d.W": np.zeros((3, 2))}),
            "expected float64 of shape (2, 3), got float64 of shape (3, 2)",
        ),
        (lambda a: a.update({"params.d.W": np.zeros((2, 3), "f")}), "got float32 of shape (2, 3)"),
    ],
    ids=["missing", "extra", "shape", "dtype"],
)
def test_a_checkpoint_of_another_network_is_refused(change: Any, says: str) -> None:
    params = {"d": {"W": np.zeros((2, 3)), "b": np.zeros(3)}}
    arrays = checkpoint.flat({"params": params, "params_before": (np.zeros(1),)})
    tree.map(np.testing.assert_array_equal, checkpoint.restore(params, arrays, "params"), params)
    change(arrays)
    with pytest.raises(CheckpointError) as error:
        checkpoint.restore(params, arrays, "params")
    assert says in str(error.value)
    assert "another network or optimiser" in str(error.value)


# What is on disk


def test_newest_is_what_verifies(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "nothing", fail) is None
    assert checkpoint.listing(tmp_path / "nothing") == []
    for step in (30, 10, 20):
        good(tmp_path, step)
    (tmp_path / "step_0000000040").mkdir()
    (tmp_path / "step_50").mkdir()
    (tmp_path / "step_00000000060").mkdir()
    (tmp_path / "latest").write_text("step_0000000010")
    said: list[str] = []
    found = checkpoint.newest(tmp_path, said.append)
    assert checkpoint.listing(tmp_path) == [10, 20, 30, 40]
    assert found is not None
    assert found.step == 30
    assert len(said) == 1
    assert "step_0000000040" in said[0]
    assert "does not exist" in said[0]
    assert "\n" not in said[0]


def test_none_is_good(tmp_path: Path) -> None:
    said: list[str] = []
    for step in (10, 20):
        (good(tmp_path, step) / "manifest.json").unlink()
    assert checkpoint.newest(tmp_path, said.append) is None
    assert len(said) == 2


def test_a_renamed_checkpoint_is_not_another_step(tmp_path: Path) -> None:
    path = good(tmp_path, 10).rename(tmp_path / "step_0000000099")
    with pytest.raises(checkpoint.BadCheckpoint, match="expected a directory called step_0000000010") as error:
        checkpoint.load(path)
    assert error.value.reason == "step"


def test_what_the_system_will_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = good(tmp_path, 10)
    monkeypatch.setattr(reading, "os", System(0, refusing(errno.EIO)))
    with pytest.raises(checkpoint.BadCheckpoint, match="cannot be read") as error:
        checkpoint.load(path)
    assert error.value.reason == "unreadable"


def test_prune_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    for step in range(10, 70, 10):
        good(tmp_path, step)
    checkpoint.prune(tmp_path, 6, set())
    assert checkpoint.listing(tmp_path) == [10, 20, 30, 40, 50, 60]
    checkpoint.prune(tmp_path, 2, {20, 999})
    assert checkpoint.listing(tmp_path) == [20, 50, 60]
    assert stale(tmp_path) == []
    with pytest.raises(ValueError, match="keep"):
        checkpoint.prune(tmp_path, 0, set())


def test_prune_never_deletes_the_last_good_one(tmp_path: Path) -> None:
    """After falling back from a damaged step 40 to 20, a run saves 30: 40 must not count as the one to keep."""
    for step in (10, 20, 30, 40):
        good(tmp_path, step)
    path = tmp_path / "step_0000000040" / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    checkpoint.prune(tmp_path, 1, set())
    assert checkpoint.listing(tmp_path) == [30, 40]


# Damage


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_damage_is_found_and_the_older_one_is_used(tmp_path: Path, damage: Any) -> None:
    source, rng = tmp_path / "source", Random(damage.__name__)
    good(source, 10)
    good(source, 20)
    for i in range(20):
        verdict = attempt(rng, damage, source, tmp_path / f"room{i}")
        assert verdict in ("missing", "link", "manifest", "version", "step", "size", "hash", "arrays")


def test_every_single_bit_counts(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"a": np.arange(3, dtype=np.int8)}, {"e": "é"})
    for file in path.iterdir():
        data = file.read_bytes()
        with open(file, "r+b", buffering=0) as disk:
            for bit in range(8 * len(data)):
                place = bit // 8
                disk.seek(place)
                disk.write(bytes([data[place] ^ 1 << bit % 8]))
                with pytest.raises(checkpoint.BadCheckpoint):
                    checkpoint.load(path)
                disk.seek(place)
                disk.write(data[place : place + 1])
    assert checkpoint.load(path).meta == {"e": "é"}


def test_a_hostile_checkpoint_does_nothing() -> None:
    script = Path(__file__).parent / "torture" / "hostile.py"
    done = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 80
    reasons = ("missing", "link", "manifest", "version", "step", "size", "hash", "arrays")
    for case, found in results.items():
        assert found["events"] == [], case
        assert found["verdict"] in (("accepted",) if case.startswith("harmless") else reasons), case
        assert found["memory"] <= MEMORY, case


# A system that refuses


def saved_under(system: System, directory: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "os", system)
        patch.setattr(atomic, "shutil", system)
        good(directory, step)


def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...]) -> list[tuple[str, str]]:
    """The calls that saving `steps[-1]` makes where the others are."""
    for step in steps[:-1]:
        good(tmp_path / "probe", step)
    system = System()
    saved_under(system, tmp_path / "probe", monkeypatch, steps[-1])
    return system.log


def test_a_save_syncs_everything_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = calls(tmp_path, monkeypatch, (10, 20))
    temporary = log[0][1]
    assert temporary.startswith(".tmp-save-")
    assert [name for name, what in log if what == "arrays.safetensors"][-2:] == ["fsync", "close"]
    assert [(n, w) for n, w in log if n != "write" or w == "manifest.json"] == [
        ("mkdir", temporary),
        ("open", "arrays.safetensors"), ("fsync", "arrays.safetensors"), ("close", "arrays.safetensors"),
        ("open", "manifest.json"), ("write", "manifest.json"), ("fsync", "manifest.json"), ("close", "manifest.json"),
        ("open", temporary), ("fsync", temporary), ("close", temporary),
        ("rename", temporary),
        ("open", "probe"), ("fsync", "probe"), ("close", "probe"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", REFUSALS, ids=errno.errorcode.get)
def test_a_refusal_at_any_call_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    log = calls(tmp_path, monkeypatch, (10, 20))
    for k, (call, what) in enumerate(log):
        room = tmp_path / f"{number}-{k}"
        good(room, 10)
        before = contents(room)
        with pytest.raises(CheckpointError) as error:
            saved_under(System(k, refusing(number)), room, monkeypatch, 20)
        assert REFUSALS[number] in str(error.value)
        assert "step_0000000020: not saved, earlier checkpoints stand" in str(error.value)
        assert stale(room) == [], (call, what)
        assert contents(room).items() >= before.items()
        good(room, 20)
        assert checkpoint.listing(room) == [10, 20]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_a_refusal_while_replacing_leaves_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    log = calls(tmp_path, monkeypatch, (20, 20))
    for k in range(len(log)):
        room = tmp_path / f"{number}-{k}"
        checkpoint.save(room, 20, {"old": np.ones(3)}, {})
        with suppress(CheckpointError):  # not when only the older one could not be deleted
            saved_under(System(k, refusing(number)), room, monkeypatch, 20)
        found = checkpoint.load(room / "step_0000000020")
        assert "old" in found.arrays or "mask" in found.arrays
        checkpoint.clean(room)
        assert os.listdir(room) == ["step_0000000020"]


def test_the_directory_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="a part of this path is a file"):
        good(tmp_path / "file", 10)
    with pytest.raises(CheckpointError, match="a part of this path is a file"):
        good(tmp_path / "file" / "deeper", 10)


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from backlit.errors import CheckpointError
from backlit.training import checkpoint
directory = Path(sys.argv[1])
checkpoint.save(directory, 10, {"a": np.ones(10)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoint.save(directory, 20, {"a": np.ones(10_000)}, {})
except CheckpointError as error:
    print(error)
print([p.name for p in directory.iterdir()], checkpoint.newest(directory, print).step)
"""

FORBIDDEN = """
import os, sys
from pathlib import Path
import numpy as np
from backlit.errors import CheckpointError
from backlit.training import checkpoint
directory = Path(sys.argv[1])
checkpoint.save(directory, 10, {"a": np.ones(10)}, {})
os.chdir(directory)
os.chmod(".", 0o555)
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    checkpoint.save(Path("."), 20, {"a": np.ones(10)}, {})
except CheckpointError as error:
    print(error)
print(os.listdir("."), checkpoint.newest(Path("."), print).step)
"""


@pytest.mark.parametrize(
    ("script", "says"),
    [(LIMITED, "raise the limit (ulimit -f)"), (FORBIDDEN, "not permitted")],
    ids=["limit", "read-only"],
)
def test_a_real_refusal(tmp_path: Path, script: str, says: str) -> None:
    room = tmp_path / "room"
    done = subprocess.run([sys.executable, "-c", script, str(room)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == "['step_0000000010'] 10"


# Killed


def killed(directory: Path, monkeypatch: pytest.MonkeyPatch, work: Any) -> int:
    """Do `work` in a copy of `directory`, killed at each system call in turn; calls `work.check` on what is left."""
    k = 0
    while True:
        room = directory.with_name(f"{directory.name}-{k}")
        shutil.copytree(directory, room)
        system = System(k)
        system.event = system.die
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "os", system)
            patch.setattr(atomic, "shutil", system)
            with suppress(Dead):
                work.act(room)
        work.check(room, system.dead)
        assert stale(room) == []
        shutil.rmtree(room)
        if not system.dead:
            return k
        k += 1


class Save:
    """Save step 30 beside 10 and 20."""

    def act(self, room: Path) -> None:
        good(room, 30)

    def check(self, room: Path, died: bool) -> None:
        found = checkpoint.newest(room, fail)
        assert found is not None
        assert found.step in ((20, 30) if died else (30,))
        checkpoint.clean(room)
        again = checkpoint.newest(room, fail)
        assert again is not None
        assert again.step == found.step
        assert checkpoint.listing(room)[:2] == [10, 20]


class Replace:
    """Save another step 20 in the place of the one that is there."""

    def act(self, room: Path) -> None:
        checkpoint.save(room, 20, {"new": np.ones(4)}, {})

    def check(self, room: Path, died: bool) -> None:
        older = checkpoint.newest(room, fail)
        assert older is not None
        checkpoint.clean(room)
        found = checkpoint.newest(room, fail)
        assert found is not None
        assert found.step == 20
        assert died or "new" in found.arrays


class Prune:
    """Delete step 10."""

    def act(self, room: Path) -> None:
        checkpoint.prune(room, 1, set())

    def check(self, room: Path, died: bool) -> None:
        for step in checkpoint.listing(room):
            checkpoint.load(room / checkpoint.name_of(step))
        checkpoint.clean(room)
        assert checkpoint.listing(room) in (([10, 20], [20]) if died else ([20],))


class Clean:
    """Clean up what a killed save and a killed replacement left."""

    def act(self, room: Path) -> None:
        (room / "step_0000000020").rename(room / ".tmp-aside-00000000-step_0000000020")
        shutil.copytree(room / "step_0000000010", room / ".tmp-save-00000000-step_0000000030")
        (room / ".tmp-delete-00000000-step_0000000005").symlink_to(room / "step_0000000010")
        checkpoint.clean(room)

    def check(self, room: Path, died: bool) -> None:
        checkpoint.clean(room)
        assert checkpoint.listing(room) == [10, 20]
        assert [checkpoint.load(room / checkpoint.name_of(s)).step for s in (10, 20)] == [10, 20]


@pytest.mark.parametrize(
    ("work", "least"), [(Save(), 20), (Replace(), 20), (Prune(), 7), (Clean(), 7)], ids=lambda w: type(w).__name__
)
def test_killed_at_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Any, least: int) -> None:
    room = tmp_path / "room"
    good(room, 10)
    good(room, 20)
    assert killed(room, monkeypatch, work) >= least


def test_clean_counts_and_needs_no_directory(tmp_path: Path) -> None:
    assert checkpoint.clean(tmp_path / "nothing") == 0
    good(tmp_path, 10)
    (tmp_path / ".tmp-save-1").mkdir()
    (tmp_path / ".tmp-file").write_text("x")
    (tmp_path / "notes.txt").write_text("mine")
    assert checkpoint.clean(tmp_path) == 2
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step_0000000010"]


def test_bfloat16_needs_no_engine(tmp_path: Path) -> None:
    array = np.array([1.5, -2], ml_dtypes.bfloat16)
    assert checkpoint.load(checkpoint.save(tmp_path, 1, {"a": array}, {})).arrays["a"].dtype == ml_dtypes.bfloat16


def test_the_documented_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out == "10 {'epoch': 1} (3, 2)\n"
