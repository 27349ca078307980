"""Rows that a user gives a trained net, as a table like the one it was trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from backlit.data.sheet import ISO
from backlit.data.table import Kind, Table, kind, word
from backlit.errors import DataError, nearest, received


def schema(table: Table) -> dict[str, Any]:
    """What `as_table` needs to know of the training table, as plain data: names and kinds of columns, and more.

    >>> import numpy as np
    >>> from backlit.data.cleaning import schema
    >>> from backlit.data.table import Table
    >>> schema(Table({"age": np.array([1.0])}, dropped=("died",)))
    {'names': ['age'], 'kinds': {'age': 'number'}, 'dropped': ['died'], 'blanks': ['']}
    """
    kinds: dict[str, Kind] = table.kinds
    held = {"names": list(kinds), "kinds": kinds, "dropped": list(table.dropped), "blanks": list(table.blanks)}
    return held | ({"swaps": dict(table.swaps)} if table.swaps else {}) | ({"form": table.form} if table.form else {})


def as_table(given: Any, like: Mapping[str, Any]) -> Table:
    """A Table with the columns and kinds of the training table, whose `schema` is `like`.

    given  a Table, a pandas DataFrame, a dict of columns, one row as a dict of cells, a list of such rows, or rows (N, D)
           in the order of the training table. Columns that the training left out (the target) may be there or not.
    A missing cell is None, NaN, NaT, or one of the training file's. Errors: DataError for a column that is missing or
    unknown, with the nearest name, and for a cell of another kind.

    >>> from backlit.data.cleaning import as_table
    >>> like = {"names": ["age", "town"], "kinds": {"age": "number", "town": "category"}}
    >>> table = as_table([{"town": "Rome", "age": "41"}, {"town": None, "age": 20}], like)
    >>> table.columns["age"].tolist(), table.columns["town"].tolist()
    ([41.0, 20.0], ['Rome', None])
    """
    lines, name = (given.lines, given.name) if isinstance(given, Table) else (None, "rows")
    columns = _columns(given, like["names"])
    allowed = {*like["names"], *like.get("dropped", ())}
    for column in like["names"]:
        if column not in columns:
            hint = nearest(column, columns) if columns else "there is none"
            raise DataError(f"{name}: expected a column {column!r}, as in training, got none; {hint}")
    for column in columns:
        if column not in allowed:
            hint = nearest(column, allowed)
            raise DataError(f"{name}: unknown column {column!r}, training had none; {hint} (or leave it out)")
    lengths = {len(columns[column]) for column in like["names"]}
    if len(lengths) > 1:
        raise DataError(f"{name}: expected columns of one length, got {', '.join(map(str, sorted(lengths)))} rows")
    swaps, form = tuple(like.get("swaps", {}).items()), like.get("form", "")
    table = Table({}, name, lines, tuple(like.get("dropped", ())), tuple(like.get("blanks", ("",))), swaps, form)
    found = {n: _read(columns[n], like["kinds"][n], table, n) for n in like["names"]}
    return replace(table, columns=found)


def _columns(given: Any, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(given, Table):
        return dict(given.columns)
    if type(given).__name__ == "DataFrame":
        return {str(name): given.iloc[:, i].to_numpy(dtype=object) for i, name in enumerate(given.columns)}
    if isinstance(given, Mapping):
        single = not any(isinstance(cells, list | tuple | np.ndarray) for cells in given.values())
        return {str(name): [cells] if single else cells for name, cells in given.items()}
    if isinstance(given, list | tuple) and given and all(isinstance(row, Mapping) for row in given):
        seen = dict.fromkeys(str(name) for row in given for name in row)
        for i, row in enumerate(given):
            for name in names:
                if name in seen and name not in row:
                    text = f"expected a cell {name!r}, as in other rows, got none"
                    raise DataError(f"rows: row {i} (from 0): {text}; write None where it is missing")
        return {name: [row.get(name) for row in given] for name in seen}
    rows = np.asarray(given, dtype=object)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        text = (
            f"expected a table of {len(names)} columns (a DataFrame, a dict of columns, a list of dicts, rows (N, D))"
        )
        raise DataError(f"rows: {text}, got {received(type(given).__name__)} of the shape {rows.shape}")
    return {name: rows[:, i] for i, name in enumerate(names)}


def _read(cells: Any, wanted: Kind, table: Table, name: str) -> np.ndarray:
    if isinstance(cells, np.ndarray) and cells.dtype != object and kind(cells) == wanted:
        return cells.astype(np.float64) if wanted == "number" else cells.astype("datetime64[s]")
    swaps = dict(table.swaps)
    values = [swaps.get(value.strip(), value) if isinstance(value, str) else value for value in list(cells)]
    values = [None if _absent(value, table.blanks) else value for value in values]
    if wanted == "category":
        return np.array([None if value is None else word(value) for value in values] + [None], dtype=object)[:-1]
    read: Callable[[Any], Any] = _number if wanted == "number" else partial(_date, form=table.form)
    found = []
    for row, value in enumerate(values):
        try:
            found.append(read(value))
        except (ValueError, TypeError, OverflowError):
            written = f" or {table.form!r}" if table.form else ""
            noun = "a number" if wanted == "number" else f"a date as in ISO 8601, 2024-12-31{written}"
            text = f"expected {noun}, as in training, got {received(value)}"
            raise DataError(f"{table.where(row, name)}: {text}") from None
    return np.array(found, dtype=np.float64 if wanted == "number" else "datetime64[s]")


def _absent(value: Any, blanks: tuple[str, ...]) -> bool:
    if value is None or (isinstance(value, str) and value.strip() in blanks):
        return True
    return type(value).__name__ in ("NAType", "NaTType") or bool(not isinstance(value, str) and value != value)


def _number(value: Any) -> float:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    number = np.nan if value is None else float(value)
    if np.isinf(number):
        raise ValueError
    return number


def _date(value: Any, form: str) -> np.ndarray:
    if value is None:
        return np.array("NaT", dtype="datetime64[s]")
    if isinstance(value, str):
        text = value.strip()
        if not form and not ISO.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text) if ISO.fullmatch(text) else datetime.strptime(text, form)
        value = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    elif type(value).__name__ == "Timestamp":
        value = (value.tz_convert("UTC").tz_localize(None) if value.tzinfo else value).to_datetime64()
    elif isinstance(value, bool | int | float):
        raise TypeError
    return np.array(value, dtype="datetime64[s]")
