"""Tables in text files: CSV, TSV."""

import bz2
import csv
import gzip
import lzma
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from backlit.data.columns import MISSING, TableSource
from backlit.data.libraries import library
from backlit.data.sheet import Sheet
from backlit.data.targets import Task
from backlit.errors import DataError, SettingError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Csv(TableSource):
    """A table: `target` is the column to predict, by name or by position (from 0, or from the end with -1, -2, ...).

    Text in the target column becomes classes in sorted order; so do truth values, and integers with at most 20
    different values (each at least twice on average); `task` decides otherwise. All other columns are features: numbers,
    categories (text) and dates, told by their cells; `drop` leaves columns out. A file may be packed (.gz, .bz2, .xz,
    .zip), and `path` may name several files with the same columns, whose rows then follow each other.

    header     False: the first line is data, and the columns are called '0', '1', ...
    names      the columns' names, where the file has no line of names
    separator  "\\t" for TSV, '\\s+' for any white space;  decimal  "," for 3,14
    encoding   of the text, as Python calls it: latin-1, utf-16
    All other settings: TableSource.

    Errors: DataError with file, line and column for a cell of text among numbers, an infinite number, a missing target,
    a line that is too short or too long, other bytes than the encoding has; for a missing file or column;
    MissingLibraryError without pandas.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import Csv
    >>> path = Path(tempfile.mkdtemp()) / "plants.csv"
    >>> _ = path.write_text("height,width,kind\\n1.5,2,fern\\n3,1,moss\\n")
    >>> data = Csv(str(path), target="kind").load()
    >>> data.x.tolist(), data.y.tolist(), data.classes, data.features
    ([[1.5, 2.0], [3.0, 1.0]], [0, 1], ('fern', 'moss'), ('height', 'width'))
    >>> data = Csv(str(path), target="height").load()
    >>> data.x.kinds
    {'width': 'number', 'kind': 'category'}
    """

    aliases: ClassVar[tuple[str, ...]] = ("csv",)
    path: str | tuple[str, ...]
    target: int | str
    task: Task | None = None
    separator: str = ","
    header: bool = True
    drop: tuple[int | str, ...] = ()
    _: KW_ONLY
    names: tuple[str, ...] = ()
    decimal: str = "."
    encoding: str = "utf-8"

    def check(self) -> None:
        if len(self.separator) != 1 and self.separator != r"\s+":
            text = r"expected one character, or '\s+' for any white space"
            raise SettingError([("separator", f"{text}, got {self.separator!r}")])
        if len(self.decimal) != 1 or self.decimal == self.separator:
            raise SettingError([("decimal", f"expected one character other than the separator, got {self.decimal!r}")])
        try:
            "".encode(self.encoding)
        except LookupError:
            text = f"expected an encoding that Python knows, such as latin-1, got {self.encoding!r}"
            raise SettingError([("encoding", text)]) from None
        if len(set(self.names)) < len(self.names):
            raise SettingError([("names", "expected a name of its own for every column, got one twice")])
        super().check()

    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def predicted(self) -> tuple[int | str, Task | None, tuple[int | str, ...]]:
        return self.target, self.task, self.drop

    def sheet(self, path: Path) -> Sheet:
        header = self.header and not self.names
        frame = read_table(path, self.separator, header, self.blanks, self.encoding, self.decimal)
        if self.names:
            if len(self.names) != len(frame.columns):
                text = f"expected one name a column, {len(frame.columns)}, got {len(self.names)}"
                raise DataError(f"{path}: names: {text}")
            frame.columns = list(self.names)
        return Sheet(path, frame, first=1 + header)


def read_table(
    path: Path,
    separator: str,
    header: bool,
    missing: tuple[str, ...] = MISSING,
    encoding: str = "utf-8",
    decimal: str = ".",
) -> Any:
    """The lines of a CSV file as a pandas table, numbered as in the file; DataError when it is no table."""
    pandas = library("pandas", "pandas", "reading a CSV file")
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding  # a BOM is no name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table = pandas.read_csv(
                path, sep=separator, header=0 if header else None, index_col=False, skipinitialspace=True,
                skip_blank_lines=False, low_memory=False, keep_default_na=False, na_values=list(missing),
                encoding=encoding, decimal=decimal,
            )  # fmt: skip
    except pandas.errors.EmptyDataError:
        raise DataError(f"{path}: expected a line of column names and lines of data, got an empty file") from None
    except UnicodeError:
        raise _undecoded(path, encoding) from None
    except (pandas.errors.ParserWarning, pandas.errors.ParserError) as error:
        raise _ragged(path, separator, encoding) or _unreadable(path, error) from None
    except Exception as error:
        raise _unreadable(path, error) from None
    # A line that ends early reads like one with empty cells at its end.
    if len(table.columns) and table.iloc[:, -1].isna().any() and (short := _ragged(path, separator, encoding)):
        raise short
    table = table.dropna(how="all")
    if len(table) == 0:
        raise DataError(f"{path}: expected at least one line of data, got only {', '.join(map(str, table.columns))}")
    return table


def _unreadable(path: Path, error: Exception) -> DataError:
    text = str(error).strip().removeprefix("Error tokenizing data. C error: ")
    return DataError(f"{path}: not a readable table: {text}")


def _ragged(path: Path, separator: str, encoding: str) -> DataError | None:
    """The error for the first line that has not as many cells as the first, or None."""
    if len(separator) != 1:
        return None
    width = 0
    with _opened(path) as file:
        text: Iterable[str] = (line.decode(encoding, "replace") for line in file)
        if encoding.startswith("utf-16"):
            text = file.read().decode(encoding, "replace").splitlines(keepends=True)
        lines = csv.reader(text, delimiter=separator, skipinitialspace=True)
        for cells in lines:
            width = width or len(cells)
            if cells and len(cells) != width and any(cell.strip() for cell in cells):
                found = f"got {len(cells)} in line {lines.line_num}"
                hint = "mend the line (a separator within a cell needs quotes around the cell)"
                return DataError(
                    f"{path}: expected as many cells in a line as there are columns, {width}, {found}; {hint}"
                )
    return None


def _undecoded(path: Path, encoding: str) -> DataError:
    """The error for the first line that is not in the encoding."""
    name, hint = "UTF-8" if encoding == "utf-8-sig" else encoding, "write encoding: latin-1, or whatever wrote the file"
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                found = f"got the byte 0x{line[start]:02x} in line {number}"
                hint = "write encoding: utf-16" if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff") else hint
                return DataError(f"{path}: expected text in {name}, {found}; {hint}")
    return DataError(f"{path}: expected text in {name}, got other bytes; {hint}")


def _opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked."""
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        return archive.open(archive.namelist()[0])
    opened: IO[bytes] = OPENERS.get(path.suffix, open)(path, "rb")
    return opened
