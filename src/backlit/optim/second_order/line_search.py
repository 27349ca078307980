"""Line search: how far to go along a direction."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from backlit import engine
from backlit.errors import SettingError
from backlit.optim.second_order.base import Flat, Point, dot, scalar
from backlit.protocol import Array
from backlit.settings import Count, Fraction, Settings

ROUNDING = 16.0
"""Values that differ by fewer units in the last place are not told apart."""


class Trial(NamedTuple):
    """A step a along the direction p, with phi(a) = f(x + a p) and its slope phi'(a)."""

    step: Array
    value: Array
    slope: Array


class Bracket(NamedTuple):
    """`low`: the best trial so far, with its gradient; `high`: the other end, at infinity until there is one; what to try
    next; whether `low` is what is wanted; and the number of evaluations."""

    low: Trial
    gradient: Array
    high: Trial
    step: Array
    found: Array
    evaluations: Array


@dataclass(frozen=True)
class Wolfe(Settings):
    """A step a > 0 along p that meets the strong Wolfe conditions, with phi(a) = f(x + a p):

        phi(a) <= phi(0) + decrease a phi'(0)         it goes down enough
        |phi'(a)| <= curvature |phi'(0)|              and far enough

    An interval from `low` to `high` that holds such steps shrinks: the next trial is the minimum of the cubic through both
    ends' values and slopes, at least a tenth of the interval away from either. While `high` is at infinity the trials go
    out, by a factor of 2.1 to 5. Bracketing and zooming of the book are one loop here, with one evaluation in its body.

    Where phi(a) and phi(0) differ by rounding alone, the first condition is judged by slopes, phi'(a) <= (2 decrease - 1)
    phi'(0), which is the same for a quadratic: so the search works down to the last digits, in float32 too.
    After `evaluations` trials the best so far is taken; where none is lower than the start the search has failed, and
    stays there.

    Source: Nocedal, Wright 2006, Numerical Optimization, algorithms 3.5 and 3.6, https://doi.org/10.1007/978-0-387-40065-5;
    by slopes: Hager, Zhang 2005, https://doi.org/10.1137/030601880
    """

    abstract: ClassVar[bool] = False
    decrease: Fraction = 1e-4
    curvature: Fraction = 0.9
    evaluations: Count = 20

    def check(self) -> None:
        if self.decrease >= self.curvature:
            text = (
                f"expected less than curvature, {self.curvature}, got {self.decrease}: no step may meet both conditions"
            )
            raise SettingError([("decrease", text)])

    def search(self, loss: Flat, point: Point, direction: Array, first: Array) -> tuple[Point, Trial]:
        """The next point, and the step that leads there; `first` is tried first."""
        x, p = point.x, direction
        xp = x.__array_namespace__()
        start = Trial(scalar(0.0, x), point.value, dot(point.gradient, p))
        nowhere = scalar(xp.inf, x)
        before = Bracket(
            start,
            point.gradient,
            Trial(nowhere, nowhere, nowhere),
            scalar(first, x),
            scalar(False, x, xp.bool),
            scalar(0, x, xp.int32),
        )

        def look(_: Array, at: Bracket) -> Bracket:
            value, gradient = loss(x + at.step * p)
            return self._narrowed(start, at, Trial(at.step, value, dot(gradient, p)), gradient)

        downhill = start.slope < 0
        after: Bracket = engine.of(x).repeat(self.evaluations, look, before, until=lambda at: ~at.found & downhill)
        moved = after.found | (after.low.value < point.value)
        low = _choose(moved, after.low, start)
        gradient = xp.where(moved, after.gradient, point.gradient)
        return point.reached(x + low.step * p, low.value, gradient, after.evaluations, moved), low

    def _narrowed(self, start: Trial, at: Bracket, trial: Trial, gradient: Array) -> Bracket:
        """The interval after one more trial."""
        xp = gradient.__array_namespace__()
        low, high, slope = at.low, at.high, trial.slope
        finite = xp.isfinite(trial.value) & xp.isfinite(slope)
        same = xp.abs(trial.value - start.value) <= rounding(start.value)
        too_high = (trial.value > start.value + self.decrease * trial.step * start.slope) | (trial.value >= low.value)
        too_high = ~finite | xp.where(same, slope > (2.0 * self.decrease - 1.0) * start.slope, too_high)
        found = ~too_high & (xp.abs(slope) <= -self.curvature * start.slope)
        # Uphill away from `low`'s side: what is wanted lies between the trial and the old low.
        turned = ~too_high & xp.where(high.step > low.step, slope >= 0, slope <= 0)
        new_high = _choose(too_high, trial, _choose(turned, low, high))
        new_low = _choose(too_high, low, trial)
        kept = xp.where(too_high, at.gradient, gradient)
        inside = xp.isfinite(new_high.step)
        step = xp.where(inside, _between(new_low, new_high), _beyond(low, trial))
        return Bracket(new_low, kept, new_high, step, found, at.evaluations + 1)


def rounding(value: Array) -> Array:
    """By how much a value may be wrong."""
    xp = value.__array_namespace__()
    return ROUNDING * float(xp.finfo(value.dtype).eps) * xp.abs(value)


def _between(low: Trial, high: Trial) -> Array:
    """The next trial within an interval."""
    xp = low.step.__array_namespace__()
    width = high.step - low.step
    share = (_minimum(low, high) - low.step) / width
    # Where `high` is no number the cubic is none: come much closer. Elsewhere a bad share means the middle.
    usual = xp.where(xp.isfinite(high.value), 0.5 * xp.ones_like(share), 0.1 * xp.ones_like(share))
    share = xp.where(xp.isfinite(share), share, usual)
    return low.step + xp.clip(share, 0.1, 0.9) * width


def _beyond(low: Trial, trial: Trial) -> Array:
    """The next trial farther out."""
    xp = low.step.__array_namespace__()
    width = trial.step - low.step
    share = (_minimum(low, trial) - trial.step) / width
    share = xp.where(xp.isfinite(share) & (share > 0), share, 4.0 * xp.ones_like(share))
    return trial.step + xp.clip(share, 1.1, 4.0) * width


def _minimum(a: Trial, b: Trial) -> Array:
    """Where the cubic with these values and slopes is lowest (Nocedal, Wright, 3.59), or, where the values are the same
    but for rounding, where the slope vanishes; may be NaN."""
    xp = a.step.__array_namespace__()
    zero, one = xp.zeros_like(a.step), xp.ones_like(a.step)
    finite = xp.isfinite(b.step) & xp.isfinite(b.value) & xp.isfinite(b.slope)
    b = _choose(finite, b, a)
    width = xp.where(finite, b.step - a.step, one)
    d = a.slope + b.slope + 3.0 * (a.value - b.value) / width
    inside = d * d - a.slope * b.slope
    root = xp.sign(width) * xp.sqrt(xp.where(inside > 0, inside, zero))
    below = b.slope - a.slope + 2.0 * root
    cubic = b.step - width * (b.slope + root - d) / xp.where(below == 0, one, below)
    bend = b.slope - a.slope
    secant = a.step - a.slope * width / xp.where(bend == 0, one, bend)
    good = xp.where(xp.abs(a.value - b.value) <= rounding(a.value), secant, cubic)
    return xp.where(finite & (inside >= 0), good, xp.nan * one)


def _choose(condition: Array, yes: Trial, no: Trial) -> Trial:
    xp = yes.step.__array_namespace__()
    return Trial(*(xp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


def downward(direction: Array, gradient: Array) -> tuple[Array, Array]:
    """The direction, or minus the gradient where it does not lead down; and whether it does."""
    xp = gradient.__array_namespace__()
    down = dot(direction, gradient) < 0  # False for NaN
    return xp.where(down, direction, -gradient), down
