"""Images: channels last here, channels first there; padding on both sides of each axis."""

from typing import Any

import numpy as np

from onnx_cases.case import Case


def channels_last(x: Any) -> Any:
    """(B, C, *S) -> (B, *S, C)."""
    return np.moveaxis(x, 1, -1)


def channels_first(y: Any) -> Any:
    """(B, *S, C) -> (B, C, *S)."""
    return np.moveaxis(y, -1, 1)


def padding(case: Case, space: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """What `pads` and `auto_pad` mean: a word, or (before, after) for each axis."""
    match case.settings["auto_pad"]:
        case "SAME_UPPER":
            return "same"
        case "VALID":
            return "valid"
        case "SAME_LOWER":  # as "same", but an odd zero stands in front
            sides = []
            for n, k, s, d in zip(space, kernel, stride, dilation, strict=True):
                total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
                sides.append((total - total // 2, total // 2))
            return tuple(sides)
    pads = case.settings.get("pads", [0] * 2 * len(space))
    return tuple(zip(pads[: len(space)], pads[len(space) :], strict=True))
