"""A window along one axis: what each of its places sees, and the way back."""

from dataclasses import dataclass
from typing import Any

from backlit.protocol import Array


@dataclass(frozen=True)
class Axis:
    """A window of k places, `dilation` apart, that slides by `stride` along an axis of n numbers.

    `lo` and `hi` are the padding; with `ceil`, a last window may begin within the numbers and end behind the padding.
    """

    axis: int
    n: int
    k: int
    stride: int
    dilation: int
    lo: int
    hi: int
    ceil: bool = False

    @property
    def out(self) -> int:
        """How many windows there are."""
        rest = self.n + self.lo + self.hi - (self.k - 1) * self.dilation - 1
        more = -(-rest // self.stride)
        return (more if self.ceil and more * self.stride < self.n + self.lo else rest // self.stride) + 1

    def views(self, x: Array, value: float) -> list[Array]:
        """What each of the k places sees, (.., out, ..); `value` stands in the padding."""
        last = (self.out - 1) * self.stride + 1
        x = widened(x, self.axis, self.lo, max(0, last + (self.k - 1) * self.dilation - self.n - self.lo), value)
        return [cut(x, self.axis, i * self.dilation, i * self.dilation + last, self.stride) for i in range(self.k)]

    def sums(self, parts: list[Array]) -> Array:
        """The adjoint of `views`: for each of the n numbers, the sum of the parts (.., out, ..) of the places that saw it.

        Place i of window o sees o stride + i dilation - lo. Places of equal (i dilation) mod stride see the same numbers,
        shifted by whole strides: they are shifted and added; then these phases are interleaved.
        """
        xp = parts[0].__array_namespace__()
        shifts = [divmod(i * self.dilation, self.stride) for i in range(self.k)]
        longest = shifts[-1][0]
        phases: list[Any] = [0.0] * self.stride
        for part, (shift, phase) in zip(parts, shifts, strict=True):
            phases[phase] = phases[phase] + widened(part, self.axis, shift, longest - shift, 0.0)
        if self.stride == 1:
            x = phases[0]
        else:
            x = xp.stack([phase + xp.zeros_like(phases[0]) for phase in phases], axis=self.axis + 1)
            x = xp.reshape(x, (*x.shape[: self.axis], -1, *x.shape[self.axis + 2 :]))
        x = widened(x, self.axis, 0, max(0, self.lo + self.n - x.shape[self.axis]), 0.0)
        return cut(x, self.axis, self.lo, self.lo + self.n)

    def counts(self, lo: int, hi: int) -> list[int]:
        """How many numbers each window sees of the n and of `lo` before and `hi` behind them."""
        starts = [o * self.stride - self.lo for o in range(self.out)]
        return [sum(-lo <= start + i * self.dilation < self.n + hi for i in range(self.k)) for start in starts]


def widened(x: Array, axis: int, lo: int, hi: int, value: float) -> Array:
    """x with `lo` times `value` before and `hi` times behind it along an axis."""
    xp = x.__array_namespace__()
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in (lo, hi)]
    before, behind = (xp.full(shape, value, dtype=x.dtype) for shape in shapes)
    return xp.concat([before, x, behind], axis=axis) if lo or hi else x


def cut(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    """x[start:stop:step] along an axis."""
    return x[(*(slice(None),) * axis, slice(start, stop, step), ...)]
