"""The figure of what normalisation forgives."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from backlit.lab.panels import grid, power, short, table
from backlit.report.canvas import Theme

TITLES = {"none": "without", "batch": "batch normalisation", "layer": "layer normalisation"}


def draw(numbers: dict[str, Any], theme: Theme) -> Figure:
    """Final loss by initial scale (rows) and learning rate (columns), a table for each kind of net."""
    kinds = numbers["kinds"]
    titles = [f"{TITLES[kind]}: {100 * found['share']:.0f} % train" for kind, found in kinds.items()]
    rates = [power(rate) if i % 2 == 0 else "" for i, rate in enumerate(numbers["rates"])]
    scales = [short(scale) for scale in numbers["scales"]]
    size = (3.5, 0.85 + 0.26 * max(len(scales), 5))
    made, plots = grid(theme, titles, 3, size, x="learning rate", y="initial scale, times He's", margins=(0.66, 0.5))
    for plot, found in zip(plots, kinds.values(), strict=True):
        loss = found["loss"]
        texts = [["–" if np.isnan(v) else f"{v:.2f}" if v < 9.995 else ">10" for v in row] for row in loss]
        # Logarithms: the losses of trainings that work lie close together.
        table(plot, np.log10(np.clip(loss, 0.05, 10.0)), scales, rates, texts, (np.log10(0.1), np.log10(5.0)), reverse=True,
              size=6.8)  # fmt: skip
        for r, c in np.argwhere(found["trains"]):
            frame = Rectangle((c - 0.46, r - 0.44), 0.92, 0.88, fill=False, edgecolor=theme.lines[1], linewidth=1.3)
            plot.add_patch(frame)
    return made
