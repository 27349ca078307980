"""IDX files: read back what was written, refuse everything else in a sentence."""

import contextlib
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backlit.data import find, read_idx, write_idx
from backlit.data.files import directories
from backlit.errors import DataError

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
PLAIN = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(range(24))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_type_comes_back(tmp_path, dtype, ending):
    array = np.arange(-4, 8).astype(dtype).reshape(3, 4)
    write_idx(tmp_path / f"x{ending}", array)
    back = read_idx(tmp_path / f"x{ending}")
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, array)


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_idx(tmp_path / "x", ARRAY)
    assert (tmp_path / "x").read_bytes() == PLAIN
    write_idx(tmp_path / "x.gz", ARRAY)
    assert gzip.decompress((tmp_path / "x.gz").read_bytes()) == PLAIN


def test_gzip_is_known_by_its_bytes_and_may_have_several_members(tmp_path):
    path = tmp_path / "x-ubyte"
    path.write_bytes(gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]))
    np.testing.assert_array_equal(read_idx(path), ARRAY)


PACKED = gzip.compress(PLAIN, mtime=0)
BROKEN = {
    "empty": (b"", r"not an IDX file: expected it to start with two zero bytes, got an empty file"),
    "text": (b"a,b,c\n1,2,3\n", r"two zero bytes, got 61 2c 62 2c"),
    "type": (b"\0\0\x07" + PLAIN[3:], r"expected a type byte of 0x08, .*got 0x07"),
    "no axis": (b"\0\0\x08\0", r"at least one axis, got 0"),
    "half a header": (PLAIN[:9], r"truncated: expected 16 bytes for the header, got 9"),
    "truncated": (PLAIN[:-5], r"truncated: expected 40 bytes for 2 x 3 x 4 numbers of type uint8, got 35"),
    "left over": (PLAIN + b"xyz", r"bytes left over: expected 40 bytes .*got 43"),
    "vast": (PLAIN[:4] + b"\xff" * 12 + PLAIN[16:], r"truncated: expected \d{20,} bytes"),
    "packed truncated": (PACKED[:-12], r"truncated"),
    "packed short": (gzip.compress(PLAIN[:-5]), r"truncated: expected 40 bytes .*got 35"),
    "packed left over": (gzip.compress(PLAIN + b"xyz"), r"bytes left over: expected 40 bytes .*got more"),
    "packed vast": (gzip.compress(PLAIN[:4] + b"\xff" * 12), r"truncated: expected \d{20,} bytes .*got at most"),
    "packed wrong sum": (PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:], r"not a readable gzip file"),
    "packed noise": (PACKED[:14] + b"\xff" * 20, r"gzip|truncated|IDX"),
    "packed text": (gzip.compress(b"hello"), r"not an IDX file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, case):
    content, text = BROKEN[case]
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text) as caught:
        read_idx(path)
    assert str(caught.value).startswith(str(path))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_damaged_files_never_raise_anything_else(tmp_path_factory, data, packed):
    content = bytearray(PACKED if packed else PLAIN)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(content[:cut]) + data.draw(st.binary(max_size=4)))
    with contextlib.suppress(DataError):
        assert isinstance(read_idx(path), np.ndarray)


def test_a_small_file_that_unpacks_to_a_vast_one_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(PLAIN[:16] + bytes(50_000_000)))
    with pytest.raises(DataError, match="bytes left over: expected 40 bytes"):
        read_idx(path)


@pytest.mark.parametrize("array", [np.zeros(2, np.uint16), np.zeros((), np.uint8), np.array(["a"])])
def test_only_what_the_format_knows_is_written(tmp_path, array):
    with pytest.raises(DataError, match=r"expected an array of one of uint8, int8, .* with 1 to 255 axes"):
        write_idx(tmp_path / "x", array)
    assert not (tmp_path / "x").exists()


def test_files_are_looked_for_as_written_then_in_data_then_in_the_cache(tmp_path, monkeypatch):
    first, second, cache = (tmp_path / name for name in ("first", "second", "cache"))
    monkeypatch.setenv("BACKLIT_DATA", os.pathsep.join([str(first), str(second)]))
    monkeypatch.setenv("BACKLIT_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    assert directories() == [first, second, cache / "data"]
    for place in (cache / "data", second, first, Path()):
        (place / "set").mkdir(parents=True)
        (place / "set" / "x.bin").write_bytes(b"")
        assert find("set/x.bin") == place / "set" / "x.bin"
    assert find(str(second / "set" / "x.bin")) == second / "set" / "x.bin"


def test_a_missing_file_tells_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        find("nothing.csv")
    for part in ("nothing.csv: no such file", str(tmp_path / "data"), str(tmp_path / "cache"), "BACKLIT_DATA"):
        assert part in str(caught.value)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)
