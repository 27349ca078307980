"""Data as other libraries hand it over: by what it can do, so that none of them is imported.

    Hugging Face   a `datasets.Dataset`, or a dictionary of its splits: columns by name, images as Pillow's
    PyTorch        anything with `len()` and `[i]` that gives (x, y): tensors, arrays, Pillow's images, numbers
    scikit-learn   a Bunch: data, target, target_names, feature_names
    NumPy          {"x": ..., "y": ...}; ((x, y), (test_x, test_y)); rows that are a numpy.memmap stay on the disk

All but the last are read once, into memory: a random transform is drawn once and for all, so augmentation belongs into the
experiment.
"""

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.on_disk import OnDisk
from backlit.data.rows import Rows
from backlit.data.source import names_of
from backlit.data.targets import rows, targets
from backlit.errors import DataError, nearest, received

TARGETS = ("label", "labels", "target", "targets", "y", "class", "fine_label")
"""Columns that are taken for the target, the first that is there."""

TESTS, VALIDATIONS = ("test",), ("validation", "valid", "val", "dev")
ARRAYS = ("x", "y", "test_x", "test_y", "classes", "features", "vocabulary", "mask", "test_mask", "name")


def adapted(value: Any) -> Dataset | None:
    """The rows and targets of `value`, checked, or None when it is nothing of these kinds.

    Targets: text, truth values and integers are labels, floats are numbers to predict. Images come out (N, H, W, C): those of
    a tensor (C, H, W) with 1, 3 or 4 channels first are turned.
    Errors: DataError that names the column, or the first row that differs in shape from the others.

    >>> import numpy as np
    >>> from backlit.data.adapters import adapted
    >>> data = adapted({"x": np.zeros((3, 2)), "y": ["cat", "dog", "cat"]})
    >>> data.x.shape, data.y.tolist(), data.classes
    ((3, 2), [0, 1, 0], ('cat', 'dog'))
    >>> adapted([(np.zeros(2), 0.5), (np.ones(2), 1.5)]) is None  # a list is x and y, or a mistake
    True
    """
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, tuple):
        return _pairs(value)
    if hasattr(value, "column_names") and hasattr(value, "with_format") and hasattr(value, "__len__"):
        return _columns(value).checked()
    if isinstance(value, str | bytes | list | Rows | Dataset) or hasattr(value, "__array__"):
        return None
    if hasattr(value, "__len__") and hasattr(type(value), "__getitem__"):
        return _items(value).checked()
    return None


def _mapping(value: Mapping[str, Any]) -> Dataset | None:
    if value and all(hasattr(part, "column_names") for part in value.values()):
        return _splits(value).checked()
    if "data" in value and "target" in value and "type" not in value:
        return _bunch(value).checked()
    if "x" in value and "y" in value and not isinstance(value["x"], str) and "type" not in value:
        return _named(value).checked()
    return None


def _pairs(value: tuple[Any, ...]) -> Dataset | None:
    """(x, y) with x a memory map, or ((x, y), (test_x, test_y)) of arrays."""
    if len(value) != 2:
        return None
    if isinstance(value[0], np.memmap):
        return _named(dict(zip(("x", "y"), value, strict=True))).checked()
    inside = [part for part in value if isinstance(part, tuple) and len(part) == 2 and hasattr(part[0], "shape")]
    if len(inside) != 2 or any(np.ndim(x) < 2 for x, _ in inside):
        return None
    return _named(dict(zip(("x", "y", "test_x", "test_y"), (*value[0], *value[1]), strict=True))).checked()


def _named(value: Mapping[str, Any]) -> Dataset:
    for name in value:
        if name not in ARRAYS:
            raise DataError(f"data: {name}: expected arrays called {', '.join(ARRAYS)}; {nearest(str(name), ARRAYS)}")
    if ("test_x" in value) != ("test_y" in value):
        raise DataError("data: expected test_x and test_y, or neither, got one of them")
    words = value.get("vocabulary", ())
    words = names_of(words) if isinstance(words, int) else tuple(map(str, words))
    classes, features = (tuple(map(str, value.get(name, ()))) for name in ("classes", "features"))
    held = [_array(value[name]) for name in ("y", "test_y") if name in value]
    y, classes = targets(np.concatenate(held), names=classes)
    parts = []
    for x, mask, part in zip(("x", "test_x"), ("mask", "test_mask"), np.split(y, [len(held[0])]), strict=True):
        if x in value:
            found = None if value.get(mask) is None else _array(value[mask])
            parts.append(Dataset(_rows(value[x], x, words), part, classes, features, mask=found, vocabulary=words))
    name = str(value.get("name", "arrays"))
    return Dataset(
        parts[0].x,
        y[: len(held[0])],
        classes,
        features,
        parts[1] if len(parts) > 1 else None,
        name,
        parts[0].mask,
        words,
    )


def _rows(x: Any, where: str, words: tuple[str, ...] = ()) -> np.ndarray | Rows:
    """Rows in memory, or on the disk where `x` is the memory map of a whole file."""
    if isinstance(x, Rows):
        return x
    # A part of a map remembers the file, but not where in it: only the map itself says where its rows begin.
    if isinstance(x, np.memmap) and isinstance(x.base, mmap.mmap) and x.flags.c_contiguous and x.filename:
        return OnDisk(Path(x.filename), x.shape, x.dtype, x.offset, len(words))
    return _array(x) if words else rows(_array(x), where)


def _array(value: Any) -> np.ndarray:
    """A tensor, frame, list or array as NumPy's."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)


def _bunch(value: Mapping[str, Any]) -> Dataset:
    x, y = value["data"], _array(value["target"])
    features = value.get("feature_names")
    features = tuple(map(str, getattr(x, "columns", ()) if features is None else features))
    names = value.get("target_names")
    # For numbers to predict, target_names are the names of their columns.
    integers = y.ndim == 1 and y.dtype.kind in "biu"
    known = tuple(map(str, names)) if names is not None and integers else ()
    y, classes = targets(y, names=known if len(known) > 1 else ())
    x = rows(_array(x), "data")
    return Dataset(x, y, classes, features if len(features) == x[0].size else (), name="bunch")


def _splits(value: Mapping[str, Any]) -> Dataset:
    """One data set of the splits train, test and validation."""
    if "train" not in value:
        raise DataError(f"data: expected a split called 'train', got {', '.join(map(str, value))}")
    found = {name: _columns(part) for name, part in value.items()}
    test, validation = (next((found[n] for n in names if n in found), None) for names in (TESTS, VALIDATIONS))
    train, parts = found["train"], [part for part in (test, validation) if part is not None]
    if any(part.classes != train.classes for part in parts):
        raise DataError(f"data: expected the same classes in all splits, got {received(train.classes)} and others")
    return Dataset(train.x, train.y, train.classes, train.features, test, train.name, validation=validation)


def _columns(value: Any) -> Dataset:
    """Columns by name: the target is called one of TARGETS, an image or all other columns are the rows."""
    names = list(value.column_names)
    target = next((name for name in TARGETS if name in names), None)
    if target is None:
        raise DataError(f"data: expected a column for the target called {', '.join(TARGETS)}, got {', '.join(names)}")
    others = [name for name in names if name != target and name not in TARGETS and not name.endswith("_label")]
    if not others:
        raise DataError(f"data: expected at least one column besides the target {target!r}, got none")
    held = getattr(value, "features", None) or {}
    labels = getattr(held.get(target), "names", None) or ()
    y, classes = targets(_array(list(value[target])), names=tuple(labels), where=f"data: column {target!r}")
    columns = {name: _stacked(list(value[name]), f"column {name!r}") for name in others}
    images = [name for name, column in columns.items() if column.ndim > 2]
    if images:
        return Dataset(rows(columns[images[0]], f"data: column {images[0]!r}"), y, classes, name="columns")
    for name, column in columns.items():
        if column.dtype.kind not in "biuf":
            text = f"expected numbers or images, got {received(column.flat[0])}"
            raise DataError(f"data: column {name!r}: {text}; take it out with remove_columns([{name!r}])")
    wide = [column.reshape(len(column), -1) for column in columns.values()]
    features = tuple(
        name if part.shape[1] == 1 else f"{name}.{i}"
        for name, part in zip(columns, wide, strict=True)
        for i in range(part.shape[1])
    )
    return Dataset(rows(np.concatenate(wide, axis=1), "data"), y, classes, features, name="columns")


def _items(value: Any) -> Dataset:
    """`value[i]` for each i: (x, y), or {'x' ...} with a column of TARGETS."""
    if len(value) == 0:
        raise DataError("data: expected at least one row, got none")
    x, y = [], []
    for i in range(len(value)):
        item = value[i]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"data: row {i} (from 0): expected a pair (x, y), got {received(item)}")
        x.append(_item(item[0]))
        y.append(_array(item[1]))
    known = getattr(value, "classes", ())
    stacked = _stacked(y, "y")
    integers = stacked.ndim == 1 and stacked.dtype.kind in "biu"
    names = tuple(map(str, known)) if integers and isinstance(known, list | tuple) else ()
    found, classes = targets(stacked, names=names)
    return Dataset(rows(_stacked(x, "x"), "data: x"), found, classes, name=type(value).__name__)


def _item(value: Any) -> np.ndarray:
    """One row; of a tensor (C, H, W) the channels go last, grey images get an axis for theirs."""
    array = _array(value)
    tensor = hasattr(value, "detach") and array.ndim == 3
    if tensor and array.shape[0] in (1, 3, 4) and array.shape[0] <= min(array.shape[1:]):
        return np.moveaxis(array, 0, -1)
    if array.ndim == 2 and hasattr(value, "getbands"):
        return array[..., None]
    return array.reshape(1) if array.ndim == 0 else array


def _stacked(values: list[Any], where: str) -> np.ndarray:
    """(N, ...) of N alike; numbers and text become (N,)."""
    if not values:
        raise DataError(f"data: {where}: expected at least one row, got none")
    images = hasattr(values[0], "getbands")
    found = [_item(value) if images else _array(value) for value in values]
    for i, array in enumerate(found):
        if array.shape != found[0].shape:
            text = f"expected the shape of row 0, {found[0].shape}, got {array.shape}"
            raise DataError(f"data: {where}: row {i} (from 0): {text}")
    return np.stack(found)
