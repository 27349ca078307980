"""Prints what docs/oracles.md holds below "Cases": `python -m onnx_cases.table`, in tests/."""

from collections import defaultdict

import onnx

import onnx_cases  # noqa: F401  (it registers the adapters)
from onnx_cases.case import ADAPTERS, LAYERS
from onnx_cases.outcome import outcomes
from onnx_cases.reading import cases

OPERATORS = sorted(ADAPTERS, key=str.lower)


def lines() -> list[str]:
    """The table, the reasons, and the operators that have no counterpart."""
    left = "## Operators that no layer or loss computes"
    return [*table(), "", "## Why a case does not apply", "", *reasons(), "", left, "", *others()]


def table() -> list[str]:
    """One line for each operator, the sums above."""
    rows, total = [], [0, 0, 0, 0]
    for operator in OPERATORS:
        found = [o for o in outcomes(operator) if not o.case.own]
        own = [o for o in outcomes(operator) if o.case.own]
        refused, compared = sum(o.error is None for o in found), {name for o in found for name in o.compared}
        numbers = [len(found), sum(o.passed for o in found), refused, sum(o.passed for o in own)]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        left = sorted({name for o in found if o.error is not None for name in o.case.outputs} - compared)
        rows.append(row(operator, LAYERS[operator], *numbers, ", ".join(left)))
    release = ".".join(onnx.__version__.split(".")[:2])
    return [
        f"onnx {release}: {total[0]} cases, {total[1]} pass, {total[2]} do not apply; {total[3]} of our own pass.",
        "",
        row("ONNX", "Backlit", "cases", "pass", "do not apply", "our own", "outputs that Backlit does not have"),
        "|---|---|--:|--:|--:|--:|---|",
        *rows,
    ]


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def reasons() -> list[str]:
    """Each reason with its cases."""
    found: dict[str, list[str]] = defaultdict(list)
    for operator in OPERATORS:
        for o in outcomes(operator):
            if o.reason:
                found[f"{operator}: {o.reason}"].append(o.case.name.removeprefix("test_"))
    return [f"- {reason} ({len(names)}: {', '.join(names)})" for reason, names in found.items()]


def others() -> list[str]:
    """Operators with cases of their own, and exported layers, that have no adapter."""
    missing = sorted((name for name in cases() if name not in ADAPTERS), key=str.lower)
    single, graphs = ([name for name in missing if (" > " in name) == graph] for graph in (False, True))
    return [f"{len(single)} operators: {', '.join(single)}.", "", f"{len(graphs)} graphs: {'; '.join(graphs)}."]


if __name__ == "__main__":
    print("\n".join(lines()))
