"""The sources that need no file, and the one door to all of them."""

import sys

import numpy as np
import pytest

from backlit.data import Arrays, BreastCancer, Dataset, Diabetes, Digits, Iris, Polynomial, Source, Wine, load_dataset
from backlit.errors import BacklitError, DataError, MissingLibraryError, SettingError
from backlit.settings import build, known, plain

EMBEDDED = [
    (Digits(), (1797, 64), 10),
    (Digits(image=True), (1797, 8, 8, 1), 10),
    (Iris(), (150, 4), 3),
    (Wine(), (178, 13), 3),
    (BreastCancer(), (569, 30), 2),
    (Diabetes(), (442, 10), 0),
    (Polynomial(n=30), (30, 1), 0),
    (Polynomial(n=30, degree=4, powers=True), (30, 4), 0),
]


@pytest.mark.parametrize(("source", "shape", "classes"), EMBEDDED)
def test_embedded_sets_have_the_shapes_they_promise(source, shape, classes):
    data = source.load()
    assert (data.x.shape, data.x.dtype, len(data.classes)) == (shape, np.float32, classes)
    assert data.y.dtype == (np.int32 if classes else np.float32)
    assert data.y.shape == shape[:1]
    assert len(data.features) == np.prod(shape[1:])
    assert data.checked() is data
    assert all(type(name) is str for name in (*data.classes, *data.features))


NAMES = ["digits", "iris", "wine", "breast-cancer", "diabetes", "polynomial", "mnist", "fashion-mnist"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_file_finds_its_source(name):
    assert build(Source, {"type": name}) == build(Source, name.upper().replace("-", "_"))


def test_sources_with_settings_are_known_by_their_names():
    assert {"idx", "csv", "npz", *NAMES} <= set(known(Source))


@pytest.mark.parametrize("source", [source for source, _, _ in EMBEDDED])
def test_settings_go_to_plain_data_and_back(source):
    assert build(Source, plain(source)) == source


def test_the_polynomial_is_decided_by_its_seed():
    first, again, other = (Polynomial(n=40, seed=seed).load() for seed in (1, 1, 2))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert float(np.abs(first.x).max()) <= 1
    x = Polynomial(n=40, seed=1, degree=5, powers=True).load().x
    np.testing.assert_allclose(x, first.x ** np.arange(1, 6), rtol=1e-5)


def test_noise_is_what_is_left_of_the_curve():
    data = Polynomial(n=2000, noise=0.2).load()
    x = data.x[:, 0].astype(np.float64)
    assert np.std(data.y - (4 * x**3 - 3 * x)) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(
    "value", ["iris", {"type": "iris"}, Iris(), Iris().load(), (Iris().load().x, Iris().load().y)], ids=type
)
def test_everything_a_user_may_hold_loads(value):
    data = load_dataset(value)
    assert isinstance(data, Dataset)
    assert (data.x.shape, data.y.tolist()) == ((150, 4), Iris().load().y.tolist())


def test_lists_are_data_too():
    data = load_dataset([[[0, 1], [2, 3], [4, 5]], ["cat", "dog", "cat"]])
    assert (data.x.tolist(), data.classes) == ([[0, 1], [2, 3], [4, 5]], ("cat", "dog"))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("irirs", SettingError, r"unknown source 'irirs'; did you mean '[Ii]ris'"),
        (7, SettingError, r"data: expected a Dataset, a Source, a name.*got 7"),
        (([[1.0]], [1.0], [1.0]), SettingError, r"expected a pair \(x, y\), got 3 things"),
        ({"type": "iris", "rows": 3}, SettingError, r"rows: unknown setting 'rows'"),
        (([[1.0], [np.nan]], [0, 1]), DataError, r"arrays: x: row 1, column 0"),
        (([[1.0], [2.0]], [0, 1, 1]), DataError, r"one target a row"),
        ((Dataset(np.zeros((2, 1), "f"), np.array([0, 3]), ("a", "b"))), DataError, r"label 0\.\.1"),
    ],
)
def test_what_is_no_data_is_refused_in_a_sentence(value, error, text):
    with pytest.raises(error, match=text):
        load_dataset(value)


def test_arrays_have_names_and_no_place_in_a_file():
    source = Arrays(np.zeros((2, 2)), [1, 0], classes=("no", "yes"), features=("a", "b"))
    assert source.load().classes == ("no", "yes")
    with pytest.raises(BacklitError, match=r"save them with numpy.savez.*Npz\('data.npz'\)"):
        plain(source)


def test_a_missing_library_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingLibraryError, match=r"'iris' needs scikit-learn.*pip install scikit-learn"):
        Iris().load()
