"""A saddle and the way out: a net whose weights all start at zero has no gradient there, and cannot leave by itself."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from backlit.data import Iris
from backlit.engine import random, tree
from backlit.lab.lanczos import lanczos
from backlit.layers import Chain, Dense, Tanh
from backlit.losses import SquaredError
from backlit.optim.flat import ravel
from backlit.optim.objective import Objective
from backlit.protocol import Tree, gradient
from backlit.report.canvas import Theme, axes, figure, legend

UNITS = 3
NET = Chain(Dense(UNITS), Tanh(), Dense(3))
LOSS = SquaredError()
DROP = 0.1
"""The part of the loss that must be gone for the saddle to count as left."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Iris: x (150, 4) of mean 0 and spread 1, targets (150, 3) with 1 for the class of a row, float64."""
    found = Iris().load()
    x = found.x.astype(np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0), np.eye(3)[found.y]


def origin(target: np.ndarray) -> tuple[Tree, Tree]:
    """Parameters, all zero but for the last biases, which are the mean target; and the net's state."""
    _, params, state = NET.init(random.key(0), (4,))
    zero = tree.map(lambda a: np.zeros(a.shape), params)
    zero["dense_2"]["b"] = target.mean(axis=0)
    return zero, state


def expected_eigenvalue(x: np.ndarray, target: np.ndarray) -> float:
    """The most negative eigenvalue of the Hessian there: minus the largest singular value of mean(x (t - mean t)^T).

    With all weights zero only d2L / dW1 dW2 is left beside the biases, a block -C for each hidden unit; a symmetric
    matrix with blocks C off its diagonal has the eigenvalues plus and minus the singular values of C.
    """
    return -float(np.linalg.svd(x.T @ (target - target.mean(axis=0)) / len(x), compute_uv=False)[0])


def descend(noise: float, steps: int, seed: int = 0, lr: float = 0.1, batch: int | None = None) -> np.ndarray:
    """(steps + 1,) losses of gradient descent from the saddle; `noise` N(0, noise^2) is added to each number's gradient."""
    x, target = data()
    params, state = origin(target)
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(steps + 1):
        value, grads, _, _ = gradient(NET, LOSS, params, state, x, target)
        losses.append(float(value))
        if batch:
            rows = rng.permutation(len(x))[:batch]
            grads = gradient(NET, LOSS, params, state, x[rows], target[rows])[1]
        params = tree.map(lambda w, g: w - lr * (g + noise * rng.normal(size=w.shape)), params, grads)
    return np.array(losses)


def left_after(losses: np.ndarray) -> int | None:
    """The first step at which a tenth of the loss is gone; None where it stays."""
    there = np.flatnonzero(losses < (1.0 - DROP) * losses[0])
    return int(there[0]) if there.size else None


def predicted(noise: float, eigenvalue: float, loss: float, lr: float = 0.1) -> float:
    """Steps until noise that grows by r = 1 - lr eigenvalue in each has lowered the loss by DROP of it.

    After t steps E|u|^2 = UNITS (lr noise)^2 (r^(2t) - 1) / (r^2 - 1) along the directions that fall, and the loss is
    lower by -eigenvalue |u|^2 / 2: exact as long as the loss is a parabola.
    """
    r = 1.0 - lr * eigenvalue
    wanted = 2.0 * DROP * loss / -eigenvalue
    return 0.5 * math.log1p(wanted * (r * r - 1.0) / (UNITS * (lr * noise) ** 2)) / math.log(r)


def escape(quick: bool = False) -> dict[str, Any]:
    """Eigenvalues at the saddle, loss by step, and steps to leave it by the noise."""
    x, target = data()
    params, state = origin(target)
    objective = Objective.of(NET, LOSS, state, x, target)
    w, back = ravel(params)
    spectrum = lanczos(lambda v: ravel(objective.hvp(params, back(v)))[0], len(w), steps=len(w))
    noises = (1e-8, 1e-4, 1e-2) if quick else tuple(10.0**-k for k in range(10, 0, -1))
    steps, seeds = (280, 1) if quick else (600, 5)
    curves = {
        "no noise": descend(0.0, steps),
        "batches of 16": descend(0.0, steps, batch=16),
        **{f"noise {noise:g}": descend(noise, steps) for noise in noises[:: 1 if quick else 3]},
    }
    waiting = [predicted(noise, spectrum.smallest, float(curves["no noise"][0])) for noise in noises]
    waits = [
        [left_after(descend(noise, int(wait) + 150, seed)) for noise, wait in zip(noises, waiting, strict=True)]
        for seed in range(seeds)
    ]
    return {
        "gradient": float(np.linalg.norm(ravel(objective(params)[1])[0])),
        "eigenvalue": spectrum.smallest,
        "expected_eigenvalue": expected_eigenvalue(x, target),
        "largest_eigenvalue": spectrum.largest,
        "noises": list(noises),
        "steps": np.array(waits, dtype=np.float64),
        "predicted": waiting,
        "curves": curves,
        "left": {name: left_after(losses) for name, losses in curves.items()},
    }


def told(found: dict[str, Any]) -> str:
    """What is to be seen, with the numbers."""
    mean = np.nanmean(found["steps"], axis=0)
    stuck = " and ".join(name for name, step in found["left"].items() if step is None)
    return (
        f"Saddle: with all weights zero a net with Tanh has a gradient of {found['gradient']:.1g} and an eigenvalue of "
        f"{found['eigenvalue']:.4f} (theory: {found['expected_eigenvalue']:.4f}), so it is no minimum; yet with {stuck} it "
        f"stays for all {len(next(iter(found['curves'].values()))) - 1} steps, for the weights get no gradient from any row. "
        f"Noise of {found['noises'][0]:g} in the gradient gets it out after {mean[0]:.0f} steps, of "
        f"{found['noises'][-1]:g} after {mean[-1]:.0f} (predicted {found['predicted'][0]:.0f} and "
        f"{found['predicted'][-1]:.0f}): the wait grows with the logarithm of the noise only."
    )


def draw(found: dict[str, Any], theme: Theme) -> Figure:
    made = figure(theme, width=9.0)
    plot = axes(made, theme, "From a saddle", "step", "loss", (0, 2))
    for i, (name, losses) in enumerate(found["curves"].items()):
        style = ("-", (0, (5, 2)))[i % 2] if i < 2 else "-"
        plot.plot(losses, color=theme.muted if i == 0 else theme.lines[i], linewidth=3.0 if i == 0 else 1.8,
                  linestyle=style, label=name)  # fmt: skip
    plot.set_ylim(bottom=0)
    # Between the curves that fall and those that stay.
    plot.legend(frameon=False, labelcolor=theme.ink, fontsize=8, labelspacing=0.2, loc=(0.62, 0.5))
    plot = axes(made, theme, "Steps to leave it", "noise added to the gradient", "steps", (1, 2))
    plot.plot(found["noises"], found["predicted"], color=theme.muted, linewidth=1.6, label="predicted")
    for i, row in enumerate(found["steps"]):
        plot.plot(
            found["noises"], row, "o", color=theme.train, markersize=4, alpha=0.7, label=None if i else "measured"
        )
    plot.set(xscale="log", ylim=(0, None))
    legend(plot, theme)
    return made
