"""CIFAR-10 in each form in which its files are found, and the decoded bytes that are kept."""

import io
import lzma
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

import backlit as bl
from backlit.data import Cifar10, Flip, RandomCrop, Split
from backlit.data.cifar import TRAIN
from backlit.errors import DataError
from backlit.training.setup import setup

RNG = np.random.default_rng(8)
ROWS = 10
PIXELS = RNG.integers(0, 256, (6, ROWS, 3, 32, 32)).astype("u1")
LABELS = np.stack([RNG.permutation(10) for _ in range(6)]).astype("u1")
RECORDS = np.concatenate([LABELS[..., None], PIXELS.reshape(6, ROWS, 3072)], axis=2)
NAMES = (*TRAIN, "test_batch")


def binary(part: int) -> bytes:
    return RECORDS[part].tobytes()


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings: that is what the real files hold."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        size = len(value)
        self.write((b"U" + bytes([size]) if size < 256 else b"T" + size.to_bytes(4, "little")) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def old_pickle(value: object) -> bytes:
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    return file.getvalue()


def pickled(part: int) -> bytes:
    held = {b"batch_label": b"of 6", b"labels": LABELS[part].tolist(), b"data": PIXELS[part].reshape(ROWS, 3072)}
    return old_pickle(held)


def archive(path: Path, folder: str, ending: str, content) -> None:
    with tarfile.open(path, "w:gz") as file:
        for part in (5, 2, 0, 1, 3, 4):  # in any order
            data = content(part)
            member = tarfile.TarInfo(f"{folder}/{NAMES[part]}{ending}")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
        file.addfile(tarfile.TarInfo(f"{folder}/readme.html"), io.BytesIO())


def write(folder: Path, form: str) -> None:
    folder.mkdir(parents=True)
    if form in ("binary.tar.gz", "python.tar.gz"):
        python = form.startswith("python")
        archive(folder / f"cifar-10-{form}", "batches", "" if python else ".bin", pickled if python else binary)
        return
    for part, name in enumerate(NAMES):
        if form.startswith("train_part") and part < 5:
            name = f"train_part{part + 1}"
        content = pickled(part) if form == "python" else binary(part)
        ending = {"python": "", "bin": ".bin"}.get(form, ".bin.xz")
        (folder / f"{name}{ending}").write_bytes(lzma.compress(content) if ending == ".bin.xz" else content)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BACKLIT_OFFLINE", "1")
    return tmp_path / "data"


@pytest.mark.parametrize("form", ["bin", "xz", "train_part.xz", "python", "binary.tar.gz", "python.tar.gz"])
@pytest.mark.parametrize("name", ["cifar10", "cifar-10-batches-py"])
def test_every_form_gives_the_same_rows(folder, form, name):
    write(folder / name, form)
    data = Cifar10().load()
    assert (data.x.shape, data.x.dtype, data.test.x.shape) == ((50, 32, 32, 3), np.uint8, (10, 32, 32, 3))
    np.testing.assert_array_equal(data.x, PIXELS[:5].reshape(50, 3, 32, 32).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(data.test.x, PIXELS[5].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(data.y, LABELS[:5].ravel())
    assert (data.y.dtype, data.test.y.tolist(), len(data.classes)) == (np.int32, LABELS[5].tolist(), 10)


def test_the_decoded_bytes_are_kept_until_a_file_changes(folder, monkeypatch):
    write(folder / "cifar10", "xz")
    first = Cifar10().load()
    kept = list((folder.parent / "cache" / "data").glob("cifar10-*.npy"))
    assert len(kept) == 1
    monkeypatch.setattr("backlit.data.cifar._decoded", lambda paths: pytest.fail("decoded again"))
    assert Cifar10().load().fingerprint() == first.fingerprint()
    monkeypatch.undo()
    monkeypatch.setenv("BACKLIT_DATA", str(folder))
    monkeypatch.setenv("BACKLIT_CACHE", str(folder.parent / "cache"))
    (folder / "cifar10" / "data_batch_2.bin.xz").write_bytes(
        lzma.compress(binary(1)[::-1].replace(b"\xff", b"\x01"), preset=0)
    )
    with pytest.raises(DataError, match=r"expected a label 0\.\.9"):
        Cifar10().load()
    kept[0].write_bytes(b"damaged")
    (folder / "cifar10" / "data_batch_2.bin.xz").write_bytes(lzma.compress(binary(1)))
    assert Cifar10().load().fingerprint() == first.fingerprint()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (
            "data_batch_3.bin",
            binary(2)[:-1],
            r"data_batch_3.bin: truncated or no CIFAR-10: expected records of 3073 bytes",
        ),
        ("data_batch_3.bin", b"", "got 0 bytes in all"),
        ("data_batch_3.bin", binary(2)[:3073], r"each of as many rows, got 10 \+ 10 \+ 1 \+ 10"),
        ("data_batch_3.bin", b"\x80\x02garbage", "not a batch of CIFAR-10's Python version"),
    ],
)
def test_files_that_hold_something_else(folder, name, content, text):
    write(folder / "cifar10", "bin")
    (folder / "cifar10" / name).write_bytes(content)
    with pytest.raises(DataError, match=text):
        Cifar10().load()


def test_damaged_archives(folder):
    write(folder / "cifar10", "binary.tar.gz")
    path = folder / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DataError, match="not a readable archive"):
        Cifar10().load()
    write(folder / "cifar-10", "xz")
    path.unlink()
    (folder / "cifar-10" / "test_batch.bin.xz").write_bytes(b"\xfd7zXZ\x00" + b"junk" * 10)
    with pytest.raises(DataError, match=r"test_batch.bin.xz: not a readable xz file"):
        Cifar10().load()


class Attack:
    def __reduce__(self):
        return (print, ("code ran",))


def test_nothing_is_run_by_a_pickle(folder, capsys):
    write(folder / "cifar10", "python")
    (folder / "cifar10" / "data_batch_1").write_bytes(old_pickle({b"data": Attack(), b"labels": []}))
    with pytest.raises(DataError, match=r"data_batch_1: .*print has no place in CIFAR-10"):
        Cifar10().load()
    assert "code ran" not in capsys.readouterr().out


def test_without_files_and_network(folder):
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: not found, and BACKLIT_OFFLINE"):
        Cifar10().load()


def test_a_training_on_it(folder):
    write(folder / "cifar10", "xz")
    run = bl.train(
        bl.Chain(bl.Flatten(), bl.Dense(10)), "cifar10", epochs=2, batch_size=16, augmentation=[Flip(), RandomCrop(4)],
        preprocessing=[bl.Standardize(axis="channel")], engine="numpy", split=Split(validation=0.2),
    )  # fmt: skip
    assert setup(run.experiment).parts.train.x.dtype == np.uint8
    assert np.isfinite(run.history[-1]["loss"])
    assert run.predict(PIXELS[5].transpose(0, 2, 3, 1)).shape == (10,)
