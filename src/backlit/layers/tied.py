"""One set of parameters in several places."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backlit.engine import tree
from backlit.errors import SettingError, join, received, unknown
from backlit.layers.compose import Chain
from backlit.layers.route import setting
from backlit.protocol import Array, Context, Shape, Tree, need

TRANSPOSED = ".T"
"""After a source: what is taken from there is transposed."""


@dataclass(frozen=True, init=False)
class Tied(Chain):
    """A Chain in which some parameters are others: ties={"out.W": "words.W"} gives `out` the table of `words`.

    Both sides of a tie are paths within the chain, of an array or of a whole layer; ".T" after the right one transposes
    it. A tied place has no parameters of its own. With W in two places   dL/dW = dL/dW_1 + dL/dW_2.

    The output layer of a language model is its table of words, z = h W^T:
        Tied(words=Embedding(V, D), ..., out=Dense(V, b=None), ties={"out.W": "words.W.T"})
    Siamese nets compare two inputs through one net:
        Tied(both=Parallel(left=f, right=f), ..., ties={"both.right": "both.left"})

    State (that of batch normalisation) is each place's own.
    Errors: SettingError for a path that does not exist, or leads to a place that is tied itself; ShapeError when shapes
    differ.
    Source: Press, Wolf 2017, https://arxiv.org/abs/1608.05859; Bromley et al., NIPS 1993 (siamese nets)

    >>> import backlit as bl
    >>> net = bl.Tied(words=bl.Embedding(9, 4), out=bl.Dense(9), ties={"out.W": "words.W.T"})
    >>> shape, params, _ = net.init(bl.random.key(0), (6,))
    >>> shape, list(bl.tree.flatten(params))
    ((6, 9), ['out.b', 'words.W'])
    """

    ties: tuple[tuple[str, str], ...] = ()

    def __init__(self, *layers: Any, ties: Any = (), **more: Any) -> None:
        pairs = ties.items() if isinstance(ties, Mapping) else ties
        object.__setattr__(self, "ties", tuple(pairs))
        super().__init__(*layers, **more)

    def check(self) -> None:
        ties = tuple(sorted(setting("ties", tuple[tuple[str, str], ...], self.ties)))
        object.__setattr__(self, "ties", ties)
        places, sources = [place for place, _ in ties], [_path(source) for _, source in ties]
        if not ties or len(set(places)) < len(places):
            text = f"expected each place once, with its source, as in {{'out.W': 'words.W.T'}}, got {received(ties)}"
            raise SettingError([("ties", text)])
        for path in sources:
            if any(path == place or _within(path, place) or _within(place, path) for place in places):
                text = f"expected {path!r} not to be tied itself; tie every place to the same source"
                raise SettingError([("ties", text)])

    def to_plain(self) -> dict[str, Any]:
        return {**super().to_plain(), "ties": dict(self.ties)}

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        out, params, state = super().init(key, shape)
        known = list(_known(params))
        for path in [path for place, source in self.ties for path in (place, _path(source))]:
            if path not in known:
                raise unknown("parameter", path, known).under("ties")
        for place, source in self.ties:
            wanted, given = (tree.map(lambda a: a.shape, _get(params, path)) for path in (place, _path(source)))
            if source.endswith(TRANSPOSED):
                matrix = isinstance(given, tuple) and len(given) == 2
                need(matrix, f"Tied transposes matrices only, got {given} from {_path(source)}; leave out .T")
                given = given[::-1]
            text = f"Tied expected a source of the shape {wanted} for {place}, got {given} from {source}"
            need(wanted == given, f"{text}; .T after the path of a matrix transposes it")
        for place, _ in self.ties:
            params = _without(params, place)
        return out, params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        return super().forward(self._filled(params), state, x, ctx)

    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        dx, grads, deltas = super().backward(self._filled(params), cache, dy)
        for place, source in self.ties:
            there = tree.map(lambda g, h: g + h, _get(grads, _path(source)), _turned(_get(grads, place), source))
            grads = _without(_with(grads, _path(source), there), place)
        return dx, grads, deltas

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return super().memory(self._filled(params), rows, length)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        return super().step(self._filled(params), state, memory, x, ctx)

    def _filled(self, params: Tree) -> Tree:
        """The parameters with those of the tied places."""
        for place, source in self.ties:
            params = _with(params, place, _turned(_get(params, _path(source)), source))
        return params


def _path(source: str) -> str:
    return source.removesuffix(TRANSPOSED)


def _turned(values: Tree, source: str) -> Tree:
    """Transposed when the source says so; its own inverse."""
    return tree.map(lambda a: a.T, values) if source.endswith(TRANSPOSED) else values


def _within(path: str, outer: str) -> bool:
    return path.startswith(f"{outer}.")


def _known(params: Tree, prefix: str = "") -> Iterator[str]:
    """Every path: of layers, and of the arrays in them."""
    for name, inner in params.items():
        yield join(prefix, name)
        if isinstance(inner, dict):
            yield from _known(inner, join(prefix, name))


def _get(params: Tree, path: str) -> Tree:
    for name in path.split("."):
        params = params[name]
    return params


def _with(params: Tree, path: str, value: Tree) -> Tree:
    """`params` with `value` at `path`."""
    name, _, rest = path.partition(".")
    return {**params, name: _with(params.get(name, {}), rest, value) if rest else value}


def _without(params: Tree, path: str) -> Tree:
    """`params` with nothing at `path`."""
    name, _, rest = path.partition(".")
    if not rest:
        return {other: inner for other, inner in params.items() if other != name}
    return {**params, name: _without(params[name], rest)}
