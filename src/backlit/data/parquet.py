"""Tables in Parquet files."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backlit.data.columns import TableSource
from backlit.data.libraries import library
from backlit.data.sheet import Sheet
from backlit.data.targets import Task
from backlit.errors import DataError


@dataclass(frozen=True)
class Parquet(TableSource):
    """A table in a Parquet file, with the settings and rules of `Csv`; columns hold what the file says they hold.

    Errors: those of Csv, without lines; DataError for columns of lists, structs or bytes; MissingLibraryError without
    pyarrow. Source: https://parquet.apache.org/docs/file-format/

    >>> from backlit.data.parquet import Parquet
    >>> Parquet("flights.parquet", target="delay", categories=("gate",)).target
    'delay'
    """

    aliases: ClassVar[tuple[str, ...]] = ("parquet",)
    path: str | tuple[str, ...]
    target: int | str
    task: Task | None = None
    drop: tuple[int | str, ...] = ()

    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def predicted(self) -> tuple[int | str, Task | None, tuple[int | str, ...]]:
        return self.target, self.task, self.drop

    def sheet(self, path: Path) -> Sheet:
        parquet = library("pyarrow.parquet", "pyarrow", "reading a Parquet file")
        try:
            table = parquet.read_table(path)
        except Exception as error:
            raise DataError(f"{path}: not a readable Parquet file: {str(error).strip()}") from None
        types = library("pyarrow", "pyarrow", "reading a Parquet file").types
        for field in table.schema:
            if types.is_nested(field.type) or types.is_binary(field.type):
                text = f"expected numbers, text or dates, got {field.type}; leave it out with drop: [{field.name}]"
                if field.name not in self.drop:
                    raise DataError(f"{path}: column {field.name!r}: {text}")
        if table.num_rows == 0:
            raise DataError(f"{path}: expected at least one row, got none")
        frame = table.to_pandas(date_as_object=False, ignore_metadata=True)
        return Sheet(path, frame, first=None, typed=True).replaced({}, self.blanks)
