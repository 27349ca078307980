"""The race of one rule on the surfaces: all learning rates in one program; who has won, and with which rate soonest."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from backlit.engine import tree
from backlit.lab.surfaces import SURFACES, Surface
from backlit.optim.objective import Objective
from backlit.optim.rules import Rule, applied
from backlit.protocol import Array

TOLERANCE = 1e-4
"""Share of the height between start and minimum below which a surface counts as won."""

LEAP = 0.25
"""On the saddle, whose value has no end, the longest step that counts: otherwise one leap would win."""


ARRIVED = 1e-12
"""The gradient's largest number at which a racer stops."""


class Race(NamedTuple):
    """Paths (S, L, T + 1, 2) and values (S, L, T + 1) of one rule on S surfaces with L learning rates.

    seconds   of one update of the whole program, the shortest of `timed` runs; NaN where none was timed
    """

    path: Any
    value: Any
    seconds: float = np.nan


def race(
    engine: ModuleType,
    rule: Rule,
    rates: Any,
    steps: int,
    surfaces: tuple[Surface, ...] = SURFACES,
    timed: int = 0,
) -> Race:
    """`steps` updates of the rule from each surface's start with each learning rate, all in one program, in float64."""

    def run(which: Array, lr: Array, start: Array) -> tuple[Array, Array]:
        racer = replace(rule, lr=lr)

        def function(params: Any) -> tuple[Array, Any]:
            values, slopes = zip(*(s.objective(params) for s in surfaces), strict=True)
            xp = params["w"].__array_namespace__()
            return xp.stack(values)[which], {"w": xp.stack([s["w"] for s in slopes])[which]}

        objective = Objective(function)

        def step(carry: Any, t: Array) -> tuple[Any, Any]:
            params, state = carry
            grads = function(params)[1]
            updates, after = applied(racer, grads, state, params, t, objective)
            xp = params["w"].__array_namespace__()
            away = xp.max(xp.abs(grads["w"])) > ARRIVED  # who has arrived stays: there is no direction to go in
            moved = tree.map(lambda w, u: xp.where(away, w + u, w), params, updates)
            kept = racer.kept(moved, after)
            return (moved, after), (kept["w"], function(kept)[0])

        params = {"w": start}
        path, value = engine.scan(step, (params, racer.init(params)), engine.asarray(np.arange(steps)))[1]
        xp = start.__array_namespace__()
        return xp.concat([start[None, :], path]), xp.concat([xp.reshape(function(params)[0], (1,)), value])

    with engine.double(), np.errstate(all="ignore"):
        which, each = np.meshgrid(np.arange(len(surfaces)), np.asarray(rates, np.float64), indexing="ij")
        starts = np.array([surfaces[i].start for i in which.ravel()])
        given = [engine.asarray(a) for a in (which.ravel(), each.ravel(), starts)]
        program = engine.prepare(lambda *given: engine.vectorize(run, *given), *given)[0]
        path, value = (np.asarray(a).reshape(*which.shape, *a.shape[1:]) for a in program(*given))
        seconds = min(_seconds(engine, program, given) for _ in range(timed)) / steps if timed else np.nan
    return Race(path, value, seconds)


def _seconds(engine: ModuleType, program: Callable[..., Any], given: list[Any]) -> float:
    begin = time.perf_counter()
    engine.ready(program(*given))
    return time.perf_counter() - begin


def reached(surface: Surface, path: Any, value: Any, leap: float | None = LEAP) -> float:
    """The update after which the value stays won; on the saddle, that at which |y| reaches 1. Infinity: never.

    `leap`: on the saddle, the longest step that counts, and x must not grow; None: any way off it counts.

    >>> import numpy as np
    >>> from backlit.lab.race import reached
    >>> from backlit.lab.surfaces import SURFACES
    >>> reached(SURFACES[0], np.zeros((4, 2)), np.array([6.45, 1e-9, 1.0, 1e-9]))
    3.0
    """
    if surface.minimum is None:
        away = np.flatnonzero(np.abs(path[:, 1]) >= 1.0)
        if not away.size or leap is None:
            return float(away[0]) if away.size else np.inf
        so_far = path[: away[0] + 1]
        steps = np.linalg.norm(np.diff(so_far, axis=0), axis=1)
        fair = steps.max() <= leap and np.abs(so_far[:, 0]).max() <= abs(surface.start[0])
        return float(away[0]) if fair else np.inf
    begin, lowest = surface.heights
    above = np.flatnonzero(~(value - lowest <= TOLERANCE * (begin - lowest)))  # NaN is above
    first = 0 if not above.size else int(above[-1]) + 1
    return float(first) if first < len(value) else np.inf


def best(surface: Surface, found: Race, index: int) -> int:
    """Which learning rate wins soonest on surface `index`; where none wins, which ends lowest."""
    times = np.array([reached(surface, p, v) for p, v in zip(found.path[index], found.value[index], strict=True)])
    if np.isfinite(times).any():
        return int(np.argmin(times))
    if surface.minimum is None:  # the shortest leap tells nothing here: the farthest from the ridge, by fair steps
        away = np.abs(found.path[index, :, :, 1])
        legal = np.nan_to_num(np.abs(np.diff(found.path[index], axis=1)).max((1, 2)), nan=np.inf) <= LEAP
        return int(np.argmax(np.where(legal, away[:, -1], -1.0)))
    last = found.value[index, :, -1]
    return int(np.argmin(np.where(np.isfinite(last), last, np.inf)))
