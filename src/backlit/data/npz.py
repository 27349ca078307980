"""Arrays in files: .npz archives and directories of .npy files."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.source import Source
from backlit.data.targets import Task, rows, targets
from backlit.errors import DataError, SettingError, nearest


@dataclass(frozen=True)
class Npz(Source):
    """Arrays `x`, `y` of an .npz archive, or `x.npy`, `y.npy` of a directory; `test_x`, `test_y`: a fixed test part.

    x (N, ...): uint8 stays, all else becomes float32. y: integers, truth values and text are labels, floats are numbers
    to predict; `task` decides otherwise. Arrays of text called `classes` and `features`, where present, hold the names; with
    `vocabulary`, x holds places in it; `mask` and `test_mask` (N, T) tell real time steps from padding.
    Nothing is ever unpickled. Errors: DataError for a missing file or array, one that cannot be read, or bad numbers.

    >>> import numpy as np, tempfile
    >>> from backlit.data import Npz
    >>> path = tempfile.mkdtemp() + "/data.npz"
    >>> np.savez(path, x=np.zeros((3, 2)), y=np.array([1, 0, 1]), classes=np.array(["no", "yes"]))
    >>> data = Npz(path).load()
    >>> data.x.dtype, data.y.tolist(), data.classes
    (dtype('float32'), [1, 0, 1], ('no', 'yes'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("npz",)
    path: str
    x: str = "x"
    y: str = "y"
    test_x: str = ""
    test_y: str = ""
    task: Task | None = None

    def check(self) -> None:
        if bool(self.test_x) != bool(self.test_y):
            missing = "test_y" if self.test_x else "test_x"
            raise SettingError([(missing, "expected the name of an array, as the other half of the test part has one")])

    def load(self) -> Dataset:
        path = files.find(self.path)
        pairs = [(self.x, self.y), (self.test_x, self.test_y)][: 2 if self.test_x else 1]
        texts, masks = ("classes", "features", "vocabulary"), ("mask", "test_mask")
        arrays = read_arrays(path, [name for pair in pairs for name in pair], (*texts, *masks))
        classes, features, words = (tuple(map(str, arrays[n].ravel())) if n in arrays else () for n in texts)
        targeted = [arrays[y] for _, y in pairs]
        if any(y.ndim == 0 or y.shape[1:] != targeted[0].shape[1:] for y in targeted):
            found = " and ".join(str(y.shape) for y in targeted)
            raise DataError(f"{path}: expected targets (N,) or (N, k), alike in all parts, got {found}")
        # The classes are those of both parts together: a label has one number wherever it stands.
        y, classes = targets(np.concatenate(targeted), self.task, classes, f"{path}: {self.y}")
        cut = len(targeted[0])
        parts = [
            Dataset(
                arrays[name] if words else rows(arrays[name], f"{path}: {name}"), part, classes, features,
                mask=arrays.get(mask), vocabulary=words,
            )
            for (name, _), part, mask in zip(pairs, (y[:cut], y[cut:]), masks, strict=False)
        ]  # fmt: skip
        return replace(parts[0], test=parts[1] if self.test_x else None, name=path.name).checked()


def read_arrays(path: Path, wanted: list[str], optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Arrays by name from an .npz archive or from the .npy files of a directory; nothing is unpickled."""
    if not path.is_dir() and not zipfile.is_zipfile(path):
        hint = "for .npy files name the directory that holds x.npy and y.npy"
        raise DataError(f"{path}: expected an .npz archive or a directory of .npy files; {hint}")
    try:
        if path.is_dir():
            held = sorted(file.stem for file in path.glob("*.npy"))
            found = {n: np.load(path / f"{n}.npy", allow_pickle=False) for n in (*wanted, *optional) if n in held}
        else:
            with np.load(path, allow_pickle=False) as archive:
                held = sorted(archive.files)
                found = {n: archive[n] for n in (*wanted, *optional) if n in held}
    except Exception as error:  # a damaged archive raises whatever its reader trips over
        raise DataError(f"{path}: not a readable archive of arrays: {error}") from None
    for name in wanted:
        if name not in found:
            raise DataError(f"{path}: holds no array {name!r}; {nearest(name, held) if held else 'it is empty'}")
    return found
