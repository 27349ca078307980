"""Groups: parameters with settings, or a rule, of their own."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

from backlit.engine import tree
from backlit.errors import SettingError, unknown
from backlit.optim.rules import Rule, Transform, applied
from backlit.optim.schedules import Product
from backlit.protocol import Array, Tree
from backlit.settings import NonNegativeNumber, PositiveNumber, Settings, hints

if TYPE_CHECKING:
    from backlit.optim.objective import Objective


@dataclass(frozen=True)
class Group(Settings):
    """The parameters that `paths` name ("dense_1", "dense_1.W", "block_*", "*.b"), and what is different for them.

    lr             in place of the rule's;  lr_scale: times the rule's, on the same schedule
    weight_decay   in place of the rule's
    optimizer      another rule altogether
    frozen         they stay as they start

    The first group that names a parameter has it; what no group names has the experiment's rule.

    >>> import backlit as bl
    >>> bl.optim.Group("dense_1", lr_scale=0.1).matches("dense_1.W")
    True
    """

    abstract: ClassVar[bool] = False
    paths: tuple[str, ...]
    lr: PositiveNumber | None = None
    lr_scale: PositiveNumber | None = None
    weight_decay: NonNegativeNumber | None = None
    optimizer: Rule | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.paths, str):
            object.__setattr__(self, "paths", (self.paths,))
        super().__post_init__()

    def check(self) -> None:
        given = [name for name in ("lr", "lr_scale", "weight_decay", "optimizer") if getattr(self, name) is not None]
        if self.frozen and given:
            raise SettingError(
                [(given[0], "expected nothing beside frozen: true, which stops the parameters, got a value")]
            )
        if self.lr is not None and self.lr_scale is not None:
            raise SettingError([("lr_scale", f"expected either lr or lr_scale, got both; leave {self.lr_scale} out")])
        if not (self.frozen or given):
            raise SettingError([("", "expected lr, lr_scale, weight_decay, optimizer or frozen, got only paths")])

    def matches(self, path: str) -> bool:
        """Whether this group names the parameter."""
        return any(named(pattern, path) for pattern in self.paths)

    def rule(self, usual: Rule) -> Rule:
        """The rule of these parameters, where `usual` is that of the others."""
        rule = self.optimizer or usual
        changed: dict[str, Any] = {}
        if self.lr is not None:
            changed["lr"] = self.lr
        if self.lr_scale is not None:
            changed["lr"] = Product(rule.lr, self.lr_scale)
        if self.weight_decay is not None:
            if "weight_decay" not in hints(type(rule)):
                text = f"expected a rule with weight_decay, such as AdamW, got {type(rule).__name__}"
                raise SettingError([("weight_decay", text)])
            changed["weight_decay"] = self.weight_decay
        return replace(rule, **changed)


@dataclass(frozen=True)
class Partition(Transform):
    """Each group's parameters by its own rule, all others by `rule`. Built by `grouped`."""

    asks: ClassVar[bool] = True
    groups: tuple[Group, ...]
    rules: tuple[Transform, ...]
    rule: Transform

    def init(self, params: Tree) -> Tree:
        return tuple(rule.init(self._part(params, i)) for i, rule in enumerate(self._all))

    def update(
        self, grads: Tree, state: Tree, params: Tree, step: Array, objective: "Objective | None" = None
    ) -> tuple[Tree, Tree]:
        moves: dict[str, Array] = {}
        after = []
        for i, rule in enumerate(self._all):
            part = self._part(params, i)
            asked = None if objective is None else within(objective, part, params)
            updates, new = applied(rule, self._part(grads, i), state[i], part, step, asked)
            moves |= tree.flatten(updates)
            after.append(new)
        return tree.unflatten(params, moves), tuple(after)

    def kept(self, params: Tree, state: Tree) -> Tree:
        parts = [self._part(params, i) for i in range(len(self._all))]
        kept = [rule.kept(part, s) for rule, part, s in zip(self._all, parts, state, strict=True)]
        if all(a is b for a, b in zip(kept, parts, strict=True)):
            return params
        return tree.unflatten(params, {path: w for part in kept for path, w in tree.flatten(part).items()})

    def rate(self, state: Tree, step: Array) -> Array:
        return self.rule.rate(state[-1], step)

    def rescaled(self, factor: Array) -> "Partition":
        rules = tuple(rule.rescaled(factor) for rule in self.rules)
        return Partition(self.groups, rules, self.rule.rescaled(factor))

    def over(self, steps: int) -> "Partition":
        return Partition(self.groups, tuple(rule.over(steps) for rule in self.rules), self.rule.over(steps))

    @property
    def _all(self) -> tuple[Transform, ...]:
        return (*self.rules, self.rule)

    def _part(self, values: Tree, number: int) -> Tree:
        """The tree with None in place of what other rules have."""

        def mine(path: str, leaf: Array) -> Array | None:
            return leaf if self._owner(path) == number else None

        return tree.map_with_path(mine, values)

    def _owner(self, path: str) -> int:
        return next((i for i, group in enumerate(self.groups) if group.matches(path)), len(self.groups))


def within(objective: "Objective", part: Tree, params: Tree) -> "Objective":
    """The objective as a function of the parameters in `part` alone; the others stay as they are in `params`."""

    def whole(some: Tree) -> Tree:
        return tree.unflatten(params, tree.flatten(params) | tree.flatten(some))

    def mine(values: Tree) -> Tree:
        return tree.unflatten(part, tree.flatten(values))

    def cut(function: Any) -> Any:
        if function is None:
            return None

        def of_part(some: Tree) -> tuple[Array, Tree]:
            value, grads = function(whole(some))
            return value, mine(grads)

        return of_part

    model = objective.model
    if model is not None:
        forward, backward = model.forward, model.backward
        model = model._replace(
            forward=lambda some: forward(whole(some)),
            backward=lambda some, cache, dy: mine(backward(whole(some), cache, dy)),
        )
    return replace(objective, function=cut(objective.function), model=model, penalty=cut(objective.penalty))


def grouped(rule: Rule, groups: Iterable[Group]) -> Transform:
    """The rule with the groups that are trained by rules of their own; the trainer takes the frozen ones away."""
    trained, rules = [], []
    for i, group in enumerate(groups):
        if group.frozen:
            continue
        try:
            rules.append(group.rule(rule))
        except SettingError as error:
            raise error.under(f"groups.{i}") from None
        trained.append(group)
    return Partition(tuple(trained), tuple(rules), rule) if trained else rule


def matching(patterns: Iterable[str], params: Tree, where: str) -> frozenset[str]:
    """The parameter paths that the patterns name, whole layers included; SettingError for one that names none."""
    known = list(tree.flatten(params))
    found: set[str] = set()
    for pattern in patterns:
        hits = [path for path in known if named(pattern, path)]
        if not hits:
            raise unknown("parameter", pattern, known).under(where)
        found.update(hits)
    return frozenset(found)


def named(pattern: str, path: str) -> bool:
    """Whether the pattern names this parameter, or a layer that it lies in; * stands for any letters."""
    parts = path.split(".")
    return any(fnmatchcase(".".join(parts[: n + 1]), pattern) for n in range(len(parts)))
