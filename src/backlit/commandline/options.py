"""Arguments and options that several commands have."""

from typing import Annotated

import typer

Config = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A named experiment (see: backlit list), a file, or a run.")
]
RunArgument = Annotated[str, typer.Argument(help="The directory of a run.", metavar="RUN")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="PATH=VALUE",
        help="Change a setting, as in optimizer.lr=0.01; may be given several times.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
