"""Every schedule's curve over one training."""

import textwrap
from functools import partial
from typing import Any

import numpy as np

from backlit import optim
from backlit.errors import SettingError
from backlit.lab.result import Result
from backlit.optim.schedules import Schedule
from backlit.settings import known

PEAK = 1.0


def examples(steps: int) -> dict[str, tuple[Schedule, ...]]:
    """One or several settings of each schedule that show what it does in `steps` updates, the largest value 1.

    >>> sorted(examples(100))[:3]
    ['After', 'Constant', 'Cosine']
    """
    tenth = max(steps // 10, 1)
    made: dict[str, tuple[Schedule, ...]] = {
        "Constant": (optim.Constant(PEAK),),
        "Piecewise": (optim.Piecewise((PEAK, 0.3, 0.6, 0.1), at=(3 * tenth, 5 * tenth, 8 * tenth)),),
        "Step": (optim.Step(PEAK, factor=0.3), optim.Step(PEAK, factor=0.5, at=(0.2, 0.4, 0.6, 0.8))),
        "Linear": (optim.Linear(PEAK), optim.Linear(PEAK, end=0.3)),
        "Polynomial": (optim.Polynomial(PEAK, power=0.5), optim.Polynomial(PEAK, power=2.0)),
        "Cosine": (optim.Cosine(PEAK), optim.Cosine(PEAK, end=0.3)),
        "Exponential": (optim.Exponential(PEAK, rate=0.5, every=2 * tenth),),
        "NaturalExponential": (optim.NaturalExponential(PEAK, rate=3 / steps),),
        "InverseTime": (optim.InverseTime(PEAK, rate=1 / tenth), optim.InverseTime(PEAK, rate=1 / tenth, power=0.5)),
        "Harmonic": (optim.Harmonic(PEAK, tau=3 * tenth),),
        "Restarts": (optim.Restarts(PEAK, period=max(steps // 7, 1), grow=2), optim.Restarts(PEAK, period=3 * tenth)),
        "Triangular": (
            optim.Triangular(0.0, PEAK, half=2 * tenth),
            optim.Triangular(0.0, PEAK, half=2 * tenth, shrink=0.5),
        ),
        "OneCycle": (optim.OneCycle(PEAK),),
        "WarmUpStableDecay": (optim.WarmUpStableDecay(PEAK), optim.WarmUpStableDecay(PEAK, shape="linear")),
        "WarmUp": (
            optim.WarmUp(optim.Cosine(PEAK), warm_up=2 * tenth),
            optim.WarmUp(optim.Constant(PEAK), warm_up=3 * tenth, shape="cosine"),
        ),
        "After": (optim.After(optim.Constant(PEAK), updates=3 * tenth, second=optim.Harmonic(PEAK, tau=2 * tenth)),),
        "ForBatch": (
            optim.ForBatch(_product(0.25, optim.Cosine(PEAK)), reference=64, batch=256),
            optim.ForBatch(_product(0.25, optim.Cosine(PEAK)), reference=64, batch=256, power=0.5),
        ),
        "Product": (_product(optim.Cosine(PEAK), optim.Restarts(PEAK, period=max(steps // 5, 1))),),
    }
    return made


def missing() -> set[str]:
    """Schedules of the library that have no example here."""
    ours = {n for n, c in known(Schedule).items() if n == c.__name__ and c.__module__.startswith("backlit.optim")}  # type: ignore[type-abstract]
    return ours - set(examples(100))


def run(steps: int = 1000, quick: bool = False) -> Result:
    """The value of every schedule at up to 250 of `steps` updates; `quick`: at up to 50.

    Errors: SettingError for fewer than 10 steps, which show nothing.

    >>> from backlit.lab import schedules
    >>> result = schedules.run(steps=100)
    >>> result.numbers["schedules"]["OneCycle"]["OneCycle(peak=1)"][:2].round(3).tolist()
    [0.04, 0.043]
    """
    if steps < 10:
        raise SettingError([("steps", f"expected at least 10, fewer show no curve, got {steps}; write steps=1000")])
    points = np.unique(np.round(np.linspace(0, steps - 1, 50 if quick else 250)).astype(int)).tolist()
    curves = {
        name: {_label(s): np.array([float(s.over(steps)(t)) for t in points]) for s in some}
        for name, some in examples(steps).items()
    }
    area = {name: float(next(iter(some.values())).mean()) for name, some in curves.items()}
    least, most = min(area, key=lambda n: area[n]), max((n for n in area if n != "Constant"), key=lambda n: area[n])
    text = (
        f"{len(curves)} schedules over {steps} updates, each with 1 as its largest value. What a training gets of one is its "
        f"mean: of the solid lines most from {most} ({area[most]:.2f}), least from {least} ({area[least]:.2f}). Those that "
        "need the length of the training (those with `steps`, such as Cosine and OneCycle) get it from the trainer."
    )
    from backlit.report.canvas import Picture

    picture = Picture(
        "schedules",
        f"Small plots of the learning rate over {steps} updates: {', '.join(curves)}.",
        "The value of each schedule update by update; dashed: the same schedule with other settings.",
        partial(_draw, points, curves),
    )
    numbers = {"steps": steps, "updates": points, "schedules": curves, "mean": area}
    lines = [
        (label, f"{values.mean():.3f}", f"{values[-1]:.3g}")
        for some in curves.values()
        for label, values in some.items()
    ]
    return Result(
        "schedules", "Every schedule's curve", numbers, text, (picture,), (), (("schedule", "mean", "last"), *lines)
    )


def _product(*factors: Any) -> Any:
    return optim.Product(*factors)


def _label(schedule: Schedule) -> str:
    """Settings as one writes them, numbers short."""
    return f"{type(schedule).__name__}({', '.join(f'{k}={_short(v)}' for k, v in schedule.to_plain().items())})"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["type"])
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw(points: list[int], curves: dict[str, dict[str, Any]], theme: Any) -> Any:
    from backlit.lab.panels import grid

    made, plots = grid(theme, list(curves), 5, (2.1, 1.6), x="update", margins=(0.34, 0.36))
    for plot, some in zip(plots, curves.values(), strict=True):
        for i, (label, values) in enumerate(some.items()):
            inside = label[label.index("(") + 1 : -1]
            for told in (
                "start=1, ",
                "peak=1, ",
                "low=0, high=1, ",
                "first=",
                "second=",
                "then=",
                "Product, reference=64, ",
            ):
                inside = inside.replace(told, "")
            inside = textwrap.fill(inside, 30)
            plot.plot(
                points, values, color=theme.lines[i], linewidth=1.6, linestyle=("-", (0, (4, 1.5)))[i], label=inside
            )
        plot.set_ylim(-0.04, 1.62)
        plot.set_yticks([0, 0.5, 1])
        plot.legend(loc="upper left", frameon=False, fontsize=5.6, labelcolor=theme.ink, handlelength=1.1, handletextpad=0.4,
                    borderaxespad=0.1, labelspacing=0.2)  # fmt: skip
    return made
