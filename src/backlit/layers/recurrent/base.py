"""What RNN, LSTM and GRU share: the loop over time, forwards and backwards. Each cell writes out one step of it.

    forward    z_t = x_t W for all t at once;  for t = 1 .. T:  state_t = ahead(z_t, state_{t-1})
    backward   for t = T .. 1:  d state_{t-1}, delta_t = back(d state_t);  dW, dU, db, dx from all delta at once

Derived in docs/derivations/recurrent.md.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from backlit import engine
from backlit.engine import random, tree
from backlit.initializers import Initializer, Orthogonal, Xavier, Zeros
from backlit.layers.recurrent.inside import Inside, dropped
from backlit.layers.recurrent.product import (
    Normal,
    Weights,
    product,
    product_backward,
    product_gradients,
    sum_over_steps,
)
from backlit.layers.recurrent.steps import real_steps, swapped, where, zeroed
from backlit.protocol import Array, Context, Layer, Shape, Tree, need
from backlit.settings import Count, Fraction


class Deltas(NamedTuple):
    """Error signals of a step, or of all: `x` at x W + b; `h` at h U where it differs; `more` for the cell itself."""

    x: Array
    h: Array | None = None
    more: Tree = None


class Cache(NamedTuple):
    """What backward needs, time first: x as it was multiplied, the state before each step, what each step kept."""

    x: Array  # (T, B, D)
    before: Tree  # each (T, B, H)
    kept: Tree  # each (T, B, ...)
    real: Array | None  # (T, B)
    keep_x: Array | None  # (B, D)
    keep_h: Array | None  # (B, H)
    normal: Normal | None  # (T, B, k, H)


@dataclass(frozen=True)
class Recurrent(Layer):
    """Base of the recurrent layers: x (B, T, D) -> y (B, T, H), or (B, H) with returns="last"; H = `units`.

    W (D, k H), U (H, k H), b: k gates side by side, each drawn by itself.
    returns      "all" h_t, or the "last" one
    dropout, recurrent_dropout   of x_t and of h_{t-1}: one mask for all steps of a sequence (variational dropout)
    layer_norm   each gate's x W and h U are normalised over its units; their scales are `norm.x.gamma`, `norm.h.gamma`
    stateful     the number of rows B, whose last state starts the next batch while training: truncated back-propagation
                 through time, since no gradient flows back into the batch before. In an experiment: `order: streams` and
                 this `batch_size`. None: every batch starts from zeros, as evaluation always does

    At a padded step (Context.mask) the state stays as it was and y is 0; the last state is the one after the last real
    step. Several in a Chain are a deep net: Chain(LSTM(64), LSTM(64)).
    Source: Gal, Ghahramani 2016, https://arxiv.org/abs/1512.05287 (dropout); Ba, Kiros, Hinton 2016,
    https://arxiv.org/abs/1607.06450 (normalisation); Williams, Peng 1990, https://doi.org/10.1162/neco.1990.2.4.490
    Others: torch gives 0 at padded steps when the batch is packed; Keras repeats the output before them.
    """

    abstract: ClassVar[bool] = True
    gates: ClassVar[tuple[str, ...]]
    """Blocks of W and U, in order."""
    carried: ClassVar[tuple[str, ...]] = ("h",)
    """The arrays (B, H) of the state."""

    units: Count
    W: Initializer = Xavier()
    U: Initializer = Orthogonal()
    b: Initializer = Zeros()
    returns: Literal["all", "last"] = "all"
    layer_norm: bool = False
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    stateful: Count | None = None

    @abstractmethod
    def ahead(self, inside: Inside, z: Array, state: Tree) -> tuple[Tree, Any]:
        """One step: the new state from z = x W (B, k H) and the state before; and what `back` needs (with `.normal`)."""

    @abstractmethod
    def back(self, inside: Inside, d: Tree, before: Tree, kept: Any) -> tuple[Tree, Deltas]:
        """One step backwards: dL/d(state before) and the error signals, from d = dL/d(state after)."""

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        name, H = type(self).__name__, self.units
        fits = len(shape) == 2 and shape[0] >= 1
        hint = "; put an Embedding before it" if len(shape) == 1 else ""
        need(fits, f"{name} expected rows (T, D), a sequence of T >= 1 steps with D features, got {tuple(shape)}{hint}")
        params = {
            "W": self.W.draw_blocks(random.fold(key, "W"), (shape[1], H), self.gates),
            "U": self.U.draw_blocks(random.fold(key, "U"), (H, H), self.gates),
            "b": self.b.draw_blocks(random.fold(key, "b"), (H,), self.biases()),
        }
        xp = key.__array_namespace__()
        if self.layer_norm:
            k = len(self.gates)
            params["norm"] = {name: {"gamma": xp.ones((k, H), dtype=xp.float32)} for name in ("h", "x")}
        state = {} if self.stateful is None else self._zeros(params["U"], self.stateful)
        return (shape[0], H) if self.returns == "all" else (H,), params, state

    def forward(self, params: Tree, state: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Cache]:
        start, goes_on = self._zeros(params["U"], x.shape[0]), self.stateful is not None and ctx.train
        if goes_on:
            text = f"{type(self).__name__} with stateful={self.stateful} expected as many rows in every batch"
            need(x.shape[0] == self.stateful, f"{text}, got {x.shape[0]}; leave the last, smaller batch out")
            start = state
        y, last, cache = self._run(params, start, x, ctx)
        return y, last if goes_on else state, cache

    def _run(self, params: Tree, start: Tree, x: Array, ctx: Context) -> tuple[Array, Tree, Cache]:
        """y, the last state, and the cache."""
        xp = x.__array_namespace__()
        real = real_steps(ctx, x, type(self).__name__)  # (T, B)
        x = zeroed(real, swapped(x))  # (T, B, D)
        keep_x, keep_h = self._keep(ctx, x[0, ...], start["h"])
        if keep_x is not None:
            x = x * keep_x
        z, normal = product(x, self._input(params))  # (T, B, k H)
        inside = self._inside(params, keep_h)

        def step(before: Tree, now: tuple[Array, Array | None]) -> tuple[Tree, tuple[Tree, Any]]:
            z, real = now
            after, kept = self.ahead(inside, z, before)
            return where(real, after, before), (before, kept)

        last, (before, kept) = engine.of(x).scan(step, start, (z, real))
        cache = Cache(x, before, kept, real, keep_x, keep_h, normal)
        if self.returns == "last":
            return last["h"], last, cache
        h = xp.concat([before["h"][1:, ...], last["h"][None, ...]])  # (T, B, H)
        return swapped(zeroed(real, h)), last, cache

    def backward(self, params: Tree, cache: Cache, dy: Array) -> tuple[Array, Tree, Tree]:
        xp, inside = dy.__array_namespace__(), self._inside(params, cache.keep_h)
        start = tree.map(lambda a: xp.zeros_like(a[0, ...]), cache.before)
        dys = None
        if self.returns == "last":
            start = {**start, "h": dy}
        else:
            dys = zeroed(cache.real, swapped(dy))  # (T, B, H)

        def step(d: Tree, now: tuple[Array, Array, Tree, Any]) -> tuple[Tree, Deltas]:
            dy, real, before, kept = now
            if dy is not None:
                d = {**d, "h": d["h"] + dy}
            earlier, deltas = self.back(inside, d, before, kept)
            return where(real, earlier, d), zeroed(real, deltas)

        _, deltas = engine.of(dy).scan(step, start, (dys, cache.real, cache.before, cache.kept), reverse=True)
        weights = self._input(params)
        dW, dgamma = product_gradients(cache.x, deltas.x, weights, cache.normal)
        grads = {"W": dW, "b": self.bias_gradient(deltas), **self.state_gradients(inside, cache, deltas)}
        if dgamma is not None:
            grads["norm"] = {**grads["norm"], "x": {"gamma": dgamma}}
        dx = product_backward(deltas.x, weights, cache.normal)  # (T, B, D)
        if cache.keep_x is not None:
            dx = dx * cache.keep_x
        return swapped(dx), grads, {}

    def biases(self) -> tuple[str, ...]:
        """Blocks of b."""
        return self.gates

    def products(self) -> tuple[int, ...]:
        """How many gates each product with U makes."""
        return (len(self.gates),)

    def state_gradients(self, inside: Inside, cache: Cache, deltas: Deltas) -> Tree:
        """The gradients of what only the loop reads: U and its normalisation."""
        h, delta = dropped(inside, cache.before["h"]), deltas.x if deltas.h is None else deltas.h
        dU, dgamma = product_gradients(h, delta, inside.U[0], cache.kept.normal)
        return {"U": dU} if dgamma is None else {"U": dU, "norm": {"h": {"gamma": dgamma}}}

    def bias_gradient(self, deltas: Deltas) -> Array:
        """dL/db: b is added to x W in every row and step."""
        return sum_over_steps(deltas.x)

    def memory(self, params: Tree, rows: int, length: int) -> Tree:
        return self._zeros(params["U"], rows)

    def step(self, params: Tree, state: Tree, memory: Tree, x: Array, ctx: Context) -> tuple[Array, Tree]:
        """y (B, 1, H), or (B, H) with returns="last": the last state so far."""
        return self._run(params, memory, x, ctx)[:2]

    def _zeros(self, like: Array, rows: int) -> Tree:
        xp = like.__array_namespace__()
        return {name: xp.zeros((rows, self.units), dtype=like.dtype) for name in self.carried}

    def _input(self, params: Tree) -> Weights:
        return Weights(params["W"], params["W"].T, params["norm"]["x"]["gamma"] if self.layer_norm else None)

    def _inside(self, params: Tree, keep: Array | None) -> Inside:
        weights, first = [], 0
        for gates in self.products():
            last = first + gates
            W = params["U"][:, first * self.units : last * self.units]
            # Behind a barrier it is transposed once; else XLA may do so at every step.
            T = engine.of(W).barrier(W.T)
            weights.append(Weights(W, T, params["norm"]["h"]["gamma"][first:last, :] if self.layer_norm else None))
            first = last
        return Inside(params, tuple(weights), keep)

    def _keep(self, ctx: Context, x: Array, h: Array) -> tuple[Array | None, Array | None]:
        """For x (B, D) and h (B, H): 0 where a row drops at every step, 1 / (1 - rate) elsewhere; None: nothing drops."""
        rates = self.dropout, self.recurrent_dropout
        if not ctx.train or not any(rates):
            return None, None
        xp, D = x.__array_namespace__(), x.shape[1]
        draw = random.uniform(xp.asarray(ctx.key), (x.shape[0], D + self.units))  # (B, D + H)

        def keep(draw: Array, rate: float, like: Array) -> Array | None:
            scaled = xp.full_like(like, 1.0 / (1.0 - rate))
            return xp.where(draw < rate, xp.zeros_like(like), scaled) if rate else None

        return keep(draw[:, :D], rates[0], x), keep(draw[:, D:], rates[1], h)
