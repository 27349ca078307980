"""Operations of the XLA engine that oneDNN computes where it is installed and faster: the optional extra [onednn].

How and when: docs/onednn.md. What each function computes: convolution_xla.py.
"""

from typing import Any

from backlit.engine.window import Sizes, Window


def convolve(x: Any, W: Any, window: Window) -> Any:
    """y of a convolution."""
    from backlit.engine import convolution_xla
    from backlit.engine.onednn import primitives
    from backlit.engine.onednn.either import either

    return either(convolution_xla.convolve, primitives.convolve, (x, W), window)


def convolve_dx(dy: Any, W: Any, window: Window, shape: Sizes) -> Any:
    """dL/dx of a convolution."""
    from backlit.engine import convolution_xla
    from backlit.engine.onednn import primitives
    from backlit.engine.onednn.either import either

    return either(convolution_xla.convolve_dx, primitives.convolve_dx, (dy, W), window, shape)


def convolve_dW(x: Any, dy: Any, window: Window, kernel: Sizes) -> Any:
    """dL/dW of a convolution."""
    from backlit.engine import convolution_xla
    from backlit.engine.onednn import primitives
    from backlit.engine.onednn.either import either

    return either(convolution_xla.convolve_dW, primitives.convolve_dW, (x, dy), window, kernel)


def describe() -> str:
    """What a choice between programs depends on: how oneDNN is used, and its version."""
    from backlit.engine.onednn.backend import mode, versions

    return "off" if mode() == "off" else f"{mode()}, {versions()}" if versions() else "not installed"
