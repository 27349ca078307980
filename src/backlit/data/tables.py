"""Tables and arrays in files: CSV, .npz and pairs of .npy."""

import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.libraries import library
from backlit.data.source import Source
from backlit.data.targets import Task, rows, targets
from backlit.errors import DataError, SettingError, nearest, received

FEW = 20  # integers with at most this many values, each twice on average, are classes unless `task` says otherwise


@dataclass(frozen=True)
class Csv(Source):
    """A table: `target` is the column to predict, by name or by position (from 0, or from the end with -1, -2, ...).

    Text in the target column becomes classes in sorted order; so do truth values, and integers with at most 20
    different values (each at least twice on average); `task` decides otherwise. All other columns must hold numbers;
    `drop` leaves columns out. `header=False`: the first line is data, and the columns are called '0', '1', ...
    Errors: DataError with row and column for text in a column of numbers, an empty cell, an infinite number; for a
    missing file or column, lines of different lengths; MissingLibraryError without pandas.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import Csv
    >>> path = Path(tempfile.mkdtemp()) / "plants.csv"
    >>> _ = path.write_text("height,width,kind\\n1.5,2,fern\\n3,1,moss\\n")
    >>> data = Csv(str(path), target="kind").load()
    >>> data.x.tolist(), data.y.tolist(), data.classes, data.features
    ([[1.5, 2.0], [3.0, 1.0]], [0, 1], ('fern', 'moss'), ('height', 'width'))
    """

    aliases: ClassVar[tuple[str, ...]] = ("csv",)
    path: str
    target: int | str
    task: Task | None = None
    separator: str = ","
    header: bool = True
    drop: tuple[int | str, ...] = ()

    def check(self) -> None:
        if len(self.separator) != 1 and self.separator != r"\s+":
            text = r"expected one character, or '\s+' for any white space"
            raise SettingError([("separator", f"{text}, got {self.separator!r}")])

    def load(self) -> Dataset:
        path = files.find(self.path)
        table = read_table(path, self.separator, self.header)
        names = [str(name) for name in table.columns]
        target = place_of("target", self.target, names, path)
        unused = {place_of("drop", column, names, path) for column in self.drop}
        if target in unused:
            raise SettingError([("drop", f"expected columns other than the target {names[target]!r}, got it too")])
        used = [i for i in range(len(names)) if i != target and i not in unused]
        if not used:
            raise DataError(f"{path}: expected at least one column besides the target {names[target]!r}, got none")
        x = np.stack([self._numbers(path, table.iloc[:, i], names[i]) for i in used], axis=1)
        y, classes = self._target(path, table.iloc[:, target], names[target])
        return Dataset(rows(x, str(path)), y, classes, tuple(names[i] for i in used), name=path.name).checked()

    def _target(self, path: Path, column: Any, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
        if bool(column.isna().any()):
            raise self._wrong(path, column, name, column.isna(), "a target")
        values = column.to_numpy()
        where = f"{path}: column {name!r}"
        if self.task == "regression":
            return targets(self._numbers(path, column, name).astype(np.float32), "regression", where=where)
        if values.dtype.kind == "f":
            self._numbers(path, column, name)
            whole = bool((values == np.floor(values)).all())
            values = values.astype(np.int64) if whole else values
        if values.dtype.kind in "iu" and self.task is None:
            distinct = len(np.unique(values))
            values = values if distinct <= FEW and 2 * distinct <= len(values) else values.astype(np.float32)
        values = values.astype(str) if values.dtype.kind == "O" else values
        return targets(values, self.task, where=where)

    def _numbers(self, path: Path, column: Any, name: str) -> np.ndarray:
        pandas = library("pandas", "pandas", "reading a CSV file")
        values = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        bad = ~np.isfinite(values)
        if bad.any():
            raise self._wrong(path, column, name, bad, "a number")
        return np.asarray(values)

    def _wrong(self, path: Path, column: Any, name: str, bad: Any, expected: str) -> DataError:
        at = int(np.argmax(np.asarray(bad)))
        value, line = column.iloc[at], int(column.index[at]) + 1 + int(self.header)
        found = "an empty cell or NA" if value != value else received(value.item() if hasattr(value, "item") else value)
        count = int(np.asarray(bad).sum())
        others = f" ({count} such cells in this column)" if count > 1 else ""
        place = f"row {line - int(self.header)} (line {line} of the file), column {name!r}"
        hint = f"mend the cell, or leave the column out with drop: [{name}]"
        hint = "mend the cell or remove the line" if expected == "a target" else hint
        return DataError(f"{path}: {place}: expected {expected}, got {found}{others}; {hint}")


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


def read_table(path: Path, separator: str, header: bool) -> Any:
    """The lines of a CSV file as a pandas table, numbered as in the file; DataError when it is no table."""
    pandas = library("pandas", "pandas", "reading a CSV file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table = pandas.read_csv(
                path, sep=separator, header=0 if header else None, index_col=False, skipinitialspace=True,
                skip_blank_lines=False, low_memory=False,
            )  # fmt: skip
    except pandas.errors.EmptyDataError:
        raise DataError(f"{path}: expected a line of column names and lines of data, got an empty file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text in UTF-8, got other bytes ({error.reason} at {error.start})") from None
    except pandas.errors.ParserWarning:
        raise DataError(f"{path}: expected as many cells in a line as there are columns, got lines with more") from None
    except Exception as error:
        text = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path}: not a readable table: {text}") from None
    table = table.dropna(how="all")
    if len(table) == 0:
        raise DataError(f"{path}: expected at least one line of data, got only {', '.join(map(str, table.columns))}")
    return table


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


def place_of(setting: str, column: int | str, names: list[str], path: Path) -> int:
    """The place of a column given by name or position; DataError that names the nearest."""
    if isinstance(column, str):
        if column not in names:
            raise DataError(f"{path}: {setting}: no column {column!r}; {nearest(column, names)}")
        return names.index(column)
    if not -len(names) <= column < len(names):
        raise DataError(f"{path}: {setting}: expected a column {-len(names)}..{len(names) - 1}, got {column}")
    return column % len(names)
