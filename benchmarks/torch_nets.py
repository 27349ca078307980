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
    raise TypeError(
        f"{kind}: expected one of {', '.join(sorted(_MODULES))} or Chain; write its torch module into _MODULES"
    )


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
        raise ValueError(
            f"Conv: expected padding 'same', got {layer.padding!r}; torch counts other paddings differently"
        )
    # torch pads alike on both sides; with a stride 'same' pads less in front: the same work, on a grid moved by one.
    padding = tuple((n - 1) // 2 for n in W.shape[:2])
    stride = layer.stride if isinstance(layer.stride, int) else tuple(layer.stride)
    module = nn.Conv2d(W.shape[2], W.shape[3], W.shape[:2], stride, padding, bias="b" in params)
    bias = {"bias": params["b"]} if "b" in params else {}
    return _set(module, weight=W.transpose(3, 2, 0, 1), **bias)


def _batch_norm(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    size = len(params["gamma"])
    module: Any = nn.BatchNorm2d(size, layer.epsilon, 1 - layer.momentum)
    if form == "rows":
        module = nn.BatchNorm1d(size, layer.epsilon, 1 - layer.momentum)
    return _set(module, weight=params["gamma"], bias=params["beta"])


def _layer_norm(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    return _set(nn.LayerNorm(len(params["gamma"]), 1e-5), weight=params["gamma"], bias=params["beta"])


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


def _basic_block(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    (_, branch), _ = layer.layers
    within = dict(branch.layers)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = _module(within["main"], params["sum"]["main"], form)
            self.shortcut = _module(within["shortcut"], params["sum"]["shortcut"], form)

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.main(x) + self.shortcut(x))

    return Block()


def _projection(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    if not params["conv"]:
        return nn.Identity()
    W = params["conv"]["W"]
    conv = nn.Conv2d(W.shape[2], W.shape[3], 1, layer.stride, bias=False)
    return nn.Sequential(_set(conv, weight=W.transpose(3, 2, 0, 1)), _batch_norm(layer.norm, params["norm"], form))


def _pad_shortcut(layer: Any, params: Any, form: str) -> Any:
    from torch import nn

    class Pad(nn.Module):
        """Every stride-th place, channels of zeros behind."""

        def forward(self, x: Any) -> Any:
            more = layer.channels - x.shape[1]
            return nn.functional.pad(x[:, :, :: layer.stride, :: layer.stride], (0, 0, 0, 0, 0, more))

    return Pad()


def _recurrent(layer: Any, params: Any, form: str) -> Any:
    """torch has a second bias, which begins at 0 here (but for u of a GRU) and is trained too."""
    import torch
    from torch import nn

    H, b = layer.units, params["b"]
    kind = type(layer).__name__
    second = np.zeros_like(b) if kind == "LSTM" else np.concatenate([np.zeros(2 * H, b.dtype), b[3 * H :]])
    module = _set(
        getattr(nn, kind)(params["W"].shape[0], H, batch_first=True),
        weight_ih_l0=params["W"].T, weight_hh_l0=params["U"].T, bias_ih_l0=b[: len(second)], bias_hh_l0=second,
    )  # fmt: skip

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.cell(x)[0]
            return y[:, -1] if layer.returns == "last" else y

    return Outputs()


def _encoder_block(layer: Any, params: Any, form: str) -> Any:
    """form "layer": TransformerEncoderLayer; "by hand": one product for q, k, v and scaled_dot_product_attention."""
    import torch
    from torch import nn

    attention, feed_forward = params["attention"], params["feed_forward"]
    heads, network = attention["heads"], feed_forward["network"]
    D, hidden = network["up"]["W"].shape
    norms = [_layer_norm(None, p["norm"], form) for p in (attention, feed_forward)]
    up, down = _dense(None, network["up"], form), _dense(None, network["down"], form)
    qkv, out = _dense(None, heads["qkv"], form), _dense(None, heads["out"], form)
    if form == "layer":
        block = nn.TransformerEncoderLayer(D, layer.heads, hidden, 0.0, "gelu", batch_first=True, norm_first=True)
        block.norm1, block.norm2, block.linear1, block.linear2 = *norms, up, down
        _set(block.self_attn, in_proj_weight=heads["qkv"]["W"].T, in_proj_bias=heads["qkv"]["b"])
        _set(block.self_attn.out_proj, weight=heads["out"]["W"].T, bias=heads["out"]["b"])
        return block

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2, self.qkv, self.out, self.up, self.down = *norms, qkv, out, up, down

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            B, T, _ = x.shape
            parts = self.qkv(self.norm1(x)).view(B, T, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
            seen = nn.functional.scaled_dot_product_attention(*parts)
            x = x + self.out(seen.transpose(1, 2).reshape(B, T, D))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    return Block()


_MODULES = {
    "Dense": _dense,
    "Conv": _conv,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "Flatten": _flatten,
    "MaxPool": _max_pool,
    "GlobalAveragePool": _global_average,
    "ReLU": _relu,
    "BasicBlock": _basic_block,
    "Projection": _projection,
    "PadShortcut": _pad_shortcut,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "TransformerEncoderBlock": _encoder_block,
}
