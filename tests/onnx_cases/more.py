"""Cases of our own, where ONNX' hold too little: all weights of its LSTM are equal, so that any order of gates passes.

The arrays are random, the expected outputs are what onnxruntime computes.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_cases.case import Case

OPSET, IR = 23, 11
"""What onnxruntime's releases of the last years load."""

B, T, D, H = 4, 5, 3, 2
LENGTHS = np.array([5, 2, 3, 1], dtype=np.int32)


def more() -> list[Case]:
    """All of them; the same in every run."""
    rng = np.random.default_rng(0)
    return [case for family in (recurrent, convolutions, attention, rotary, normalization) for case in family(rng)]


def recurrent(rng: np.random.Generator) -> list[Case]:
    """Every direction, with padding, both biases, and states to start from."""
    found = []
    for operator, gates, settings in [
        ("RNN", 1, {}),
        ("LSTM", 4, {}),
        ("GRU", 3, {"linear_before_reset": 0}),
        ("GRU", 3, {"linear_before_reset": 1}),
    ]:
        for direction in ("forward", "reverse", "bidirectional"):
            sides = 2 if direction == "bidirectional" else 1
            inputs = {
                "X": draw(rng, T, B, D),
                "W": draw(rng, sides, gates * H, D),
                "R": draw(rng, sides, gates * H, H),
                "B": draw(rng, sides, 2 * gates * H),
                "initial_h": draw(rng, sides, B, H),
            }
            if direction != "reverse":
                inputs["sequence_lens"] = LENGTHS
            outputs = ["Y", "Y_h"]
            if operator == "LSTM":
                inputs |= {"initial_c": draw(rng, sides, B, H), "P": draw(rng, sides, 3 * H)}
                outputs += ["Y_c"]
            own = {"direction": direction, "hidden_size": H, **settings}
            found.append(computed(operator, own, inputs, outputs, *map(str, own.values())))
    return found


def convolutions(rng: np.random.Generator) -> list[Case]:
    """Groups, strides, dilations and uneven padding together."""
    settings = {"group": 2, "strides": [2, 1], "dilations": [1, 2], "pads": [2, 0, 1, 3]}
    inputs = {"X": draw(rng, 3, 4, 9, 7), "W": draw(rng, 6, 2, 3, 2), "B": draw(rng, 6)}
    transposed = {"X": draw(rng, 3, 4, 5, 6), "W": draw(rng, 4, 3, 3, 2), "B": draw(rng, 6)}
    return [
        computed("Conv", settings, inputs, ["Y"], "2d"),
        computed(
            "Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, inputs | {"W": draw(rng, 6, 4, 3, 2)}, ["Y"], "lower"
        ),
        computed("ConvTranspose", settings | {"output_padding": [1, 0]}, transposed, ["Y"], "2d"),
    ]


def attention(rng: np.random.Generator) -> list[Case]:
    """Padded keys, and heads that share them."""
    real = np.tile((np.arange(T) < LENGTHS[:, None])[:, None, None, :], (1, 1, 6, 1))  # (B, 1, Tq, Tk)
    parts = {"Q": draw(rng, B, 4, 6, D), "K": draw(rng, B, 2, T, D), "V": draw(rng, B, 2, T, H), "attn_mask": real}
    return [computed("Attention", {"is_causal": causal}, parts, ["Y"], "padded", str(causal)) for causal in (0, 1)]


def rotary(rng: np.random.Generator) -> list[Case]:
    """Cosines and sines of the positions 0, 1, ... as Su et al. have them."""
    found = []
    angle = np.arange(T)[:, None] / 10000.0 ** (np.arange(2) / 2)  # (T, d/2)
    for form in (0, 1):
        inputs = {"X": draw(rng, B, 3, T, 4), "cos_cache": tiled(np.cos(angle)), "sin_cache": tiled(np.sin(angle))}
        found.append(computed("RotaryEmbedding", {"interleaved": form}, inputs, ["Y"], str(form)))
    return found


def normalization(rng: np.random.Generator) -> list[Case]:
    """Neighbours that count; in ONNX' cases they change the fourth digit."""
    return [computed("LRN", {"size": 5, "alpha": 3.0}, {"X": draw(rng, 3, 7, 2, 5)}, ["Y"], "strong")]


def draw(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def tiled(table: Any) -> Any:
    """The same table for every row."""
    return np.tile(table, (B, 1, 1)).astype(np.float32)


def computed(operator: str, settings: dict[str, Any], inputs: dict[str, Any], outputs: list[str], *note: str) -> Case:
    """The case of these settings and inputs (by formal names), with onnxruntime's outputs."""
    import onnxruntime

    schema = onnx.defs.get_schema(operator, OPSET)
    values = {f"in_{i}": inputs[p.name] for i, p in enumerate(schema.inputs) if p.name in inputs}
    assert len(values) == len(inputs), f"{operator} has the inputs {[p.name for p in schema.inputs]}"
    names = [f"in_{i}" if f"in_{i}" in values else "" for i in range(len(schema.inputs))]
    node = helper.make_node(operator, names, outputs, **settings)
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in values.items()
    ]
    found = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph([node], operator, given, found)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(outputs, session.run(None, values), strict=True))
    return Case("_".join([operator, *note]), operator, OPSET, complete(schema, node), inputs, expected, own=True)


def complete(schema: Any, node: Any) -> dict[str, Any]:
    """The attributes of a node, with the defaults of those that are not given."""
    defaults = {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}
    given = {a.name: a for a in node.attribute}
    return {name: text(onnx.helper.get_attribute_value(a)) for name, a in (defaults | given).items()}


def text(value: Any) -> Any:
    """Bytes as text, alone or in a list."""
    if isinstance(value, list):
        return [text(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
