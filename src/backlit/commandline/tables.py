"""Results as a person reads them: tables and short lines of text on stdout."""

import json
import math
import sys
from typing import TYPE_CHECKING, Any

from backlit.commandline.progress import counted, figure, grouped

if TYPE_CHECKING:
    from backlit.evaluation.cost import Costs
    from backlit.see import Quantity, Sight

PIPED_WIDTH = 200
"""Columns of a table that goes into a file or a pipe: nothing is cut off."""


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(_finite(value), allow_nan=False))


def print_table(headings: list[str], rows: list[list[str]], left: int = 1, footer: list[str] | None = None) -> None:
    """A table on stdout; the first `left` columns start at the left, numbers end at the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, show_footer=footer is not None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(headings):
        end = footer[i] if footer else ""
        table.add_column(heading, end, justify="left" if i < left else "right", no_wrap=i < left, footer_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def print_costs(found: "Costs", title: str) -> None:
    """The layers of a net with their shapes and what they cost."""
    print(f"{title}: rows of {shape(found.input)} in, {shape(found.output)} out")
    rows = []
    for c in found.layers:
        name = "  " * c.depth + c.path.rpartition(".")[2]
        rows.append([name, c.kind, shape(c.shape), grouped(c.parameters), amount(c.flops), size(c.memory)])
    footer = ["total", "", shape(found.output), grouped(found.parameters), amount(found.flops), size(found.memory)]
    headings = ["layer", "type", "output", "parameters", "FLOPs/row", "memory/row"]
    print_table(headings, rows, 3, footer)
    if any(c.inside for c in found.layers):
        print("A layer that holds layers counts what is within it.")
    print("FLOPs/row: forward pass. memory/row: activations kept for backward, each array counted once.")


def print_sight(sight: "Sight", values: bool, title: str) -> None:
    """Every quantity of a step, and how far the compiled step is from it."""
    rows = ", ".join(map(str, sight.rows[:8])) + (" ..." if len(sight.rows) > 8 else "")
    count = counted(len(sight.rows), "row")
    print(f"{title}: one step on {count} (number {rows} of the training part) from the start of training")
    headings = ["layer", "type", "what", "shape", "mean", "std", "min", "max", "zeros", "NumPy-XLA"]
    if values:
        for q in sight.quantities:
            print_values(q, sight.kinds.get(q.path, ""))
    print_table(headings, [_line(sight, q) for q in sight.quantities], 4)
    worst = sight.worst
    where = f"{worst.path} {worst.symbol}".strip()
    apart = f"{worst.difference:.2g} in {where} ({worst.relative:.1e} relative)"
    print(f"Largest difference between NumPy and the compiled step: {apart}")


def print_values(q: "Quantity", kind: str) -> None:
    """The numbers themselves."""
    import numpy as np

    name = f"{q.path} {q.symbol}".strip()
    print(f"\n{name}" + (f" ({kind})" if kind else "") + f", {shape(q.values.shape)}")
    print(np.array2string(np.asarray(q.values), precision=4, suppress_small=True, max_line_width=120, threshold=4000))


def metrics(values: dict[str, float], rows: int) -> str:
    """accuracy 0.9722 (0.950 to 0.985), loss 0.0921: a share with the interval that its number of rows allows."""
    from backlit.evaluation.metrics import interval

    found = []
    for name in sorted(values, key=lambda n: n == "loss"):
        text = f"{name} {figure(values[name])}"
        if name in ("accuracy", "exact") and rows and math.isfinite(values[name]):
            low, high = interval(values[name], rows)
            text += f" (95 %: {low:.3f} to {high:.3f})"
        found.append(text)
    return ", ".join(found)


def summary(result: dict[str, Any], epochs: int, rows: int, directory: str, report: str) -> list[str]:
    """The last lines of a training."""
    spent = result["seconds"]
    early = f"; stopped early, best epoch {result['best_epoch']}" if result["stopped"] == "early" else ""
    names = {"start-up": "startup", "compile": "compile", "train": "train", "in all": "total"}
    seconds = ", ".join(f"{name} {spent[key]:.2f} s" for name, key in names.items())
    pace = f" at {grouped(round(result['steps_per_second']))} steps/s" if result["steps_per_second"] else ""
    test = metrics(result["test"], rows) if result["test"] else "no test part"
    return [
        f"test    {test}" + (f", {counted(rows, 'row')}" if rows else ""),
        f"time    {seconds}; {counted(epochs, 'epoch')}{pace}{early}",
        f"run     {directory}",
        f"report  {report}",
    ]


def shape(value: tuple[int, ...]) -> str:
    """28 x 28 x 1; a single number has no axes."""
    return " x ".join(map(str, value)) or "one number"


def amount(count: int) -> str:
    """1 234, 12.3 k, 4.5 M, 6.7 G."""
    return grouped(count) if count < 10_000 else _unit(count, 1000, ("", " k", " M", " G", " T"))


def size(count: int) -> str:
    """12 B, 3.1 kB, 4.5 MB."""
    return _unit(count, 1000, (" B", " kB", " MB", " GB", " TB"))


def _unit(value: float, step: int, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if value < step:
            return f"{value:.3g}{unit}" if value != int(value) else f"{int(value)}{unit}"
        value /= step
    return f"{value:.3g}{units[-1]}"


def _line(sight: "Sight", q: "Quantity") -> list[str]:
    s = q.statistics()
    numbers = [f"{s[k]:.4g}" for k in ("mean", "std", "min", "max")]
    if q.symbol == "L":
        numbers = [numbers[0], "", "", ""]
    zeros = "" if q.symbol == "L" else f"{100 * s['zeros']:.0f} %"
    kind = sight.kinds.get(q.path, "") if q.path else ""
    return [q.path, kind, q.symbol, shape(q.values.shape), *numbers, zeros, f"{q.difference:.1e}"]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
