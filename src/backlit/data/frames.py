"""A pandas DataFrame as rows: numbers where all of it is complete numbers, else a table that is still to be cleaned."""

from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.sheet import Sheet
from backlit.data.table import Table, missing


def is_frame(x: Any) -> bool:
    """Whether x is a DataFrame, without importing pandas."""
    return type(x).__name__ == "DataFrame" and hasattr(x, "iloc")


def of_frame(frame: Any, name: str = "rows") -> tuple[np.ndarray | Table, tuple[str, ...]]:
    """x and the names of its columns; text is categories, whatever it spells, and what pandas calls missing is missing.

    >>> import pandas
    >>> from backlit.data.frames import of_frame
    >>> of_frame(pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))[0].tolist()
    [[1.0, 0.5], [2.0, 1.5]]
    >>> of_frame(pandas.DataFrame({"a": [1, None], "town": ["Rome", "Oslo"]}))[0].kinds
    {'a': 'number', 'town': 'category'}
    """
    sheet = Sheet(Path(name), frame, first=None, typed=True)
    columns = {column: sheet.read(column, sheet.kind(column)) for column in sheet.names}
    names = tuple(columns)
    if all(column.dtype.kind == "f" and not missing(column).any() for column in columns.values()):
        return np.stack(list(columns.values()), axis=1).astype(np.float32), names
    return Table(columns, name), names
