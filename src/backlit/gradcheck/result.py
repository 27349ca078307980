"""What a gradient check found: one line per array, and one sentence on where to look."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LeafCheck:
    """One array of the gradient: its largest relative error, where that is, and both numbers there.

    checked  entries compared, of `size`: fewer when a sample was drawn or kinks were left out
    kinks    entries left out because the loss has a kink there
    silent   entries where both numbers are within rounding of zero: right, but they prove little
    """

    path: str
    shape: tuple[int, ...]
    error: float
    worst: tuple[int, ...]
    analytic: float
    numeric: float
    checked: int
    kinks: int
    silent: int
    passed: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def note(self) -> str:
        """What a reader must know about this line."""
        if self.checked == 0 and self.size:
            return "nothing checked: a kink at every entry"
        sampled = self.checked + self.kinks < self.size
        notes = [
            f"sample of {self.checked + self.kinks}" if sampled else "",
            f"{self.kinks} at a kink left out" if self.kinks else "",
            "zero everywhere" if self.checked and self.silent == self.checked else "",
        ]
        return ", ".join(filter(None, notes))


@dataclass(frozen=True)
class GradientCheck:
    """One `LeafCheck` per array, in the order of the forward pass, and last `y`: the gradient that the loss returns.

    outputs  the paths of the latter: "y", or where y is a tree "y.source", "y.target"
    """

    leaves: tuple[LeafCheck, ...]
    loss: float
    difference: str
    tolerance: float
    outputs: tuple[str, ...] = ("y",)

    @property
    def passed(self) -> bool:
        return all(leaf.passed for leaf in self.leaves)

    @property
    def failed(self) -> tuple[str, ...]:
        """Paths of the gradients that are wrong."""
        return tuple(leaf.path for leaf in self.leaves if not leaf.passed)

    def __getitem__(self, path: str) -> LeafCheck:
        """The check of one leaf, such as 'dense_1.W', 'x' or 'y'."""
        return {leaf.path: leaf for leaf in self.leaves}[path]

    def table(self) -> str:
        """A line per gradient, aligned: what is wrong is marked."""
        head = ("", "gradient", "shape", "error", "checked", "worst at", "backward", "difference", "")
        rows = [
            (
                "ok" if leaf.passed else "WRONG",
                leaf.path,
                str(leaf.shape),
                f"{leaf.error:.1e}",
                f"{leaf.checked}/{leaf.size}",
                str(list(leaf.worst)),
                f"{leaf.analytic:.8g}",
                f"{leaf.numeric:.8g}",
                leaf.note,
            )
            for leaf in self.leaves
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in [head, *rows]]
        return "\n".join(line.rstrip() for line in lines)

    def verdict(self) -> str:
        """One sentence: how good, or where to look."""
        if self.passed:
            worst = max((leaf.error for leaf in self.leaves), default=0.0)
            return f"All {len(self.leaves)} gradients are right: largest relative error {worst:.1e}."
        if set(self.failed) & set(self.outputs):
            return "The loss returns a wrong dL/dy, so nothing before it can be right: mend the loss first."
        unchecked = [leaf.path for leaf in self.leaves if not leaf.passed and not leaf.checked]
        if len(unchecked) == len(self.failed):
            return f"Nothing could be checked of {', '.join(unchecked)}: try another seed or other rows."
        last = self.failed[-1]
        return (
            f"{len(self.failed)} of {len(self.leaves)} gradients are wrong. The one nearest to the loss is {last}: "
            "look at the backward of its layer, and of the layers without parameters that come after it."
        )

    def __str__(self) -> str:
        return f"{self.table()}\n{self.verdict()}"
