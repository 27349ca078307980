"""The training program: from settings to pure functions over arrays, which an engine runs or compiles.

A chunk is many steps in one compiled program, over one epoch or several: gather a batch, preprocess, forward, backward,
update; at an epoch's end validate, remember the best parameters, halve the learning rate or stop. The host sees sums,
never a step. How many steps a chunk has is an argument, so one compilation serves every chunk, probe and replay.
"""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple, cast

from backlit.config import Experiment
from backlit.data import apply_all, augment_all, invert_all
from backlit.engine import tree
from backlit.errors import SettingError, unknown
from backlit.optim import chain
from backlit.optim.rules import Transform
from backlit.protocol import Array, Context, Trace, Tree, gradient
from backlit.training.stopping import Watch, first_watch, seen


class Sums(NamedTuple):
    """Weighted sums over rows: of the loss, of the score (right answers, or squared error of a regression), of 1.

    Where each time step has a target of its own, the real steps are the rows. The penalty on the parameters is counted
    apart, so that the loss can be compared with that of held-out rows.
    """

    loss: Array
    score: Array
    rows: Array
    penalty: Array


class Moving(NamedTuple):
    """What every step changes."""

    params: Tree
    state: Tree
    rule: Tree
    step: Array
    sums: Sums
    finite: Array


class Carry(NamedTuple):
    """Everything that training changes; what the end of an epoch changes stands beside what a step does."""

    moving: Moving
    watch: Watch
    best: Tree


class Feed(NamedTuple):
    """What a chunk reads: training rows, validation blocks, fitted preprocessing, and the order of its epochs.

    indices (epochs, steps, B) and weight: the order of the epochs from `epoch` on. held_out: (blocks, rows, ...) rows,
    targets, weights and masks, or None. key: the run's. mask (N, T): the real time steps, None when all are.
    """

    x: Array
    y: Array
    held_out: tuple[Array, Array, Array, Array | None] | None
    prepared: Tree
    target_prepared: Tree
    indices: Array
    weight: Array | None
    epoch: Array
    key: Array
    mask: Array | None = None


class Batch(NamedTuple):
    """Rows and targets as net and loss see them, how much they count (None: all alike), and the context of the pass."""

    x: Array
    y: Array
    weight: Array | None
    ctx: Context


class Record(NamedTuple):
    """What each epoch of a chunk comes to: sums over the training and the validation rows, learning rate scale."""

    train: Sums
    held_out: Sums
    lr_scale: Array


@dataclass(frozen=True)
class Program:
    """The pure functions of one experiment; `per_step`: each time step has a target of its own."""

    experiment: Experiment
    rule: Transform
    frozen: frozenset[str] = frozenset()
    per_step: bool = False

    def start(self, params: Tree, state: Tree, xp: Any) -> Carry:
        """The carry before the first step."""
        step, finite = xp.asarray(0, dtype=xp.int32), xp.asarray(True)
        moving = Moving(params, state, self.rule.init(params), step, no_sums(xp), finite)
        return Carry(moving, first_watch(xp), (params, state) if self.experiment.split.validation else {})

    def chunk(self, engine: ModuleType, carry: Carry, feed: Feed, steps: Array) -> tuple[Carry, Record]:
        """`steps` updates from where `carry` stands; ends early when stopping says so or a loss is not finite."""
        xp = feed.x.__array_namespace__()
        epochs, per_epoch = feed.indices.shape[:2]
        last = carry.moving.step + steps

        def epoch(_: Array, at: tuple[Carry, Record]) -> tuple[Carry, Record]:
            now, record = at
            number = now.moving.step // per_epoch - feed.epoch  # within this feed
            begin = now.moving.step % per_epoch
            count = xp.minimum(per_epoch - begin, last - now.moving.step)
            moving = engine.repeat(
                count,
                lambda i, m: self.step(m, now.watch.lr_scale, feed, number, begin + i),
                now.moving,
                until=lambda m: m.finite,
            )
            now = now._replace(moving=moving)
            ended = (begin + count == per_epoch) & moving.finite
            return cast(
                tuple[Carry, Record],
                engine.branch(ended, lambda a: self.end_epoch(engine, a, feed, number), lambda a: a, (now, record)),
            )

        blank = Record(no_sums(xp, epochs), no_sums(xp, epochs), xp.ones((epochs,), dtype=xp.float32))
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
        updates, rule = self.rule.update(grads, now.rule, now.params, now.step)
        params = tree.map_with_path(
            lambda path, w, u: w if path in self.frozen else w + u * lr_scale, now.params, updates
        )
        xp = value.__array_namespace__()
        sums = self.added(now.sums, value, trace.cache.here, feed.y[rows], feed.target_prepared, batch.weight)
        sums = sums._replace(penalty=sums.penalty + xp.astype(penalty * (sums.rows - now.sums.rows), xp.float32))
        return Moving(params, state, rule, now.step + 1, sums, xp.isfinite(value))

    def backpropagate(self, now: Moving, batch: Batch) -> tuple[Array, Tree, Tree, Trace]:
        """Loss, gradient, new state and trace for this batch, without the penalty."""
        e = self.experiment
        return gradient(e.net, e.loss, now.params, now.state, batch.x, batch.y, batch.ctx, batch.weight)

    def batch(self, step: Array, feed: Feed, rows: Array, weight: Array | None) -> Batch:
        """These rows, as step number `step` trains on them."""
        experiment = self.experiment
        # The step is a name in the path, not folded here: a net that draws nothing then pays nothing for its key.
        ctx = Context(train=True, root=feed.key, path=(step,))
        x = augment_all(experiment.augmentation, ctx, feed.x[rows])
        x = apply_all(experiment.preprocessing, feed.prepared, x)
        y = self.target(feed.target_prepared, feed.y[rows])
        # A mask says which rows are real; how much they count is for the loss alone.
        real = None if weight is None else weight.__array_namespace__().astype(weight > 0, weight.dtype)
        mask = None if feed.mask is None else feed.mask[rows]  # (B, T)
        if mask is not None:
            real = mask if real is None else mask * real[:, None]
        return Batch(x, y, self.weighed(weight, mask, y), replace(ctx, mask=real))

    def weighed(self, weight: Array | None, mask: Array | None, y: Array) -> Array | None:
        """What counts of targets y: rows (B,), or real time steps (B, T) where each has its own; None when all do."""
        if mask is None or not self.per_step or mask.shape[1:] != y.shape[1:2]:
            return weight
        return mask if weight is None else mask * weight[:, None]

    def penalised(self, params: Tree, grads: Tree) -> tuple[Array, Tree]:
        """The penalty, and the gradient with that of the penalty added."""
        penalty = self.experiment.penalty
        if not (penalty.l1 or penalty.l2):
            return 0.0, grads
        value, slopes = penalty(params)
        return value, tree.map(lambda g, s: g + s, grads, slopes)

    def end_epoch(
        self, engine: ModuleType, now: tuple[Carry, Record], feed: Feed, number: Array
    ) -> tuple[Carry, Record]:
        """Validate, watch, record; fresh sums for the next epoch."""
        carry, record = now
        xp = feed.x.__array_namespace__()
        moving, watch, best = carry
        held_out = no_sums(xp)
        if feed.held_out is not None:
            held_out = self.validate(engine, moving, feed)
            loss = held_out.loss / held_out.rows
            better = loss < watch.best
            best = tree.map(lambda new, old: xp.where(better, new, old), (moving.params, moving.state), best)
            epoch = moving.step // feed.indices.shape[1]
            watch = seen(watch, loss, epoch, self.experiment.stopping, self.experiment.halving)
        here = xp.arange(feed.indices.shape[0], dtype=xp.int32) == number

        def put(column: Array, value: Array) -> Array:
            return xp.where(here, value, column)

        record = Record(
            Sums(*map(put, record.train, moving.sums)),
            Sums(*map(put, record.held_out, held_out)),
            put(record.lr_scale, carry.watch.lr_scale),
        )
        return Carry(moving._replace(sums=no_sums(xp)), watch, best), record

    def validate(self, engine: ModuleType, now: Moving, feed: Feed) -> Sums:
        """Sums over the validation rows, each counted once."""

        def block(sums: Sums, rows: tuple[Array, Array, Array, Array | None]) -> tuple[Sums, Array]:
            x, target, weight, mask = rows
            y = self.predict(now.params, now.state, feed.prepared, x, mask)
            weight = self.weighed(weight, mask, target)
            value = self.experiment.loss(y, self.target(feed.target_prepared, target), weight)[0]
            return self.added(sums, value, y, target, feed.target_prepared, weight), value

        sums: Sums = engine.scan(block, no_sums(feed.x.__array_namespace__()), feed.held_out)[0]
        return sums

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
    try:
        rule: Transform = experiment.optimizer.over(steps)
    except SettingError as error:
        raise error.under("optimizer") from None
    if experiment.clip:
        rule = chain(experiment.clip, rule)
    return Program(experiment, rule, frozen(experiment.frozen, params), per_step)


def frozen(patterns: tuple[str, ...], params: Tree) -> frozenset[str]:
    """The parameter paths that `patterns` name, whole layers included."""
    known = list(tree.flatten(params))
    found: set[str] = set()
    for pattern in patterns:
        hits = [path for path in known if path == pattern or path.startswith(pattern + ".")]
        if not hits:
            raise unknown("parameter", pattern, known).under("frozen")
        found.update(hits)
    return frozenset(found)


def scores(task: str, y: Array, target: Array) -> Array:
    """What a row adds to the score, (B,), or a time step with a target of its own, (B, T): 1 when it is right; for a
    regression, a row's mean squared error."""
    xp = y.__array_namespace__()
    if task == "ranking":
        return xp.argmax(y, axis=-1) == 0
    if task == "classification":
        return xp.argmax(y, axis=-1) == (target if target.ndim < y.ndim else xp.argmax(target, axis=-1))
    if task == "binary":
        right = (xp.reshape(y, (-1,)) > 0) == (xp.reshape(target, (-1,)) > 0.5)
        return xp.reshape(right, decisions(task, y))
    if task == "multilabel":
        return xp.all((y > 0) == (target > 0.5), axis=-1)
    error = xp.reshape(y - xp.reshape(target, y.shape), (y.shape[0], -1))
    return xp.mean(error * error, axis=-1)


def decisions(task: str, y: Array) -> tuple[int, ...]:
    """The shape of what a net decides with outputs y: (B,), or (B, T) step by step."""
    alone = task == "binary" and y.shape[1:] and y.shape[-1] != 1
    return tuple(y.shape if y.ndim == 1 or alone else y.shape[:-1])


def no_sums(xp: Any, epochs: int | None = None) -> Sums:
    """Zero sums: of one epoch, or a column with one entry an epoch."""
    return Sums(*(xp.zeros(() if epochs is None else (epochs,), dtype=xp.float32) for _ in Sums._fields))
