"""`backlit lab` and `backlit lr-find`: run, print, and leave the pictures where they were asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backlit.commandline import tables
from backlit.commandline.faults import note
from backlit.errors import SettingError

if TYPE_CHECKING:
    from backlit.lab.result import Result
    from backlit.rate_curve import LrCurve

PLACE = Path("lab")
MOST_LINES = 40


def catalogue(as_json: bool) -> None:
    """What there is in the lab."""
    from backlit.lab import LABS

    if as_json:
        tables.print_json({"labs": LABS})
        return
    width = max(map(len, LABS))
    for name, text in LABS.items():
        print(f"{name:<{width}}  {text}")


def perform(name: str, out: Path | None, quick: bool, as_json: bool) -> None:
    """Run an experiment of the lab, write its pictures and numbers, print what is to be seen."""
    from backlit import lab

    result = lab.run(name, quick=quick)
    files = result.save(out or PLACE / name)
    if as_json:
        tables.print_json({"lab": name, "quick": quick, "text": result.text, "files": list(map(str, files))})
        return
    print(f"{result}\n")
    headings, *lines = result.table or key_numbers(result)
    tables.print_table(list(headings), [list(line) for line in lines])
    for file in files:
        note(f"written: {file}")


def key_numbers(result: "Result") -> tuple[tuple[str, ...], ...]:
    """The single numbers among all that was measured, by where they stand; for results without a table of their own."""
    found: list[tuple[str, ...]] = []

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{path} {key}".strip(), inner)
        elif isinstance(value, int | float | str) or getattr(value, "ndim", None) == 0:
            found.append((path, value if isinstance(value, str) else f"{float(value):.4g}"))

    walk("", result.numbers)
    return (("what", "value"), *found[:MOST_LINES])


def find_rate(
    config: str, changes: list[str], lowest: float, highest: float, steps: int, out: Path | None, as_json: bool
) -> None:
    """Test a range of learning rates for an experiment, print the suggestions, draw the curve."""
    from backlit.commandline import places
    from backlit.rate_finder import lr_find

    if out is not None and out.suffix.lower() != ".png":
        raise SettingError([("--out", f"expected the name of a .png file, got {str(out)!r}")])
    experiment = places.experiment(config, changes)
    name = places.name_of(config, experiment.name)
    curve = lr_find(experiment, lowest=lowest, highest=highest, steps=steps)
    picture = out or PLACE / f"lr-find-{name}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    from backlit.report.canvas import png

    picture.write_bytes(png(curve.plot()))
    note(f"written: {picture}")
    if as_json:
        tables.print_json(plain(curve) | {"experiment": name, "picture": str(picture)})
    else:
        print(curve)
    curve.need_fall()


def plain(curve: "LrCurve") -> dict[str, Any]:
    """A curve as JSON has it."""
    falls = curve.falls
    return {
        "suggestions": curve.suggestions,
        "recommended": curve.recommended if falls else None,
        "lr": curve.lr,
        "stopped": curve.stopped,
        "rates": curve.rates.tolist(),
        "losses": curve.losses.tolist(),
        "smoothed": curve.smoothed.tolist(),
    }
