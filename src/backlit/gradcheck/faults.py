"""What a layer can break before its numbers are even compared, each told in one sentence that names the layer."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from backlit.engine import tree
from backlit.errors import BacklitError, ShapeError, join
from backlit.layers.compose import forward_child
from backlit.protocol import Layer, Seen


class Explained:
    """Turns whatever a layer's own code raises into one sentence that names the layer."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None or isinstance(error, BacklitError) or not isinstance(error, Exception):
            return
        names, layer, step, shapes, frame = [], "", "", "", traceback
        while frame is not None:
            local, method = frame.tb_frame.f_locals, frame.tb_frame.f_code.co_name
            if isinstance(local.get("layer"), Layer) and "name" in local and method != forward_child.__name__:
                names.append(str(local["name"]))  # the loop of a composite over its layers
            if isinstance(local.get("self"), Layer) and method in ("forward", "backward"):
                layer, step = type(local["self"]).__name__, method
                given = "x" if method == "forward" else "dy"
                shapes = f" for {given} of shape {shape_of(local.get(given))}"
            frame = frame.tb_next
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if not layer:
            raise BacklitError(f"the loss failed with {text}; its target and y must fit") from error
        hint = "dx is shaped like x and each gradient like its parameter: check the transposes"
        if step == "forward":
            hint = "check the shapes in its forward"
        raise ShapeError(f"{layer}.{step} failed{shapes} with {text}; {hint}", join("", ".".join(names))) from error


def shape_of(values: Any) -> Any:
    """The shape of an array, or a tree of shapes."""
    return tree.map(lambda a: tuple(np.shape(a)), values)


def matched(wanted: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The gradients `given`, by path as `wanted`; ShapeError for the first that is left out, unknown or misshapen."""
    for path, w in wanted.items():
        if path not in given:
            raise ShapeError(f"backward returned no gradient; expected one of shape {w.shape}", path)
        same_shape(path, w, given[path])
    for path in given:
        if path not in wanted:
            raise ShapeError("backward returned a gradient, but there is no parameter of this name", path)
    return {path: np.array(given[path]) for path in wanted}


def same_shape(path: str, w: Any, g: Any) -> None:
    """ShapeError unless the gradient `g` is shaped like `w`."""
    shape = tuple(np.shape(g))
    if shape != w.shape:
        hint = "; it is transposed" if shape == w.shape[::-1] else ""
        raise ShapeError(f"backward returned a gradient of shape {shape}, expected {w.shape}{hint}", path)


def judge_precision(cache: Seen, net: Layer) -> None:
    """BacklitError for the first layer that left float64: differences would be worth nothing."""
    for path, y in _outputs("", cache):
        if np.asarray(y).dtype == np.float32:
            at = f"{path} ({type(_layer(net, path)).__name__})" if path else type(net).__name__
            raise BacklitError(
                f"{at}: expected an output in the float64 of its input, got float32; "
                f"give constants the dtype of x, as in xp.asarray(2.0, dtype=x.dtype)"
            )


def _outputs(path: str, cache: Seen) -> Iterator[tuple[str, Any]]:
    if isinstance(cache.inside, dict):
        for name, child in cache.inside.items():
            if isinstance(child, Seen):
                yield from _outputs(join(path, name), child)
    yield from ((path, y) for y in tree.leaves(cache.here))


def _layer(net: Layer, path: str) -> Layer:
    for name in path.split("."):
        net = dict(net.children())[name]
    return net
