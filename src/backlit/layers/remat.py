"""Memory for time: what backward needs is computed again instead of kept."""

from dataclasses import dataclass
from typing import NamedTuple

from backlit import engine
from backlit.engine import tree
from backlit.layers.compose import Composite, backward_in_order, forward_in_order, init_in_order, step_in_order
from backlit.protocol import Array, Context, Shape, Tree


class Pass(NamedTuple):
    """What repeats a forward pass: its input, the state before it, its key and mask."""

    x: Tree
    state: Tree
    key: Array
    mask: Tree


class Trained(Pass):
    """A pass of training."""


class Evaluated(Pass):
    """A pass in evaluation."""


@dataclass(frozen=True, init=False)
class Remat(Composite):
    """y = f(x), several layers chained, of which only x is kept; backward runs forward again, then f.backward(dy).

    A net whose blocks are each a Remat holds the caches of one block at a time, for one more forward pass: a third more
    arithmetic. Dropout drops the same units again, since its key is kept; the state moves on once. The trace shows
    nothing of what is within. On CPUs XLA's usual order of work keeps cores busy rather than memory small and saves
    little; XLA_FLAGS=--xla_cpu_enable_concurrency_optimized_scheduler=false asks for the other.
    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174
    Others: jax.checkpoint, torch.utils.checkpoint

    >>> import numpy as np, backlit as bl
    >>> net = bl.Remat(bl.Dense(64), bl.ReLU(), bl.Dense(3))
    >>> _, params, state = net.init(bl.random.key(0), (5,))
    >>> y, _, cache = net.forward(params, state, np.ones((2, 5), "f"), bl.Context())
    >>> y.shape, bl.tree.size(cache)  # x alone
    ((2, 3), 10)
    """

    def init(self, key: Array, shape: Shape) -> tuple[Shape, Tree, Tree]:
        return init_in_order(self.layers, key, shape)

    def forward(self, params: Tree, state: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree, Tree]:
        y, after, _ = forward_in_order(self.layers, params, state, x, ctx)
        key = None if ctx.root is None else ctx.key
        return y, after, (Trained if ctx.train else Evaluated)(x, state, key, ctx.mask)

    def backward(self, params: Tree, cache: Pass, dy: Tree) -> tuple[Tree, Tree, Tree]:
        # Behind the barrier, together with dy: a compiler would otherwise find that all this has been computed before.
        again, dy = engine.of(tree.leaves(dy)[0]).barrier((cache, dy))
        ctx = Context(train=isinstance(cache, Trained), root=again.key, mask=again.mask)
        _, _, inside = forward_in_order(self.layers, params, again.state, again.x, ctx)
        dx, grads, _ = backward_in_order(self.layers, params, inside, dy)
        return dx, grads, {}

    def step(self, params: Tree, state: Tree, memory: Tree, x: Tree, ctx: Context) -> tuple[Tree, Tree]:
        return step_in_order(self.layers, params, state, memory, x, ctx)
