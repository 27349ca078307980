"""The whole contract. A layer is a frozen dataclass of settings with three pure methods:

    init    (key, shape)                -> shape, params, state      shape is that of one row, without the batch axis
    forward (params, state, x, ctx)     -> y, state, cache           cache: what backward needs and no more
    backward(params, cache, dy)         -> dx, grads, deltas         grads shaped like params

Nothing is stored in a layer: parameters, state and cache travel beside it, so the same code runs eagerly on NumPy,
where you can look at every number, and compiled by XLA, where it is fast. Trees are dicts, tuples and NamedTuples.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

from backlit.engine import random
from backlit.errors import BacklitError, ShapeError, join
from backlit.settings import Settings

Array: TypeAlias = Any
"""An array of the array-API standard: NumPy's, JAX's (also while it is traced), array-api-strict's."""

Tree: TypeAlias = Any
"""A dict, tuple or NamedTuple of trees or arrays; `{}` where there is nothing."""

Shape: TypeAlias = Any
"""Of one row, without the batch axis: a tuple of numbers; where x is a tree, a tree of such tuples."""


@dataclass(frozen=True)
class Context:
    """What the layers of one pass share.

    train   dropout drops, batch statistics are used
    root    key of this pass (uint32[2]), or None for a pass that draws nothing
    mask    (B,) or (B, T): 1 for a real row or time step, 0 for padding; None when all are real. Where x is a tree,
            it may be a tree like it: Parallel and Select give each part its own
    """

    train: bool = False
    root: Array = None
    mask: Array = None
    path: tuple[Any, ...] = ()

    def at(self, name: Any) -> "Context":
        """The context of a child; its key is folded by the child's *name*, so a new sibling changes no draw."""
        return replace(self, path=(*self.path, name))

    @property
    def key(self) -> Array:
        """This layer's own key. Folded when it is asked for: most layers never draw."""
        if self.root is None:
            where = f"{'.'.join(map(str, self.path))}: " if self.path else ""
            raise BacklitError(
                f"{where}this layer draws random numbers; pass Context(train=True, root=random.key(seed))"
            )
        key = self.root
        for name in self.path:
            key = random.fold(key, name)
        return key


class Seen(NamedTuple):
    """A value at a layer's output and what lies within that layer; `here` is y in a cache and dL/dy in deltas."""

    here: Array
    inside: Tree


class Trace(NamedTuple):
    """Everything one pass computed: y and cache of every layer, dL/dy of every layer, and dL/dx of the input."""

    cache: Seen
    deltas: Seen
    dx: Array


@dataclass(frozen=True)
class Layer(Settings):
    """Base of all layers: a differentiable function with parameters, as data."""

    abstract: ClassVar[bool] = True

    @abstractmethod
    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        """Output shape, parameters and state for rows of `shape`; ShapeError when the shape does not fit."""

    @abstractmethod
    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Tree]:
        """The output, the new state, and what `backward` needs."""

    @abstractmethod
    def backward(self, params: Tree, cache: Tree, dy: Array) -> tuple[Array, Tree, Tree]:
        """dL/dx, dL/dparams, and the deltas seen within; `dy` is dL/dy."""

    @classmethod
    def from_list(cls, value: Any) -> "Layer":
        """A list of layers is a Chain: how files write a network."""
        from backlit.layers.compose import Chain

        return Chain.from_plain({"layers": value})

    def children(self) -> tuple[tuple[str, "Layer"], ...]:
        """Named layers within this one, in the order of the forward pass."""
        return ()

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        """What `step` keeps of the time steps before it, still empty, for `rows` sequences of at most `length` steps.

        {} for a layer that looks at each time step by itself. A layer that looks back (LSTM, causal attention) keeps
        what it needs; one that looks ahead raises BacklitError.
        """
        return {}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        """One time step in evaluation, x (B, 1, ...): y (B, 1, ...) and the new memory; how sequences are generated.

        Step by step over a sequence gives what `forward` gives on the whole of it.
        """
        return self.forward(params, state, x, ctx)[0], memory


@dataclass(frozen=True)
class Loss(Settings):
    """Base of all losses: loss(y, target, weight) -> value, dL/dy, side by side."""

    abstract: ClassVar[bool] = True
    task: ClassVar[str] = "regression"
    """What the net's output y means: 'regression' (values), 'classification' (K scores a row, the largest wins),
    'binary' (one logit a row), 'multilabel' (K logits a row), 'ranking' (1 + C scores a row, the first should win)."""

    @abstractmethod
    def __call__(self, y: Array, target: Array, weight: Array | None = None) -> tuple[Array, Array]:
        """The weighted mean over rows, and its gradient; `weight` is (B,), None for all ones."""


def gradient(
    net: Layer,
    loss: Loss,
    params: Tree,
    state: Tree,
    x: Array,
    target: Array,
    ctx: Context = Context(),
    weight: Array | None = None,
) -> tuple[Array, Tree, Tree, Trace]:
    """One forward and one backward pass: the value, its gradient, the new state, and all that was seen on the way.

    >>> import numpy as np, backlit as bl
    >>> net, loss = bl.Chain(bl.Dense(4), bl.Tanh(), bl.Dense(3)), bl.SoftmaxCrossEntropy()
    >>> _, params, state = net.init(bl.random.key(0), (2,))
    >>> value, grads, state, trace = bl.gradient(net, loss, params, state, np.ones((5, 2), "f"), np.zeros(5, int))
    >>> grads["dense_1"]["W"].shape
    (2, 4)
    """
    y, state, cache = net.forward(params, state, x, ctx)
    value, dy = loss(y, target, weight)
    dx, grads, deltas = net.backward(params, cache, dy)
    return value, grads, state, Trace(Seen(y, cache), Seen(dy, deltas), dx)


def signals(trace: Trace) -> dict[str, tuple[Array, Array]]:
    """`{path: (value, delta)}`: each layer's output y and the error signal dL/dy that reached it, for any nesting.

    The tap on a network: a pure function of the trace, so it also runs inside a compiled step. Where y is a tree, its
    parts stand under the layers that made them.
    """
    found: dict[str, tuple[Array, Array]] = {}

    def walk(path: str, cache: Seen, delta: Seen) -> None:
        if path and not isinstance(cache.here, dict | tuple):
            found[path] = (cache.here, delta.here)
        if isinstance(cache.inside, dict):
            for name, child in cache.inside.items():
                if isinstance(child, Seen):
                    walk(join(path, name), child, delta.inside[name])

    walk("", trace.cache, trace.deltas)
    return found or {"": (trace.cache.here, trace.deltas.here)}


def paths(net: Layer, prefix: str = "") -> list[str]:
    """The path of every layer within `net`, in the order of the forward pass (jit sorts dicts; this does not)."""
    return [p for name, child in net.children() for p in [join(prefix, name), *paths(child, join(prefix, name))]]


def need(condition: bool, text: str) -> None:
    """Raise ShapeError(text) unless `condition` holds; used by `init`, the enclosing layers add the path."""
    if not condition:
        raise ShapeError(text)
