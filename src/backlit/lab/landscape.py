"""The loss as a surface: around a minimum, along the path that led there, and at a saddle."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from backlit import engine as engines
from backlit.engine import tree
from backlit.lab import saddle
from backlit.lab.lanczos import lanczos
from backlit.lab.problem import Function, digits
from backlit.lab.result import Result, Table
from backlit.optim import SGD
from backlit.optim.flat import ravel
from backlit.report.canvas import Picture, Theme, axes, figure, legend


def run(
    lr: float = 0.4,
    batch: int = 1024,
    epochs: int = 400,
    points: int = 41,
    marks: int = 9,
    seed: int = 0,
    quick: bool = False,
) -> Result:
    """The path of gradient descent on digits (1024 rows, a net of 64-16-10 with Tanh), and what the loss is like around it.

    surface     loss on two random directions through the end, each column of weights as long as the net's own
                (filter-normalised), with the path projected on them
    plane       loss on the two directions in which the path spreads most (PCA), with the path
    curvature   the largest and the most negative eigenvalue of the Hessian at `marks` points of the path (Lanczos)
    saddle      the steps that a net whose weights all start at zero needs to leave that point, by the noise it gets

    Source: Li et al. 2018, https://arxiv.org/abs/1712.09913; the edge of stability: Cohen et al. 2021,
    https://arxiv.org/abs/2103.00065; noise at saddles: Jin et al. 2017, https://arxiv.org/abs/1703.00887

    >>> import numpy as np
    >>> from backlit.lab import landscape
    >>> directions, shares = landscape.principal(np.array([[3.0, 0.0, 4.0], [1.5, 0.0, 2.0], [0.0, 0.0, 0.0]]))
    >>> shares.round(6).tolist()
    [1.0, 0.0]
    """
    problem, engine = digits(16, rows=1024), engines.get("xla")
    if quick:  # NumPy: nothing to compile
        problem, engine = digits(4, rows=128), engines.get("numpy")
        batch, epochs, points, marks = 128, 60, 9, 3
    start = problem.start(seed)
    path = problem.descender(SGD(), engine)(start, problem.order(batch, epochs, seed), lr)
    way = np.concatenate([ravel(start)[0][None], path.params]).astype(np.float64)  # (E + 1, P)
    function = problem.function()
    random, (main, shares) = normalised(function, way[-1], seed), principal(way)
    numbers: dict[str, Any] = {
        "lr": lr,
        "batch": batch,
        "rows": len(problem.x),
        "train": np.array([function.value(way[0]), *path.train]),
        "held_out": np.array([function.held_out(way[0]), *path.held_out]),
        "surface": surface(function, way, random, points, reach=1.0),
        "plane": surface(function, way, main, points) | {"shares": shares},
        "curvature": curvature(function, way, marks),
        "saddle": saddle.escape(quick),
    }
    flat = numbers["surface"]
    pictures = (
        Picture("landscape-random", "Loss around the end on two random directions, rising on all sides.",
                f"Length 1: as long as the weights. Only {100 * flat['seen']:.0f} % of the way from start to end lies in "
                "this plane: the start is far above it.",
                partial(draw_surface, numbers, "surface")),
        Picture("landscape-path", "Loss on the two main directions of the path, and the path down to the end.",
                f"The two directions hold {100 * (shares[0] + shares[1]):.0f} % of the path's spread.",
                partial(draw_surface, numbers, "plane")),
        Picture("landscape-curvature", "Largest and most negative eigenvalue of the Hessian along the path.",
                "Lanczos with full orthogonalisation; dotted: 2 / lr, above which gradient descent oscillates.",
                partial(draw_curvature, numbers)),
        Picture("landscape-saddle", "Loss by step from all weights zero, for different noise, and steps to escape.",
                "Right: points measured, line predicted from the eigenvalue.", partial(saddle.draw, numbers["saddle"])),
    )  # fmt: skip
    return Result("landscape", "The loss as a surface", numbers, told(numbers), pictures, table=table(numbers))


def normalised(function: Function, w: np.ndarray, seed: int) -> np.ndarray:
    """(2, P): random directions, each unit's weights as long as the net's own at w; biases are left out.

    A net with Tanh or ReLU can carry large weights in one layer and small ones in the next and compute the same;
    directions of one length for all would see that as flat or sharp. Source: Li et al. 2018.
    """
    rng = np.random.default_rng(seed)

    def draw(path: str, a: np.ndarray) -> np.ndarray:
        if a.ndim < 2:
            return np.zeros_like(a)
        d = rng.normal(size=a.shape)
        across = tuple(range(a.ndim - 1))
        scaled: np.ndarray = d * np.sqrt((a * a).sum(axis=across) / (d * d).sum(axis=across))
        return scaled

    return np.stack([ravel(tree.map_with_path(draw, function.back(w)))[0] for _ in range(2)])


def principal(way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, P) unit vectors in which the path, seen from its end, spreads most; and each one's share of the spread."""
    _, sizes, directions = np.linalg.svd(way - way[-1], full_matrices=False)
    return directions[:2], sizes[:2] ** 2 / np.sum(sizes**2)


def surface(
    function: Function, way: np.ndarray, directions: np.ndarray, points: int, reach: float | None = None
) -> dict[str, Any]:
    """Loss at end + a d1 + b d2 on a grid; the path's own (a, b), and how much of its way it shows.

    reach: the grid goes from -reach to reach; by default as far as the path, and a fifth further.
    """
    end = way[-1]
    path = np.linalg.lstsq(directions.T, (way - end).T, rcond=None)[0].T  # (E + 1, 2): the nearest points of the plane
    low, high = path.min(axis=0), path.max(axis=0)
    margin = 0.2 * max(high - low)
    sides = [
        np.linspace(-reach, reach, points) if reach else np.linspace(low[i] - margin, high[i] + margin, points)
        for i in (0, 1)
    ]
    loss = np.array([[function.value(end + a * directions[0] + b * directions[1]) for a in sides[0]] for b in sides[1]])
    seen = np.linalg.norm(path[0] @ directions) / np.linalg.norm(way[0] - end)
    return {"a": sides[0], "b": sides[1], "loss": loss, "path": path, "seen": float(seen)}


def curvature(function: Function, way: np.ndarray, marks: int) -> dict[str, Any]:
    """The ends of the Hessian's spectrum at points of the path, closer together where it begins."""
    last = len(way) - 1
    epochs = sorted({round(last ** (i / (marks - 1))) for i in range(1, marks)} | {0})
    found = [lanczos(function.curvature(way[i]), function.size, steps=80) for i in epochs]
    return {
        "epochs": epochs,
        "largest": np.array([s.largest for s in found]),
        "smallest": np.array([s.smallest for s in found]),
        "error": np.array([max(s.error[0], s.error[-1]) for s in found]),
        "gradient": np.array([float(np.linalg.norm(function.gradient(way[i]))) for i in epochs]),
    }


def table(numbers: dict[str, Any]) -> Table:
    """Along the path."""
    bend = numbers["curvature"]
    lines = zip(bend["epochs"], bend["largest"], bend["smallest"], bend["gradient"], strict=True)
    return (
        ("epoch", "train loss", "largest eigenvalue", "most negative", "length of gradient"),
        *(
            (str(e), f"{numbers['train'][e]:.4f}", f"{top:.3f}", f"{low:.4f}", f"{slope:.3g}")
            for e, top, low, slope in lines
        ),
    )


def told(numbers: dict[str, Any]) -> str:
    """What is to be seen, with the numbers."""
    bend, flat, shares = numbers["curvature"], numbers["surface"], numbers["plane"]["shares"]
    start, end = numbers["train"][0], numbers["train"][-1]
    at = int(np.argmax(bend["largest"]))
    gone = ", for any two of so many directions are almost at right angles to it" if flat["seen"] < 0.25 else ""
    plane = ": the descent is nearly a plane curve" if shares.sum() > 0.95 else ""
    never = ": at none of these points does the loss curve up on all sides" if (bend["smallest"] < 0).all() else ""
    return (
        f"The loss goes from {start:.2f} to {end:.3f} in {len(numbers['train']) - 1} epochs. Two random directions hold "
        f"{100 * flat['seen']:.1f} % of the way{gone}; the loss seen there is that around the end, not along the path. The "
        f"two main directions of the path hold {100 * shares.sum():.1f} % of its spread ({100 * shares[0]:.1f} and "
        f"{100 * shares[1]:.1f}){plane}. Curvature: the largest eigenvalue goes from {bend['largest'][0]:.2f} to "
        f"{bend['largest'][at]:.2f} (epoch {bend['epochs'][at]}) and ends at {bend['largest'][-1]:.2f}, where 2 / lr is "
        f"{2 / numbers['lr']:.1f}; the most negative one goes from {bend['smallest'][0]:.3f} to "
        f"{bend['smallest'][-1]:.4f}{never}. {saddle.told(numbers['saddle'])}"
    )


def draw_surface(numbers: dict[str, Any], which: str, theme: Theme) -> Figure:
    found = numbers[which]
    made = figure(theme, width=5.4, height=4.4)
    random = which == "surface"
    title = "Around the end, two random directions" if random else "Along the path, its two main directions"
    names = ("first direction", "second direction") if random else ("first main direction", "second main direction")
    plot = axes(made, theme, title, *names)
    low, high = float(found["loss"].min()), float(found["loss"].max())
    levels = np.geomspace(low, high, 16)
    plot.contourf(found["a"], found["b"], found["loss"], levels=levels, cmap="cividis_r", norm="log", alpha=0.4)
    lines = plot.contour(found["a"], found["b"], found["loss"], levels=levels[1::2], colors=theme.ink, linewidths=0.6)
    plot.clabel(lines, fontsize=7, fmt="%.2g")
    path = found["path"]
    plot.plot(*path.T, color=theme.lines[1], linewidth=2.0, label="path")
    plot.plot(*path[0], "s", color=theme.lines[1], markersize=7, markeredgecolor="#ffffff", label="start")
    plot.plot(*path[-1], "*", color=theme.lines[1], markersize=13, markeredgecolor="#ffffff", label="end")
    plot.legend(facecolor=theme.paper, edgecolor=theme.grid, framealpha=0.9, labelcolor=theme.ink, fontsize=8.5)
    return made


def draw_curvature(numbers: dict[str, Any], theme: Theme) -> Figure:
    made = figure(theme)
    found = numbers["curvature"]
    plot = axes(made, theme, "Curvature along the path", "epoch", "eigenvalue of the Hessian")
    plot.axhline(2.0 / numbers["lr"], color=theme.muted, linewidth=1.2, linestyle=":", label="2 / lr")
    plot.plot(found["epochs"], found["largest"], color=theme.train, marker="o", markersize=5, label="largest")
    plot.plot(found["epochs"], found["smallest"], color=theme.validation, marker="s", markersize=5,
              linestyle=(0, (5, 1.5)), label="most negative")  # fmt: skip
    plot.set_xscale("symlog", linthresh=1)
    plot.xaxis.set_major_formatter("{x:g}")
    legend(plot, theme)
    return made
