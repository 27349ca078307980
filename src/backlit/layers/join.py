"""How the outputs of several layers become one: added, or side by side along the last axis.

add           y = sum_i y_i,          dL/dy_i = dL/dy
concatenate   y = [y_1, y_2, ...],    dL/dy_i is the slice of dL/dy where y_i stands
"""

from collections.abc import Sequence
from typing import Literal, get_args

from backlit.errors import SettingError, received
from backlit.protocol import Array, Shape, need

Join = Literal["add", "concatenate"]


def check_join(join: object) -> None:
    """SettingError unless it is one of the two."""
    if join not in get_args(Join):
        raise SettingError([("join", f"expected 'add' or 'concatenate', got {received(join)}")])


def joined_shape(join: Join, shapes: Sequence[Shape], layer: str) -> Shape:
    """The shape of the rows of y; ShapeError, in the name of `layer`, when the outputs do not fit."""
    compare = {s if join == "add" else s[:-1] for s in shapes}
    need(len(compare) == 1, f"{layer} with join={join!r} expected outputs that fit, got {list(shapes)}")
    return shapes[0] if join == "add" else (*shapes[0][:-1], sum(s[-1] for s in shapes))


def joined(join: Join, outputs: Sequence[Array]) -> Array:
    """y."""
    if join == "concatenate":
        return outputs[0].__array_namespace__().concat(list(outputs), axis=-1)
    return sum(outputs[1:], outputs[0])


def parts_of_delta(join: Join, dy: Array, outputs: Sequence[Array]) -> list[Array]:
    """dL/dy_i for each of the outputs y_i."""
    if join == "add":
        return [dy] * len(outputs)
    ends = [sum(y.shape[-1] for y in outputs[: i + 1]) for i in range(len(outputs))]
    return [dy[..., end - y.shape[-1] : end] for y, end in zip(outputs, ends, strict=True)]
