"""Are the gradients right? Every parameter leaf, the input and the loss apart, against differences of the loss.

    n_i = (L(w + h e_i) - L(w - h e_i)) / 2h            central: error of order h^2, two passes an entry
    n_i = (L(w + h e_i) - L(w)) / h                     forward: error of order h, one pass an entry
    error_i = |a_i - n_i| / max(|a_i| + |n_i|, floor)   a: what backward says

All in float64. The floor is what rounding alone makes of n: below it an entry is judged by its absolute error. A kink
(ReLU at 0) within h of the point makes the difference wrong, not the gradient: it is met by a smaller h, or left out
and said. A kink is told by its one-sided differences: they do not come together as h shrinks, and a lies between them.

Source: Baydin et al. 2018, https://arxiv.org/abs/1502.05767 (errors of differences); Stanford CS231n notes (relative
error, kinks). What a failure says: `docs/derivations/dense.md`.
"""

import math
from typing import Any, Literal

import numpy as np

from backlit import engine as engines
from backlit.engine import random, tree
from backlit.errors import NonFiniteError, SettingError, join, received
from backlit.gradcheck.difference import STEPS, Probe, check_leaf
from backlit.gradcheck.faults import Explained, judge_precision, matched
from backlit.gradcheck.result import GradientCheck, LeafCheck
from backlit.protocol import Array, Context, Layer, Loss, Tree, gradient, paths

__all__ = ["GradientCheck", "LeafCheck", "check_gradients"]

SAMPLE = 200


def check_gradients(
    net: Layer,
    loss: Loss,
    x: Tree,
    target: Array,
    *,
    params: Tree = None,
    state: Tree = None,
    weight: Array | None = None,
    mask: Tree = None,
    difference: Literal["central", "forward"] = "central",
    step: float | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
    train: bool = True,
    samples: int | None = None,
    engine: Literal["numpy", "xla"] = "numpy",
) -> GradientCheck:
    """Compare every gradient that `net` and `loss` write out with differences of the loss, in float64.

    x (B, ...), or a tree of such arrays; a few rows are enough; target as the loss wants it; `mask` is Context.mask.
    Without `params` the net's own start is taken, moved by a little noise, so that zero biases hide nothing. A net that
    draws (dropout) gets the same key at every pass. Of a leaf with more than 200 entries a seeded sample of 200 is
    checked (`samples` sets another number). `step` is h, relative to an entry larger than 1. An integer x has no gradient
    and is left out. `engine="xla"` is for nets with an Autodiff layer.
    Errors: ShapeError when backward leaves out a gradient or gives it another shape; BacklitError when a layer casts to
    a fixed precision, or fails; NonFiniteError when the loss is not finite there.

    >>> import numpy as np, backlit as bl
    >>> x, labels = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 1, 0])
    >>> net = bl.Chain(bl.Dense(5), bl.Tanh(), bl.Dense(2))
    >>> check = bl.check_gradients(net, bl.SoftmaxCrossEntropy(), x, labels)
    >>> check.passed, [leaf.path for leaf in check.leaves]
    (True, ['x', 'dense_1.W', 'dense_1.b', 'dense_2.W', 'dense_2.b', 'y'])
    """
    _judge_settings(difference, step, tolerance, samples)
    home = engines.get(engine)
    rng = np.random.default_rng(seed)
    _, drawn, fresh = net.init(random.key(seed), tree.map(lambda a: tuple(np.shape(a)[1:]), x))
    params = double(moved(drawn, rng) if params is None else params)
    state, x, target, weight = (double(t) for t in (fresh if state is None else state, x, target, weight))
    with home.double():

        def send(t: Tree) -> Tree:
            return tree.map(home.asarray, t)

        ctx = Context(train=train, root=send(random.key(seed)), mask=send(double(mask)))
        fixed, goal, share = send(state), send(target), send(weight)
        with Explained():
            value, grads, _, trace = gradient(net, loss, send(params), fixed, send(x), goal, ctx, share)
        judge_precision(trace.cache, net)
        if not math.isfinite(float(value)):
            raise NonFiniteError(f"the loss is {float(value)} at the point to check; scale x or give other params")
        y, dy = tree.map(lambda a: np.array(a, order="C"), trace.cache.here), tree.map(np.array, trace.deltas.here)
        inputs, inner, outputs = floating(named("x", x)), tree.flatten(params), named("y", y)
        analytic = {
            **matched(inputs, {path: g for path, g in named("x", trace.dx).items() if path in inputs}),
            **_in_order(net, matched(inner, tree.flatten(grads))),
            **matched(outputs, named("y", dy)),
        }
        of_net = home.compile(lambda p, x: loss(net.forward(p, fixed, x, ctx)[0], goal, share)[0])
        of_loss = home.compile(lambda y: loss(y, goal, share)[0])

        # Both read our own arrays, in which an entry is moved and put back.
        def through_net() -> float:
            return float(of_net(send(params), send(x)))

        def through_loss() -> float:
            return float(of_loss(send(y)))

        size = max(abs(float(value)), sum(float(np.sum(np.abs(outputs[p] * analytic[p]))) for p in outputs))
        probe = Probe(float(value), step or STEPS[difference], difference == "central", tolerance, size)
        places = {**inputs, **inner, **outputs}
        leaves = []
        for path, wanted in analytic.items():
            read = through_loss if path in outputs else through_net
            leaves.append(check_leaf(path, places[path], wanted, probe, read, rng, samples or SAMPLE))
    return GradientCheck(tuple(leaves), float(value), difference, tolerance, tuple(outputs))


def moved(params: Tree, rng: np.random.Generator) -> Tree:
    """Parameters off their start: zero biases and units exactly at a kink would hide faults."""
    return tree.map(lambda w: np.asarray(w) + 0.1 * rng.normal(size=np.shape(w)), params)


def double(t: Tree) -> Tree:
    """Our own copy of every leaf, floating ones in float64."""
    return tree.map(lambda a: np.array(a, dtype=np.float64 if np.asarray(a).dtype.kind == "f" else None, order="C"), t)


def named(name: str, t: Tree) -> dict[str, Any]:
    """{name.path: leaf}."""
    return {join(name, path): leaf for path, leaf in tree.flatten(t).items()}


def floating(leaves: dict[str, Any]) -> dict[str, Any]:
    """The leaves that have a gradient."""
    return {path: leaf for path, leaf in leaves.items() if leaf.dtype.kind == "f"}


def _in_order(net: Layer, grads: dict[str, Any]) -> dict[str, Any]:
    """The gradients in the order of the forward pass (trees are sorted by name)."""
    order = {path: i for i, path in enumerate(paths(net))}

    def position(path: str) -> int:
        return max((order[p] for p in order if path.startswith(p + ".")), default=-1)

    return {path: grads[path] for path in sorted(grads, key=position)}


def _judge_settings(difference: str, step: float | None, tolerance: float, samples: int | None) -> None:
    problems = []
    if difference not in STEPS:
        problems.append(("difference", f"expected 'central' or 'forward', got {received(difference)}"))
    if step is not None and not step > 0:
        problems.append(("step", f"expected a number greater than 0, got {received(step)}"))
    if not tolerance > 0:
        problems.append(("tolerance", f"expected a number greater than 0, got {received(tolerance)}"))
    if samples is not None and samples < 1:
        problems.append(("samples", f"expected an integer of at least 1, got {received(samples)}"))
    if problems:
        raise SettingError(problems)
