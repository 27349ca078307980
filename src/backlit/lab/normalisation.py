"""With and without normalisation, over initial scales and learning rates: what range of both trains."""

import math
from functools import partial
from typing import Any

import numpy as np

import backlit.layers as layers
from backlit import engine as engines
from backlit.engine import random, tree
from backlit.lab.population import Batches, Population
from backlit.lab.result import Result
from backlit.lab.rows import Rows, digits
from backlit.losses import SoftmaxCrossEntropy
from backlit.optim import SGD
from backlit.protocol import Context, Layer, Tree, gradient, signals

KINDS = {"none": None, "batch": layers.BatchNorm(), "layer": layers.LayerNorm()}
SCALES = tuple(10.0 ** (k / 2) for k in range(-4, 5))
RATES = tuple(10.0 ** (k / 2) for k in range(-6, 3))
CLASSES = 10
DEAD_RATE = 0.1
Numbers = dict[str, Any]


def run(
    depth: int = 4,
    units: int = 32,
    steps: int = 200,
    scales: tuple[float, ...] = SCALES,
    rates: tuple[float, ...] = RATES,
    seed: int = 0,
    quick: bool = False,
) -> Result:
    """Final loss of a deep ReLU net for each initial scale and learning rate: without, with batch, with layer normalisation.

    A scale multiplies the weights of He's initialiser in all layers. Of each kind of net all trainings run as one program,
    with plain SGD. A cell trains when its loss over the last tenth is below half of that of a guess, ln(10) / 2. `quick`:
    fewer rows, steps and cells.
    """
    if quick:
        steps, scales, rates = min(steps, 40), scales[::4], rates[::2]
    rows = digits(*((800, 200) if quick else (6000, 1000)), halved=True)
    home = "numpy" if quick else "xla"  # a small population costs less than its compilation
    found = {kind: train(kind, depth, units, steps, scales, rates, rows, seed, home) for kind in KINDS}
    numbers: Numbers = {
        "data": f"{rows.name}: {len(rows.x)} rows, {len(rows.held_x)} held out",
        "net": f"{depth} layers of {units} ReLU units, SGD, batches of 64, {steps} updates",
        "scales": list(scales),
        "rates": list(rates),
        "kinds": found,
        "dead": {kind: dead(kind, depth, units, steps, scales[0], DEAD_RATE, rows, seed) for kind in KINDS},
    }
    from backlit.lab.normalisation_pictures import draw
    from backlit.report.canvas import Picture

    picture = Picture(
        "normalisation",
        "Tables of final loss by initial scale and learning rate: without, with batch and with layer normalisation.",
        f"Training loss over the last tenth of {steps} updates; a guess has 2.3. A dash: the numbers were no longer finite. "
        "Frame: the net trains (below 1.15).",
        partial(draw, numbers),
    )
    return Result(
        "normalisation", "What normalisation forgives", numbers, _text(numbers), (picture,), (), _table(numbers)
    )


def train(
    kind: str,
    depth: int,
    units: int,
    steps: int,
    scales: tuple[float, ...],
    rates: tuple[float, ...],
    rows: Rows,
    seed: int,
    engine: str = "xla",
) -> Numbers:
    """Final loss and held-out accuracy (scales, rates) of one kind of net; what share of the cells trains."""
    each = [(scale, rate) for scale in scales for rate in rates]
    population = Population(
        net(kind, depth, units), SoftmaxCrossEntropy(), (SGD(),), np.array([[rate for _, rate in each]], np.float32)
    )
    params, state = population.starts(rows.x.shape[1:], seed)
    params = scaled(params, np.array([scale for scale, _ in each], np.float32))
    batches = Batches(rows.x, rows.y, rows.order(steps, 64, seed), rows.held_x, rows.held_y)
    found = population.train(engines.get(engine), (params, state), batches)
    shape = (len(scales), len(rates))
    loss = found.curves[0, :, -max(1, steps // 10) :].mean(axis=1).reshape(shape)
    trains = loss < math.log(CLASSES) / 2  # NaN does not
    return {
        "loss": np.where(np.isfinite(loss), loss, np.nan),
        "accuracy": found.accuracy.reshape(shape),
        "trains": trains,
        "share": float(trains.mean()),
        "scales_that_train": [scale for scale, row in zip(scales, trains, strict=True) if row.any()],
        "rates_that_train": [rate for rate, column in zip(rates, trains.T, strict=True) if column.any()],
    }


def dead(
    kind: str, depth: int, units: int, steps: int, scale: float, rate: float, rows: Rows, seed: int
) -> list[float]:
    """One training by itself, on NumPy: the share of units in each layer that are zero for every row of the last batch."""
    deep, loss, key = net(kind, depth, units), SoftmaxCrossEntropy(), random.fold(random.key(seed), "init")
    _, params, state = deep.init(key, rows.x.shape[1:])
    params = tree.map_with_path(lambda path, w: w * np.float32(scale) if path.endswith(".W") else w, params)
    found: list[float] = []
    with np.errstate(all="ignore"):
        for batch in rows.order(steps, 64, seed):
            x, y = rows.x[batch], rows.y[batch]
            _, grads, state, trace = gradient(deep, loss, params, state, x, y, Context(train=True))
            params = tree.map(lambda w, g: w - np.float32(rate) * g, params, grads)
        seen = signals(trace)
        found += [float((seen[name][0] == 0).all(axis=0).mean()) for name in seen if name.startswith("relu")]
    return found


def net(kind: str, depth: int, units: int) -> Layer:
    """`depth` times dense, normalisation, ReLU; and one dense layer.

    >>> [name for name, _ in net("batch", 1, 8).children()]
    ['flatten_1', 'dense_1', 'batch_norm_1', 'relu_1', 'dense_2']
    """
    rows: list[Layer] = [layers.Flatten()]
    normal = KINDS[kind]
    for _ in range(depth):
        rows += [layers.Dense(units), *([normal] if normal else []), layers.ReLU()]
    return layers.Chain(*rows, layers.Dense(CLASSES))


def scaled(params: Tree, scales: Any) -> Tree:
    """Each member's weights times its scale; biases, gamma and beta stay.

    >>> import numpy as np
    >>> made = scaled({"d": {"W": np.ones((2, 1, 1)), "b": np.ones((2, 1))}}, np.array([1.0, 3.0]))
    >>> made["d"]["W"].ravel().tolist(), made["d"]["b"].ravel().tolist()
    ([1.0, 3.0], [1.0, 1.0])
    """

    def move(path: str, w: Any) -> Any:
        return w * scales.reshape(-1, *(1,) * (w.ndim - 1)) if path.rsplit(".", 1)[-1] == "W" else w

    return tree.map_with_path(move, params)


def _table(numbers: Numbers) -> tuple[tuple[str, ...], ...]:
    headings = ("normalisation", "pairs that train", "lowest loss", "best accuracy")
    lines = [
        (
            kind,
            f"{100 * found['share']:.0f} %",
            f"{np.nanmin(found['loss']):.3f}",
            f"{100 * found['accuracy'].max():.1f} %",
        )
        for kind, found in numbers["kinds"].items()
    ]
    return (headings, *lines)


def _text(numbers: Numbers) -> str:
    found, still = numbers["kinds"], numbers["dead"]
    shares = [f"{100 * found[kind]['share']:.0f} %" for kind in ("none", "batch", "layer")]
    return (
        f"Of the {found['none']['trains'].size} pairs of initial scale and learning rate, {shares[0]} train without "
        f"normalisation, {shares[1]} with batch and {shares[2]} with layer normalisation ({numbers['net']}; "
        f"{numbers['data']}). {' '.join(_ranges(k, found[k]) for k in found)} From the smallest scale with rate {DEAD_RATE:g}, "
        f"up to {100 * max(still['layer']):.0f} % of a layer's units are zero for every row at the end under layer "
        f"normalisation, {100 * max(still['batch']):.0f} % under batch normalisation, which centres each unit over the rows."
    )


def _ranges(kind: str, found: Numbers) -> str:
    name = "Without" if kind == "none" else f"With {kind} normalisation"
    scales, rates = found["scales_that_train"], found["rates_that_train"]
    if not scales:
        return f"{name}, none trains."
    least = float(np.nanmin(found["loss"]))
    return (
        f"{name}, initial scales from {min(scales):.2g} to {max(scales):.2g} times He's and rates from {min(rates):.2g} to "
        f"{max(rates):.2g} train, the best to a loss of {least:.3f}."
    )
