"""Parquet files that stay on the disk: the same rows, few row groups in memory, each read once where the order allows it."""

import numpy as np
import pandas
import pytest

from backlit.data.parquet_rows import ParquetRows, ParquetStream
from backlit.data.rows import in_windows
from backlit.errors import DataError

rng = np.random.default_rng(0)


def frame(rows=100):
    return pandas.DataFrame(
        {
            "a": rng.standard_normal(rows),
            "b": rng.integers(0, 9, rows),
            "c": rng.random(rows) > 0.5,
            "kind": ["x", "y"] * (rows // 2),
        }
    )


def write(path, table, size=7):
    table.to_parquet(path, row_group_size=size)
    return path


def test_rows_are_those_of_the_table_over_several_files(tmp_path):
    tables = [frame(), frame(50)]
    for i, table in enumerate(tables):
        write(tmp_path / f"{i}.parquet", table)
    data = ParquetStream(str(tmp_path), target="kind").load()
    whole = pandas.concat(tables)
    wanted = whole[["a", "b", "c"]].to_numpy(dtype="f")
    places = rng.integers(0, 150, 400)
    np.testing.assert_array_equal(data.x[places], wanted[places])
    np.testing.assert_array_equal(data.take(places).x[:], wanted[places])
    assert (data.features, data.classes, data.x.dtype) == (("a", "b", "c"), ("x", "y"), np.float32)
    assert data.y.tolist() == [0, 1] * 75
    assert data.x.sizes == (7,) * 14 + (2,) + (7,) * 7 + (1,)
    assert data.x.describe(103) == f"{tmp_path / '1.parquet'}: row 3 (from 0)"
    few = ParquetStream(str(tmp_path), target="a", columns=("b", "c"), drop=("c",)).load()
    assert (few.features, few.task) == (("b",), "regression")
    np.testing.assert_allclose(few.y, whole["a"], rtol=1e-6)


def test_bytes_stay_bytes(tmp_path):
    table = pandas.DataFrame({"p": np.arange(9, dtype="u1"), "q": np.arange(9, dtype="u1"), "y": np.arange(9.0)})
    x = ParquetStream(str(write(tmp_path / "x.parquet", table)), target="y").load().x
    assert x.dtype == np.uint8
    assert x[:].tolist() == [[i, i] for i in range(9)]


def test_memory_is_bounded_and_windows_of_blocks_read_each_group_once(tmp_path):
    path = write(tmp_path / "x.parquet", frame(140), 10)
    group = 10 * 2 * 4
    x = ParquetRows([path], ("a", "b"), memory=3 * group)
    order = rng.permutation(140)
    for place in order:
        x.read(np.array([place]))
        assert sum(kept.nbytes for kept in x.kept.values()) <= 3 * group
    assert x.reads > 80
    x.reads = 0
    x.kept.clear()
    for place in in_windows(order, x.block(np.arange(140)), 3):
        x.read(np.array([place]))
    assert x.reads == 14
    part = x.take(np.arange(0, 140, 2))
    np.testing.assert_array_equal(part.block(np.arange(70)), np.arange(0, 140, 2) // 10)
    with pytest.raises(DataError, match=r"row groups of at most 79 bytes once read, got one of 80; raise memory"):
        ParquetRows([path], ("a", "b"), memory=79)


def test_faults_are_named(tmp_path):
    table = frame()
    table.loc[31, "a"] = np.inf
    path = write(tmp_path / "x.parquet", table)
    x = ParquetStream(str(path), target="kind").load().x
    x[:28]
    with pytest.raises(
        DataError, match=r"x.parquet: row 31, column 0 \('a'\) \(from 0\): expected a finite number, got inf"
    ):
        x[28:30]
    table["b"] = table["b"].astype("Int64")
    table.loc[40, "b"] = None
    x = ParquetStream(str(write(path, table)), target="kind").load().x
    with pytest.raises(
        DataError, match=r"row 40 \(from 0\), column 'b': expected a number, got an empty cell; .*drop: \[b\]"
    ):
        x[35:42]
    table.loc[5, "kind"] = None
    write(path, table)
    with pytest.raises(DataError, match=r"row 5 \(from 0\), column 'kind': expected a target, got an empty cell"):
        ParquetStream(str(path), target="kind").load()
    for fields, text in (
        ({"target": "a"}, r"column 'kind': expected numbers, got .*string; leave it out with drop: \[kind\]"),
        ({"target": "kin"}, r"target: no column 'kin'; did you mean 'kind'"),
        ({"target": "kind", "drop": ("a", "b", "c")}, "at least one column besides the target"),
    ):
        with pytest.raises(DataError, match=text):
            ParquetStream(str(path), **fields).load()
    write(tmp_path / "y.parquet", table[["a", "kind"]])
    with pytest.raises(DataError, match=r"y.parquet: expected the columns of x.parquet"):
        ParquetStream(str(tmp_path), target="kind").load()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"x.parquet: not a readable Parquet file"):
        ParquetStream(str(path), target="kind").load()
