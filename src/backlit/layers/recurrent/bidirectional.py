"""A sequence read from both ends."""

from dataclasses import dataclass, replace
from typing import Any

from backlit.errors import BacklitError, SettingError
from backlit.layers.compose import Composite, forward_child, init_child
from backlit.layers.join import Join, check_join, joined, joined_shape, parts_of_delta
from backlit.protocol import Array, Context, Seen, Shape, Tree, need
from backlit.settings import plain

NAMES = ("forward", "backward")


@dataclass(frozen=True, init=False)
class Bidirectional(Composite):
    """y_t = [f(x)_t, g(reversed x)_t]: g reads the sequence from its end; its outputs stand where their inputs stood.

    One layer serves as both, with parameters of its own for each direction; `forward=` and `backward=` give two.
    join: "concatenate" along the last axis, or "add". Where the layers give one value a sequence (returns="last"), the
    two are joined: f after the last step, g after the first.
    dL/dx = f.backward(dy_f) + reversed g.backward(reversed dy_g)

    Padding (Context.mask) is reversed with the sequence, so it comes first for g: right for layers that leave padded
    steps out, as RNN, LSTM, GRU and Scan do.
    Deep: Chain(Bidirectional(LSTM(8)), Bidirectional(LSTM(8))).
    Errors: SettingError for other layers; ShapeError when the two outputs do not fit; BacklitError in `memory`: the
    backward direction starts from the end.
    Source: Schuster, Paliwal 1997, https://doi.org/10.1109/78.650093

    >>> import backlit as bl
    >>> net = bl.Bidirectional(bl.LSTM(8))
    >>> shape, params, _ = net.init(bl.random.key(0), (5, 3))
    >>> shape, list(params)
    ((5, 16), ['forward', 'backward'])
    """

    join: Join = "concatenate"

    def __init__(self, *layers: Any, join: Join = "concatenate", **more: Any) -> None:
        object.__setattr__(self, "join", join)
        super().__init__(*layers, **more)

    def check(self) -> None:
        check_join(self.join)
        if len(self.layers) == 1:
            layer = self.layers[0][1]
            object.__setattr__(self, "layers", (("forward", layer), ("backward", replace(layer))))
        given = tuple(name for name, _ in self.layers)
        if given != NAMES:
            text = "expected one layer for both directions, or forward= and backward="
            raise SettingError([("layers", f"{text}, got {', '.join(given) or 'none'}")])

    def to_plain(self) -> dict[str, Any]:
        (_, one), (_, other) = self.layers
        both = [plain(one)] if one == other else [{"name": name, **plain(layer)} for name, layer in self.layers]
        return {"layers": both, **({"join": self.join} if self.join != "concatenate" else {})}

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        need(len(shape) >= 2, f"Bidirectional expected rows (T, D), a sequence of T steps, got {tuple(shape)}")
        shapes, params, state = [], {}, {}
        for name, layer in self.layers:
            out, params[name], state[name] = init_child(name, layer, key, shape)
            shapes.append(out)
        return joined_shape(self.join, shapes, "Bidirectional"), params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        after, cache = {}, {}
        back = ctx if ctx.mask is None else replace(ctx, mask=reverse(ctx.mask))
        for (name, layer), given, seen in zip(self.layers, (x, reverse(x)), (ctx, back), strict=True):
            y, after[name], inside = forward_child(name, layer, params[name], state[name], given, seen.at(name))
            cache[name] = Seen(y if name == "forward" else aligned(y), inside)
        return joined(self.join, [cache[name].here for name in NAMES]), after, cache

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        grads, deltas, dxs = {}, {}, []
        parts = parts_of_delta(self.join, dy, [cache[name].here for name in NAMES])
        for (name, layer), part in zip(self.layers, parts, strict=True):
            given = part if name == "forward" else aligned(part)
            dx, grads[name], inside = layer.backward(params[name], cache[name].inside, given)
            deltas[name] = Seen(part, inside)
            dxs.append(dx)
        return dxs[0] + reverse(dxs[1]), grads, deltas

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        raise BacklitError(
            "Bidirectional reads from the end too, so it cannot go step by step; use the layer in it alone"
        )


def reverse(x: Array) -> Array:
    """(B, T, ...) with the time axis turned round; (B,) as it is."""
    return x if x.ndim == 1 else x.__array_namespace__().flip(x, axis=1)


def aligned(y: Array) -> Array:
    """The backward direction's output by its inputs' places; one value a sequence, (B, H), has no place."""
    return reverse(y) if y.ndim > 2 else y
