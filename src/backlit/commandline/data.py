"""`backlit data`: what there is in the data, and what a training sees of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backlit.commandline.faults import note
from backlit.commandline.options import Config, Json, Set

if TYPE_CHECKING:
    from backlit.description import Description

PLACE = Path("data")
"""Where pictures go by default."""

app = typer.Typer()


@app.command()
def describe(
    config: Config,
    change: Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write pictures and description.json into this directory."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Training rows that are looked at; by default 50 000.")
    ] = None,
    json: Json = False,
) -> None:
    """Rows, columns, classes, missing cells, rows that stand twice, and columns that give the target away."""
    from backlit.commandline import places, tables
    from backlit.description import describe as described

    found = described(places.experiment(config, change or []), rows)
    files = found.save(out) if out else []
    if json:
        tables.print_json({**found.plain(), "files": list(map(str, files))})
        return
    show(found)
    for file in files:
        note(f"written: {file}")


@app.command()
def preview(
    config: Config,
    change: Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The picture, a .png; by default data/preview-<name>.png."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many training rows.")] = 8,
    copies: Annotated[int, typer.Option("--copies", min=1, help="How many changed copies of each.")] = 7,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the changes.")] = 0,
    json: Json = False,
) -> None:
    """Draw training rows as they are, and beside them what augmentation makes of them."""
    from backlit.commandline import places, tables
    from backlit.data.preview import preview as drawn
    from backlit.errors import SettingError
    from backlit.training.setup import setup

    if out is not None and out.suffix.lower() != ".png":
        raise SettingError([("--out", f"expected the name of a .png file, got {str(out)!r}")])
    experiment = places.experiment(config, change or [])
    picture = out or PLACE / f"preview-{places.name_of(config, experiment.name)}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    drawn(setup(experiment).parts.train, experiment.augmentation, picture, rows, copies, seed)
    if json:
        tables.print_json({"picture": str(picture), "rows": rows, "copies": copies, "seed": seed})
        return
    note(f"written: {picture}")


def show(found: "Description") -> None:
    """The tables, and below them what may spoil a training."""
    from backlit.commandline import tables

    for listing in found.listings:
        print(listing.title)
        tables.print_table(listing.headings, listing.lines, listing.left)
    for text in found.findings:
        print(f"- {text}")
    if not found.findings:
        print("Nothing was found that may spoil a training.")
