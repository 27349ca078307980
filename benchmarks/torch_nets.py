"""A backlit network as a torch module with the same numbers in it."""

from typing import Any

import numpy as np


def torch_rows(x: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) as torch numbers their axes, (N, C, H, W), still lying in memory channels last."""
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def torch_net(net: Any, params: Any, form: str = "") -> Any:
    """The module; `form` chooses among the ways in which torch writes the same layer."""
    import torch

    module = _module(net, params, form)
    return module.to(memory_format=torch.channels_last)


def _module(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    kind = type(layer).__name__
    if kind in _MODULES:
        return _MODULES[kind](layer, params, form)
    if kind == "Chain":
        return nn.Sequential(*(_module(child, params[name], form) for name, child in layer.layers))
    raise NotImplementedError(f"torch_nets knows no {kind}")


def _set(module: Any, **arrays: np.ndarray) -> Any:
    """The module with its parameters set, each checked for its shape."""
    import torch

    for name, value in arrays.items():
        parameter = getattr(module, name)
        if tuple(parameter.shape) != value.shape:
            raise ValueError(f"{name}: {tuple(parameter.shape)} in torch, {value.shape} here")
        parameter.data = torch.tensor(np.ascontiguousarray(value))
    return module


def _dense(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    return _set(nn.Linear(*params["W"].shape), weight=params["W"].T, bias=params["b"])


def _conv(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    W = params["W"]  # (h, w, C, O)
    if layer.padding != "same":
        raise NotImplementedError("padding must be 'same'")
    # torch pads alike on both sides; with a stride 'same' pads less in front: the same work, on a grid moved by one.
    padding = tuple((n - 1) // 2 for n in W.shape[:2])
    stride = layer.stride if isinstance(layer.stride, int) else tuple(layer.stride)
    module = nn.Conv2d(W.shape[2], W.shape[3], W.shape[:2], stride, padding, bias="b" in params)
    bias = {"bias": params["b"]} if "b" in params else {}
    return _set(module, weight=W.transpose(3, 2, 0, 1), **bias)


def _batch_norm(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    size = len(params["gamma"])
    module = nn.BatchNorm2d(size, layer.epsilon, 1 - layer.momentum)
    if form == "rows":
        module = nn.BatchNorm1d(size, layer.epsilon, 1 - layer.momentum)
    return _set(module, weight=params["gamma"], bias=params["beta"])


def _layer_norm(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    return _set(nn.LayerNorm(len(params["gamma"]), layer.epsilon), weight=params["gamma"], bias=params["beta"])


def _flatten(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    class Flatten(nn.Module):
        """Rows as they lie in memory, channels last: the next weights are then the same numbers."""

        def forward(self, x: Any) -> Any:
            return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)

    return Flatten()


def _max_pool(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    return nn.MaxPool2d(layer.window, layer.stride)


def _global_average(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    class Mean(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mean(dim=(2, 3)) if x.ndim == 4 else x.mean(dim=1)

    return Mean()


def _relu(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    return nn.ReLU()


_MODULES = {
    "Dense": _dense,
    "Conv": _conv,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "Flatten": _flatten,
    "MaxPool": _max_pool,
    "GlobalAveragePool": _global_average,
    "ReLU": _relu,
}
