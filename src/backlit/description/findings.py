"""What in a description may spoil a training, in sentences: what was found, and what to do."""

from collections.abc import Iterator
from typing import Any

LEAK, IMBALANCE, ABSENT, EQUAL, SCALES = 0.99, 10.0, 0.5, 0.999, 100.0
"""Accuracy or R^2 of one column alone; rows of the largest class over those of the smallest; share of missing cells;
correlation of two columns; ratio of spreads."""

FEW = 30
"""Fewer rows than this say nothing about a column and the target."""


def findings(found: dict[str, Any]) -> list[str]:
    """The sentences, the gravest first: leaks, then what cannot be learnt from, then what makes learning hard."""
    return [*_leaks(found), *_targets(found), *_rows(found), *_columns(found), *_more(found)]


def _leaks(found: dict[str, Any]) -> Iterator[str]:
    for pair, count in found["duplicates"]["across"].items():
        if count:
            first, second = pair.split(" and ")
            share = f"{100 * count / found['rows'][second]:.3g} %"
            named = f"{_rows_of(count, second)} ({share}) {_also(count)} in the {_part(first)}"
            yield f"leak: {named}; if one case was met twice, remove it or keep equal rows together with groups"
    target = found["target"]
    for name, column in found.get("columns", {}).items():
        score = column.get("alone", 0.0)
        # Where one class is nearly all, saying it always is nearly right: nine tenths of what is left must be told.
        if score < LEAK or column["rows"] < FEW or 1 - score > 0.1 * (1 - target.get("majority", 0.0)):
            continue
        kind = "accuracy" if "classes" in target else "R^2"
        text = f"leak: column {name!r} alone tells the target ({kind} {score:.3f} on rows not looked at)"
        yield f"{text}; leave it out unless it is known when the net is asked"


def _targets(found: dict[str, Any]) -> Iterator[str]:
    target = found["target"]
    if "classes" not in target:
        if target["distinct"] <= 1:
            yield "the target is the same number in all training rows: there is nothing to learn"
        return
    if target["tokens"]:  # the next token is to be predicted: words are never equally frequent
        return
    for name in target["empty"]:
        yield f"class {name!r} has no training row: it cannot be learnt"
    if target["imbalance"] >= IMBALANCE:
        text = f"the largest class has {target['imbalance']:.3g} times the rows of the smallest"
        said = f"a net that always says it is right in {100 * target['majority']:.3g} % of the rows"
        drawn = "" if target["per step"] else ", or draw classes equally often with sampling: Balanced"
        yield f"{text}: {said}; look at F1 rather than accuracy{drawn}"


def _rows(found: dict[str, Any]) -> Iterator[str]:
    twice = found["duplicates"]["within"]["train"]
    if twice:
        text = f"{twice} training row{'s stand' if twice > 1 else ' stands'} in the data twice or more"
        yield f"{text}; if that is no accident of measuring, keep one of each"
    other = found["duplicates"]["contradictory"]
    if other:
        text = f"{other} training row{'s equal' if other > 1 else ' equals'} an earlier one but for the target"
        yield f"{text}: no net can get both right"


def _columns(found: dict[str, Any]) -> Iterator[str]:
    columns = found.get("columns", {})
    constant = [name for name, column in columns.items() if column["constant"]]
    if constant:
        yield f"{_named(constant)} the same value in all rows; leave {'them' if len(constant) > 1 else 'it'} out"
    for name, column in columns.items():
        share = column["missing"] / column["rows"]
        if share >= ABSENT and not column["constant"]:
            yield f"column {name!r} is missing in {100 * share:.3g} % of the rows; leave it out, or tell missing cells apart"
        if column["type"] == "category" and column["rows"] >= FEW and column["distinct"] > 0.9 * column["rows"]:
            yield f"column {name!r} has another value in nearly every row, as a name or a number of a row; leave it out"
    for first, second, r in found.get("correlated", []):
        if abs(r) >= EQUAL:
            yield f"columns {first!r} and {second!r} tell the same (correlation {r:.4f}); one of them will do"
    spreads = {name: c["std"] for name, c in columns.items() if c.get("std")}
    if spreads:
        low, high = min(spreads, key=spreads.__getitem__), max(spreads, key=spreads.__getitem__)
        if spreads[high] >= SCALES * spreads[low]:
            text = (
                f"columns differ in scale: {high!r} has a spread of {spreads[high]:.3g}, {low!r} of {spreads[low]:.3g}"
            )
            yield f"{text}; write preprocessing: [Standardize]"


def _more(found: dict[str, Any]) -> Iterator[str]:
    for name, own in found.get("gaps", {}).items():
        if own["gaps"]:
            places = f"{own['gaps']} place{'s' if own['gaps'] > 1 else ''}"
            text = f"column {name!r} rises by {own['step']:g} s as a rule and by more in {places}"
            yield f"{text}, at most {own['longest']} s: rows are missing in time"
    sequences = found.get("sequences")
    if sequences and sequences["padding"] > ABSENT:
        text = f"{100 * sequences['padding']:.3g} % of all steps are padding"
        yield f"{text}; cut long rows with longest, or write sampling: {{type: Buckets, width: 32}}"
    for name, own in found.get("series", {}).get("columns", {}).items():
        if found["series"]["ordered"] and own["longest standstill"] >= 50 and own["min"] < own["max"]:
            yield f"column {name!r} stays at one value for {own['longest standstill']} steps: does the sensor hang?"


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return f"column {names[0]!r} has"
    shown = names if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more"]
    quoted = [repr(name) if name in names else name for name in shown]
    return f"columns {', '.join(quoted[:-1])} and {quoted[-1]} have"


def _part(name: str) -> str:
    return {"train": "training"}.get(name, name) + " part"


def _rows_of(count: int, part: str) -> str:
    return f"{count} row{'s' if count > 1 else ''} of the {_part(part)}"


def _also(count: int) -> str:
    return "also stand" if count > 1 else "also stands"
