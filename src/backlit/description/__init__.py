"""What there is in the data, before anything is trained: numbers first, then pictures."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backlit.data.dataset import Dataset
from backlit.data.duplicates import leaks, repeated
from backlit.data.rows import Rows
from backlit.data.source import load_dataset
from backlit.data.table import Table
from backlit.description import kinds
from backlit.description.columns import alone, column, columns_of, correlation, numbers
from backlit.description.findings import findings

if TYPE_CHECKING:
    from backlit.report.canvas import Picture

MOST_ROWS, MOST_READ, MOST_COLUMNS, MOST_NUMBERS = 50_000, 4_000, 300, 1_000_000
"""Training rows that columns and pictures are made of; rows that are read where they are not in memory; columns that are
described one by one; numbers to predict."""

PAIRS = 10


class Listing(NamedTuple):
    """A table for a terminal or a page: its title, its headings, its lines; the first `left` columns are names."""

    title: str
    headings: list[str]
    lines: list[list[str]]
    left: int = 1


@dataclass(frozen=True, eq=False)
class Description:
    """What `describe` found.

    numbers   all of it, as JSON has it: rows, columns, target, duplicates, and image, sequences or series
    findings  what may go wrong in a training, a sentence each, the gravest first
    arrays    what the pictures are drawn from
    """

    numbers: dict[str, Any]
    findings: tuple[str, ...]
    arrays: dict[str, Any]

    @property
    def listings(self) -> list[Listing]:
        """The tables that a terminal shows."""
        from backlit.description.lines import listings

        return listings(self.numbers)

    @property
    def pictures(self) -> "list[Picture]":
        """Figures, drawn when they are asked for. Errors: MissingLibraryError without matplotlib."""
        from backlit.description.pictures import pictures

        return pictures(self.numbers, self.arrays)

    def save(self, directory: str | Path) -> list[Path]:
        """Write each picture as a PNG file, and description.json with the numbers and findings; the paths."""
        from backlit.report.canvas import LIGHT, png

        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for picture in self.pictures:
            files.append(folder / f"{picture.name}.png")
            files[-1].write_bytes(png(picture.draw(LIGHT)))
        files.append(folder / "description.json")
        files[-1].write_text(json.dumps(self.plain(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return files

    def plain(self) -> dict[str, Any]:
        """Numbers and findings as JSON has them; NaN and infinity, which JSON lacks, are null."""
        found: dict[str, Any] = _plain({**self.numbers, "findings": list(self.findings)})
        return found

    def __str__(self) -> str:
        lines = []
        for listing in self.listings:
            widths = [max(map(len, cells)) for cells in zip(listing.headings, *listing.lines, strict=True)]
            lines += [
                "",
                listing.title,
                *(_aligned(row, widths, listing.left) for row in (listing.headings, *listing.lines)),
            ]
        return "\n".join([*lines[1:], "", *(f"- {text}" for text in self.findings)])


def describe(what: Any, most: int | None = None) -> Description:
    """Describe the data of an experiment (split as it splits them), or a Dataset, a source, a name, or a pair (x, y).

    What is measured is measured on the training part, as a training would: of validation and test part only the sizes, the
    classes and the rows that also stand in the training part are told. most: training rows that are looked at, evenly
    spread; by default 50 000, and 4 000 where rows are read from a file; `numbers["looked at"]` says how many there were. Of
    more than a million numbers to predict (whole pictures), about a million are.
    Preprocessing is not applied.
    Errors: those of the source and the split.

    >>> import backlit as bl
    >>> from backlit.description import describe
    >>> found = describe("iris")
    >>> round(found.numbers["columns"]["petal length (cm)"]["median"], 2), found.numbers["duplicates"]["within"]["train"]
    (4.35, 1)
    >>> print(found.findings[0])
    1 training row stands in the data twice or more; if that is no accident of measuring, keep one of each
    """
    parts, name = _parts(what)
    parts = {key: part for key, part in parts.items() if len(part)}
    rows = {key: len(part) for key, part in parts.items()}
    limit = most or (MOST_READ if isinstance(parts["train"].x, Rows) else MOST_ROWS)
    read = {key: _held(part, limit) if isinstance(part.x, Rows) else part for key, part in parts.items()}
    looked = _held(read["train"], limit)
    x: Any = looked.x
    numbers_: dict[str, Any] = {
        "name": name,
        "kind": kinds.kind_of(parts["train"]),
        "task": parts["train"].task,
        "rows": rows,
        "looked at": len(looked),
        "row": list(x.shape[1:]),
        "type": "columns" if isinstance(x, Table) else str(x.dtype),
        "bytes": {key: int(part.x.nbytes) for key, part in parts.items()},
        "ordered": parts["train"].ordered,
        "groups": _groups(parts),
        "target": _target(parts),
        "duplicates": _duplicates(read),
    }
    arrays: dict[str, Any] = {"y": looked.y if looked.classes else _spread(looked.y), "classes": looked.classes}
    columns = columns_of(looked, x)
    if columns:
        numbers_["columns"] = _columns(columns, looked)
        names, found = correlation(columns)
        numbers_["correlated"] = _pairs(names, found)
        arrays |= {"columns": columns, "correlation": (names, found)}
    if isinstance(x, Table):
        numbers_["gaps"] = kinds.gaps(x)
    _more(numbers_["kind"], looked, read, numbers_, arrays)
    return Description(numbers_, tuple(findings(numbers_)), arrays)


def _more(
    what: str, looked: Dataset, parts: dict[str, Dataset], numbers_: dict[str, Any], arrays: dict[str, Any]
) -> None:
    """What only images, sequences or series have."""
    x: Any = looked.x
    if what == "images":
        numbers_["image"], arrays["means"] = kinds.images(x, looked.y, looked.classes)
        arrays["images"] = x
    elif what == "tokens":
        numbers_["sequences"] = kinds.sequences(parts)
        arrays["lengths"] = kinds.lengths_of(looked)
    elif what == "series":
        ordered = parts["train"] if len(parts["train"]) <= MOST_ROWS else parts["train"].take(np.arange(MOST_ROWS))
        facts, values, correlated = kinds.series(ordered, np.asarray(ordered.x[:]))
        numbers_["series"] = facts
        arrays |= {"values": values, "autocorrelation": correlated}


def _parts(what: Any) -> tuple[dict[str, Dataset], str]:
    from backlit.config import Experiment

    if isinstance(what, Experiment):
        data = what.data.load().checked()
        return what.split.apply(data, what.seed)._asdict(), data.name or what.name
    data = load_dataset(what)
    return {"train": data} | {n: p for n in ("validation", "test") if (p := getattr(data, n)) is not None}, data.name


def _held(part: Dataset, most: int) -> Dataset:
    """At most so many rows, evenly spread, in memory."""
    if len(part) > most:
        part = part.take(np.linspace(0, len(part) - 1, most).astype(np.intp))
    return replace(part, x=part.x[:]) if isinstance(part.x, Rows) else part


def _columns(columns: dict[str, np.ndarray], looked: Dataset) -> dict[str, Any]:
    y = looked.y.reshape(-1) if looked.y.size == len(looked) else None
    tells = y is not None and len(looked) >= 4
    found = {}
    for name, values in list(columns.items())[:MOST_COLUMNS]:
        found[name] = column(values)
        if tells and y is not None:
            found[name]["alone"] = alone(values, y, len(looked.classes))
    return found


def _target(parts: dict[str, Dataset]) -> dict[str, Any]:
    train = parts["train"]
    if not train.classes:
        return {"shape": list(train.y.shape[1:]), **numbers(_spread(train.y))}
    counts = {name: _counts(part) for name, part in parts.items()}
    own = counts["train"]
    here = own[own > 0]
    return {
        "classes": {
            name: {part: int(count[k]) for part, count in counts.items()} for k, name in enumerate(train.classes)
        },
        "imbalance": float(here.max() / here.min()),
        "majority": float(own.max() / own.sum()),
        "empty": [name for k, name in enumerate(train.classes) if not own[k]],
        "tokens": train.classes == train.vocabulary,
        "per step": train.y.ndim > 1,
    }


def _spread(y: np.ndarray) -> np.ndarray:
    """At most about a million numbers of targets: whole pictures may be to predict."""
    return y.reshape(-1)[:: max(1, y.size // MOST_NUMBERS)]


def _counts(part: Dataset) -> np.ndarray:
    y = part.y[part.mask > 0] if part.mask is not None and part.mask.shape == part.y.shape else part.y.reshape(-1)
    return np.bincount(y, minlength=len(part.classes))


def _groups(parts: dict[str, Dataset]) -> dict[str, int] | None:
    found = {name: len(np.unique(part.groups)) for name, part in parts.items() if part.groups is not None}
    return found or None


def _duplicates(parts: dict[str, Dataset]) -> dict[str, Any]:
    """Rows that equal an earlier row of their part; rows of a later part that stand in an earlier one; rows of the
    training part that equal an earlier one but have another target."""
    within = {name: repeated(part.x) for name, part in parts.items()}
    names = list(parts)
    across = {
        f"{first} and {second}": len(leaks(parts[first].x, parts[second].x))
        for i, first in enumerate(names)
        for second in names[i + 1 :]
    }
    train = parts["train"]
    same = repeated(train.x, train.y.reshape(len(train), -1))
    return {
        "within": {name: len(places) for name, places in within.items()},
        "across": across,
        "contradictory": len(np.setdiff1d(within["train"], same)),
    }


def _pairs(names: list[str], found: np.ndarray) -> list[list[Any]]:
    """The pairs of columns that go together most."""
    upper = [(i, j) for i in range(len(names)) for j in range(i)]
    upper.sort(key=lambda pair: -abs(found[pair]))
    return [[names[j], names[i], float(found[i, j])] for i, j in upper[:PAIRS]]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _aligned(cells: list[str], widths: list[int], left: int) -> str:
    shown = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
    return "  ".join(shown).rstrip()
