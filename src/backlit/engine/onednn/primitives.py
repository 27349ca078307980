"""Plans of convolutions: activations as they lie, (N, *space, C), kernels reordered between (*space, I, O) and oneDNN's own.

oneDNN names axes in the order N, C, space (kernels: groups, O, I, space), and strides say where they lie. A function here
takes the library, the shapes of XLA's arguments and results, and what else its operation takes in the engine.
"""

import ctypes
import math
from typing import Any

from backlit.engine.onednn import library as dnnl
from backlit.engine.onednn.library import Library, Unavailable
from backlit.engine.onednn.plan import Plan
from backlit.engine.window import Window

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]


def convolve(library: Library, given: Shapes, made: Shapes, window: Window) -> Plan:
    """x, W -> y."""
    (x, W), (y,) = given, made
    return _slide(library, _forward(library, x, W, y, window), window, x, W, y, dnnl.SRC, dnnl.DST)


def convolve_dx(library: Library, given: Shapes, made: Shapes, window: Window, shape: Shape) -> Plan:
    """dy, W -> dx."""
    (y, W), (x,) = given, made
    layouts = _activations(library, x), _own_kernel(library, W, window), _activations(library, y)
    hint = _forward(library, x, W, y, window)
    back = _described(library, "convolution_backward_data", dnnl.DIRECT, *layouts, *_steps(window), hint)
    return _slide(library, back, window, y, W, x, dnnl.DIFF_DST, dnnl.DIFF_SRC)


def convolve_dW(library: Library, given: Shapes, made: Shapes, window: Window, kernel: Shape) -> Plan:
    """x, dy -> dW."""
    (x, y), (W,) = given, made
    layouts = _activations(library, x), _own_kernel(library, W, window), 0, _activations(library, y)
    hint = _forward(library, x, W, y, window)
    back = _described(library, "convolution_backward_weights", dnnl.DIRECT, *layouts, *_steps(window), hint)
    plan = Plan(library)
    source, delta = plan.argument(layouts[0]), plan.argument(layouts[3])
    target, own = plan.result(_kernel(library, W, window)), plan.room(library.layout(back, dnnl.DIFF_WEIGHTS))
    plan.run(back, {dnnl.SRC: source, dnnl.DIFF_DST: delta, dnnl.DIFF_WEIGHTS: own})
    plan.reorder(own, target)
    return plan


def _described(library: Library, name: str, *settings: Any) -> int:
    """The description of a primitive; Unavailable when only oneDNN's slow reference code can compute it."""
    made = library.made(f"dnnl_{name}_primitive_desc_create", library.engine, *settings, library.attributes)
    code = ctypes.c_char_p()
    library.call("dnnl_primitive_desc_query", made, dnnl.IMPLEMENTATION, 0, ctypes.byref(code))
    if b"ref" in (code.value or b"ref"):
        raise Unavailable(f"oneDNN has only {code.value!r}")
    return made


def _activations(library: Library, shape: Shape) -> int:
    """The layout of an array (N, *space, C)."""
    batch, *space, channels = _strides(shape)
    return _layout(library, (shape[0], shape[-1], *shape[1:-1]), (batch, channels, *space))


def _slide(
    library: Library, description: int, window: Window, source: Shape, W: Shape, target: Shape, given: int, made: int
) -> Plan:
    """The plan of a primitive that takes activations and a kernel and makes activations, in these roles."""
    plan = Plan(library)
    x, kernel = plan.argument(_activations(library, source)), plan.argument(_kernel(library, W, window))
    own = plan.reordered(kernel, library.layout(description, dnnl.WEIGHTS))
    y = plan.result(_activations(library, target))
    plan.run(description, {given: x, dnnl.WEIGHTS: own, made: y})
    return plan


def _forward(library: Library, x: Shape, W: Shape, y: Shape, window: Window) -> int:
    if math.prod(W[:-2]) == 1:
        # And in oneDNN 3.2 dW with strides and channels not divisible by 8 is wrong now and then: its threads race.
        raise Unavailable("1 x 1 kernels are matrix products")
    layouts = _activations(library, x), _own_kernel(library, W, window), 0, _activations(library, y)
    return _described(library, "convolution_forward", dnnl.FORWARD, dnnl.DIRECT, *layouts, *_steps(window))


def _steps(window: Window) -> tuple[Shape, Shape, Shape, Shape]:
    before, after = zip(*window.padding, strict=True)
    if min(*before, *after) < 0:
        raise Unavailable("oneDNN has no negative padding")
    return window.strides, tuple(d - 1 for d in window.dilation), before, after


def _kernel(library: Library, shape: Shape, window: Window) -> int:
    """The layout of an array (*space, I / groups, O)."""
    *space, inputs, outputs = _strides(shape)
    steps = (shape[-1] // window.groups * outputs, outputs, inputs, *space)
    return _layout(library, _kernel_axes(shape, window), steps[-len(_kernel_axes(shape, window)) :])


def _own_kernel(library: Library, shape: Shape, window: Window) -> int:
    """A kernel in whichever layout the primitive likes best."""
    axes = _kernel_axes(shape, window)
    return library.made("dnnl_memory_desc_create_with_tag", len(axes), axes, dnnl.F32, dnnl.ANY)


def _kernel_axes(shape: Shape, window: Window) -> Shape:
    *space, inputs, outputs = shape
    groups = window.groups
    return (outputs, inputs, *space) if groups == 1 else (groups, outputs // groups, inputs, *space)


def _layout(library: Library, axes: Shape, steps: Shape) -> int:
    return library.made("dnnl_memory_desc_create_with_strides", len(axes), axes, dnnl.F32, steps)


def _strides(shape: Shape) -> Shape:
    """How many numbers lie between neighbours along each axis."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
