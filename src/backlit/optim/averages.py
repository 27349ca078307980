"""Averages of the parameters over the training: smoother than the last ones, and what is validated and kept."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from backlit import engine
from backlit.engine import tree
from backlit.optim.rules import Transform, applied, copied
from backlit.optim.schedules import Share, at, minimum, plain_number
from backlit.optim.wrappers import Wrapper, moved
from backlit.protocol import Array, Tree
from backlit.settings import Count, Fraction, FractionNumber

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


class Averaged(NamedTuple):
    """The rule's state, and the average."""

    rule: Tree
    mean: Tree


@dataclass(frozen=True)
class Averaging(Wrapper):
    """Base: mean <- mean + share (w - mean) after each update; the mean is validated and kept, w goes on as it would alone.

    Statistics of batch normalisation belong to w: the trainer measures them anew for the mean.
    """

    abstract: ClassVar[bool] = True
    place: ClassVar[int] = 4

    @abstractmethod
    def share(self, step: Array) -> Array:
        """How much of the mean the newest parameters become."""

    def init(self, rule: Transform, params: Tree) -> Tree:
        return Averaged(rule.init(params), copied(params))

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        updates, inner = applied(rule, grads, state.rule, params, step, objective)
        share = self.share(plain_number(step))
        after = rule.kept(moved(params, updates), inner)
        return updates, Averaged(inner, tree.map(lambda mean, w: mean + share * (w - mean), state.mean, after))

    def kept(self, rule: Transform, params: Tree, state: Any) -> Tree:
        return state.mean

    def inner(self, state: Any) -> Tree:
        return state.rule


@dataclass(frozen=True)
class EMA(Averaging):
    """mean <- d mean + (1 - d) w after each update, d = min(decay, t / (9 + t)), t from 1: so it begins at once and slows down.

    decay 0.999 remembers about a thousand updates. Also: ExponentialAverage.
    Source: Polyak, Juditsky 1992, https://doi.org/10.1137/0330046; the rising decay is TensorFlow's. Others: torch's
    AveragedModel has a constant decay.

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.EMA(0.5)(bl.SGD(lr=1.0)), {"w": np.zeros(1)}
    >>> updates, state = rule.update({"w": np.ones(1)}, rule.init(w), w, 1000)
    >>> updates["w"].tolist(), state.mean["w"].tolist()
    ([-1.0], [-0.5])
    """

    aliases: ClassVar[tuple[str, ...]] = ("ExponentialAverage",)
    decay: FractionNumber = 0.999

    def share(self, step: Array) -> Array:
        return 1.0 - minimum((step + 1.0) / (step + 10.0), at(self.decay, step))


@dataclass(frozen=True)
class SWA(Averaging):
    """The plain mean of the parameters after every `every` updates from `begin`, a share of the training, on; before, w itself.

    A constant or cyclic learning rate in that last part makes those that are averaged differ. Also: StochasticAverage.
    Source: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407 (once an epoch, or once a cycle)

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.SWA(begin=0.5, steps=4)(bl.SGD(lr=1.0)), {"w": np.zeros(1)}
    >>> state = rule.init(w)
    >>> for step in range(4):
    ...     updates, state = rule.update({"w": np.ones(1)}, state, w, step)
    ...     w = {"w": w["w"] + updates["w"]}
    >>> w["w"].tolist(), rule.kept(w, state)["w"].tolist()
    ([-4.0], [-3.5])
    """

    aliases: ClassVar[tuple[str, ...]] = ("StochasticAverage",)
    begin: Share = 0.75
    every: Count = 1
    steps: Count | None = None

    def share(self, step: Array) -> Array:
        first = int(self.begin * (self.steps or 0))
        n = (step - first) // self.every  # how many were averaged before
        due = (step >= first) & ((step - first) % self.every == 0)
        late = (step >= first) * 1.0  # 0 or 1
        return (1.0 - late) + late * (due * 1.0) / (late * n + 1.0)


class Slow(NamedTuple):
    """The rule's state, and the slow parameters."""

    rule: Tree
    slow: Tree


@dataclass(frozen=True)
class Lookahead(Wrapper):
    """The rule runs ahead for `every` updates; then slow <- slow + share (w - slow) and w <- slow.

    The slow parameters are validated and kept. Source: Zhang et al. 2019, https://arxiv.org/abs/1907.08610

    >>> import backlit as bl, numpy as np
    >>> rule, w = bl.optim.Lookahead(every=2, share=0.5)(bl.SGD(lr=1.0)), {"w": np.zeros(1)}
    >>> state = rule.init(w)
    >>> for step in range(2):
    ...     updates, state = rule.update({"w": np.ones(1)}, state, w, step)
    ...     w = {"w": w["w"] + updates["w"]}
    >>> w["w"].tolist()
    [-1.0]
    """

    place: ClassVar[int] = 3
    every: Count = 5
    share: Fraction = 0.5

    def init(self, rule: Transform, params: Tree) -> Tree:
        return Slow(rule.init(params), copied(params))

    def update(
        self, rule: Transform, grads: Tree, state: Any, params: Tree, step: Array, objective: "Objective | None"
    ) -> tuple[Tree, Tree]:
        updates, inner = applied(rule, grads, state.rule, params, step, objective)

        def back(now: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
            updates, slow = now
            slow = tree.map(lambda s, w, u: s + self.share * (w + u - s), slow, params, updates)
            return tree.map(lambda s, w: s - w, slow, params), slow

        due = (step + 1) % self.every == 0
        branch = engine.of(tree.leaves(params)[0]).branch
        updates, slow = branch(due, back, lambda now: now, (updates, state.slow))
        return updates, Slow(inner, slow)

    def kept(self, rule: Transform, params: Tree, state: Any) -> Tree:
        return state.slow

    def inner(self, state: Any) -> Tree:
        return state.rule
