"""Which parts of a program one loop can compute: results of the same shape, made element by element from shared numbers.

Every value has a level: how many steps that are not element by element lie between it and the arguments, counted only behind
steps that are. A group has one shape and one level, so nothing that it needs can depend on what it makes.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from backlit.engine.fused import handler, words
from backlit.engine.fused.loop import Loop

SPREADING = ("broadcast_in_dim", "iota")
"""Steps whose results XLA never has in memory; as an argument of a loop they would be."""


@dataclass(frozen=True)
class Group:
    """A loop, and the values that it takes (arrays, then single numbers) and makes."""

    loop: Loop
    arrays: tuple[Any, ...]
    numbers: tuple[Any, ...]
    made: tuple[Any, ...]


@dataclass(frozen=True)
class Call:
    """Groups of one level, all that they take and make, and which of what they take becomes which of what they make."""

    groups: tuple[Group, ...]
    given: tuple[Any, ...]
    made: tuple[Any, ...]
    shared: dict[int, int]


def flat(program: ClosedJaxpr) -> ClosedJaxpr:
    """The same program with all calls written out; its constants are its last arguments."""
    given = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False)) for a in program.in_avals]
    consts = [jax.ShapeDtypeStruct(np.shape(a), a.dtype) for a in program.consts]
    run = lambda *a: _run(program.jaxpr, a[len(given) :], a[: len(given)])  # noqa: E731
    return jax.make_jaxpr(run)(*given, *consts)


def _run(jaxpr: Any, consts: Any, given: Any) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *given), strict=True))
    for step in jaxpr.eqns:
        values = [_value(known, a) for a in step.invars]
        inner = None
        if step.primitive.name in words.CALLS and not words.is_largest(step):
            inner = step.params.get("jaxpr", step.params.get("call_jaxpr"))
        made = _run(inner.jaxpr, inner.consts, values) if isinstance(inner, ClosedJaxpr) else _bound(step, values)
        known.update(zip(step.outvars, made, strict=True))
    return [_value(known, a) for a in jaxpr.outvars]


def _bound(step: Any, values: list[Any]) -> list[Any]:
    parameters = step.primitive.get_bind_params(step.params)
    made = step.primitive.bind(*values, **parameters)
    return list(made) if step.primitive.multiple_results else [made]


def _value(known: dict[Any, Any], a: Any) -> Any:
    return a.val if isinstance(a, Literal) else known[a]


def way(program: ClosedJaxpr, kept: int, least: int) -> Callable[..., list[Any]]:
    """The program with its groups as loops, if they make `least` numbers; the first `kept` arguments give their memory."""
    return partial(_by_loops, program.jaxpr, program.consts, list(_ordered(program.jaxpr, kept, least)))


def _by_loops(jaxpr: Any, consts: Any, order: list[Any], *given: Any) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *given), strict=True))
    for item in order:
        if isinstance(item, Call):
            made = handler.call(item, [known[a] for a in item.given])
            known.update(zip(item.made, made, strict=True))
        else:
            made = _bound(item, [_value(known, a) for a in item.invars])
            known.update(zip(item.outvars, made, strict=True))
    return [_value(known, a) for a in jaxpr.outvars]


def _ordered(jaxpr: Any, kept: int, least: int) -> Iterator[Any]:
    """Steps and calls in an order in which each finds what it needs, without the steps that nobody needs."""
    levels, makes = _levels(jaxpr)
    makers = {a: i for i, step in enumerate(jaxpr.eqns) for a in step.outvars}
    found: dict[int, list[Group]] = {}
    for group in _groups(jaxpr, levels, makes, makers):
        found.setdefault(levels[group.made[0]], []).append(group)
    calls = {level: _call(jaxpr, kept, groups) for level, groups in found.items() if _size(groups) >= least}
    by_loop = {a: call for call in calls.values() for a in call.made}
    needed: set[Any] = set()
    waiting = [a for a in jaxpr.outvars if not isinstance(a, Literal)]
    while waiting:
        if (a := waiting.pop()) in needed:
            continue
        needed.add(a)
        if a in by_loop:
            waiting += by_loop[a].given
        elif a in makers:
            waiting += [b for b in jaxpr.eqns[makers[a]].invars if not isinstance(b, Literal)]
    items: list[tuple[int, int, Any]] = [(level, 1, call) for level, call in calls.items()]
    for step in jaxpr.eqns:
        if step.effects or any(a in needed and a not in by_loop for a in step.outvars):
            items.append(
                (levels[step.outvars[0]] if step.outvars else 0, 2 * (not makes.isdisjoint(step.outvars)), step)
            )
    return (item for *_, item in sorted(items, key=lambda at: at[:2]))


def _levels(jaxpr: Any) -> tuple[dict[Any, int], set[Any]]:
    """The level of each value, and which values a loop can make: element by element from arrays that are given."""
    levels: dict[Any, int] = dict.fromkeys((*jaxpr.constvars, *jaxpr.invars), 0)
    depends = {a for a in levels if a.aval.shape}
    makes: set[Any] = set()
    for step in jaxpr.eqns:
        known = words.knows(step)
        given = [a for a in step.invars if not isinstance(a, Literal)]
        levels.update(
            dict.fromkeys(step.outvars, max((levels[a] + (a in makes and not known) for a in given), default=0))
        )
        if not depends.isdisjoint(given):
            depends.update(step.outvars)
            makes.update(step.outvars if known else ())
    return levels, makes


def _size(groups: list[Group]) -> int:
    return sum(math.prod(group.loop.shape) for group in groups)


def _call(jaxpr: Any, kept: int, groups: list[Group]) -> Call:
    given = tuple(dict.fromkeys(a for g in groups for a in (*g.arrays, *g.numbers)))
    made = tuple(a for g in groups for a in g.made)
    places, results = ({a: i for i, a in enumerate(values)} for values in (given, made))
    readers = Counter(a for g in groups for a in g.arrays)
    maker = {a: g for g in groups for a in g.made}
    shared: dict[int, int] = {}
    for before, after in zip(jaxpr.invars[:kept], jaxpr.outvars[:kept], strict=True):
        # Written where it is read, element by element: nobody else may read it, nor anything be written there twice.
        mine = after in maker and readers[before] == 1 and before in maker[after].arrays
        if mine and before.aval.dtype == after.aval.dtype and places[before] not in shared and after in results:
            shared[places[before]] = results.pop(after)
    return Call(tuple(groups), given, made, shared)


def _groups(jaxpr: Any, levels: dict[Any, int], makes: set[Any], makers: dict[Any, int]) -> Iterator[Group]:
    """What results that share arrays are made of; one result alone has as fast a loop of XLA's."""
    cones: list[tuple[set[Any], list[Any], set[int]]] = []  # values touched, results, numbers of steps
    at: dict[tuple[int, Any], int] = {}  # which cone of a level has touched a value
    for a in dict.fromkeys(a for a in jaxpr.outvars if not isinstance(a, Literal)):
        if a not in makes:
            continue
        touched, steps = _cone(a, jaxpr, levels, makers)
        results = [a]
        for number in {at[key] for b in touched if (key := (levels[a], b)) in at}:
            others, before, more = cones[number]
            touched, results, steps = others | touched, before + results, more | steps
            cones[number] = set(), [], set()
        at.update({(levels[a], b): len(cones) for b in touched})
        cones.append((touched, results, steps))
    for _, results, chosen in cones:
        if len(results) < 2:
            continue
        group = tuple(jaxpr.eqns[i] for i in sorted(chosen))
        inner = {a for step in group for a in step.outvars}
        given = dict.fromkeys(a for s in group for a in s.invars if not isinstance(a, Literal) and a not in inner)
        arrays, numbers = (tuple(a for a in given if bool(a.aval.shape) == full) for full in (True, False))
        laid_out = any(jaxpr.eqns[makers[a]].primitive.name in SPREADING for a in arrays if a in makers)
        if not laid_out and (loop := Loop(group, arrays, numbers, tuple(results))).fits:
            yield Group(loop, arrays, numbers, tuple(results))


def _cone(a: Any, jaxpr: Any, levels: dict[Any, int], makers: dict[Any, int]) -> tuple[set[Any], set[int]]:
    """All array values that `a` is made from within its level, and the numbers of the steps between."""
    touched: set[Any] = set()
    steps: set[int] = set()
    waiting = [a]
    while waiting:
        if (b := waiting.pop()) in touched:
            continue
        touched.add(b)
        if b in makers and levels[b] == levels[a] and words.knows(step := jaxpr.eqns[makers[b]]):
            steps.add(makers[b])
            waiting += [c for c in step.invars if not isinstance(c, Literal) and c.aval.shape]
    return touched, steps
