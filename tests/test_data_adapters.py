"""Data as other libraries hand it over; stand-ins have the documented interface of Hugging Face's `datasets` and of
PyTorch's map-style data sets, neither of which is a dependency. scikit-learn's bunches are its own."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets as sklearn_datasets

from backlit.data import Iris, Source
from backlit.data.adapters import adapted
from backlit.data.on_disk import OnDisk
from backlit.errors import DataError

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 255, (5, 4, 6, 3), dtype=np.uint8)


class Columns:
    """A `datasets.Dataset`: columns by name, rows by number, the kinds of columns in `features`."""

    def __init__(self, columns, names=()):
        self.columns, self.column_names = columns, list(columns)
        label = self.column_names[-1]
        self.features = {name: SimpleNamespace() for name in columns} | {
            label: SimpleNamespace(names=list(names) or None)
        }

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}

    def with_format(self, kind):
        return self


class Tensor:
    """What a torch tensor shows to the world here."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape, self.ndim = self.array.shape, self.array.ndim

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


class Pairs:
    """A map-style data set of PyTorch: a length and rows by number."""

    def __init__(self, rows, classes=None):
        self.rows = rows
        if classes:
            self.classes = classes

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def test_columns_of_numbers():
    data = adapted(Columns({"width": [1, 2, 3], "pair": [[0.5, 1], [2, 3], [4, 5]], "label": [1, 0, 1]}, ["no", "yes"]))
    assert data.x.tolist() == [[1, 0.5, 1], [2, 2, 3], [3, 4, 5]]
    assert data.features == ("width", "pair.0", "pair.1")
    assert (data.y.tolist(), data.classes) == ([1, 0, 1], ("no", "yes"))
    numbers = adapted(Columns({"a": [1.0, 2.0], "target": [0.5, 0.25]}))
    assert (numbers.task, numbers.y.tolist()) == ("regression", [0.5, 0.25])


def test_columns_of_images_and_their_splits():
    images = [Image.fromarray(image) for image in PIXELS]
    splits = {
        "train": Columns({"image": images[:3], "label": [0, 1, 1]}, ["cat", "dog"]),
        "validation": Columns({"image": images[3:4], "label": [1]}, ["cat", "dog"]),
        "test": Columns({"image": images[4:], "label": [0]}, ["cat", "dog"]),
    }
    data = adapted(splits)
    np.testing.assert_array_equal(data.x, PIXELS[:3])
    np.testing.assert_array_equal(data.validation.x, PIXELS[3:4])
    np.testing.assert_array_equal(data.test.x, PIXELS[4:])
    assert data.test.classes == ("cat", "dog")
    grey = adapted(Columns({"img": [image.convert("L") for image in images], "label": [0, 1, 0, 1, 1]}))
    assert grey.x.shape == (5, 4, 6, 1)
    with pytest.raises(DataError, match="expected a split called 'train', got test"):
        adapted({"test": splits["test"]})


def test_columns_that_cannot_be_used_are_named():
    with pytest.raises(
        DataError, match=r"column 'text': expected numbers or images, got .*'hi'.*remove_columns\(\['text'\]\)"
    ):
        adapted(Columns({"text": ["hi", "ho"], "label": [0, 1]}))
    with pytest.raises(DataError, match=r"expected a column for the target called label, .*got a, b"):
        adapted(Columns({"a": [1], "b": [2]}))
    with pytest.raises(
        DataError, match=r"column 'a': row 1 \(from 0\): expected the shape of row 0, \(2,\), got \(3,\)"
    ):
        adapted(Columns({"a": [[1, 2], [1, 2, 3]], "label": [0, 1]}))


def test_pairs_of_rows_and_targets():
    first = np.moveaxis(PIXELS, -1, 1).astype("f") / 255  # (C, H, W), as torchvision's ToTensor gives
    data = adapted(Pairs([(Tensor(x), i % 2) for i, x in enumerate(first)], ["cat", "dog"]))
    np.testing.assert_array_equal(data.x, PIXELS.astype("f") / np.float32(255))
    assert (data.y.tolist(), data.classes) == ([0, 1, 0, 1, 0], ("cat", "dog"))
    pictures = adapted(Pairs([(Image.fromarray(image), 0.5 * i) for i, image in enumerate(PIXELS)]))
    np.testing.assert_array_equal(pictures.x, PIXELS)
    assert pictures.y.tolist() == [0, 0.5, 1, 1.5, 2]
    rows = adapted(Pairs([([1, 2], "a"), ([3, 4], "b")]))
    assert (rows.x.tolist(), rows.classes) == ([[1, 2], [3, 4]], ("a", "b"))
    with pytest.raises(DataError, match=r"row 1 \(from 0\): expected a pair \(x, y\), got \(1, 2, 3\)"):
        adapted(Pairs([([1], 0), (1, 2, 3)]))
    with pytest.raises(DataError, match="at least one row"):
        adapted(Pairs([]))


@pytest.mark.parametrize("as_frame", [False, True])
def test_bunches_are_those_of_the_sources(as_frame):
    data, ours = adapted(sklearn_datasets.load_iris(as_frame=as_frame)), Iris().load()
    np.testing.assert_array_equal(data.x, ours.x)
    np.testing.assert_array_equal(data.y, ours.y)
    assert data.classes == ours.classes
    assert data.features[0] == "sepal length (cm)"
    numbers = adapted(sklearn_datasets.load_diabetes(as_frame=as_frame))
    assert (numbers.task, numbers.x.shape, numbers.features[2]) == ("regression", (442, 10), "bmi")


def test_arrays_by_name_and_in_pairs(tmp_path):
    x, y = rng.standard_normal((6, 2)), np.array([0, 1, 2, 0, 1, 2])
    named = adapted(
        {"x": x, "y": y, "test_x": x[:2], "test_y": y[:2], "classes": ["a", "b", "c"], "features": ["u", "v"]}
    )
    paired = adapted(((x, y), (x[:2], y[:2])))
    for data in (named, paired):
        np.testing.assert_array_equal(data.x, x.astype("f"))
        assert data.test.y.tolist() == [0, 1]
    assert named.features == ("u", "v")
    words = adapted({"x": [[0, 1], [2, 1]], "y": [0.0, 1.0], "vocabulary": ["a", "b", "c"], "mask": np.ones((2, 2))})
    assert words.vocabulary == ("a", "b", "c")
    with pytest.raises(DataError, match="z: expected arrays called x, y"):
        adapted({"x": x, "y": y, "z": x})
    with pytest.raises(DataError, match="expected test_x and test_y, or neither"):
        adapted({"x": x, "y": y, "test_x": x})


def test_a_memory_map_stays_where_it_is(tmp_path):
    np.save(tmp_path / "x.npy", rng.standard_normal((9, 3)).astype("f"))
    held = np.load(tmp_path / "x.npy", mmap_mode="r")
    data = adapted((held, np.arange(9) % 2))
    assert isinstance(data.x, OnDisk)
    np.testing.assert_array_equal(data.x[:], held)
    part = adapted((held[3:], np.arange(6) % 2))
    np.testing.assert_array_equal(part.x, held[3:])
    assert isinstance(part.x, np.ndarray)


def test_what_is_nothing_of_these_kinds_is_left_alone():
    pair = (np.zeros((2, 2)), [0, 1])
    others = (
        pair,
        list(pair),
        "iris",
        {"type": "Iris"},
        {"type": "Npz", "path": "x"},
        Iris(),
        None,
        3,
        np.zeros((2, 2)),
    )
    assert [adapted(value) for value in others] == [None] * len(others)
    assert isinstance(Iris(), Source)
