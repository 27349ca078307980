"""What the columns of sheets say of their rows: the target, the group, the time, the part."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.libraries import library
from backlit.data.sheet import Sheet, parsed
from backlit.data.table import Kind, Table, missing
from backlit.data.targets import Task, numbers, rows, targets
from backlit.errors import DataError

FEW = 20  # integers with at most this many values, each twice on average, are classes unless `task` says otherwise
PARTS = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2, "testing": 2}


def targets_of(sheets: Sequence[Sheet], name: str, task: Task | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """y and the classes; those are of all files together: a label has one number wherever it stands."""
    where = f"{sheets[0].path}: column {name!r}"
    pandas = library("pandas", "pandas", "reading a table")
    column = pandas.concat([sheet.column(name) for sheet in sheets], ignore_index=True)
    if task == "regression" or column.dtype.kind == "f":
        values = np.concatenate([sheet.numbers(name, forced=True) for sheet in sheets])
        if task == "regression":
            return targets(numbers(values, where), "regression", where=where)
        whole = bool((values == np.floor(values)).all())
        values = values.astype(np.int64) if whole else values
    elif column.dtype.kind in "biu":
        values = column.to_numpy()
    else:
        if task is None:
            _one_kind(sheets, name)
        values = column.to_numpy(dtype=object)
        if not all(isinstance(value, bool) for value in values):
            values = np.array([str(value).strip() for value in values])
    if values.dtype.kind in "iu" and task is None:
        distinct = len(np.unique(values))
        values = values if distinct <= FEW and 2 * distinct <= len(values) else values.astype(np.float32)
    return targets(values, task, where=where)


def _one_kind(sheets: Sequence[Sheet], name: str) -> None:
    """DataError for a word among numbers: a slip of the pen would make every number a class of its own."""
    spelled = [np.isfinite(parsed(sheet.column(name))) for sheet in sheets]
    if 2 * sum(int(s.sum()) for s in spelled) < sum(map(len, spelled)):
        return
    for sheet, numeric in zip(sheets, spelled, strict=True):
        words = ~numeric & ~sheet.column(name).isin([True, False]).to_numpy()
        if words.any():
            hint = "mend the cell, write it into missing, or write task: classification where each value is a class"
            raise sheet.wrong(name, words, "a number, as in most rows", hint)


def groups_of(sheets: Sequence[Sheet], name: str) -> np.ndarray:
    """The group of each row, as text; DataError for a row without one."""
    for sheet in sheets:
        if sheet.missing(name).any():
            raise sheet.wrong(name, sheet.missing(name), "a group", "mend the cell")
    return np.concatenate([sheet.words(name) for sheet in sheets]).astype(str)


def time_order(sheets: Sequence[Sheet], name: str, kind: Kind, form: str) -> np.ndarray:
    """The places of the rows, the earliest first; rows of the same time stay as they are."""
    if kind == "category":
        hint = "write its date_format, and its name in dates"
        raise DataError(f"{sheets[0].path}: time: column {name!r}: expected dates or numbers, got text; {hint}")
    for sheet in sheets:
        if sheet.missing(name).any():
            raise sheet.wrong(name, sheet.missing(name), "a time", "mend the cell or remove the line")
    return np.argsort(np.concatenate([sheet.read(name, kind, form) for sheet in sheets]), kind="stable")


def parts_of(sheets: Sequence[Sheet], name: str) -> np.ndarray:
    """0, 1 or 2 for each row: training, validation or test."""
    found = []
    for sheet in sheets:
        words = sheet.words(name)
        places = np.array([PARTS.get(str(value).lower(), -1) for value in words])
        if (places < 0).any():
            raise sheet.wrong(name, places < 0, "one of train, validation, test", "mend the cell")
        found.append(places)
    return np.concatenate(found)


def flat(data: Dataset, where: str) -> Dataset:
    """The same with x as an array (N, D) in all parts, where every part is complete numbers."""
    parts = {name: part for name in ("validation", "test") if (part := getattr(data, name)) is not None}
    tables = [part.x for part in (data, *parts.values()) if isinstance(part.x, Table)]
    if any(column.dtype.kind != "f" or missing(column).any() for table in tables for column in table.columns.values()):
        return data
    notes = tuple(note for table in tables for note in table.notes)
    arrays = [rows(np.stack(list(table.columns.values()), axis=1), where) for table in tables]
    return replace(
        data,
        x=arrays[0],
        notes=notes,
        **{n: replace(p, x=x) for (n, p), x in zip(parts.items(), arrays[1:], strict=True)},
    )
