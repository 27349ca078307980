"""Images in IDX files, MNIST among them."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from backlit.data import FashionMnist, Idx, Mnist, load_dataset, write_idx
from backlit.data.images import PARTS, Downloaded
from backlit.errors import DataError, SettingError
from backlit.settings import build, plain

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([0, 2, 1, 0], np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    write_idx(tmp_path / "x.gz", IMAGES)
    write_idx(tmp_path / "y", LABELS)
    write_idx(tmp_path / "test_x", IMAGES[:2])
    write_idx(tmp_path / "test_y", LABELS[:2])
    return tmp_path


def test_images_get_a_channel_axis_and_stay_bytes(folder):
    data = Idx("x.gz", "y", "test_x", "test_y").load()
    assert (data.x.shape, data.x.dtype) == ((4, 3, 2, 1), np.uint8)
    assert (data.y.tolist(), data.y.dtype, data.classes) == ([0, 2, 1, 0], np.int32, ("0", "1", "2"))
    assert (data.test.x.shape, data.test.y.tolist(), data.test.classes) == ((2, 3, 2, 1), [0, 2], data.classes)


def test_rows_and_floats_are_read_too(folder):
    write_idx(folder / "rows", np.linspace(0, 1, 8).reshape(4, 2))
    data = Idx("rows", "y", classes=("a", "b", "c")).load()
    assert (data.x.shape, data.x.dtype, data.classes, data.test) == ((4, 2), np.float32, ("a", "b", "c"), None)


def test_settings_go_to_plain_data_and_back():
    source = Idx("a", "b", classes=("x", "y"))
    assert build(Idx, plain(source)) == source


@pytest.mark.parametrize(
    ("images", "labels", "classes", "text"),
    [
        ("x.gz", "test_y", (), r"one label for each image, .*got 4 images in .*x.gz and 2 labels in .*test_y"),
        ("x.gz", "y", ("a", "b"), r"y: row 1 .*expected a label 0\.\.1 \(2 classes\), got 2"),
        ("x.gz", "x.gz", (), r"x.gz: expected integer labels \(N,\), got uint8 \(4, 3, 2\)"),
        ("y", "x.gz", (), r"expected integer labels"),
        ("nowhere", "y", (), r"nowhere: no such file; looked in"),
        ("", "y", (), r"cannot be read|no such file"),
    ],
)
def test_files_that_do_not_belong_together(folder, images, labels, classes, text):
    with pytest.raises(DataError, match=text):
        Idx(images, labels, classes=classes).load()


def test_a_test_part_has_both_halves():
    with pytest.raises(SettingError, match=r"test_labels: expected a file, as the other half"):
        Idx("x", "y", test_images="z")


def small_mnist(place: Path, ending: str) -> None:
    place.mkdir(parents=True)
    for part, count in zip(PARTS, (20, 20, 10, 10), strict=True):
        array = np.arange(count, dtype=np.uint8) % 10
        write_idx(place / f"{part}{ending}", np.zeros((count, 28, 28), np.uint8) if "images" in part else array)


@pytest.mark.parametrize(
    ("source", "place", "ending"),
    [
        (Mnist(), "mnist", ".gz"),
        (Mnist(), "mnist", ""),
        (Mnist(), "cache/data/mnist", ".gz"),
        (FashionMnist(), "fashion-mnist", ".gz"),
        (FashionMnist(), "fashion_mnist", ".gz"),
    ],
)
def test_mnist_is_found_where_data_lies(folder, source, place, ending):
    small_mnist(folder / place, ending)
    data = source.load()
    assert (data.x.shape, data.test.x.shape, len(data.classes)) == ((20, 28, 28, 1), (10, 28, 28, 1), 10)
    assert data.y.tolist() == [i % 10 for i in range(20)]


def test_mnist_that_is_nowhere_and_may_not_be_fetched(folder):
    text = r"mnist/train-images-idx3-ubyte.gz: not found, and BACKLIT_OFFLINE forbids to download it; put it into"
    with pytest.raises(DataError, match=text):
        Mnist().load()


@pytest.mark.parametrize("source", Downloaded.__subclasses__())
def test_every_file_has_mirrors_and_a_checksum(source):
    assert set(source.sha256) == {f"{part}.gz" for part in PARTS}
    assert all(len(value) == 64 and int(value, 16) for value in source.sha256.values())
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)


def on_this_machine(folder: str) -> list[Path]:
    places = [Path(d) / folder for d in os.environ.get("BACKLIT_DATA", "").split(os.pathsep) if d]
    return [place for place in places if (place / f"{PARTS[0]}.gz").exists()][:1]


REAL = [(name, place) for name in ("mnist", "fashion_mnist") for place in on_this_machine(name)]


if REAL:

    @pytest.mark.parametrize(("name", "place"), REAL)
    def test_the_real_files(name, place):
        data = load_dataset(name)
        assert (data.x.shape, data.x.dtype) == ((60000, 28, 28, 1), np.uint8)
        assert (data.test.x.shape, len(data.classes)) == ((10000, 28, 28, 1), 10)
        counts = {"mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], "fashion_mnist": [6000] * 10}
        assert np.bincount(data.y).tolist() == counts[name]
        known = {"mnist": Mnist, "fashion_mnist": FashionMnist}[name].sha256
        for part, sha256 in known.items():
            assert hashlib.sha256((place / part).read_bytes()).hexdigest() == sha256
