"""Reads ONNX' cases from its package."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from onnx_cases.case import Case
from onnx_cases.more import complete, more

KINDS = ("node", "pytorch-converted", "pytorch-operator")
"""ONNX' own cases, one operator each; single layers of PyTorch, exported."""


@cache
def cases() -> dict[str, list[Case]]:
    """All cases by operator. Left out are the `_expanded` ones: the same arrays, the operator written out in others."""
    found: dict[str, list[Case]] = {}
    for kind in KINDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ONNX' generators divide by zero on purpose
            listed = load_model_tests(kind=kind)
        for item in sorted(listed, key=lambda item: item.name) if kind != "node" else listed:
            if "_expanded" not in item.name:
                case = read(item)
                found.setdefault(case.op, []).append(case)
    for case in more():
        found[case.op].append(case)
    return found


def read(item: Any) -> Case:
    """A Case from ONNX' own TestCase, whose arrays are in memory or in files."""
    model = item.model or onnx.load(Path(item.model_dir) / "model.onnx")
    graph, nodes = model.graph, model.graph.node
    values = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    inputs, outputs = item.data_sets[0] if item.data_sets else stored(Path(item.model_dir) / "test_data_set_0")
    values.update(zip((i.name for i in graph.input if i.name not in values), inputs, strict=True))
    expected = dict(zip((o.name for o in graph.output), outputs, strict=True))
    op = " > ".join(node.op_type for node in nodes)
    if len(nodes) > 1:
        return Case(item.name, op, 0, {}, {n: single(v) for n, v in values.items()}, expected)
    (node,) = nodes
    version = {entry.domain: entry.version for entry in model.opset_import}[node.domain]
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    settings = complete(schema, node)
    named = {formal: single(values[actual]) for formal, actual in formals(schema.inputs, node.input) if actual}
    wanted = {formal: expected[actual] for formal, actual in formals(schema.outputs, node.output) if actual}
    return Case(item.name, op, version, settings, named, wanted)


def formals(parameters: Any, names: Any) -> list[tuple[str, str]]:
    """(formal, actual) names; those of a variadic parameter are numbered."""
    last = len(parameters) - 1
    return [(parameters[i].name if i <= last else f"{parameters[last].name}_{i}", name) for i, name in enumerate(names)]


def single(value: Any) -> Any:
    """Half-precision arrays in single precision."""
    return value.astype(np.float32) if str(getattr(value, "dtype", "")) in ("float16", "bfloat16") else value


def stored(folder: Path) -> tuple[list[Any], list[Any]]:
    """Inputs and outputs of a case that lies in files."""
    arrays: dict[str, list[Any]] = {"input": [], "output": []}
    for side, found in arrays.items():
        for i in range(len(list(folder.glob(f"{side}_*.pb")))):
            found.append(numpy_helper.to_array(onnx.load_tensor(folder / f"{side}_{i}.pb")))
    return arrays["input"], arrays["output"]
