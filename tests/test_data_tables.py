"""Tables and arrays in files."""

import sys
import zipfile

import numpy as np
import pytest

from backlit.data import Csv, Npz, load_dataset
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
        (
            "a,b,y\n1,2,0.5\n\n3,,1.5\n",
            r"row 3 \(line 4 of the file\), column 'b': expected a number, got an empty cell",
        ),
        ("a,b,y\n1,inf,0.5\n3,4,1.5\n", r"row 1 \(line 2 of the file\), column 'b': expected a number, got inf"),
        ("a,b,y\n1,x,0.5\n3,x,1.5\n", r"got 'x' \(2 such cells in this column\)"),
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
    "source", [Csv("a.csv", 3, "regression", ";", False, ("x", 1)), Npz("b.npz", y="t", test_x="v", test_y="w")]
)
def test_settings_go_to_plain_data_and_back(source):
    assert build(type(source), plain(source)) == source


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
