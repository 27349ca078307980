"""What the size of a batch changes: the noise of the gradient, the learning rate that fits, the minimum that is found."""

from functools import partial
from typing import Any

import numpy as np

from backlit import engine as engines
from backlit.lab.batch_size_pictures import LOSS_LIMIT, SCALINGS, bounded, draw_minima, draw_noise, draw_scaling
from backlit.lab.lanczos import lanczos
from backlit.lab.problem import Function, Path, Problem, digits
from backlit.lab.result import Result, Table
from backlit.optim import SGD
from backlit.report.canvas import Picture


def run(
    batches: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512, 1024),
    lr: float = 0.1,
    reference: int = 16,
    epochs: int = 20,
    ends: tuple[int, ...] = (4, 16, 64, 256, 1024),
    ends_lr: float = 0.4,
    target: float = 0.02,
    seeds: int = 2,
    quick: bool = False,
) -> Result:
    """Three measurements with plain SGD on digits (1024 rows, a net of 64-32-10 with Tanh).

    noise    variance of the gradient of a batch drawn without replacement, by batch size; what theory says; the noise scale
             tr(S) / |g|^2, the batch at which noise and gradient are equally long
    scaling  training loss after `epochs` epochs by batch size, with lr fixed, times the root of B / `reference`, times it
    minima   nets trained with `ends_lr` to the same training loss `target`: the largest eigenvalue of the Hessian

    Source: McCandlish et al. 2018, https://arxiv.org/abs/1812.06162; Goyal et al. 2017, https://arxiv.org/abs/1706.02677;
    Krizhevsky 2014, https://arxiv.org/abs/1404.5997; Keskar et al. 2017, https://arxiv.org/abs/1609.04836

    >>> from backlit.lab import batch_size
    >>> batch_size.slope([1, 10, 100], [5.0, 0.5, 0.05])
    -1.0
    """
    problem = digits(32, rows=1024)
    engine = engines.get("xla")
    if quick:  # NumPy: nothing to compile
        problem, engine = digits(8, rows=256), engines.get("numpy")
        batches, ends, epochs, seeds, target = (16, 64, 256), (16, 256), 2, 1, 1.6
    descend = problem.descender(SGD(), engine)
    first = descend(problem.start(0), problem.order(reference, epochs, 0), lr)
    function = problem.function()
    numbers: dict[str, Any] = {
        "rows": len(problem.x),
        "noise": noise(problem, function, first, batches, quick),
        "scaling": scaling(problem, descend, batches, lr, reference, epochs, seeds),
        "minima": minima(problem, function, descend, ends, ends_lr, target, seeds),
    }
    pictures = (
        Picture("batch-size-noise", f"Variance of the gradient by batch size, falling as {slopes(numbers)}.",
                "Points: measured on batches without replacement; lines: tr(S)/B (N - B)/N.",
                partial(draw_noise, numbers)),
        Picture("batch-size-scaling", "Training loss by batch size for three ways to scale the learning rate.",
                f"{epochs} epochs of SGD; a cross at the roof: diverged.", partial(draw_scaling, numbers)),
        Picture("batch-size-minima", "Largest eigenvalue of the Hessian by batch size, and the loss between two minima.",
                f"All trained to a training loss of {target:g} with the same learning rate {ends_lr:g}.",
                partial(draw_minima, numbers)),
    )  # fmt: skip
    return Result(
        "batch-size", "What the size of a batch changes", numbers, told(numbers), pictures, table=table(numbers)
    )


def noise(problem: Problem, function: Function, path: Path, batches: tuple[int, ...], quick: bool) -> dict[str, Any]:
    """Variance of the gradient of a batch at the start, after one epoch and at the end of a descent."""
    start = np.concatenate([a.reshape(-1) for a in _leaves(problem.start(0))]).astype(np.float64)
    points = {"start": start, "one epoch": path.params[0], f"{len(path.params)} epochs": path.params[-1]}
    found: dict[str, Any] = {"batches": list(batches), "moments": {}}
    for name, w in points.items():
        rows = gradients(problem, function, w)  # (N, P)
        mean, spread = rows.mean(axis=0), float(rows.var(axis=0, ddof=1).sum())
        n = len(rows)
        measured = [variance(rows, mean, b, 20 if quick else 200) for b in batches if b < n]
        found["moments"][name] = {
            "measured": measured,
            "expected": [spread / b * (n - b) / n for b in batches if b < n],
            "slope": slope(
                [b for b in batches if b < n], [v * n / (n - b) for b, v in zip(batches, measured, strict=False)]
            ),
            "gradient": float(mean @ mean),
            "noise_scale": spread / float(mean @ mean),
        }
    return found


def gradients(problem: Problem, function: Function, w: np.ndarray) -> np.ndarray:
    """(N, P): the gradient of each row alone."""
    return np.stack([function.rows(slice(i, i + 1)).gradient(w) for i in range(len(problem.x))])


def variance(rows: np.ndarray, mean: np.ndarray, batch: int, draws: int) -> float:
    """E |g_B - g|^2 over batches drawn without replacement."""
    rng = np.random.default_rng(batch)
    found = [rows[rng.permutation(len(rows))[:batch]].mean(axis=0) - mean for _ in range(draws)]
    return float(np.mean([d @ d for d in found]))


def slope(x: list[int], y: list[float]) -> float:
    """Of the line through log x and log y."""
    return round(float(np.polyfit(np.log(x), np.log(y), 1)[0]), 6)


def scaling(
    problem: Problem, descend: Any, batches: tuple[int, ...], lr: float, reference: int, epochs: int, seeds: int
) -> dict[str, Any]:
    """Training and held-out loss at the end, by batch size and by how the rate grows with it; a row for each seed."""
    found: dict[str, Any] = {"batches": list(batches), "lr": lr, "reference": reference, "epochs": epochs}
    orders = {(b, s): problem.order(b, epochs, s) for b in batches for s in range(seeds)}
    for name, power in SCALINGS.items():
        paths = [
            [descend(problem.start(s), orders[b, s], lr * (b / reference) ** power) for b in batches]
            for s in range(seeds)
        ]
        found[name] = {
            "train": np.array([[p.train[-1] for p in row] for row in paths]),
            "held_out": np.array([[p.held_out[-1] for p in row] for row in paths]),
        }
    return found


def minima(
    problem: Problem, function: Function, descend: Any, batches: tuple[int, ...], lr: float, target: float, seeds: int
) -> dict[str, Any]:
    """Nets of the same training loss, and how sharp the loss is around them; the line from the first to the last."""
    found: dict[str, Any] = {"batches": list(batches), "lr": lr, "target": target}
    names = ("epochs", "train", "held_out", "eigenvalue", "norm")
    table: dict[str, list[list[float]]] = {name: [] for name in names}
    ends = []
    for seed in range(seeds):
        rows = []
        for batch in batches:
            epochs, w = until(problem, function, descend, batch, lr, target, seed)
            top = lanczos(function.curvature(w), function.size, steps=30).largest
            rows.append((epochs, function.value(w), function.held_out(w), top, float(np.linalg.norm(w))))
            ends.append(w)
        for name, values in zip(names, zip(*rows, strict=True), strict=True):
            table[name].append(list(values))
    share = np.linspace(-1.0, 2.0, 61)
    line = [(1.0 - a) * ends[0] + a * ends[len(batches) - 1] for a in share]
    between = {
        "share": share,
        "train": [function.value(w) for w in line],
        "held_out": [function.held_out(w) for w in line],
    }
    return found | {name: np.array(rows) for name, rows in table.items()} | {"line": between}


def until(
    problem: Problem, function: Function, descend: Any, batch: int, lr: float, target: float, seed: int
) -> tuple[int, np.ndarray]:
    """Epochs, and parameters at the first epoch whose training loss is at most `target`."""
    params, chunk = problem.start(seed), 25
    for first in range(0, 8000, chunk):
        path = descend(params, problem.order(batch, chunk, seed, first), lr)
        there = np.flatnonzero(path.train <= target)
        if there.size:
            return first + int(there[0]) + 1, path.params[there[0]].astype(np.float64)
        params = function.single(path.params[-1])
    raise AssertionError(f"batch {batch}: the training loss stays above {target}")


def table(numbers: dict[str, Any]) -> Table:
    """A line for each batch size."""
    scale, ends = numbers["scaling"], numbers["minima"]
    variance = next(iter(numbers["noise"]["moments"].values()))["measured"]
    top = dict(zip(ends["batches"], ends["eigenvalue"].mean(axis=0), strict=True))
    lines = []
    for i, b in enumerate(scale["batches"]):
        losses = [_word(float(bounded(scale[name]["train"].mean(axis=0))[i])) for name in SCALINGS]
        noise = f"{variance[i]:.3g}" if i < len(variance) else "0"
        lines.append((str(b), noise, *losses, f"{top[b]:.2f}" if b in top else ""))
    return (("batch", "noise at the start", "loss, lr fixed", "lr times root", "lr times batch", "sharpness"), *lines)


def slopes(numbers: dict[str, Any]) -> str:
    return ", ".join(f"B^{m['slope']:.2f} ({name})" for name, m in numbers["noise"]["moments"].items())


def told(numbers: dict[str, Any]) -> str:
    """What is to be seen, with the numbers."""
    scale, ends = numbers["scaling"], numbers["minima"]
    noises = [m["noise_scale"] for m in numbers["noise"]["moments"].values()]
    scales = ", ".join(f"{m['noise_scale']:.0f} ({name})" for name, m in numbers["noise"]["moments"].items())
    grows = ": the longer one trains, the larger the batch that still helps" if noises == sorted(noises) else ""
    means = {name: bounded(scale[name]["train"].mean(axis=0)) for name in SCALINGS}
    first, last = scale["batches"][0], scale["batches"][-1]
    at = scale["batches"].index(scale["reference"])
    base = means["linear"][at]
    good = [b for b, v in zip(scale["batches"][at:], means["linear"][at:], strict=True) if v < 1.2 * base]
    top, held = ends["eigenvalue"].mean(axis=0), ends["held_out"].mean(axis=0)
    sharper = (
        "large batches end in the sharper minima" if top[-1] > top[0] else "large batches end in the flatter minima"
    )
    better = (held[0] < held[-1]) == (top[0] < top[-1])
    return (
        f"Noise: the variance of a batch's gradient falls as {slopes(numbers)}; theory says B^-1, and 0 where the batch is "
        f"the whole of the {numbers['rows']} rows. Noise and gradient are equally long at batches of {scales}{grows}. "
        f"Learning rate: after {scale['epochs']} epochs the fixed rate {scale['lr']:g} ends at a loss of "
        f"{means['fixed'][at]:.3f} with batches of {scale['reference']} and at {means['fixed'][-1]:.3f} with {last}: fewer "
        f"updates. In proportion to the batch the rate keeps {base:.3f} (to 20 %) up to batches of {good[-1]}; with "
        f"{last} it ends at {_word(means['linear'][-1])}. With its root it ends at {means['root'][-1]:.3f} there, at "
        f"{means['root'][0]:.3f} with {first}. Minima: trained to a loss of at most {ends['target']:g}, the largest "
        f"eigenvalue of the Hessian is {top[0]:.2f} with batches of {ends['batches'][0]} and {top[-1]:.2f} with "
        f"{ends['batches'][-1]}: {sharper}. Held-out rows have a loss of {held[0]:.3f} and {held[-1]:.3f}: here the flatter "
        f"minimum is {'the better one too' if better else 'not the better one'}."
    )


def _word(loss: float) -> str:
    return f"more than {LOSS_LIMIT:g}" if loss >= LOSS_LIMIT else f"{loss:.3f}"


def _leaves(params: Any) -> list[np.ndarray]:
    from backlit.engine import tree

    return [np.asarray(a) for a in tree.leaves(params)]
