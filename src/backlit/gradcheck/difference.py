"""Differences of the loss: how one entry is moved, judged, and told from a kink."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backlit.gradcheck.result import LeafCheck

STEPS = {"central": 1e-5, "forward": 1e-7}
SHRINK = 8.0
ROUNDING = 20 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Probe:
    """How one entry is moved and judged; `size`, that of the numbers which make the loss, decides the rounding."""

    base: float
    step: float
    central: bool
    tolerance: float
    size: float

    def entry(self, flat: Any, i: int, a: float, value: Callable[[], float]) -> tuple[float, float, bool] | None:
        """Relative error, numeric derivative, whether both are within rounding of zero; None at a kink."""
        first: tuple[float, float, bool] | None = None
        floor = 0.0
        jump_before = math.inf
        kink, explained = False, True
        for shrink in (1.0, SHRINK, SHRINK**2, SHRINK**3):
            h = self.step / shrink * max(1.0, abs(float(flat[i])))
            noise = ROUNDING * self.size / h
            # A smaller h hears more rounding: its larger floor counts only where a kink explains what was found before.
            floor = noise / self.tolerance if explained else floor
            right, left = self._sides(flat, i, h, value)
            n = 0.5 * (right + left) if self.central else right
            error = abs(a - n) / max(abs(a) + abs(n), floor)
            found = (error if math.isfinite(error) else math.inf, n, max(abs(a), abs(n)) < noise)
            if found[0] <= self.tolerance:
                return found
            first = first or found
            jump = abs(right - left)
            explained = explained and abs(a - n) < 1.1 * jump
            # Where the loss is smooth the two sides come together as fast as h shrinks; at a kink they stay apart.
            kink = kink or (jump > 0.5 * jump_before and jump > 10 * noise and abs(a - n) < 1.1 * jump)
            jump_before = jump
        return None if kink else first

    def _sides(self, flat: Any, i: int, h: float, value: Callable[[], float]) -> tuple[float, float]:
        here = float(flat[i])
        above, below = here + h, here - h  # the distances that float64 can hold
        flat[i] = above
        right = (value() - self.base) / (above - here)
        flat[i] = below
        left = (self.base - value()) / (here - below)
        flat[i] = here
        return right, left


def check_leaf(
    path: str,
    place: Any,
    analytic: Any,
    probe: Probe,
    value: Callable[[], float],
    rng: np.random.Generator,
    samples: int,
) -> LeafCheck:
    """Judge the gradient `analytic` of `place`, an array that `value()` reads: all entries, or a sample of them."""
    flat, wanted = place.reshape(-1), analytic.reshape(-1)
    entries = np.arange(flat.size)
    if flat.size > samples:
        entries = np.sort(rng.choice(flat.size, size=samples, replace=False))
    worst, kinks, silent, checked = (-1.0, 0, 0.0, 0.0), 0, 0, 0
    for i in entries:
        found = probe.entry(flat, int(i), float(wanted[i]), value)
        if found is None:
            kinks += 1
            continue
        error, numeric, is_silent = found
        checked, silent = checked + 1, silent + is_silent
        worst = max(worst, (error, int(i), float(wanted[i]), numeric))
    error, index, a, n = worst
    at = tuple(int(k) for k in np.unravel_index(index, place.shape)) if checked else ()
    passed = error <= probe.tolerance and (checked > 0 or flat.size == 0)
    return LeafCheck(path, place.shape, max(error, 0.0), at, a, n, checked, kinks, silent, passed)
