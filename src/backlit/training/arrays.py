"""Named arrays as the bytes of a safetensors file, and back; trees as named arrays, and back.

The header of the file follows from the table {name: (dtype, shape)} alone. A reader that has the table (the manifest
holds it) therefore parses nothing: the header must equal the one expected, byte by byte, and no offset is believed.
Any safetensors library reads the file. Format: https://huggingface.co/docs/safetensors
"""

import json
import math
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from backlit.engine import tree
from backlit.errors import CheckpointError, join, received
from backlit.protocol import Tree

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
CODES = {name: code for code, name in DTYPES.items()}

Table: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""{name: (safetensors' name of the dtype, shape)}, in the order of the file."""


def table(arrays: dict[str, np.ndarray]) -> Table:
    """The table of `arrays`: wide dtypes first, so that every array is aligned; CheckpointError for other dtypes."""
    for name, array in arrays.items():
        check_name(name)
        if array.dtype.name not in CODES:
            expected = ", ".join(DTYPES.values())
            raise CheckpointError(f"{name}: expected an array of one of {expected}, got {array.dtype}; cast it first")
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    return {name: (CODES[arrays[name].dtype.name], arrays[name].shape) for name in order}


def header(rows: Table) -> bytes:
    """Length and JSON header of the file with these arrays."""
    entries, start = {}, 0
    for name, (code, shape) in rows.items():
        end = start + nbytes(code, shape)
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def pieces(rows: Table, arrays: dict[str, np.ndarray]) -> list[memoryview]:
    """The bytes of the file, without a copy where an array is contiguous and little-endian already."""
    found = [memoryview(header(rows))]
    for name, (code, _) in rows.items():
        array = arrays[name].astype(dtype(code), order="C", copy=False)
        found.append(array.reshape(-1).view(np.uint8).data)
    return found


def parse(start: bytes, rows: Table, data: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays in `data` (uint8, the whole file), as views; ValueError unless it begins with the header `start`."""
    if data[: len(start)].tobytes() != start:
        raise ValueError("the header of the file is not the one that the manifest implies")
    arrays, at = {}, len(start)
    for name, (code, shape) in rows.items():
        end = at + nbytes(code, shape)
        arrays[name] = data[at:end].view(dtype(code)).reshape(shape)
        at = end
    return arrays


def check_name(name: Any) -> None:
    """CheckpointError unless `name` is printable text that no program would take for a way out of a directory."""
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [".."]
    if not isinstance(name, str) or not name.isprintable() or len(name) > 1000 or "" in parts or ".." in parts:
        raise CheckpointError(f"arrays: expected a dotted name such as params.dense_1.W, got {received(name)}")


def nbytes(code: str, shape: tuple[int, ...]) -> int:
    """Bytes of an array; Python's integers do not overflow."""
    return int(dtype(code).itemsize) * math.prod(shape)


@cache
def dtype(code: str) -> Any:
    """The little-endian NumPy dtype."""
    if code == "BF16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(DTYPES[code]).newbyteorder("<")


def flat(values: Tree) -> dict[str, np.ndarray]:
    """The leaves of a tree as NumPy arrays by dotted path; CheckpointError when two leaves have one path.

    >>> import numpy as np
    >>> list(flat({"params": {"dense_1": {"W": np.ones((2, 3)), "b": np.ones(3)}}}))
    ['params.dense_1.W', 'params.dense_1.b']
    """
    found: dict[str, np.ndarray] = {}

    def add(path: str, leaf: Any) -> None:
        if path in found:
            raise CheckpointError(f"{path}: expected one array of this name, got two; a name in a tree holds no dot")
        found[path] = np.asarray(leaf)

    tree.map_with_path(add, values)
    return found


def restore(template: Tree, arrays: dict[str, np.ndarray], prefix: str) -> Tree:
    """The tree shaped like `template` with the arrays whose names start with `prefix`; the reverse of `flat`.

    Errors: CheckpointError naming path, expected and received when a name is missing or left over, or a shape or
    dtype differs: the checkpoint belongs to another network or optimiser.

    >>> import numpy as np
    >>> restore({"W": np.zeros(2)}, {"params.W": np.ones(2)}, "params")
    {'W': array([1., 1.])}
    """
    wanted = {join(prefix, path): leaf for path, leaf in tree.flatten(template).items()}
    given = {name for name in arrays if not prefix or name == prefix or name.startswith(prefix + ".")}
    hint = "this checkpoint belongs to another network or optimiser; resume with the experiment that wrote it"
    for path in sorted(wanted.keys() | given):
        expected, got = _kind(wanted.get(path)), _kind(arrays.get(path))
        if expected != got:
            raise CheckpointError(f"{path}: expected {expected}, got {got}; {hint}")
    return tree.map_with_path(lambda path, _: arrays[join(prefix, path)], template)


def _kind(leaf: Any) -> str:
    if leaf is None:
        return "nothing of this name"
    # An abstract array has a dtype and a shape but no numbers; a Python number has neither.
    found = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return f"{np.dtype(found.dtype).name} of shape {tuple(found.shape)}"
