"""Folders of images: the same rows for any number of workers, decoded once, every fault with its file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backlit.data import decoder, image_cache
from backlit.data.decoders import Decoders
from backlit.data.image_folder import ImageFolder
from backlit.errors import DataError
from backlit.settings import build, plain

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKLIT_CACHE", str(tmp_path / "cache"))


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Two classes of 40 noisy images, 5 x 4; their pixels by path."""
    names = [f"{c}/{i:02d}.png" for c in ("cat", "dog") for i in range(40)]
    pixels = [write(tmp_path / "set" / name, rng.integers(0, 255, (5, 4, 3), dtype=np.uint8)) for name in names]
    return tmp_path / "set", np.stack(pixels)


def test_rows_are_the_pixels_for_any_number_of_workers(folder):
    path, pixels = folder
    order = rng.integers(0, 80, 200)
    for workers in (0, 1, 2):
        for cache in (False, True):
            data = ImageFolder(str(path), workers=workers, cache=cache).load()
            assert data.classes == ("cat", "dog")
            assert data.y.tolist() == [0] * 40 + [1] * 40
            assert data.x.dtype == np.uint8
            np.testing.assert_array_equal(data.x[order], pixels[order])
            np.testing.assert_array_equal(data.take(order).x[:], pixels[order])


def test_what_was_announced_is_decoded_once_and_kept(folder, monkeypatch):
    path, pixels = folder
    asked = count(monkeypatch)
    data = ImageFolder(str(path), workers=2).load()
    data.x.ahead(np.arange(60))
    np.testing.assert_array_equal(data.x[np.arange(50)], pixels[:50])
    np.testing.assert_array_equal(data.x[:], pixels)
    assert sum(asked) == 80
    again = ImageFolder(str(path), workers=0).load()
    np.testing.assert_array_equal(again.x[:], pixels)
    assert sum(asked) == 80
    assert again.fingerprint() == data.fingerprint()


def test_a_training_that_ends_early_keeps_what_it_decoded(folder, monkeypatch):
    path, _ = folder
    data = ImageFolder(str(path), workers=0).load()
    data.x[np.arange(30)]
    del data  # rows that nobody holds any more leave their marks on the disk
    asked = count(monkeypatch)
    ImageFolder(str(path), workers=0).load().x[:]
    assert sum(asked) == 50


def count(monkeypatch):
    """How many images each job asked for."""
    asked, submit = [], Decoders.submit
    monkeypatch.setattr(
        Decoders,
        "submit",
        lambda self, job, *rest: asked.append(len(job.get("images", ()))) or submit(self, job, *rest),
    )
    return asked


def test_two_readers_share_what_is_decoded(folder, monkeypatch):
    path, pixels = folder
    one, two = (ImageFolder(str(path), workers=0).load().x for _ in range(2))
    one[:]
    asked = count(monkeypatch)
    np.testing.assert_array_equal(two[:], pixels)
    assert sum(asked) == 0


def test_images_that_changed_are_decoded_again_and_the_old_rows_go(folder, tmp_path):
    path, pixels = folder
    ImageFolder(str(path), workers=0).load().x[:]
    pixels[3] = write(path / "cat" / "03.png", 255 - pixels[3])
    os.utime(path / "cat" / "03.png", ns=(1, 1))
    np.testing.assert_array_equal(ImageFolder(str(path), workers=0).load().x[:], pixels)
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 1
    ImageFolder(str(path), size=(2, 2), workers=0).load()
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 2


def test_a_cache_that_was_cut_off_is_noticed(folder, tmp_path, caplog):
    path, pixels = folder
    data = ImageFolder(str(path), workers=0).load()
    data.x[:]
    (rows,) = (tmp_path / "cache" / "images").glob("*/rows.bin")
    os.truncate(rows, 1000)
    np.testing.assert_array_equal(data.x[:], pixels)
    assert "the file ends after 1000 bytes" in caplog.text
    np.testing.assert_array_equal(ImageFolder(str(path), workers=0).load().x[:], pixels)
    assert "expected 4800 bytes of images and 80 marks, got 1000 and 80" in caplog.text
    assert rows.stat().st_size == 4800


def test_marks_stand_only_for_rows_that_are_safe(folder, tmp_path, monkeypatch):
    """Killed before the rows were synced, the marks are missing too: decoded again, never a row of zeros."""
    path, _ = folder
    data = ImageFolder(str(path), workers=0).load()
    monkeypatch.setattr(image_cache, "COMMIT", 1e9)
    data.x[np.arange(30)]
    (state,) = (tmp_path / "cache" / "images").glob("*/state.bin")
    assert not any(state.read_bytes())
    data.x[:]
    assert all(state.read_bytes())


def test_without_room_images_are_decoded_whenever_they_are_read(folder, tmp_path, caplog, monkeypatch):
    path, pixels = folder
    data = ImageFolder(str(path), workers=0, cache_bytes=4799).load()
    assert "expected room for 4800 bytes of decoded images, got 4799" in caplog.text
    asked = count(monkeypatch)
    for _ in range(2):
        np.testing.assert_array_equal(data.x[:], pixels)
    assert sum(asked) == 160
    assert not (tmp_path / "cache" / "images").exists() or not list((tmp_path / "cache" / "images").iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(folder, tmp_path, caplog):
    path, pixels = folder
    (tmp_path / "cache").write_text("a file where the cache should be")
    np.testing.assert_array_equal(ImageFolder(str(path), workers=0).load().x[:], pixels)
    assert "the images are decoded in every epoch" in caplog.text


def test_a_disk_that_fails_meanwhile_is_done_without(folder, tmp_path, caplog):
    path, pixels = folder
    data = ImageFolder(str(path), workers=2).load()
    for rows in (tmp_path / "cache" / "images").glob("*/rows.bin"):
        rows.unlink()
        rows.mkdir()
    np.testing.assert_array_equal(data.x[:], pixels)
    assert "from here on the images are decoded in every epoch" in caplog.text


@pytest.mark.parametrize("damaged", ["error", "skip"])
def test_a_disk_that_is_full_is_done_without(folder, monkeypatch, caplog, damaged):
    path, pixels = folder
    answered, full = decoder.answered, {"disk": "No space left on device"}
    monkeypatch.setattr(
        decoder, "answered", lambda job: answered(job) if "backlit-images-" in job.get("file", "-") else full
    )
    x = ImageFolder(str(path), size=(5, 4), workers=0, damaged=damaged).load().x
    np.testing.assert_array_equal(x[:], pixels)
    assert "No space left on device; from here on the images are decoded in every epoch" in caplog.text


def test_pictures_are_scaled_and_cut_in_the_middle(tmp_path):
    """Against areas that are constant: the outer sixths of a wide picture go, the rest is halved."""
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 1:6], wide[:, 6:11] = (200, 0, 0), (0, 0, 100)
    write(tmp_path / "set" / "a" / "1.png", wide)
    write(tmp_path / "set" / "b" / "1.png", np.full((8, 8), 50, np.uint8))
    x = ImageFolder(str(tmp_path / "set"), size=(2, 4), workers=0).load().x[:]
    assert x.shape == (2, 2, 4, 3)
    assert x[0, :, 0].tolist() == [[200, 0, 0]] * 2
    assert x[0, :, 3].tolist() == [[0, 0, 100]] * 2
    assert (x[1] == 50).all()


def test_every_kind_of_pixel_becomes_bytes(tmp_path):
    level = np.array([[0, 128], [200, 255]], np.uint8)
    kinds = {
        "grey": Image.fromarray(level),
        "deep": Image.fromarray(level.astype(np.uint16) * 257),
        "colour": Image.fromarray(np.stack([level] * 3, axis=-1)),
        "clear": Image.fromarray(np.stack([level] * 3 + [level * 0 + 9], axis=-1), "RGBA"),
        "palette": Image.fromarray(level).convert("P"),
        "black": Image.fromarray(level > 0),
    }
    for channels in (1, 3):
        for name, image in kinds.items():
            image.save(tmp_path / f"{name}.png")
            row = decoder.decoded(str(tmp_path / f"{name}.png"), 2, 2, channels, False)
            want = (level > 0) * np.uint8(255) if name == "black" else level
            found = np.frombuffer(row, np.uint8).reshape(2, 2, channels)
            np.testing.assert_array_equal(found, np.repeat(want[..., None], channels, axis=-1), err_msg=name)


def test_a_photograph_is_turned_as_it_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, 16:] = 255
    Image.fromarray(pixels).save(tmp_path / "held.jpg", exif=exif, quality=100)
    assert decoder.measured(str(tmp_path / "held.jpg")) == [32, 16]
    row = decoder.decoded(str(tmp_path / "held.jpg"), 32, 16, 1, False)
    found = np.frombuffer(row, np.uint8).reshape(32, 16)
    assert (found[:8] < 60).all()
    assert (found[-8:] > 200).all()


def cut(path):
    path.write_bytes(path.read_bytes()[:80])


def test_a_damaged_image_is_named_or_left_out(folder, caplog, monkeypatch):
    path, pixels = folder
    cut(path / "dog" / "07.png")
    (path / "cat" / "20.png").write_text("no image")
    for workers in (0, 2):
        for cache in (False, True):
            x = ImageFolder(str(path), size=(5, 4), workers=workers, cache=cache).load().x
            np.testing.assert_array_equal(x[:20], pixels[:20])
            with pytest.raises(DataError, match=r"cat/20.png: not an image that Pillow can read \(2 such"):
                x[:]
            with pytest.raises(DataError, match=r"dog/07.png: .*damaged: skip"):
                x[np.array([47])]
    kept = np.delete(np.arange(80), [20, 47])
    for cache in (True, False, True):
        caplog.clear()
        data = ImageFolder(str(path), workers=0, damaged="skip", cache=cache).load()
        assert f"2 of 80 images are damaged and left out: {path}/cat/20.png (not an image" in caplog.text.replace(
            os.sep, "/"
        )
        assert data.y.tolist() == (kept >= 40).astype(int).tolist()
        np.testing.assert_array_equal(data.x[:], pixels[kept])
        assert data.fingerprint() == data.take(np.arange(78)).fingerprint()
    asked = count(monkeypatch)
    ImageFolder(str(path), workers=0, damaged="skip").load()
    assert sum(asked) == 0


def test_the_first_image_of_another_size_is_named(folder):
    path, _ = folder
    for name in ("cat/30.png", "dog/01.png"):
        write(path / name, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"cat/30.png: expected 5 x 4 pixels like the first image, got 4 x 5; write size"
    ):
        ImageFolder(str(path), workers=2).load()
    assert ImageFolder(str(path), size=(5, 4), workers=0).load().x[:].shape == (80, 5, 4, 3)


def test_folders_that_are_not_in_order_are_named(folder, tmp_path):
    path, _ = folder

    def wrong(text, **fields):
        with pytest.raises(DataError, match=text):
            ImageFolder(str(path), **fields).load()

    (path / ".hidden").mkdir()
    (path / "cat" / "Thumbs.db").write_text("")
    ImageFolder(str(path)).load()
    (path / "notes.png").write_bytes((path / "cat" / "00.png").read_bytes())
    wrong(r"notes.png: expected every image in the directory of its class")
    (path / "notes.png").unlink()
    (path / "fox").mkdir()
    wrong(r"fox: expected images of the class 'fox', got none")
    (path / "fox" / "a.docx").write_text("")
    wrong(r"a.docx: expected an image in a format that Pillow reads, got .docx")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"bare: expected a directory for each class.*got an empty folder"):
        ImageFolder(str(tmp_path / "bare")).load()
    (tmp_path / "bare" / "1.png").write_text("")
    with pytest.raises(DataError, match=r"got only files"):
        ImageFolder(str(tmp_path / "bare")).load()
    with pytest.raises(DataError, match=r"1.png: expected a folder of images, got a file"):
        ImageFolder(str(tmp_path / "bare" / "1.png")).load()


def test_fixed_parts_have_the_classes_of_the_training_part(folder, tmp_path):
    path, pixels = folder
    write(tmp_path / "test" / "dog" / "x" / "deep.png", pixels[50])
    write(tmp_path / "valid" / "cat" / "1.png", pixels[0])
    data = ImageFolder(str(path), test=str(tmp_path / "test"), validation=str(tmp_path / "valid"), workers=0).load()
    assert data.test is not None
    assert data.validation is not None
    assert (data.test.y.tolist(), data.validation.y.tolist()) == ([1], [0])
    np.testing.assert_array_equal(data.test.x[:], pixels[50:51])
    write(tmp_path / "test" / "dogs" / "1.png", pixels[0])
    with pytest.raises(DataError, match=r"dogs: expected the classes of .*did you mean 'dog'"):
        ImageFolder(str(path), test=str(tmp_path / "test")).load()


def test_labels_of_a_table(folder):
    path, pixels = folder
    names = [f"{c}/{i:02d}.png" for c in ("cat", "dog") for i in range(40)]
    lines = [f"{name},{'even' if i % 2 == 0 else 'odd'}" for i, name in enumerate(names)]

    def load(lines):
        (path / "labels.csv").write_text("file,label\n" + "\n".join(lines) + "\n")
        return ImageFolder(str(path), labels="labels.csv", workers=0).load()

    mixed = load([lines[i] for i in rng.permutation(80)])
    assert mixed.classes == ("even", "odd")
    assert mixed.y.tolist() == [0, 1] * 40
    np.testing.assert_array_equal(mixed.x[:], pixels)
    assert load([f"{name},{i / 2}" for i, name in enumerate(names)]).y.tolist() == [i / 2 for i in range(80)]
    assert load([f"{name},{i % 3}" for i, name in enumerate(names)]).classes == ("0", "1", "2")
    for broken, text in (
        (lines[1:], r"cat.00.png: expected a label for each image, got none in"),
        ([*lines, "cat/99.png,odd"], r"labels.csv: line 82: cat/99.png: no such image in .*did you mean"),
        ([*lines, lines[0]], r"line 82: cat/00.png: expected each image once"),
        (["cat/00.png", *lines[1:]], r"line 2: expected a file and its label, got 'cat/00.png'"),
    ):
        with pytest.raises(DataError, match=text):
            load(broken)


def test_a_process_that_dies_over_an_image_is_replaced(folder, monkeypatch, tmp_path):
    """A worker that is killed by one image: that image is named, the others are decoded."""
    path, pixels = folder
    fatal = tmp_path / "decoder.py"
    text = Path(decoder.__file__).read_text().replace("def said", "def _said", 1)
    start = 'def decoded(path: str, height: int, width: int, channels: int, fit: bool) -> "bytes | str":'
    assert start in text
    fatal.write_text(text.replace(start, start + '\n    if path.endswith("cat/13.png"): os._exit(3)'))
    monkeypatch.setattr("backlit.data.decoders.PROGRAM", fatal)
    x = ImageFolder(str(path), size=(5, 4), workers=2).load().x
    with pytest.raises(DataError, match=r"cat/13.png: the process that decoded it ended \(exit status 3\)"):
        x[:]
    np.testing.assert_array_equal(x[14:], pixels[14:])


PARENT = """
import signal, sys, time
from backlit.data.decoders import Decoders
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background inherits that it is ignored
decoders = Decoders(2)
futures = [decoders.submit({"sizes": ["nothing.png"]}, lambda answer: answer) for _ in range(8)]
print([future.result()[0] for future in futures][0], flush=True)
sys.stdin.readline()
if sys.argv[1] == "raise":
    raise SystemExit("gone")
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["raise", "interrupt", "kill"])
def test_workers_end_with_whoever_asked(how):
    call, pipe = [sys.executable, "-c", PARENT, how], subprocess.PIPE
    with subprocess.Popen(call, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "No such file or directory\n"
        children = workers_of(parent.pid)
        assert children
        parent.stdin.write("\n")
        parent.stdin.flush()
        if how != "raise":
            parent.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
        parent.wait(20)
    deadline = time.time() + 10
    while any(alive(child) for child in children) and time.time() < deadline:
        time.sleep(0.02)
    assert not [child for child in children if alive(child)]


def alive(pid):
    """Whether there is such a process that runs; one that has ended waits for its parent, init, to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers_of(pid):
    """Processes whose parent this is."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in found]


def test_a_worker_imports_neither_jax_nor_the_program(folder):
    path, _ = folder
    call = [sys.executable, "-P", "-X", "importtime", decoder.__file__]
    job = json.dumps({"sizes": [str(path / "cat" / "00.png")]}) + "\n"
    done = subprocess.run(call, input=job, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[5, 4]]
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "PIL" in imported
    assert not imported & {"jax", "backlit", "numpy", "pydantic"}


def test_settings_come_back():
    source = ImageFolder("pictures", size=(8, 6), channels=1, damaged="skip")
    from backlit.data import Source

    assert build(Source, plain(source)) == source
    assert plain(source) == {
        "type": "ImageFolder",
        "path": "pictures",
        "size": [8, 6],
        "channels": 1,
        "damaged": "skip",
    }
