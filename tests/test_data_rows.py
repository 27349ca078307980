"""Rows that stay on the disk: the same numbers as in memory, few of them resident, faults found when they are read."""

import os
import threading

import numpy as np
import pytest

from backlit.data import row_file
from backlit.data.checks import finite, tokens
from backlit.data.on_disk import Binary, Npy, OnDisk
from backlit.data.row_file import GAP, SPAN, RowFile
from backlit.data.rows import Held, in_windows
from backlit.errors import DataError, SettingError

rng = np.random.default_rng(0)


def saved(folder, array, name="x.npy"):
    np.save(folder / name, array)
    return folder / name


@pytest.mark.parametrize("dtype", ["u1", "f4", "<f8", ">f8", "<i2", ">i4", "f2", "?", "i8"])
def test_rows_are_those_of_the_array(tmp_path, dtype):
    array = rng.integers(0, 2 if dtype == "?" else 100, (50, 3, 2)).astype(dtype)
    x = OnDisk.npy(saved(tmp_path, array))
    assert x.dtype == (np.uint8 if dtype == "u1" else np.float32)
    for places in (
        np.arange(50),
        rng.permutation(50),
        rng.integers(0, 50, 200),
        np.array([49, 0, 0]),
        np.array([], int),
    ):
        found = x[places]
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, array[places].astype(x.dtype))
    np.testing.assert_array_equal(x[5:40:7], array[5:40:7].astype(x.dtype))


@pytest.mark.parametrize("row", [3, 1000, GAP + 1, SPAN + 5])
def test_rows_near_and_far_apart_are_gathered(tmp_path, row):
    """Runs, rows with others between them, repeated ones and single ones, for rows below and above every limit."""
    count = max(8, min(20000, 3 * SPAN // row))
    data = rng.integers(0, 255, (count, row), dtype=np.uint8)
    (tmp_path / "rows").write_bytes(b"head" + data.tobytes())
    file = RowFile(tmp_path / "rows", row, 4)
    for places in (
        np.arange(count),
        np.arange(0, count, 3),
        np.sort(rng.integers(0, count, 20)),
        np.array([1, 1, 1, 7]),
    ):
        into = np.zeros((len(places), row), np.uint8)
        file.gather(places, into)
        np.testing.assert_array_equal(into, data[places])


def test_without_positioned_reads(tmp_path, monkeypatch):
    """As on Windows, where a file has one position for all who read."""
    array = rng.standard_normal((30, 4)).astype("f")
    x = OnDisk.npy(saved(tmp_path, array))
    monkeypatch.setattr(row_file, "PREADV", False)
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    places = rng.permutation(30)
    np.testing.assert_array_equal(x[places], array[places])


def test_several_threads_read_at_once(tmp_path):
    array = rng.integers(0, 255, (4000, 20), dtype=np.uint8)
    x, wrong = OnDisk.npy(saved(tmp_path, array)), []

    def check(seed):
        for _ in range(10):
            places = np.random.default_rng(seed).integers(0, 4000, 500)
            wrong.append(not np.array_equal(x.read(places), array[places]))

    threads = [threading.Thread(target=check, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 40
    assert not any(wrong)


def test_little_of_a_large_file_is_resident(tmp_path):
    """A hole of 4 GB, read here and there: what a window takes, no more."""
    with open(tmp_path / "x.bin", "wb") as file:
        file.truncate(4 << 30)
    np.save(tmp_path / "y.npy", np.zeros((4 << 30) // 4096, np.uint8))
    x = Binary(str(tmp_path / "x.bin"), str(tmp_path / "y.npy"), row=(1024,), classes=("a", "b")).load().x
    x[:2000]
    before = resident()
    for _ in range(10):
        x.read(rng.integers(0, len(x), 2000))
    assert x.nbytes == 4 << 30
    assert resident() - before < 40 << 20


def resident():
    """Bytes; where a system has no /proc, the most there ever were."""
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_numbers_that_are_none_are_named_with_their_row(tmp_path):
    array = np.zeros((300, 2))
    array[203, 1] = np.nan
    array[7, 0] = 1e300
    x = OnDisk.npy(saved(tmp_path, array), features=("a", "b"))
    with pytest.raises(
        DataError, match=r"x.npy: row 203, column 1 \('b'\) \(from 0\): expected a finite number, got nan"
    ):
        x.read(np.array([5, 203, 204]))
    with pytest.raises(DataError, match=r"row 7, column 0 .* got inf"):
        x.read(np.array([299, 7]))
    x.read(np.array([6, 8]))
    with pytest.raises(DataError, match=r"row 203, "):
        x.take(np.array([203, 1])).read(np.array([1, 0]))


def test_tokens_are_checked_before_they_are_narrowed(tmp_path):
    array = np.array([[1, 2], [2**32, 0], [0, 4]])
    x = OnDisk.npy(saved(tmp_path, array), words=4)
    assert x.dtype == np.int32
    assert x[:1].tolist() == [[1, 2]]
    for place, text in (
        (1, r"row 1, step 0 \(from 0\): expected a token 0..3 .*got 4294967296"),
        (2, r"row 2, step 1"),
    ):
        with pytest.raises(DataError, match=text):
            x.read(np.array([0, place]))


def test_checks_name_the_place_among_all_rows():
    with pytest.raises(DataError, match="row 30, column 1 "):
        finite(np.array([[0, 1], [2, np.nan]], "f"), "x", places=np.array([9, 30]))
    with pytest.raises(DataError, match="row 9, step 1 "):
        tokens(np.array([[0, 5]]), 4, "x", np.array([9]))


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    whole = saved(tmp_path, np.zeros((100, 4), "f"))
    x = OnDisk.npy(whole)
    os.truncate(whole, 600)
    with pytest.raises(DataError, match=r"x.npy: expected 1472 bytes at 128, the file ends after 600 bytes"):
        x.read(np.arange(92))
    with pytest.raises(DataError, match=r"truncated: expected 1728 bytes for float32 \(100, 4\), got 600"):
        OnDisk.npy(whole)
    cases = {
        "fortran": (np.asfortranarray(np.zeros((3, 4))), "C order.*ascontiguousarray"),
        "text": (np.array([["a"]]), "expected numbers, got <U1"),
        "flat": (np.zeros(3), r"expected rows \(N, ...\).*got the shape \(3,\)"),
        "empty": (np.zeros((0, 3)), "at least one row"),
        "objects": (np.array([[{}]], dtype=object), "expected numbers, got object"),
    }
    for name, (array, text) in cases.items():
        path = tmp_path / f"{name}.npy"
        np.save(path, array, allow_pickle=True)
        with pytest.raises(DataError, match=f"{name}.npy.*{text}"):
            OnDisk.npy(path)
    (tmp_path / "other.npy").write_bytes(b"no array at all")
    with pytest.raises(DataError, match=r"other\.npy: not a \.npy file"):
        OnDisk.npy(tmp_path / "other.npy")
    with pytest.raises(DataError, match="expected integers, places in the vocabulary, got float64"):
        OnDisk.npy(saved(tmp_path, np.zeros((2, 2))), words=3)


def test_picked_rows_are_read_from_where_they_lie(tmp_path):
    array = rng.standard_normal((40, 3)).astype("f")
    x = OnDisk.npy(saved(tmp_path, array))
    picked = x.take([5, 30, 2]).take([2, 0])
    np.testing.assert_array_equal(picked[:], array[[2, 5]])
    assert picked.shape == (2, 3)
    assert picked.describe(1) == "row 5 (from 0)"
    assert picked.identity() == x.identity()


def test_fingerprints_tell_rows_and_choices_apart(tmp_path):
    array = rng.standard_normal((40, 3)).astype("f")
    x, same = OnDisk.npy(saved(tmp_path, array)), Held(array)
    array[39] += 1
    other = OnDisk.npy(saved(tmp_path, array, "z.npy"))
    assert x.fingerprint() == OnDisk.npy(tmp_path / "x.npy").fingerprint()
    assert same.fingerprint() == other.fingerprint() != x.fingerprint()
    some = (x, x.take([1, 39]), x.take([39, 1]), x.take([1, 2]), other.take([1, 39]))
    assert len({rows.fingerprint() for rows in some}) == 5


def test_npy_brings_both_parts_with_the_same_classes(tmp_path):
    for name, array in {
        "x": np.zeros((4, 2, 3)), "y": np.array(["b", "a", "c", "b"]), "tx": np.ones((2, 2, 3)), "ty": np.array(["c", "a"]),
        "m": np.ones((4, 2)), "tm": np.ones((2, 2)),
    }.items():  # fmt: skip
        saved(tmp_path, array, f"{name}.npy")
    at = {name: str(tmp_path / f"{name}.npy") for name in ("x", "y", "tx", "ty", "m", "tm")}
    data = Npy(at["x"], at["y"], at["tx"], at["ty"], mask=at["m"], test_mask=at["tm"]).load()
    assert data.classes == ("a", "b", "c")
    assert data.y.tolist() == [1, 0, 2, 1]
    assert data.test is not None
    assert data.test.y.tolist() == [2, 0]
    assert data.test.x[:].sum() == 12
    assert data.take([3, 1]).x.shape == (2, 2, 3)
    with pytest.raises(SettingError, match="test_y"):
        Npy(at["x"], at["y"], at["tx"])
    with pytest.raises(SettingError, match="test_mask"):
        Npy(at["x"], at["y"], at["tx"], at["ty"], mask=at["m"])
    with pytest.raises(DataError, match="one target a row"):
        Npy(at["x"], at["ty"]).load()


def test_bare_numbers_need_a_whole_number_of_rows(tmp_path):
    np.arange(7, dtype="<i2").tofile(tmp_path / "x.bin")
    y = str(saved(tmp_path, np.array([0.5, 1.5, 2.5]), "y.npy"))
    data = Binary(str(tmp_path / "x.bin"), y, dtype="<i2", row=(2,), offset=2).load()
    assert data.x[:].tolist() == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(DataError, match=r"whole number of rows of 4 bytes .*after the first 0, got 14"):
        Binary(str(tmp_path / "x.bin"), y, dtype="<i2", row=(2,)).load()
    for fields, name in (({"dtype": "wide"}, "dtype"), ({"row": ()}, "row"), ({"offset": -1}, "offset")):
        with pytest.raises(SettingError, match=name):
            Binary("x.bin", y, **{"row": (2,), **fields})


def test_windows_of_blocks_keep_every_row_and_few_blocks_open():
    block = np.repeat(np.arange(20), rng.integers(1, 9, 20))
    order = rng.permutation(len(block))
    found = in_windows(order, block, 3)
    assert sorted(found.tolist()) == list(range(len(block)))
    begun = {b: i for i, b in reversed(list(enumerate(block[found].tolist())))}
    ended = {b: i for i, b in enumerate(block[found].tolist())}
    open_at = [sum(begun[b] <= i <= ended[b] for b in begun) for i in range(len(found))]
    assert max(open_at) <= 3
    np.testing.assert_array_equal(in_windows(order, block, 20), order)
