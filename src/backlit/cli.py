"""The command line: `backlit COMMAND --help`. Each command reads its arguments, calls the library and prints.

Libraries are imported within the commands, so that help costs nothing. Results go to stdout, all else to stderr.
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from backlit import __version__
from backlit.commandline import data as data_commands
from backlit.commandline.faults import guarded, note, say, sentence
from backlit.commandline.options import Config, Json, RunArgument, Set
from backlit.errors import BacklitError, SettingError

UsageError: Any = typer.BadParameter.__base__  # typer's versions keep it in different places
START: list[float] = []

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Neural networks with the lights on: train, look inside, prove the gradients.",
    epilog="Start with: backlit train digits",
)
app.add_typer(data_commands.app, name="data")


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit code. Without `argv`, the words this process was started with."""
    from backlit.commandline.places import process_start

    START[:] = [process_start() if argv is None else time.time()]
    return guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: list[str]) -> int:
    command: Any = typer.main.get_command(app)
    try:
        with command.make_context("backlit", list(argv)) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as end:
        return int(end.exit_code)
    except UsageError as error:
        path = error.ctx.command_path if error.ctx else "backlit"
        say(f"{' '.join(error.format_message().split()).rstrip('.')}; see {path} --help")
        return 2


@app.callback(invoke_without_command=True)
def backlit(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"backlit {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def train(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG_OR_NAME", help="A named experiment or a .yaml or .json file; --resume --out RUN needs none."
        ),
    ] = None,
    change: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Where the run goes; by default runs/<name>, then runs/<name>-2."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, or with the newest run of this name.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a network, write its run directory and report."""
    from backlit.commandline import places, progress, tables

    if config is None:
        if not resume or out is None:
            text = "expected an experiment, got none; it may be left out with --resume --out RUN"
            raise SettingError([("CONFIG_OR_NAME", text)])
        config = str(places.existing(str(out)))
    from backlit.training.loop import fit

    experiment = places.experiment(config, change or [])
    name = places.name_of(config, experiment.name)
    going_on = out if resume else None
    if resume and out is None:
        going_on = places.newest(name)
    directory = out or going_on or places.fresh(name)
    if resume and not (directory / "experiment.yaml").exists():
        note(f"nothing to resume in {directory}: training starts anew")
    try:
        with progress.shown() as listener:
            run = fit(experiment, directory=directory, resume=resume, listener=listener, since=START[0])
        report = _report(run)
    except (BacklitError, KeyboardInterrupt):
        raise
    except Exception as error:
        if isinstance(error, OSError):
            error.filename = error.filename or str(directory)
        checkpoints = directory / "checkpoints"
        if checkpoints.is_dir():
            note(f"checkpoints are kept in {checkpoints}; go on with: backlit train --resume --out {directory}")
        raise
    result = run.result
    if json:
        keys = ("test", "seconds", "steps_per_second", "parameters", "stopped")
        tables.print_json({"run": str(directory), **{k: result[k] for k in keys}, "report": report and str(report)})
        return
    rows = run.facts["rows"]["test"]
    for line in tables.summary(result, len(run.history), rows, str(directory), str(report or "none")):
        print(line)


def _report(run: Any) -> Path | None:
    """Write the report; a training that succeeded is not failed by its picture."""
    try:
        path: Path = run.report()
    except BacklitError as error:
        note(f"no report: {error}; the run is stored: backlit report {run.directory} tries again")
        return None
    except OSError as error:
        note(f"no report: {sentence(error)}; the run is stored: backlit report {run.directory} tries again")
        return None
    return path


@app.command()
def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", metavar="CONFIG_OR_FILE",
            help="An experiment (its test part) or a .csv or .npz (all its rows). By default the run's own test part.",
        ),
    ] = None,
    views: Annotated[
        str | None,
        typer.Option(
            "--views", metavar="NAME", help="Look at each image several times: FlipAverage, {type: TenCrop, size: 24}."
        ),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Measure a trained network, each row counted once."""
    from backlit.commandline import places, progress, rows, tables
    from backlit.training.run import open_run

    trained = open_run(places.existing(run))
    dataset, name = rows.read_dataset(trained, data)
    found = trained.evaluate(dataset, rows.read_views(views) if views else None)
    if json:
        tables.print_json({"run": run, "data": name, "rows": len(dataset), "metrics": found})
    else:
        print(f"{name}: {tables.metrics(found, len(dataset))}, {progress.counted(len(dataset), 'row')}")


@app.command()
def predict(
    run: RunArgument,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Rows: a .csv with the run's columns by name, .npz, .npy or IDX.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write a CSV file, whole or not at all, not lines on stdout."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", "-p", help="Also the probability of each class.")
    ] = False,
    json: Json = False,
) -> None:
    """Predict a class or a value for each row."""
    from backlit.commandline import places, progress, rows, tables
    from backlit.training.run import open_run

    trained = open_run(places.existing(run))
    found = rows.answers(trained, rows.read_rows(trained, source), probabilities)
    if out is not None:
        rows.write(out, found.lines(header=True))
    if json:
        tables.print_json({"run": run, "rows": len(found), **({"out": str(out)} if out else found.plain())})
    elif out is not None:
        note(f"{progress.counted(len(found), 'row')} written to {out}")
    else:
        print("\n".join(found.lines(header=probabilities)))


@app.command()
def report(run: RunArgument) -> None:
    """Write the report of a run again: one HTML page and its pictures."""
    from backlit.commandline import places

    directory = places.existing(run)
    from backlit.report import write_report

    print(write_report(directory))


@app.command()
def show(config: Config, change: Set = None) -> None:
    """Print the network as a table: layers, shapes, parameters, FLOPs, memory."""
    from backlit.commandline import places, tables
    from backlit.evaluation.cost import costs
    from backlit.training.setup import setup

    experiment = places.experiment(config, change or [])
    ready = setup(experiment)
    kind = "int32" if ready.parts.train.vocabulary else "float32"
    tables.print_costs(costs(experiment.net, ready.row, kind), experiment.name or Path(config).stem)


@app.command()
def see(
    config: Config,
    rows: Annotated[int, typer.Option("--rows", "-n", help="Rows of the batch.")] = 4,
    layer: Annotated[
        str | None,
        typer.Option("--layer", "-l", metavar="PATH", help="Only this layer: dense_1, or residual_1.dense_2."),
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Print the numbers themselves too.")] = False,
    change: Set = None,
) -> None:
    """Show every z, a, delta and gradient of one step on NumPy, and compare the compiled step."""
    from backlit import see as lights
    from backlit.commandline import places, tables

    experiment = places.experiment(config, change or [])
    sight = lights.see(experiment, rows)
    tables.print_sight(sight.of(layer) if layer else sight, values, experiment.name or Path(config).stem)


@app.command()
def gradcheck(
    config: Config,
    rows: Annotated[int, typer.Option("--rows", "-n", help="Rows to check on.")] = 4,
    forward: Annotated[bool, typer.Option("--forward", help="Forward differences instead of central ones.")] = False,
    change: Set = None,
) -> int:
    """Prove the gradients: every array against differences of the loss, in float64. Exit code 1 when one is wrong."""
    from backlit import gradcheck as gradients
    from backlit.commandline import places
    from backlit.see import batch
    from backlit.training.setup import setup

    experiment = places.experiment(config, change or [])
    ready = setup(experiment)
    given, _ = batch(ready, rows)
    difference: Any = "forward" if forward else "central"
    check = gradients.check_gradients(
        experiment.net, experiment.loss, given.x, given.y, weight=given.weight, mask=given.ctx.mask,
        difference=difference, seed=experiment.seed,
    )  # fmt: skip
    print(check)
    return 0 if check.passed else 1


@app.command(name="lr-find")
def lr_find(
    config: Config,
    lowest: Annotated[float, typer.Option("--lowest", help="The learning rate to begin with.")] = 1e-7,
    highest: Annotated[float, typer.Option("--highest", help="The learning rate to end with at the latest.")] = 10.0,
    steps: Annotated[int, typer.Option("--steps", "-n", help="Updates from one to the other.")] = 200,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The picture, a .png; by default lab/lr-find-<name>.png."),
    ] = None,
    json: Json = False,
    change: Set = None,
) -> None:
    """Suggest a learning rate: train while it rises until the loss explodes. Nothing that is learned is kept."""
    from backlit.commandline import laboratory

    laboratory.find_rate(config, change or [], lowest, highest, steps, out, json)


@app.command()
def lab(
    name: Annotated[str | None, typer.Argument(help="The experiment; without one, the list of all.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Where pictures and numbers go; by default lab/<name>."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small version, to try it out.")] = False,
    json: Json = False,
) -> None:
    """Run one of the classic experiments: what it measures in numbers and pictures."""
    from backlit.commandline import laboratory

    if name is None:
        laboratory.catalogue(json)
    else:
        laboratory.perform(name, out, quick, json)


@app.command(name="list")
def names() -> None:
    """List the experiments that come with backlit."""
    from backlit.commandline.places import described

    known = described()
    width = max(map(len, known), default=0)
    for name, text in known.items():
        print(f"{name:<{width}}  {text}")


if __name__ == "__main__":
    sys.exit(main())
