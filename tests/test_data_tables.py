"""Tables and arrays in files, clean and dirty."""

import bz2
import gzip
import sys
import zipfile

import numpy as np
import pytest

from backlit.data import Csv, Npz, Split, load_dataset
from backlit.data.table import Table
from backlit.data.tables import Parquet
from backlit.errors import BacklitError, DataError, MissingLibraryError, SettingError
from backlit.settings import build, plain

TABLE = "height, width,count,kind\n1.5,2,7,fern\n3,1e0,8,moss\n0.5,-2,9,fern\n"


@pytest.fixture
def write(tmp_path):
    def file(text: str, name: str = "table.csv") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return file


def test_a_table_with_text_to_predict(write):
    data = Csv(write(TABLE), "kind").load()
    assert data.x.tolist() == [[1.5, 2, 7], [3, 1, 8], [0.5, -2, 9]]
    assert (data.y.tolist(), data.classes) == ([0, 1, 0], ("fern", "moss"))
    assert (data.features, data.name) == (("height", "width", "count"), "table.csv")


@pytest.mark.parametrize("target", ["height", 0, -4])
def test_numbers_to_predict_and_columns_left_out(write, target):
    data = Csv(write(TABLE), target, drop=("kind", 2)).load()
    assert (data.features, data.classes, data.y.tolist()) == (("width",), (), [1.5, 3.0, 0.5])


def column(values: list[object]) -> str:
    return "a,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([1, 2, 1, 2], None, ("1", "2")),
        ([1, 2, 3, 4], None, ()),
        (list(range(21)) * 2, None, ()),
        (list(range(20)) * 2, None, tuple(str(i) for i in range(20))),
        ([1, 2, 3, 4], "classification", ("1", "2", "3", "4")),
        ([1, 2, 1, 2], "regression", ()),
        ([1.5, 2.5, 1.5], None, ()),
        ([1.0, 2.0, 1.0, 2.0], None, ("1", "2")),
        (["True", "False"], None, ("False", "True")),
        (["b", "a", "10"], None, ("10", "a", "b")),
    ],
)
def test_what_is_a_class_and_what_is_a_number(write, values, task, classes):
    data = Csv(write(column(values)), "y", task=task).load()
    assert data.classes == classes
    names = [classes[i] for i in data.y] if classes else data.y.tolist()
    assert [str(v) for v in names] == ([str(v).removesuffix(".0") if classes else str(float(v)) for v in values])


def test_other_separators_no_header_and_empty_lines(write):
    data = Csv(write("1;2;a\n\n3;4;b\n\n"), -1, separator=";", header=False).load()
    assert (data.x.tolist(), data.features, data.classes) == ([[1, 2], [3, 4]], ("0", "1"), ("a", "b"))
    data = Csv(write("x  y\n1  2.5\n3 4.5\n"), "y", separator=r"\s+").load()
    assert (data.x.tolist(), data.y.tolist()) == ([[1], [3]], [2.5, 4.5])
    data = Csv(write("\ufeffx,y\nTrue,2.5\nFalse,4.5\n"), "y").load()
    assert (data.x.tolist(), data.features) == ([[1], [0]], ("x",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a,b,y\n1,2,0.5\n3,red,1.5\n",
            r"row 2 \(line 3 of the file\), column 'b': expected a number, got 'red'; .*drop: \[b\]",
        ),
        ("a,b,y\n1,inf,0.5\n3,4,1.5\n", r"row 1 \(line 2 of the file\), column 'b': expected a number, got inf"),
        (
            "a,b,y\n1,2,1\n3,x,2\n\n3,x,4\n,8,1\n9,9,9\n",
            r"row 2 \(line 3 .* got 'x' \(2 such cells in this column\); write missing: \['x'\].*, categories: \[b\]",
        ),
        ("a,b,y\n1,2,0.5\n3,4,\n", r"row 2 \(line 3 of the file\), column 'y': expected a target, got an empty cell"),
        ("a,b,y\n1,2,0.5\n3,4,inf\n", r"column 'y': expected a number, got inf"),
        ("a,b,y\n1,1e300,0.5\n", r"row 0, column 1 \(from 0\): expected numbers below 3.4e38"),
        ("a,b,y\n1,2,0.5,9\n", r"as many cells in a line as there are columns"),
        ("a,b,y\n1,2,3\n1,2,3,4,5\n", r"Expected 3 fields in line 3, saw 5|as many cells in a line"),
        ("a,b,y\n", r"at least one line of data, got only a, b, y"),
        ("", r"got an empty file"),
        ("y\n1.5\n", r"at least one column besides the target 'y'"),
    ],
)
def test_a_cell_that_cannot_be_is_named_with_row_and_column(write, text, expected):
    path = write(text)
    with pytest.raises(DataError, match=expected) as caught:
        Csv(path, "y").load()
    assert str(caught.value).startswith(path)


def test_text_where_numbers_are_to_be_predicted(write):
    with pytest.raises(DataError, match=r"row 2 \(line 3 of the file\), column 'y': expected a number, got 'many'"):
        Csv(write("a,y\n1,2\n2,many\n"), "y", task="regression").load()
    with pytest.raises(
        DataError, match=r"row 3 .*column 'y': expected a number, as in most rows, got '1,5'.*task: classif"
    ):
        Csv(write('a,y\n1,2\n2,3.5\n3,"1,5"\n'), "y").load()
    assert Csv(write("a,y\n1,2\n2,7\n3,x\n"), "y", task="classification").load().classes == ("2", "7", "x")
    with pytest.raises(DataError, match=r"column 'y': row 0 .*expected an integer label, got 0.5"):
        Csv(write("a,y\n1,0.5\n2,1.5\n"), "y", task="classification").load()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"target": "kinds"}, r"target: no column 'kinds'; did you mean 'kind'"),
        ({"target": 4}, r"target: expected a column -4\.\.3, got 4"),
        ({"target": "kind", "drop": ("with",)}, r"drop: no column 'with'; did you mean 'width'"),
        ({"target": "kind", "drop": (3,)}, r"drop: expected columns other than the target 'kind'"),
    ],
)
def test_columns_that_do_not_exist(write, settings, text):
    with pytest.raises(BacklitError, match=text):
        Csv(write(TABLE), **settings).load()


def test_the_separator_is_one_character():
    with pytest.raises(SettingError, match=r"separator: expected one character.*got '::'"):
        Csv("x.csv", "y", separator="::")
    with pytest.raises(SettingError, match=r"task: expected 'classification' or 'regression', got 'ranking'"):
        Csv("x.csv", "y", task="ranking")


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    (tmp_path / "x.csv").write_bytes(b"a,y\n\xff\xfe\x00,1\n")
    with pytest.raises(DataError, match=r"x.csv: expected text in UTF-8"):
        Csv("x.csv", "y").load()
    with pytest.raises(DataError, match=r"none.csv: no such file; looked in .*BACKLIT_DATA"):
        Csv("none.csv", "y").load()
    with pytest.raises(DataError, match=r"not a readable table"):
        Csv(str(tmp_path), "y").load()


def test_an_address_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no such file"):
        Csv("http://127.0.0.1:9/table.csv", "y").load()


def test_without_pandas_the_line_that_installs_it(write, monkeypatch):
    path = write(TABLE)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingLibraryError, match=r"reading a CSV file needs pandas.*pip install pandas"):
        Csv(path, "kind").load()


@pytest.mark.parametrize(
    "source",
    [
        Csv("a.csv", 3, "regression", ";", False, ("x", 1)),
        Csv(("a.csv", "b.csv"), "y", replace={"a": "b", 1: 2}, missing=("-", -1), origin="file", names=("x", "y")),
        Parquet("a.parquet", "y", categories=("a",), part="p"),
        Npz("b.npz", y="t", test_x="v", test_y="w"),
    ],
)
def test_settings_go_to_plain_data_and_back(source):
    assert build(type(source), plain(source)) == source


DIRTY = """\
when,age,town,flag,code,score,kind
2024-01-03,22, Rome ,True,1,1.5,a
2024-01-01,?,Oslo,False,2,2,b
,31,,True,3,NA,a

2024-01-02T10:30:00Z,40,Rome,,2,3,b
"""


def test_a_dirty_table_keeps_what_it_holds(write):
    data = Csv(write(DIRTY), "kind", categories=("code",)).load()
    assert isinstance(data.x, Table)
    kinds = {
        "when": "date",
        "age": "number",
        "town": "category",
        "flag": "number",
        "code": "category",
        "score": "number",
    }
    assert (data.x.kinds, data.features) == (kinds, tuple(kinds))
    columns = {name: column.tolist() for name, column in data.x.columns.items()}
    np.testing.assert_array_equal(columns["age"], [22, np.nan, 31, 40])
    np.testing.assert_array_equal(columns["flag"], [1, 0, 1, np.nan])
    assert (columns["town"], columns["code"]) == (["Rome", "Oslo", None, "Rome"], ["1", "2", "3", "2"])
    days = ["2024-01-03T00:00:00", "2024-01-01T00:00:00", "NaT", "2024-01-02T10:30:00"]
    assert [str(day) for day in data.x.columns["when"]] == days
    assert (data.x.lines.tolist(), data.x.dropped) == ([2, 3, 4, 6], ("kind",))
    assert (data.y.tolist(), data.classes) == ([0, 1, 0, 1], ("a", "b"))


def test_what_is_missing_is_a_setting(write):
    path = write("a,b,y\n-1,none,1\n2,?,2.5\n3,x,3\n")
    found = Csv(path, "y", missing=(-1, "none")).load().x.columns
    np.testing.assert_array_equal(found["a"], [np.nan, 2, 3])
    assert found["b"].tolist() == [None, "?", "x"]


def test_kinds_can_be_told(write):
    path = write("zip,day,n,y\n010,31.12.2023,1,1\n20,01.02.2024,x,2\n")
    found = Csv(path, "y", categories=("zip",), dates=("day",), date_format="%d.%m.%Y", drop=("n",)).load().x
    assert found.columns["zip"].tolist() == ["10", "20"]
    assert [str(day)[:10] for day in found.columns["day"]] == ["2023-12-31", "2024-02-01"]
    with pytest.raises(DataError, match=r"row 2 \(line 3 .*column 'n': expected a number, got 'x'; mend the cell"):
        Csv(path, "y", numbers=("n",)).load()
    with pytest.raises(DataError, match=r"column 'day': expected a date as in ISO 8601.*write how the file has it"):
        Csv(path, "y", dates=("day",), drop=("n",)).load()
    with pytest.raises(SettingError, match=r"dates: expected a column to be named once, got 'day' twice"):
        Csv(path, "y", categories=("day",), dates=("day",)).load()
    assert Csv(path, "y", categories=("day", "n")).load().x.columns["n"].tolist() == ["1", "x"]


def test_two_files_the_second_for_the_test(write):
    first = write("a;t;y\n1;x;<=5\n2;3;>5\n2;4;>5\n2;z;>5\n", "a.csv")
    second = write("y;t;a\n>5.;4;7\n<=5.;new;1\n", "b.csv")
    data = Csv(first, "y", separator=";", test=second, replace={">5.": ">5", "<=5.": "<=5"}, categories=("t",)).load()
    assert (data.classes, data.y.tolist(), data.test.y.tolist()) == (("<=5", ">5"), [0, 1, 1, 1], [1, 0])
    assert data.test.x.columns["t"].tolist() == ["4", "new"]
    assert data.test.x.columns["a"].tolist() == [7.0, 1.0]
    with pytest.raises(DataError, match=r"b.csv: expected the columns of .*a.csv, got none called 't'; did you mean"):
        Csv(first, "y", separator=";", test=write("y;tt;a\n5;4;7\n", "b.csv"), categories=("t",)).load()
    with pytest.raises(DataError, match=r"b.csv: row 1 \(line 2 .*column 'a': expected a number, got 'seven'"):
        Csv(first, "y", separator=";", test=write("y;t;a\n5;4;seven\n", "b.csv"), categories=("t",)).load()
    with pytest.raises(SettingError, match=r"part: expected either a column of parts or a file"):
        Csv(first, "y", test=second, part="t")


def test_clean_numbers_stay_an_array_in_both_parts(write):
    first, clean, gap = write("a,y\n1,2.5\n2,3\n"), write("a,y\n5,1\n", "b.csv"), write("a,y\n,1\n4,2\n", "c.csv")
    data = Csv(first, "y", test=clean).load()
    assert (type(data.x), type(data.test.x), data.test.x.tolist()) == (np.ndarray, np.ndarray, [[5.0]])
    data = Csv(first, "y", test=gap).load()
    assert (type(data.x), type(data.test.x)) == (Table, Table), "one gap, and both parts are cleaned alike"


def test_several_files_are_one_table_that_knows_where_rows_come_from(write):
    files = write("1,0\n2,0\n", "red.csv"), write("3,1\n4,1\n5,0\n", "white.csv")
    data = Csv(files, -1, header=False, origin="colour").load()
    assert data.x.columns["colour"].tolist() == ["red", "red", "white", "white", "white"]
    assert (data.features, data.y.tolist()) == (("0", "colour"), [0, 0, 1, 1, 0])
    assert Csv(files, "y", names=("x", "y")).load().x[:, 0].tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"names: expected one name a column, 2, got 3"):
        Csv(files, "y", names=("x", "y", "z")).load()
    with pytest.raises(SettingError, match=r"origin: expected several files"):
        Csv(files[0], "y", origin="colour")
    with pytest.raises(SettingError, match=r"path: expected at least one file"):
        Csv((), "y")
    with pytest.raises(SettingError, match=r"names: expected a name of its own"):
        Csv(files, "y", names=("x", "x"))


def test_missing_targets_are_an_error_or_counted(write):
    path = write("a,y\n1,x\n2,\n3,NA\n4,z\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3.*expected a target, got an empty cell.*missing_target: drop"):
        Csv(path, "y").load()
    data = Csv(path, "y", missing_target="drop").load()
    assert (len(data), data.classes, data.x.tolist()) == (2, ("x", "z"), [[1.0], [4.0]])
    assert list(data.notes) == ["table.csv: 2 rows of 4 left out: no 'y'"]
    data = Csv(path, "y", missing_target="drop", categories=("a",)).load()
    assert (data.x.notes, data.x.lines.tolist()) == (("table.csv: 2 rows of 4 left out: no 'y'",), [2, 5])
    with pytest.raises(DataError, match=r"column 'y': expected a target in some row, got none"):
        Csv(write("a,y\n1,\n2,NA\n"), "y", missing_target="drop").load()


def test_groups_time_and_part_are_no_features(write):
    path = write("who,day,part,a,y\nann,2024-03-01,train,1,1.5\nbob,2024-01-01,test,2,2\nann,2024-02-01,val,3,3.5\n")
    data = Csv(path, "y", groups="who", part="part", drop=("day",)).load()
    assert (data.groups.tolist(), data.x.tolist(), data.features) == (["ann"], [[1.0]], ("a",))
    assert (data.validation.x.tolist(), data.test.x.tolist(), data.test.groups.tolist()) == ([[3.0]], [[2.0]], ["bob"])
    parts = Split().apply(data, seed=0)
    assert [len(part) for part in parts] == [1, 1, 1]
    data = Csv(path, "y", time="day", drop=("day", "who", "part")).load()
    assert (data.ordered, data.x.tolist(), data.y.tolist()) == (True, [[2.0], [3.0], [1.0]], [2.0, 3.5, 1.5])
    data = Csv(path, "y", time="day", drop=("who", "part")).load()
    assert (data.features, data.x.lines.tolist()) == (("day", "a"), [3, 4, 2])
    with pytest.raises(DataError, match=r"time: column 'who': expected dates or numbers, got text"):
        Csv(path, "y", time="who").load()
    with pytest.raises(DataError, match=r"row 1 .*column 'who': expected one of train, validation, test, got 'ann'"):
        Csv(path, "y", part="who").load()
    gaps = write("who,day,y\nann,,1.5\n,2024-01-01,2\n")
    with pytest.raises(DataError, match=r"row 2 .*column 'who': expected a group, got an empty cell"):
        Csv(gaps, "y", groups="who").load()
    with pytest.raises(DataError, match=r"row 1 .*column 'day': expected a time, got an empty cell"):
        Csv(gaps, "y", time="day", drop=("who",)).load()
    with pytest.raises(DataError, match=r"part: expected rows of a part 'train', got none"):
        Csv(write("p,a,y\ntest,1,2\n"), "y", part="p").load()


def packed_zip(content):
    from io import BytesIO

    with zipfile.ZipFile(file := BytesIO(), "w") as archive:
        archive.writestr("table.csv", content)
    return file.getvalue()


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".zip", packed_zip)])
def test_packed_files_and_tabs(tmp_path, ending, pack):
    path = tmp_path / f"table.tsv{ending}"
    path.write_bytes(pack(b"a\tb\ty\n1\tx\t2\n3\ty\t4\n"))
    assert Csv(str(path), "y", separator="\t").load().x.columns["b"].tolist() == ["x", "y"]
    path.write_bytes(pack(b"a\tb\ty\n1\tx\t2\n3\ty\n"))
    with pytest.raises(
        DataError, match=r"as many cells in a line as there are columns, 3, got 2 in line 3; mend the line"
    ):
        Csv(str(path), "y", separator="\t").load()


def test_text_of_other_encodings(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a,y\nx,1\nö,2\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"t.csv: expected text in UTF-8, got the byte 0xf6 in line 3; write encoding: latin-1"
    ):
        Csv(str(path), "y").load()
    assert Csv(str(path), "y", encoding="latin-1").load().x.columns["a"].tolist() == ["x", "ö"]
    path.write_bytes("a,y\nx,1\nö,2\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"got the byte 0xff in line 1; write encoding: utf-16"):
        Csv(str(path), "y").load()
    assert Csv(str(path), "y", encoding="utf-16").load().x.columns["a"].tolist() == ["x", "ö"]
    path.write_text("a;y\n1,5;2\n", encoding="utf-8-sig")
    data = Csv(str(path), "y", separator=";", decimal=",").load()
    assert (data.x.tolist(), data.features) == ([[1.5]], ("a",))
    with pytest.raises(SettingError, match=r"encoding: expected an encoding that Python knows.*got 'utf-9'"):
        Csv("t.csv", "y", encoding="utf-9")


def test_a_line_that_ends_early_is_no_line_with_gaps(write):
    with pytest.raises(DataError, match=r"columns, 3, got 2 in line 3; mend the line"):
        Csv(write("a,b,y\n1,2,3\n1,2\n"), "a").load()
    assert np.isnan(Csv(write('a,b,y\n1,"u,v\n",3\n1,w,\n'), "a").load().x.columns["y"][1])


def parquet(path, **columns):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return str(path)


def test_a_parquet_file_is_a_table_too(tmp_path):
    import datetime

    path = parquet(
        tmp_path / "t.parquet", n=[1.5, None, 3.0], i=[1, 2, None], ok=[True, False, True], town=["Rome", "?", None],
        code=["01", "2", "x"], day=[datetime.date(2024, 1, 2), None, datetime.date(2024, 1, 1)], y=["a", "b", "a"],
    )  # fmt: skip
    data = Parquet(path, "y").load()
    kinds = {"n": "number", "i": "number", "ok": "number", "town": "category", "code": "category", "day": "date"}
    assert (data.x.kinds, data.x.lines, data.classes) == (kinds, None, ("a", "b"))
    assert (data.x.columns["town"].tolist(), data.x.columns["code"].tolist()) == (["Rome", None, None], ["1", "2", "x"])
    np.testing.assert_array_equal(data.x.columns["i"], [1, 2, np.nan])
    assert Parquet(path, "ok", drop=("n",), time="day", missing_target="drop").target == "ok"
    clean = Parquet(parquet(tmp_path / "c.parquet", a=[1, 2], y=[0.5, 1.5]), "y").load()
    assert (clean.x.tolist(), clean.y.tolist()) == ([[1.0], [2.0]], [0.5, 1.5])
    with pytest.raises(
        DataError, match=r"row 3, column 'town': expected a target|row 2, column 'town': expected a target"
    ):
        Parquet(path, "town").load()
    with pytest.raises(DataError, match=r"column 'l': expected numbers, text or dates, got list.*drop: \[l\]"):
        Parquet(parquet(tmp_path / "l.parquet", l=[[1], [2]], y=[1, 2]), "y").load()
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(DataError, match=r"no.parquet: not a readable Parquet file"):
        Parquet(str(tmp_path / "no.parquet"), "y").load()


def test_without_pyarrow_the_line_that_installs_it(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingLibraryError, match=r"reading a Parquet file needs pyarrow.*pip install pyarrow"):
        Parquet(str(tmp_path / "t.parquet"), "y").load()


def words(column):
    return np.array([str(value) if value == value else None for value in column], dtype=object)


@pytest.mark.parametrize("kind", ["bytes", "floats", "table"])
def test_rows_that_stand_in_two_parts_are_found(kind):
    from backlit.data.duplicates import leaks, repeated

    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (500, 13)).astype("u1" if kind == "bytes" else "f")
    other = rng.integers(0, 256, (200, 13)).astype(train.dtype)
    other[[5, 70, 199]] = train[[400, 3, 3]]
    y, other_y = np.arange(500), np.zeros(200, int)
    other_y[70] = 3
    if kind != "bytes":
        train[3, 2], other[70, 2], other[199, 2] = np.nan, np.nan, np.nan
        train[400, 1], other[5, 1] = 0.0, -0.0
        other[8] = -train[8]
    if kind == "table":
        train, other = (
            Table({"n": part[:, 0].astype(np.float64)} | {str(i): words(part[:, i]) for i in (2, 3, 4)})
            for part in (train, other)
        )
    assert leaks(train, other).tolist() == [5, 70, 199]
    assert leaks(train, other, y, other_y).tolist() == [70]
    both = train.take(np.array([0, 1, 0, 3, 3])) if kind == "table" else train[[0, 1, 0, 3, 3]]
    assert repeated(both).tolist() == [2, 4]
    assert repeated(both, np.array([0, 1, 0, 1, 2])).tolist() == [2]
    assert leaks(train, other.take(np.arange(0))).tolist() == []


def test_an_archive_holds_rows_targets_and_names(tmp_path):
    path = tmp_path / "data.npz"
    x, test_x = np.arange(12.0).reshape(4, 3), np.zeros((2, 3), np.float32)
    np.savez(path, x=x, y=[2, 0, 0, 2], test_x=test_x, test_y=[0, 1], features=["a", "b", "c"])
    data = Npz(str(path)).load()
    assert (data.y.tolist(), data.classes, data.features) == ([1, 0, 0, 1], ("0", "2"), ("a", "b", "c"))
    data = Npz(str(path), test_x="test_x", test_y="test_y").load()
    assert (data.y.tolist(), data.test.y.tolist()) == ([2, 0, 0, 2], [0, 1])
    assert (data.classes, data.test.classes) == (("0", "1", "2"), ("0", "1", "2"))
    assert Npz(str(path), task="regression").load().y.dtype == np.float32


def test_a_directory_of_npy_files(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 4, 4, 3), np.uint8))
    np.save(tmp_path / "labels.npy", np.array(["cat", "dog"]))
    data = load_dataset({"type": "npz", "path": str(tmp_path), "y": "labels"})
    assert (data.x.dtype, data.x.shape, data.classes) == (np.uint8, (2, 4, 4, 3), ("cat", "dog"))


def truncated(path, content):
    np.savez(path, **content)
    path.write_bytes(path.read_bytes()[:-40])


def damaged(path, content):
    np.savez(path, **content)
    raw = bytearray(path.read_bytes())
    raw[150:400] = bytes(250)
    path.write_bytes(bytes(raw))


def pickled(path, content):
    np.savez(path, x=np.array([{"a": 1}, None], dtype=object), y=content["y"])


def vast(path, content):
    np.savez(path, **content)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000, 90), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
        archive.writestr("y.npy", b"")


@pytest.mark.parametrize("spoil", [truncated, damaged, pickled, vast])
def test_a_spoilt_archive_is_refused_and_nothing_is_unpickled(tmp_path, spoil):
    path = tmp_path / "data.npz"
    spoil(path, {"x": np.ones((30, 2)), "y": np.zeros(30, int)})
    with pytest.raises(DataError, match=r"data.npz: (not a readable archive|expected an .npz archive)"):
        Npz(str(path)).load()


@pytest.mark.parametrize(
    ("arrays", "settings", "text"),
    [
        ({"x": np.ones((2, 2))}, {}, r"holds no array 'y'; did you mean|holds no array 'y'; known: x"),
        ({"x": np.ones((2, 2)), "y": np.ones(3)}, {}, r"one target a row"),
        ({"x": np.ones((2, 2)), "y": 3}, {}, r"expected targets \(N,\) or \(N, k\), alike in all parts, got \(\)"),
        ({"x": np.full((2, 2), np.nan), "y": np.ones(2)}, {}, r"data.npz: x: row 0, column 0 .*4 such numbers"),
        ({"x": np.array([["a"]]), "y": np.ones(1)}, {}, r"data.npz: x: row 0, column 0 .*expected a number, got .*'a'"),
        (
            {"x": np.ones((2, 2)), "y": np.ones(2), "t": np.ones((2, 3)), "u": np.ones(2)},
            {"test_x": "t", "test_y": "u"},
            r"expected test rows shaped like the training rows",
        ),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, settings, text):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=text):
        Npz(str(tmp_path / "data.npz"), **settings).load()


def test_a_file_that_is_no_archive(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(DataError, match=r"expected an .npz archive or a directory .*name the directory"):
        Npz(str(tmp_path / "x.npy")).load()
    with pytest.raises(SettingError, match=r"test_y: expected the name of an array"):
        Npz("x.npz", test_x="t")
