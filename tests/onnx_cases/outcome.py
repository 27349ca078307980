"""What came of each case: an error, or a reason why it does not apply."""

from dataclasses import dataclass
from functools import cache

from onnx_cases.case import ADAPTERS, Case, DoesNotApply, error, run
from onnx_cases.reading import cases


@dataclass(frozen=True)
class Outcome:
    """A case on the NumPy engine.

    error     largest difference in units of the tolerance; None where the case does not apply
    reason    why it does not
    compared  the outputs that Backlit has too
    """

    case: Case
    error: float | None = None
    reason: str = ""
    compared: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        return self.error is not None and self.error <= 1.0


@cache
def outcomes(operator: str) -> list[Outcome]:
    """All cases of an operator."""
    assert operator in ADAPTERS, f"{operator} has no adapter"
    return [outcome(case) for case in cases()[operator]]


def outcome(case: Case, engine: str = "numpy") -> Outcome:
    try:
        found = run(case, engine)
    except DoesNotApply as reason:
        return Outcome(case, reason=str(reason))
    return Outcome(case, error(case, found), compared=frozenset(found))
