"""The parts of the page that are words and tables: heading, result, settings, environment, findings."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from backlit.evaluation import HEADLINE, interval, labels, measure
from backlit.report.html import Html, escape, number, table, tag
from backlit.report.record import Record, Tested, texts

MOST = 400
_STOPPED = {"finished": "all epochs done", "early": "stopped early: validation no longer improved"}
_DEEPEST = 12


def heading(record: Record) -> Html:
    """Name, task, and the size of the data in one line."""
    rows = record.data.get("rows")
    parts = [record.task] if record.task else []
    if names := texts(record.data.get("classes")):
        parts.append(f"{len(names)} classes")
    if len(record.shape) > 1:
        parts.append("rows of " + " × ".join(str(n) for n in record.shape))
    elif record.shape:
        parts.append(f"{record.shape[0]} feature{'s' * (record.shape[0] != 1)}")
    if isinstance(rows, dict):
        parts.append(", ".join(f"{number(count)} {part}" for part, count in rows.items()) + " rows")
    return Html(tag("h1", record.name) + tag("p", " · ".join(parts), class_="quiet"))


def notes(record: Record) -> Html:
    """What this report could not show, and why; nothing for a whole run."""
    told = list(record.notes)
    if record.result.get("stopped") not in (None, *_STOPPED):
        told.insert(0, f"The run did not finish: {record.result['stopped']}.")
    if not told:
        return Html("")
    return tag("ul", *(tag("li", note) for note in told), class_="notes", aria_label="Notes")


def result(record: Record) -> Html:
    """The numbers of the run as tiles, and what a net without inputs would reach."""
    measured = measure(record.task, record.test.output, record.test.target) if record.test else {}
    tested = {**measured, **_mapping(record.result.get("test"))}
    seconds = _mapping(record.result.get("seconds"))
    name = HEADLINE.get(record.task, "accuracy")
    tiles = []
    if name in tested:
        tiles.append((f"Test {name}", number(tested[name]), _spread(record, name, tested[name])))
    others = [other for other in tested if other != name]
    tiles += [(f"Test {'R²' if other == 'r2' else other}", number(tested[other]), "") for other in others]
    if record.history:
        stopped = str(record.result.get("stopped", "no result yet"))
        tiles.append(("Epochs", number(record.history[-1]["epoch"]), _STOPPED.get(stopped, stopped)))
    if record.result.get("best_epoch") is not None:
        tiles.append(("Best epoch", number(record.result["best_epoch"]), "by validation"))
    if seconds:
        parts = [f"{part} {duration(value)}" for part, value in seconds.items() if part != "total"]
        tiles.append(("Time", duration(seconds.get("total", seconds.get("train"))), ", ".join(parts)))
    if record.result.get("steps_per_second") is not None:
        tiles.append(("Steps per second", number(record.result["steps_per_second"]), ""))
    if record.result.get("parameters") is not None:
        tiles.append(("Parameters", number(record.result["parameters"]), ""))
    listed = [
        tag("div", tag("dt", title), tag("dd", value), tag("dd", more, class_="more") if more else Html(""))
        for title, value, more in tiles
    ]
    shown = tag("dl", *listed, class_="tiles") if listed else tag("p", "There is no result yet.", class_="quiet")
    said = baseline(record.task, record.test, record) if record.test else ""
    return Html(shown + (tag("p", said, class_="quiet") if said else ""))


def baseline(task: str, tested: Tested, record: Record) -> str:
    """What a net that ignores its input would reach on these rows."""
    if task == "regression":
        target = np.asarray(tested.target, dtype=np.float64).reshape(len(tested.target), -1)
        rmse = number(float(np.sqrt(target.var(axis=0).mean())))
        return f"For comparison: always saying the mean of these rows gives rmse {rmse}."
    if task == "ranking":
        return f"For comparison: a guess is right with accuracy {number(1 / tested.output.shape[-1])}."
    if task == "multilabel":
        _, count = np.unique(labels(task, tested.output, tested.target), axis=0, return_counts=True)
        exact = number(float(count.max() / count.sum()))
        return f"For comparison: always saying the most frequent set of labels gives exact {exact}."
    count = np.bincount(labels(task, tested.output, tested.target).reshape(-1))
    most = record.classes(len(count))[int(count.argmax())]
    return f"For comparison: always saying {most} gives accuracy {number(float(count.max() / count.sum()))}."


def settings(record: Record) -> Html:
    """The experiment as paths, which are what `--set path=value` takes, and the file itself."""
    import yaml

    if not record.experiment:
        return tag("p", "There is no experiment.yaml.", class_="quiet")
    try:
        value = yaml.safe_load(record.experiment)
    except (yaml.YAMLError, ValueError, RecursionError):
        value = None
    rows = [[path, setting] for path, setting in islice(paths(value), MOST)] if isinstance(value, dict) else []
    listed = table("Settings", ["path", "value"], rows, numbers=False) if rows else Html("")
    file = tag("details", tag("summary", "experiment.yaml"), tag("pre", tag("code", record.experiment)))
    return Html(listed + file)


def environment(record: Record) -> Html:
    """Versions, machine and layout: what one needs to get the same numbers again."""
    if not record.environment:
        return tag("p", "There is no environment.json.", class_="quiet")
    rows = [[path, value] for path, value in islice(paths(record.environment), MOST)]
    return table("Environment", ["what", "value"], rows, numbers=False)


def findings(record: Record) -> Html:
    """What the diagnosis said, the most serious first."""
    order = {"critical": 0, "warning": 1, "info": 2}
    columns = ["fault", "severity", "where", "evidence", "advice"]
    found = sorted(record.findings, key=lambda finding: order.get(str(finding.get("severity")), 3))
    return table("Findings", columns, [[line(one.get(c, "-")) for c in columns] for one in found], numbers=False)


def paths(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(`optimizer.lr`, `0.001`) of every leaf of plain data; a list of plain values is one leaf."""
    if isinstance(value, dict) and value and depth < _DEEPEST:
        for key, inside in value.items():
            yield from paths(inside, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value) and depth < _DEEPEST:
        for i, inside in enumerate(value):
            yield from paths(inside, f"{path}.{i}" if path else str(i), depth + 1)
    else:
        yield path, line(value)


def line(value: Any, limit: int = 300, depth: int = 0) -> str:
    """Plain data on one line, cut when long or deep."""
    if depth > 3:
        return "…"
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {line(inside, 80, depth + 1)}" for key, inside in islice(value.items(), 20))
    elif isinstance(value, list):
        text = ", ".join(line(inside, 80, depth + 1) for inside in value[:50])
    elif value is None or isinstance(value, bool):
        text = {None: "none", True: "true", False: "false"}[value]
    else:
        text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def duration(seconds: Any) -> str:
    """Seconds as people say them.

    >>> duration(0.25), duration(75), duration(7300), duration(None)
    ('0.25 s', '1 min 15 s', '2 h 1 min', '-')
    """
    if not isinstance(seconds, int | float) or not np.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _spread(record: Record, name: str, value: Any) -> str:
    """The 95 % interval of a share of test rows."""
    if name == "rmse" or record.test is None or not (isinstance(value, int | float) and 0 <= value <= 1):
        return ""
    rows = len(record.test.output)
    if record.task in ("classification", "binary"):
        rows = labels(record.task, record.test.output, record.test.target).size
    low, high = interval(value, rows)
    return f"95 % interval {low:.3f} to {high:.3f}, {number(rows)} {record.test.of}"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def nothing(text: str) -> Html:
    """A quiet sentence where a part has nothing to show."""
    return tag("p", escape(text), class_="quiet")
