"""Parts that the user names row by row: places in a mapping, a .json or an .npz file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.errors import DataError, SettingError, received, unknown

NAMES = ("train", "validation", "test")


def check_names(rows: Mapping[str, Any]) -> None:
    """SettingError for a part that has another name than these, or none for training."""
    for name in rows:
        if name not in NAMES:
            raise unknown("part", name, NAMES).under("rows")
    if not len(rows.get("train", ())):
        raise SettingError([("rows.train", "expected the places of the training rows, got none")])


def given(rows: str | Mapping[str, Any], dataset: Dataset, wanted: tuple[float, float]) -> list[np.ndarray]:
    """The places of the three parts. `wanted`: the fractions of validation and test; 0 says that there is no such part."""
    held = read_places(rows) if isinstance(rows, str) else rows
    where = rows if isinstance(rows, str) else "split.rows"
    owner = np.full(len(dataset), -1)
    found = []
    for i, name in enumerate(NAMES):
        places = np.asarray(held.get(name, ()), dtype=np.int64).reshape(-1)
        bad = (places < 0) | (places >= len(dataset))
        if bad.any():
            raise DataError(f"{where}: {name}: expected places 0..{len(dataset) - 1}, got {int(places[bad][0])}")
        known = {"validation": dataset.validation, "test": dataset.test}.get(name)
        if len(places) and known is not None:
            text = f"expected no rows for {name}, the data bring a {name} part of their own, got {len(places)}"
            raise DataError(f"{where}: {text}; leave {name} out")
        if name != "train" and bool(len(places) or known is not None) != bool(wanted[i - 1]):
            if len(places):
                raise DataError(f"{where}: {name}: expected no rows as split.{name} is 0, got {len(places)}")
            if known is None:
                hint = f"write split.{name}: 0 to go without"
                raise DataError(f"{where}: expected places for {name}, got none; {hint}")
        twice = places[owner[places] >= 0]
        if not len(twice):
            counts = np.bincount(places, minlength=1)
            twice = np.flatnonzero(counts > 1)
        if len(twice):
            other = NAMES[owner[twice[0]]] if owner[twice[0]] >= 0 else name
            raise DataError(
                f"{where}: expected every row in one part, got row {int(twice[0])} in {other} and in {name}"
            )
        owner[places] = i
        found.append(places)
    _whole(where, dataset, owner)
    return found


def read_places(name: str) -> dict[str, np.ndarray]:
    """The mapping in a .json or .npz file. Errors: DataError for another file, another name, or what is no place."""
    path = files.find(name)
    held = _arrays(path) if path.suffix == ".npz" else _lists(path)
    try:
        check_names(held)
    except SettingError as error:
        raise DataError(f"{path}: {error.problems[0][1]}") from None
    found = {}
    for part, places in held.items():
        array = np.asarray(places) if len(places) else np.zeros(0, np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"{path}: {part}: expected a list of places (whole numbers from 0), got {received(places)}")
        found[part] = array
    return found


def _arrays(path: Path) -> dict[str, Any]:
    from backlit.data.tables import read_arrays

    return read_arrays(path, ["train"], ("validation", "test"))


def _lists(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(files.read(path))
    except ValueError as error:
        raise DataError(f"{path}: expected readable JSON, or an .npz archive, got: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(places, list) for places in value.values()):
        raise DataError(f"{path}: expected a mapping of parts to lists of places, got {received(value)}")
    return value


def _whole(where: str, dataset: Dataset, owner: np.ndarray) -> None:
    """DataError for a group that stands in two of the parts."""
    if dataset.groups is None:
        return
    _, number = np.unique(dataset.groups, return_inverse=True)
    used = owner >= 0
    pairs = np.unique(np.stack([number.reshape(-1)[used], owner[used]], axis=1), axis=0)
    torn = pairs[1:][np.diff(pairs[:, 0]) == 0]
    if len(torn):
        group = np.unique(dataset.groups)[torn[0, 0]]
        raise DataError(f"{where}: expected each group in one part, got rows of group {str(group)!r} in several")
