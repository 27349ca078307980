"""A folder of images: one directory a class, or a table of labels beside them."""

import csv
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from backlit.data import decoder, files, image_cache
from backlit.data.dataset import Dataset
from backlit.data.decoders import Decoders
from backlit.data.image_rows import ImageRows
from backlit.data.libraries import library
from backlit.data.rows import Rows
from backlit.data.source import Source
from backlit.data.targets import Task, targets
from backlit.engine.devices import cores
from backlit.errors import DataError, nearest
from backlit.settings import Count

log = logging.getLogger("backlit")

IGNORED = {"thumbs.db", "desktop.ini"}
"""What a system leaves in folders of images; names that start with a dot too."""

NAMED = 20
"""So many damaged files are named in a line of the log."""


@dataclass(frozen=True)
class ImageFolder(Source):
    """Images (N, H, W, C) uint8 that are read when they are needed: `path/<class>/<anything>/name.png`.

    size       (H, W): a picture is scaled until it just covers this, and cut in the middle; without, all have one size
    channels   3 (RGB) or 1 (grey)
    labels     a CSV with a line of column names and then `file,label` lines, beside the images or anywhere; without, the
               directories are the classes, in sorted order. Labels as numbers with a point are numbers to predict
    test, validation   folders with fixed parts, arranged the same way
    damaged    "error" names the first damaged image when it is read; "skip" decodes all of them first, leaves such out
               and says which
    workers    processes that decode; None: as many as cores, 0: this one. The rows are the same for any number
    cache      decoded rows are kept on the disk, where they take N H W C bytes, up to `cache_bytes` (None: a quarter of the
               free space); from the second epoch on, and in later trainings, they are only read

    Turned as EXIF says; transparency is left out; 16-bit grey keeps its upper 8 bits. Reading is by Pillow.
    Errors: DataError that names the file: damaged or truncated, of another size, in a format that Pillow cannot read, without
    a label, or with one but missing; an empty folder or directory of a class; MissingLibraryError without Pillow.
    Others: torchvision's ImageFolder leaves out what it does not know, and scales by a transform in each epoch.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from backlit.data.image_folder import ImageFolder
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, colour in (("night", (0, 0, 40)), ("day", (90, 160, 250))):
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (6, 4), colour).save(folder / name / "1.png")
    >>> data = ImageFolder(str(folder), size=(2, 2), workers=0).load()
    >>> data.x.shape, data.y.tolist(), data.classes, data.x[:][0, 0, 0].tolist()
    ((2, 2, 2, 3), [0, 1], ('day', 'night'), [90, 160, 250])
    """

    aliases: ClassVar[tuple[str, ...]] = ("image-folder",)
    path: str
    size: tuple[Count, Count] | None = None
    channels: Literal[1, 3] = 3
    labels: str = ""
    test: str = ""
    validation: str = ""
    task: Task | None = None
    damaged: Literal["error", "skip"] = "error"
    workers: Annotated[int, Ge(0)] | None = None
    cache: bool = True
    cache_bytes: Count | None = None

    def load(self) -> Dataset:
        known = formats()
        # Whole paths: workers stay in the directory they were started in.
        paths = [files.find(p).absolute() for p in (self.path, self.test, self.validation) if p]
        listings = [listed(path, known, bool(self.labels)) for path in paths]
        tables = [
            labelled(p, found, self.labels) if self.labels else found for p, found in zip(paths, listings, strict=True)
        ]
        labels = [np.array([label for _, label in table]) for table in tables]
        if not self.labels:
            same_classes(paths, labels)
        if any(array.dtype.kind == "U" for array in labels):  # in one part all labels may look like numbers
            labels = [array.astype(str) for array in labels]
        y, classes = targets(np.concatenate(labels), self.task if self.labels else None, where=str(paths[0]))
        y = np.split(y, np.cumsum([len(array) for array in labels])[:-1])
        decoders = Decoders(cores() if self.workers is None else self.workers)
        named = [[file for file, _ in table] for table in tables]
        size = self.size or first_size(named[0], self.damaged == "skip")
        parts = []
        for path, names, part in zip(paths, named, y, strict=True):
            rows, kept = self._rows(path, names, size, decoders)
            parts.append(Dataset(rows, part[kept], classes, name=path.name))
        rest = iter(parts[1:])
        test, validation = (next(rest) if p else None for p in (self.test, self.validation))
        return replace(parts[0], test=test, validation=validation).checked()

    def _rows(self, path: Path, names: list[str], size: tuple[int, int], decoders: Decoders) -> tuple[Rows, np.ndarray]:
        """The images of one part, and which of its files they are."""
        shape = (*size, self.channels)
        fit = self.size is not None
        about: dict[str, Any] = {"folder": str(path.resolve()), "row": list(shape), "fit": fit}
        name, cache = fingerprint(path, names, shape, fit), None
        if self.cache:
            cache = image_cache.opened(name, about, len(names), math.prod(shape), self.cache_bytes)
        if not fit and not (cache and cache.about.get("measured")):
            same_size(names, size, decoders, self.damaged == "skip")
            if cache:
                cache.remember({"measured": True})
        rows = ImageRows(names, shape, fit, name, decoders, cache)
        if self.damaged == "error":
            return rows, np.arange(len(names))
        wrong = rows.damaged()
        kept = np.setdiff1d(np.arange(len(names)), np.fromiter(wrong, np.int64, len(wrong)))
        if wrong:
            said = "; ".join(f"{names[place]} ({text})" for place, text in list(wrong.items())[:NAMED])
            more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            log.warning("%s: %d of %d images are damaged and left out: %s%s", path, len(wrong), len(names), said, more)
        if not len(kept):
            raise DataError(f"{path}: expected at least one image that can be read, got {len(names)} damaged ones")
        return rows.take(kept) if wrong else rows, kept


Listing = list[tuple[str, Any]]
"""(path of an image, label) for each."""


def formats() -> set[str]:
    """The endings of the files that Pillow reads, '.png' and so on."""
    image = library("PIL.Image", "pillow", "reading images")
    image.init()
    return {ending for ending, name in image.registered_extensions().items() if name in image.OPEN}


def listed(folder: Path, known: set[str], flat: bool) -> Listing:
    """Every image of a folder with its class, sorted; `flat`: they may lie anywhere in it, the class is ''."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, got a file")
    found: Listing = []
    try:
        entries = sorted(entry for entry in os.listdir(folder) if not entry.startswith("."))
        directories = [name for name in entries if (folder / name).is_dir()]
        if flat:
            found = [(path, "") for path in images(folder, known, {".csv", ".txt", ".json", ".md"})]
        elif not directories:
            text = "expected a directory for each class, or a table of labels (labels: labels.csv)"
            raise DataError(f"{folder}: {text}, got {'only files' if entries else 'an empty folder'}")
        for name in () if flat else directories:
            inside = [(path, name) for path in images(folder / name, known)]
            if not inside:
                raise DataError(
                    f"{folder / name}: expected images of the class {name!r}, got none; add some, or remove it"
                )
            found += inside
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror or error}") from None
    loose = [n for n in entries if n not in directories and Path(n).suffix.lower() in known and not flat]
    if loose:
        text = "expected every image in the directory of its class"
        raise DataError(f"{folder / loose[0]}: {text}, got one beside them; move it, or write a table of labels")
    if not found:
        raise DataError(f"{folder}: expected images, got an empty folder")
    return found


def images(folder: Path, known: set[str], beside: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    """Paths of all images in a folder and within, sorted; files with an ending of `beside` are passed over."""
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        if entry.name.startswith(".") or entry.name.lower() in IGNORED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from images(Path(entry.path), known, beside)
            continue
        ending = os.path.splitext(entry.name)[1].lower()
        if ending in known:
            yield entry.path
        elif ending not in beside:
            hint = "move it out, or save it as .png"
            raise DataError(
                f"{entry.path}: expected an image in a format that Pillow reads, got {ending or 'no ending'}; {hint}"
            )


def labelled(folder: Path, found: Listing, table: str) -> Listing:
    """The images of a folder, sorted, with their labels from a CSV: each has one, and each line has its image."""
    path = folder / table if (folder / table).exists() else files.find(table)
    there = {os.path.relpath(file, folder).replace(os.sep, "/"): file for file, _ in found}
    given: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for number, line in enumerate(csv.reader(file), 1):
                if number == 1 or not line:
                    continue
                where = f"{path}: line {number}"
                if len(line) < 2 or not line[1].strip():
                    raise DataError(f"{where}: expected a file and its label, got {','.join(line)!r}")
                name = line[0].strip().replace("\\", "/").removeprefix("./")
                if name not in there:
                    raise DataError(f"{where}: {name}: no such image in {folder}; {nearest(name, list(there)[:10000])}")
                if name in given:
                    raise DataError(f"{where}: {name}: expected each image once, it has a label already; remove a line")
                given[name] = line[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table of labels: {error}") from None
    for name, image in there.items():
        if name not in given:
            hint = "add a line, or move the image out"
            raise DataError(f"{image}: expected a label for each image, got none in {path}; {hint}")
    values = numbers_or_text([given[name] for name in there])
    return list(zip(there.values(), values, strict=True))


def numbers_or_text(texts: list[str]) -> list[Any]:
    """All as integers, else all as floats, else as they are.

    >>> from backlit.data.image_folder import numbers_or_text
    >>> numbers_or_text(["1", "2"]), numbers_or_text(["1", "2.5"]), numbers_or_text(["1", "b"])
    ([1, 2], [1.0, 2.5], ['1', 'b'])
    """
    for kind in (int, float):
        try:
            return [kind(text) for text in texts]
        except ValueError:
            continue
    return list(texts)


def same_classes(paths: list[Path], labels: list[np.ndarray]) -> None:
    """DataError unless the other parts have no class that the first lacks."""
    known = set(labels[0].tolist())
    for path, part in zip(paths[1:], labels[1:], strict=True):
        for name in part.tolist():
            if name not in known:
                raise DataError(
                    f"{path / name}: expected the classes of {paths[0]}, got another; {nearest(name, known)}"
                )


def first_size(names: list[str], skip: bool) -> tuple[int, int]:
    """(H, W) of the first image; of the first that can be read where damaged ones may be skipped."""
    for name in names:
        found = decoder.measured(name)
        if not isinstance(found, str):
            return found[0], found[1]
        if not skip:
            raise DataError(f"{name}: {found}; mend or remove the file, or leave such files out with damaged: skip")
    raise DataError(f"{names[0]}: expected at least one image that can be read, got {len(names)} damaged ones")


def same_size(names: list[str], size: tuple[int, int], decoders: Decoders, skip: bool) -> None:
    """DataError for the first image whose header tells another size, or cannot be read."""
    asked: list[Future[Any]] = [
        decoders.submit({"sizes": names[i : i + 256]}, lambda answer: answer) for i in range(0, len(names), 256)
    ]
    for name, found in zip(names, (size for future in asked for size in future.result()), strict=True):
        if isinstance(found, str):
            if not skip:
                raise DataError(f"{name}: {found}; mend or remove the file, or leave such files out with damaged: skip")
        elif tuple(found) != size:
            text = f"expected {size[0]} x {size[1]} pixels like the first image, got {found[0]} x {found[1]}"
            raise DataError(f"{name}: {text}; write size: [height, width] to bring all to one")


def fingerprint(folder: Path, names: list[str], shape: tuple[int, ...], fit: bool) -> str:
    """What tells the decoded rows of these files, as they are now, from any others."""
    listing = []
    for name in names:
        known = os.stat(name)
        listing.append((os.path.relpath(name, folder), known.st_size, known.st_mtime_ns))
    text = json.dumps([str(folder.resolve()), shape, fit, listing])
    return hashlib.sha256(text.encode()).hexdigest()[:24]
