"""The training program: from settings to pure functions over arrays, which an engine runs or compiles.

A chunk is many steps in one compiled program, over one epoch or several: gather a batch, preprocess, forward, backward,
update; at an epoch's end validate, remember the best parameters, halve the learning rate or stop. The host sees sums,
never a step. How many steps a chunk has is an argument, so one compilation serves every chunk, probe and replay.
"""

import math
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, cast

from backlit.config import Experiment
from backlit.data import apply_all, augment_all, invert_all
from backlit.data.mixing import mixed
from backlit.engine import tree
from backlit.errors import SettingError
from backlit.optim import Accumulate, Objective, chain
from backlit.optim.adaptive import used
from backlit.optim.partition import grouped, matching, within
from backlit.optim.rules import Transform, stepped
from backlit.optim.schedules import at
from backlit.optim.wrappers import wrapped
from backlit.protocol import Array, Context, Loss, Trace, Tree, gradient
from backlit.settings import filled
from backlit.training.stopping import Watch, first_watch, seen
from backlit.training.sums import Sums, decisions, no_sums, scores


class Moving(NamedTuple):
    """What every step changes."""

    params: Tree
    state: Tree
    rule: Tree
    step: Array
    sums: Sums
    finite: Array


class Carry(NamedTuple):
    """Everything that training changes; what the end of an epoch changes stands beside what a step does.

    best: parameters and state of the best epoch so far; {} where those of the last step are the run's.
    """

    moving: Moving
    watch: Watch
    best: Tree


Held: TypeAlias = tuple[Array, Array, Array, Array | None]
"""Rows of a validation part, their targets, weights and masks."""


class Window(NamedTuple):
    """Which steps of its epoch a feed of rows from disk holds: those from `begin` on; the epoch has `steps` in all."""

    begin: Array
    steps: Array


class Feed(NamedTuple):
    """What a chunk reads: training rows, validation blocks, fitted preprocessing, and the order of its epochs.

    indices (epochs, steps, B) and weight: the order of the epochs from `epoch` on. held_out: (blocks, rows, ...) rows,
    targets, weights and masks, or None. key: the run's. mask (N, T): the real time steps, None when all are.
    window: None where the feed holds all rows and whole epochs.
    """

    x: Array
    y: Array
    held_out: Held | None
    prepared: Tree
    target_prepared: Tree
    indices: Array
    weight: Array | None
    epoch: Array
    key: Array
    mask: Array | None = None
    window: Window | None = None

    def place(self, step: Array) -> tuple[Array, Array]:
        """Epoch and step within this feed of step number `step` of the training."""
        steps, begin = (self.indices.shape[1], 0) if self.window is None else (self.window.steps, self.window.begin)
        return step // steps - self.epoch, step % steps - begin


class Batch(NamedTuple):
    """Rows and targets as net and loss see them, how much they count (None: all alike), the context of the pass, and the
    share of its own target in each row where rows are mixed."""

    x: Array
    y: Array
    weight: Array | None
    ctx: Context
    share: Array | None = None


class Record(NamedTuple):
    """What each epoch of a chunk comes to: sums over the training and the validation rows, the last learning rate."""

    train: Sums
    held_out: Sums
    lr: Array


REMEMBERED = 100
"""Batches after which running statistics have forgotten what they were before (a momentum of 0.9 leaves 3e-5 of it)."""


@dataclass(frozen=True)
class Program:
    """The pure functions of one experiment.

    per_step  each time step has a target of its own
    outside   an epoch is ended by whoever calls `chunk`: validation rows are read from disk for it
    """

    experiment: Experiment
    rule: Transform
    frozen: frozenset[str] = frozenset()
    per_step: bool = False
    outside: bool = False

    def start(self, params: Tree, state: Tree, xp: Any) -> Carry:
        """The carry before the first step."""
        step, finite = xp.asarray(0, dtype=xp.int32), xp.asarray(True)
        moving = Moving(params, state, self.rule.init(self.trained(params)), step, no_sums(xp), finite)
        keeps = self.experiment.split.validation > 0 or self.keeps_others(moving)
        return Carry(moving, first_watch(xp), (params, state) if keeps else {})

    def trained(self, params: Tree) -> Tree:
        """The parameters with None in place of the frozen ones: the rule neither sees nor remembers them."""
        if not self.frozen:
            return params
        return tree.map_with_path(lambda path, w: None if path in self.frozen else w, params)

    def keeps_others(self, now: Moving) -> bool:
        """Whether other parameters are kept than those that gradients are taken at: an average of them, say."""
        trained = self.trained(now.params)
        return self.rule.kept(trained, now.rule) is not trained

    def chunk(self, engine: ModuleType, carry: Carry, feed: Feed, steps: Array) -> tuple[Carry, Record]:
        """`steps` updates from where `carry` stands; ends early when stopping says so or a loss is not finite."""
        xp = feed.x.__array_namespace__()
        epochs, held = feed.indices.shape[:2]
        per_epoch = held if feed.window is None else feed.window.steps
        last = carry.moving.step + steps

        def epoch(_: Array, at: tuple[Carry, Record]) -> tuple[Carry, Record]:
            now, record = at
            number, begin = feed.place(now.moving.step)
            left = per_epoch - now.moving.step % per_epoch
            count = xp.minimum(xp.minimum(left, held - begin), last - now.moving.step)
            moving = engine.repeat(
                count,
                lambda i, m: self.step(m, now.watch.lr_scale, feed, number, begin + i),
                now.moving,
                until=lambda m: m.finite,
            )
            now = now._replace(moving=moving)
            ended = (count == left) & moving.finite
            if self.outside:
                return now, record
            return cast(
                tuple[Carry, Record],
                engine.branch(ended, lambda a: self.end_epoch(engine, a, feed, number), lambda a: a, (now, record)),
            )

        blank = Record(no_sums(xp, epochs), no_sums(xp, epochs), xp.zeros((epochs,), dtype=xp.float32))
        found: tuple[Carry, Record] = engine.repeat(
            epochs,
            epoch,
            (carry, blank),
            until=lambda at: at[0].moving.finite & ~at[0].watch.stop & (at[0].moving.step < last),
        )
        return found

    def step(self, now: Moving, lr_scale: Array, feed: Feed, epoch: Array, i: Array) -> Moving:
        """One update: step i of the feed's epoch."""
        rows = feed.indices[epoch, i]
        weight = None if feed.weight is None else feed.weight[epoch, i]
        batch = self.batch(now.step, feed, rows, weight)
        value, grads, state, trace = self.backpropagate(now, batch)
        penalty, grads = self.penalised(now.params, grads)
        rule = self.rule.rescaled(lr_scale)
        params, grads = self.trained(now.params), self.trained(grads)
        params, after = stepped(rule, grads, now.rule, params, now.step, self.objective(now, batch))
        moved = tree.flatten(params)
        params = tree.map_with_path(lambda path, w: moved.get(path, w), now.params)
        xp = value.__array_namespace__()
        sums = self.added(now.sums, value, trace.cache.here, feed.y[rows], feed.target_prepared, batch.weight)
        sums = sums._replace(penalty=sums.penalty + xp.astype(penalty * (sums.rows - now.sums.rows), xp.float32))
        return Moving(params, state, after, now.step + 1, sums, xp.isfinite(value))

    def objective(self, now: Moving, batch: Batch) -> Objective:
        """The loss of this batch as a function of the parameters that are trained, with the same random draws each time."""
        e = self.experiment
        penalty = e.penalty if self.penalises else None
        whole = Objective.of(e.net, self.loss(batch), now.state, batch.x, batch.y, batch.ctx, batch.weight, penalty)
        return within(whole, self.trained(now.params), now.params) if self.frozen else whole

    def backpropagate(self, now: Moving, batch: Batch) -> tuple[Array, Tree, Tree, Trace]:
        """Loss, gradient, new state and trace for this batch, without the penalty."""
        net, loss = self.experiment.net, self.loss(batch)
        return gradient(net, loss, now.params, now.state, batch.x, batch.y, batch.ctx, batch.weight)

    def loss(self, batch: Batch) -> Loss:
        """The loss of this batch: the experiment's, mixed as its rows are."""
        loss, share = self.experiment.loss, batch.share
        return loss if share is None else cast(Loss, mixed(loss, share))

    def batch(self, step: Array, feed: Feed, rows: Array, weight: Array | None) -> Batch:
        """These rows, as step number `step` trains on them."""
        experiment = self.experiment
        # The step is a name in the path, not folded here: a net that draws nothing then pays nothing for its key.
        ctx = Context(train=True, root=feed.key, path=(step,))
        mask = None if feed.mask is None else feed.mask[rows]  # (B, T)
        x = augment_all(experiment.augmentation, ctx, feed.x[rows], mask)
        x = apply_all(experiment.preprocessing, feed.prepared, x)
        y = self.target(feed.target_prepared, feed.y[rows])
        # A mask says which rows are real; how much they count is for the loss alone.
        real = None if weight is None else weight.__array_namespace__().astype(weight > 0, weight.dtype)
        if mask is not None:
            real = mask if real is None else mask * real[:, None]
        share = None
        if experiment.mixing is not None:
            x, share = experiment.mixing.mix(ctx.at("mixing").key, x)
        return Batch(x, y, self.weighed(weight, mask, y), replace(ctx, mask=real), share)

    def weighed(self, weight: Array | None, mask: Array | None, y: Array) -> Array | None:
        """What counts of targets y: rows (B,), or real time steps (B, T) where each has its own; None when all do."""
        if mask is None or not self.per_step or mask.shape[1:] != y.shape[1:2]:
            return weight
        return mask if weight is None else mask * weight[:, None]

    @property
    def penalises(self) -> bool:
        """Whether there is a penalty on the parameters."""
        return used(self.experiment.penalty.l1) or used(self.experiment.penalty.l2)

    def penalised(self, params: Tree, grads: Tree) -> tuple[Array, Tree]:
        """The penalty, and the gradient with that of the penalty added."""
        if not self.penalises:
            return 0.0, grads
        value, slopes = self.experiment.penalty(params)
        return value, tree.map(lambda g, s: g + s, grads, slopes)

    def end_epoch(
        self, engine: ModuleType, now: tuple[Carry, Record], feed: Feed, number: Array
    ) -> tuple[Carry, Record]:
        """Validate, watch, record; fresh sums for the next epoch."""
        shown = self.shown(engine, now[0].moving, feed, number)
        held_out = None if feed.held_out is None else self.validate(engine, shown, feed)
        return self.ended(now, shown, held_out, feed, number)

    def ended(
        self, now: tuple[Carry, Record], shown: Moving, held_out: Sums | None, feed: Feed, number: Array
    ) -> tuple[Carry, Record]:
        """What follows from an epoch whose parameters are validated: `held_out` are the sums, None without validation."""
        carry, record = now
        xp = feed.x.__array_namespace__()
        moving, watch, best = carry
        better = xp.asarray(True)
        if held_out is None:
            held_out = no_sums(xp)
        else:
            loss = held_out.loss / held_out.rows
            better = loss < watch.best
            epoch = feed.epoch + number + 1
            watch = seen(watch, loss, epoch, self.experiment.stopping, self.experiment.halving)
        if best:
            best = tree.map(lambda new, old: xp.where(better, new, old), (shown.params, shown.state), best)
        here = xp.arange(feed.indices.shape[0], dtype=xp.int32) == number

        def put(column: Array, value: Array) -> Array:
            return xp.where(here, value, column)

        record = Record(
            Sums(*map(put, record.train, moving.sums)),
            Sums(*map(put, record.held_out, held_out)),
            put(record.lr, self.rate(moving, carry.watch)),
        )
        return Carry(moving._replace(sums=no_sums(xp)), watch, best), record

    def rate(self, now: Moving, watch: Watch) -> Array:
        """The learning rate of the last update."""
        xp = now.step.__array_namespace__()
        return xp.asarray(self.rule.rate(now.rule, now.step - 1) * watch.lr_scale, dtype=xp.float32)

    def shown(self, engine: ModuleType, now: Moving, feed: Feed, number: Array) -> Moving:
        """The same with the parameters to validate and keep, and a state that belongs to them."""
        if not self.keeps_others(now):
            return now
        kept = tree.flatten(self.rule.kept(self.trained(now.params), now.rule))
        params = tree.map_with_path(lambda path, w: kept.get(path, w), now.params)
        if not tree.leaves(now.state) or self.experiment.order == "streams":
            return now._replace(params=params)
        # Running statistics were measured at other parameters: here they follow as many batches as they remember.
        indices = feed.indices[number][:REMEMBERED]

        def batch(state: Tree, rows: Array) -> tuple[Tree, Array]:
            given = self.batch(now.step, feed, rows, None)
            return self.experiment.net.forward(params, state, given.x, given.ctx)[1], now.step

        state = engine.scan(batch, now.state, indices)[0]
        return now._replace(params=params, state=state)

    def validate(self, engine: ModuleType, now: Moving, feed: Feed) -> Sums:
        """Sums over the validation rows, each counted once."""

        def block(sums: Sums, rows: Held) -> tuple[Sums, Array]:
            return self.counted(now, feed, sums, rows), now.step

        sums: Sums = engine.scan(block, no_sums(feed.x.__array_namespace__()), feed.held_out)[0]
        return sums

    def counted(self, now: Moving, feed: Feed, sums: Sums, rows: Held) -> Sums:
        """The sums with one block of validation rows counted in."""
        x, target, weight, mask = rows
        y = self.predict(now.params, now.state, feed.prepared, x, mask)
        weight = self.weighed(weight, mask, target)
        value = self.experiment.loss(y, self.target(feed.target_prepared, target), weight)[0]
        return self.added(sums, value, y, target, feed.target_prepared, weight)

    def added(self, sums: Sums, value: Array, y: Array, target: Array, prepared: Tree, weight: Array | None) -> Sums:
        """The sums with one batch counted in; `value` is its weighted mean loss."""
        xp = y.__array_namespace__()
        if weight is None:
            weight = xp.ones((y.shape[0],), dtype=xp.float32)
        if self.per_step and weight.ndim == 1:
            shape = decisions(self.experiment.loss.task, y)  # (B, T)
            weight = xp.broadcast_to(xp.reshape(weight, (-1, *(1,) * (len(shape) - 1))), shape)
        rows = xp.sum(weight)
        if self.experiment.loss.task == "regression":
            y = invert_all(self.experiment.target_preprocessing, prepared, y)
        score = xp.astype(scores(self.experiment.loss.task, y, target), xp.float32)
        return sums._replace(
            loss=sums.loss + xp.astype(value, xp.float32) * rows,
            score=sums.score + xp.sum(score * weight),
            rows=sums.rows + rows,
        )

    def target(self, prepared: Tree, y: Array) -> Array:
        """Targets as the loss sees them; labels stay integers."""
        steps = self.experiment.target_preprocessing
        return apply_all(steps, prepared, y) if steps else y

    def predict(self, params: Tree, state: Tree, prepared: Tree, x: Array, mask: Array | None = None) -> Array:
        """The net's outputs for raw rows."""
        x, ctx = apply_all(self.experiment.preprocessing, prepared, x), Context(mask=mask)
        return self.experiment.net.forward(params, state, x, ctx)[0]


def program(experiment: Experiment, params: Tree, steps: int, per_step: bool = False) -> Program:
    """The program of an experiment whose training has `steps` updates."""
    e = experiment
    still = matching(e.frozen, params, "frozen")
    for i, group in enumerate(e.groups):
        found = matching(group.paths, params, f"groups.{i}.paths")
        still |= found if group.frozen else frozenset()
    for i, wrapper in enumerate(e.wrappers):
        try:
            wrapper.over(steps)
        except SettingError as error:
            raise error.under(f"wrappers.{i}") from None
    rule = grouped(e.optimizer, e.groups)
    rule = wrapped(chain(e.clip, rule) if e.clip else rule, e.wrappers)
    rule = filled(rule, batch=rows_of_an_update(e), seed=e.seed)
    try:
        rule = rule.over(steps)
    except SettingError as error:
        raise error.under("optimizer") from None
    return Program(experiment, rule, still, per_step)


def rows_of_an_update(experiment: Experiment) -> int:
    """The batch, times the batches that are accumulated at first."""
    sizes = [round(float(at(w.every, 0))) for w in experiment.wrappers if isinstance(w, Accumulate)]
    return experiment.batch_size * math.prod(sizes)
