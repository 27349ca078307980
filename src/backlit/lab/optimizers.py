"""The race of the update rules: on surfaces of two numbers, and as a population of small nets."""

from typing import Any

import numpy as np

import backlit.layers as layers
from backlit import engine as engines
from backlit.lab import racers
from backlit.lab.population import Batches, Population
from backlit.lab.race import best, race, reached
from backlit.lab.result import Result
from backlit.lab.rows import digits
from backlit.lab.surfaces import SURFACES, surface
from backlit.losses import SoftmaxCrossEntropy
from backlit.optim import Objective, minimize
from backlit.protocol import Layer

RATES = tuple(10.0 ** (k / 3) for k in range(-12, 7))
"""Learning rates on surfaces, three to a decade."""

TRAINING_RATES = tuple(10.0 ** (k / 2) for k in range(-10, 3))
"""Learning rates of nets, two to a decade."""

FORGIVING = 0.9
"""A learning rate trains when it comes to this share of the rule's best accuracy."""

Numbers = dict[str, Any]


def run(
    steps: int = 1000,
    training_steps: int = 300,
    rates: tuple[float, ...] = RATES,
    training_rates: tuple[float, ...] = TRAINING_RATES,
    seed: int = 0,
    quick: bool = False,
    engine: str = "xla",
) -> Result:
    """All rules from the same starts, each with the best of its learning rates; and every learning rate on small nets.

    On five surfaces each first-order rule tries all `rates` (one program a rule); its best is the one that reaches the
    minimum soonest on that surface. Second-order rules run with their own step. Then a dense net and a convolutional net
    are trained with every rule and each of `training_rates` at once (one program a net), from the same weights with the
    same batches. `quick`: seven rules, fewer rates and steps.
    """
    if quick:
        steps, training_steps = min(steps, 300), min(training_steps, 40)
        rates, training_rates = rates[::2], training_rates[::3]
    numbers: Numbers = {"tolerance": "1e-4 of the height of the start", "rates": list(rates), "surfaces": {}}
    ways, seconds = races(steps, rates, quick, engine)
    for s in SURFACES:
        told = {"formula": s.formula, "start": s.start, "minimum": s.minimum}
        every = {name: _summary(s, way, rates) for name, way in ways[s.name].items()}
        numbers["surfaces"][s.name] = {**told, "rules": every}
    numbers["seconds_per_update"] = seconds
    numbers["evaluations"] = {} if quick else evaluations()
    home = "numpy" if quick else engine  # a small population costs less than its compilation
    numbers["populations"] = {
        "dense": train("dense", training_steps, training_rates, seed, quick, home),
        "convolutional": train("convolutional", max(training_steps // 2, 20), training_rates, seed, quick, home),
    }
    return _result(numbers, ways, seconds)


def races(
    steps: int, rates: tuple[float, ...], quick: bool = False, engine: str = "xla"
) -> tuple[dict[str, Numbers], dict[str, float]]:
    """Of each surface and rule the path with the best learning rate; seconds of one update of each rule."""
    home, valley = engines.get(engine), surface("rosenbrock")
    first, second = racers.of_surfaces(quick), {} if quick else racers.of_curvature()
    ways: dict[str, Numbers] = {s.name: {} for s in SURFACES}
    seconds = {}
    for name, rule in {**first, **second}.items():
        tuned = name in first
        count = steps if tuned else min(steps, 60)
        found = race(home, rule, rates if tuned else (1.0,), count)
        for i, s in enumerate(SURFACES):
            at = best(s, found, i) if tuned else 0
            path, value = found.path[i, at], found.value[i, at]
            ways[s.name][name] = {
                "path": path,
                "value": value,
                "lr": float(rates[at]) if tuned else 1.0,
                "steps": reached(s, path, value) if tuned else reached(s, path, value, None),
                "tuned": tuned,
                "diverged": _lost(s, found.value[i]) if tuned else 0,
            }
        if quick:
            continue
        lr = ways[valley.name][name]["lr"]
        seconds[name] = race(home, rule, (lr,), min(count, 200), (valley,), timed=3).seconds
    return ways, seconds


def evaluations(steps: int = 60) -> dict[str, dict[str, int | None]]:
    """How often each second-order rule asks for value and gradient until the slope is below 1e-6; None: it does not get there.

    Products with the curvature are not counted.
    """
    found: dict[str, dict[str, int | None]] = {}
    for s in SURFACES:
        if s.minimum is None:
            continue
        found[s.name] = {}
        for name, rule in racers.of_curvature().items():
            with np.errstate(all="ignore"):
                end = minimize(Objective(s.objective), {"w": np.array(s.start)}, rule, steps=steps, tolerance=1e-6)
            there = bool(end.converged) and float(end.value) - s.heights[1] < 1e-9
            found[s.name][name] = int(end.evaluations) if there else None
    return found


def train(
    kind: str, steps: int, rates: tuple[float, ...], seed: int = 0, quick: bool = False, engine: str = "xla"
) -> Numbers:
    """Every rule with every learning rate on one kind of net ("dense", "convolutional"): accuracy, loss, curves."""
    convolutional = kind == "convolutional"
    rows = digits(*((1000, 300) if quick else (10000, 2000)), halved=convolutional)
    rules = racers.of_population(quick)
    net = _net(convolutional)
    batch = 32 if convolutional else 64
    every = np.tile(np.asarray(rates, np.float32), (len(rules), 1))
    population = Population(net, SoftmaxCrossEntropy(), tuple(rules.values()), every, in_turn=convolutional)
    batches = Batches(rows.x, rows.y, rows.order(steps, batch, seed), rows.held_x, rows.held_y)
    found = population.train(engines.get(engine), population.starts(rows.x.shape[1:], seed), batches)
    window = max(1, steps // 10)
    shape = "x".join(str(n) for n in rows.x.shape[1:3])
    return {
        "title": f"{'Convolutions' if convolutional else 'Dense net'}: {steps} updates, accuracy in %",
        "data": f"{rows.name}, {shape}: {len(rows.x)} rows, {len(rows.held_x)} held out, batches of {batch}",
        "steps": steps,
        "rates": list(rates),
        "rules": {
            rule: {
                "accuracy": found.accuracy[r],
                "loss": found.loss[r],
                "training_loss": found.curves[r, :, -window:].mean(axis=1),
                "best_rate": float(rates[int(np.argmax(found.accuracy[r]))]),
                "best_accuracy": float(found.accuracy[r].max()),
                "decades": decades(found.accuracy[r], rates),
            }
            for r, rule in enumerate(rules)
        },
    }


def decades(accuracy: Any, rates: tuple[float, ...]) -> float:
    """How many decades of learning rates train: neighbours around the best with at least 90 % of its accuracy.

    >>> decades([0.1, 0.85, 0.9, 0.88, 0.1], (0.001, 0.01, 0.1, 1.0, 10.0))
    3.0
    """
    good = np.asarray(accuracy) >= FORGIVING * np.max(accuracy)
    top = int(np.argmax(accuracy))
    low, high = top, top
    while low > 0 and good[low - 1]:
        low -= 1
    while high + 1 < len(good) and good[high + 1]:
        high += 1
    spacing = np.log10(rates[-1] / rates[0]) / max(len(rates) - 1, 1)
    return round(float((high - low + 1) * spacing), 3)


def _net(convolutional: bool) -> Layer:
    if not convolutional:
        return layers.Chain(layers.Flatten(), layers.Dense(32), layers.ReLU(), layers.Dense(10))
    return layers.Chain(
        layers.Conv(8, 3, stride=2), layers.ReLU(), layers.Conv(16, 3, stride=2), layers.ReLU(),
        layers.Flatten(), layers.Dense(10),
    )  # fmt: skip


def _lost(surface: Any, values: Any) -> int:
    """With how many learning rates the race ended above its start, or nowhere; on the saddle that is no loss."""
    if surface.minimum is None:
        return 0
    return int((~(values[:, -1] <= surface.heights[0])).sum())


def _summary(surface: Any, way: Numbers, rates: tuple[float, ...]) -> Numbers:
    end = way["path"][-1]
    distance = None if surface.minimum is None else float(np.linalg.norm(end - np.array(surface.minimum)))
    return {
        "steps": way["steps"],
        "lr": way["lr"],
        "lr_at_edge": bool(way["tuned"] and way["lr"] in (rates[0], rates[-1])),
        "final_value": float(way["value"][-1]),
        "final_distance": distance,
        "rates_diverged": way["diverged"],
    }


def _result(numbers: Numbers, ways: dict[str, Numbers], seconds: dict[str, float]) -> Result:
    from backlit.lab.optimizers_pictures import accuracy, film, pictures
    from backlit.report.canvas import Picture

    heat = Picture(
        "optimizers-rates",
        "Tables of update rules by learning rates: accuracy on rows held out, for a dense and a convolutional net.",
        "Accuracy in % on rows held out; every cell is a training of its own, all of a table one compiled program. "
        "A dash: the numbers were no longer finite.",
        lambda theme: accuracy(theme, numbers["populations"]),
    )
    beale = surface("beale")
    drawn = [heat, *pictures(SURFACES, ways, seconds)]
    return Result(
        "optimizers",
        "The race of the update rules",
        numbers,
        _text(numbers),
        tuple(drawn),
        (film(beale, ways["beale"]),),
        _table(numbers),
    )


def _table(numbers: Numbers) -> tuple[tuple[str, ...], ...]:
    """Updates on each surface, and the best accuracy of each net with its learning rate."""
    surfaces, nets = numbers["surfaces"], numbers["populations"]
    rules = dict.fromkeys([*surfaces["bowl"]["rules"], *nets["dense"]["rules"]])

    def updates(where: str, rule: str) -> str:
        steps = surfaces[where]["rules"].get(rule, {}).get("steps")
        return "" if steps is None else f"{steps:.0f}" if np.isfinite(steps) else "never"

    def accuracy(net: str, rule: str) -> str:
        found = nets[net]["rules"].get(rule)
        return "" if found is None else f"{100 * found['best_accuracy']:.1f} % at {found['best_rate']:.2g}"

    lines = [(r, *(updates(s, r) for s in surfaces), *(accuracy(n, r) for n in nets)) for r in rules]
    return (("rule", *surfaces, *(f"{net} net" for net in nets)), *lines)


def _text(numbers: Numbers) -> str:
    valley = numbers["surfaces"]["rosenbrock"]["rules"]
    order = sorted(valley, key=lambda name: valley[name]["steps"])
    won = [f"{n} {valley[n]['steps']:.0f}" for n in order if np.isfinite(valley[n]["steps"])]
    lost = [n for n in order if not np.isfinite(valley[n]["steps"])]
    text = f"Updates to the end of Rosenbrock's valley, each rule with its best learning rate: {', '.join(won)}"
    text += f"; not within the race: {', '.join(lost)}. " if lost else ". "
    for kind, population in numbers["populations"].items():
        rules = population["rules"]
        top = max(rules, key=lambda n: rules[n]["best_accuracy"])
        wide = sorted(rules, key=lambda n: -rules[n]["decades"])
        text += (
            f"On the {kind} net ({population['data']}) {top} is best with {100 * rules[top]['best_accuracy']:.1f} % "
            f"at {rules[top]['best_rate']:.2g}; the widest range of learning rates that train has {wide[0]} "
            f"({rules[wide[0]]['decades']:.1f} decades), the narrowest {wide[-1]} ({rules[wide[-1]]['decades']:.1f}). "
        )
    return text.strip()
