"""Loss by learning rate: the curve of a range test, what it suggests, and its picture."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from backlit.errors import BacklitError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backlit.report.canvas import Picture, Theme

SMOOTH = 40
"""The smoothed curve is a mean with Gaussian weights whose width is this part of the test."""

MEANING = {
    "valley": "the middle of the fall",
    "steep": "where the loss falls fastest",
    "minimum": "a tenth of the rate with the smallest loss",
}


@dataclass(frozen=True, eq=False)
class LrCurve:
    """Loss by learning rate, and three suggestions read from it.

    rates, losses   of each update that was made: its learning rate, the loss of its batch before it (without penalties)
    rows            of that batch; the last one of an epoch may be small
    stopped         why the test ended: "diverged", "not finite" or "highest" (the end of the range)
    name, rule, lr  of the experiment, its rule, and the learning rate it has now (None where that is a schedule)
    """

    rates: np.ndarray
    losses: np.ndarray
    rows: np.ndarray
    stopped: str
    name: str = ""
    rule: str = ""
    lr: float | None = None
    batch_size: int = 0

    @cached_property
    def smoothed(self) -> np.ndarray:
        """The losses as a mean over the rows of neighbouring batches, with Gaussian weights.

        What explodes at the end counts no more than the largest of the first ten losses, or it would be seen long before it
        happens.
        """
        return smooth(np.minimum(self.losses, self.losses[:10].max()), self.rows, self.width)

    @property
    def width(self) -> float:
        """The standard deviation of those weights, in updates."""
        return max(2.0, len(self.losses) / SMOOTH)

    @cached_property
    def bottom(self) -> int:
        """The update with the smallest smoothed loss."""
        return int(np.argmin(self.smoothed))

    @property
    def before(self) -> int:
        """The first eighth of the updates, where the rates are taken to be too low to change anything."""
        return max(2, len(self.losses) // 8)

    @property
    def start(self) -> float:
        """The mean loss of that eighth."""
        return float(np.average(self.losses[: self.before], weights=self.rows[: self.before]))

    @property
    def falls(self) -> bool:
        """Whether the smoothed loss fell after the start, by more than 1 % and by more than four times its standard error."""
        # From one batch to the next, in the middle of all: neither the fall nor an explosion counts as spread.
        spread = float(np.median(np.abs(np.diff(self.losses)))) / (0.6745 * math.sqrt(2.0))
        # A mean with Gaussian weights has as little spread as one over 2 sqrt(pi) width values.
        spread /= math.sqrt(2.0 * math.sqrt(math.pi) * self.width)
        drop = self.start - float(self.smoothed[self.bottom])
        return self.bottom >= self.before and drop > max(0.01 * abs(self.start), 4.0 * spread)

    @cached_property
    def suggestions(self) -> dict[str, float]:
        """{"valley", "steep", "minimum"}: learning rates; {} where the loss never falls.

        valley    the middle, on the scale of the logarithm, of the fall: from the last update at which less than a tenth
                  of the whole fall is done to the first at which nine tenths are
        steep     where the smoothed loss falls fastest by the logarithm of the rate
        minimum   a tenth of the rate at which the smoothed loss is smallest
        """
        if not self.falls:
            return {}
        done = (self.start - self.smoothed) / (self.start - self.smoothed[self.bottom])
        last = int(np.argmax(done >= 0.9))
        before = np.flatnonzero(done[:last] < 0.1)
        first = int(before[-1]) if before.size else 0
        slope = np.gradient(self.smoothed[: self.bottom + 1]) if self.bottom else np.zeros(1)
        return {
            "valley": math.sqrt(self.rates[first] * self.rates[last]),
            "steep": float(self.rates[int(np.argmin(slope))]),
            "minimum": float(self.rates[self.bottom] / 10.0),
        }

    @property
    def recommended(self) -> str:
        """The largest suggestion, which trained best in most of the cases of docs/lr-find.md.

        BacklitError with what to try where the loss never falls.
        """
        self.need_fall()
        return max(self.suggestions, key=self.suggestions.__getitem__)

    @property
    def best(self) -> float:
        """The recommended learning rate."""
        return self.suggestions[self.recommended]

    def need_fall(self) -> None:
        """BacklitError with what to try where the loss never falls."""
        if not self.falls:
            raise BacklitError(self.complaint)

    @property
    def complaint(self) -> str:
        """What to say where the loss never falls."""
        low, high = self.rates[0], self.rates[-1]
        remedy = {
            "highest": "try a higher highest, more steps, or look at the data and the initial weights",
            "diverged": "try a lower lowest, more steps, or clip: {limit: 1.0}",
            "not finite": "try a lower lowest, or clip: {limit: 1.0}",
        }[self.stopped]
        where = f"between learning rates {low:.2g} and {high:.2g} (ended: {self.stopped})"
        return f"lr_find: expected a loss that falls somewhere, it stays at {self.start:.4g} {where}; {remedy}"

    def plot(self, theme: "Theme | None" = None) -> "Figure":
        """Loss by learning rate with the suggestions marked; matplotlib's Figure, as in `plot_loss_and_accuracy`."""
        from backlit.report.canvas import LIGHT

        return draw(self, theme or LIGHT)

    @property
    def picture(self) -> "Picture":
        """The plot with its words, as a report or the lab takes it."""
        from backlit.report.canvas import Picture

        found = ", ".join(f"{name} {rate:.2g}" for name, rate in self.suggestions.items()) or "none"
        alt = f"Loss by learning rate from {self.rates[0]:.2g} to {self.rates[-1]:.2g}; suggestions: {found}."
        return Picture(
            "lr-find", alt, "Thin: the loss of each batch; thick: mean over neighbours.", partial(draw, self)
        )

    def __str__(self) -> str:
        ends = {"diverged": "where the loss explodes", "not finite": "where the loss is no longer finite",
                "highest": "at the highest rate"}  # fmt: skip
        low, high = self.rates[0], self.rates[-1]
        head = (
            f"{self.name or 'experiment'}: {self.rule}, {len(self.rates)} updates with batches of {self.batch_size}, "
        )
        head += f"learning rate from {low:.2g} to {high:.2g}, {ends[self.stopped]}"
        if not self.falls:
            return head
        lines = [f"{name:<8}  {rate:<8.2g}  {MEANING[name]}" for name, rate in self.suggestions.items()]
        now = f"; the experiment has {self.lr:.2g}" if self.lr is not None else ""
        return "\n".join([head, *lines, f"recommended: {self.recommended}, {self.best:.2g}{now}"])


def smooth(values: np.ndarray, counts: np.ndarray, width: float) -> np.ndarray:
    """Means with Gaussian weights times `counts`, `width` places wide; at the ends over the neighbours there are.

    >>> smooth(np.array([1.0, 3.0]), np.array([1.0, 1.0]), 100.0).round(3).tolist()
    [2.0, 2.0]
    """
    place = np.arange(len(values))
    weights = counts * np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    found: np.ndarray = weights @ values / weights.sum(axis=1)
    return found


def draw(curve: LrCurve, theme: "Theme") -> "Figure":
    """The curve with a line for each suggestion."""
    from backlit.report.canvas import axes, figure, legend

    made = figure(theme, width=5.6)
    plot = axes(
        made, theme, f"Loss while the learning rate rises: {curve.name or 'experiment'}", "learning rate", "loss"
    )
    plot.set_xscale("log")
    plot.plot(curve.rates, curve.losses, color=theme.train, linewidth=0.8, alpha=0.5)
    plot.plot(curve.rates, curve.smoothed, color=theme.train, linewidth=2.2)
    for (name, rate), colour, style in zip(
        curve.suggestions.items(), theme.lines[1:], ("-", (0, (5, 1.5)), ":"), strict=False
    ):
        mark = " (recommended)" if name == curve.recommended else ""
        plot.axvline(rate, color=colour, linewidth=1.4, linestyle=style, label=f"{name}: {rate:.2g}{mark}")
    low, high = float(curve.smoothed.min()), float(np.max(curve.losses[: max(curve.bottom, 1)]))
    plot.set_ylim(low - 0.08 * (high - low), high + 0.25 * (high - low))  # what explodes leaves through the roof
    legend(plot, theme)
    return made
