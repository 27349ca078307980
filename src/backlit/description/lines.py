"""A description as tables of text."""

from typing import Any

from backlit.description import Listing
from backlit.report.html import number

MOST = 40
"""Lines of a table in a terminal; the files hold all of them."""

RANGE = ("min", "q25", "median", "q75", "max")


def listings(found: dict[str, Any]) -> list[Listing]:
    """The tables of a description, those that there is something for."""
    made = [
        _rows(found),
        _target(found),
        _columns(found),
        _image(found),
        _sequences(found),
        _words(found),
        _series(found),
    ]
    return [one for one in made if one.lines]


def _rows(found: dict[str, Any]) -> Listing:
    within, across = found["duplicates"]["within"], found["duplicates"]["across"]
    lines = []
    for part, rows in found["rows"].items():
        leaked = sum(count for pair, count in across.items() if pair.endswith(f" and {part}"))
        groups = number(found["groups"][part]) if found["groups"] else "-"
        line = [part, number(rows), groups, number(within[part]), number(leaked)]
        lines.append([*line, _size(found["bytes"][part])])
    shape = " x ".join(map(str, found["row"]))
    unit = "columns" if found["type"] == "columns" else found["type"]
    looked = "" if found["looked at"] == found["rows"]["train"] else f"; {number(found['looked at'])} of them looked at"
    title = f"{found['name'] or 'data'}: {found['kind']}, rows of {shape} {unit}{looked}"
    return Listing(title, ["part", "rows", "groups", "twice within", "also in a part before", "size"], lines)


def _target(found: dict[str, Any]) -> Listing:
    target = found["target"]
    if target.get("tokens"):  # the next token is to be predicted: the tokens are counted below
        return Listing("", [], [])
    if "classes" not in target:
        line = [number(target["distinct"]), *(number(target.get(name)) for name in (*RANGE, "mean", "std"))]
        return Listing(
            "target", ["type", "distinct", *_range(), "mean", "std"], [[target.get("type", "number"), *line]]
        )
    parts = list(found["rows"])
    classes = list(target["classes"].items())
    total = sum(counts["train"] for _, counts in classes)
    lines = [
        [name, *(number(counts[part]) for part in parts), f"{100 * counts['train'] / total:.3g} %"]
        for name, counts in classes[:MOST]
    ]
    return Listing(f"classes{_more(classes)}", ["class", *parts, "of training"], lines)


def _columns(found: dict[str, Any]) -> Listing:
    columns = list(found.get("columns", {}).items())
    lines = []
    for name, own in columns[:MOST]:
        absent = f"{100 * own['missing'] / own['rows']:.3g} %" if own["missing"] else "-"
        if own["type"] == "category":
            top = ", ".join(f"{value} ({count})" for value, count in own["top"][:3])
            values = [top if len(top) < 40 else top[:37] + "...", "", "", "", ""]
        else:
            values = [number(own.get(key)) for key in RANGE]
        score = f"{own['alone']:.3f}" if "alone" in own else "-"
        lines.append([name, own["type"], absent, number(own["distinct"]), *values, score])
    headings = ["column", "type", "missing", "distinct", *_range(), "tells alone"]
    measure = "accuracy" if "classes" in found["target"] else "R^2"
    return Listing(f"columns{_more(columns)}; tells alone: {measure} of one column by itself", headings, lines, 2)


def _image(found: dict[str, Any]) -> Listing:
    image = found.get("image")
    if not image:
        return Listing("", [], [])
    lines = [
        [str(c), number(mean), number(std), number(image["min"]), number(image["max"])]
        for c, (mean, std) in enumerate(zip(image["mean"], image["std"], strict=True))
    ]
    title = f"pictures: {image['height']} x {image['width']}, {image['channels']} channels, {image['dtype']}"
    return Listing(title, ["channel", "mean", "std", "min", "max"], lines)


def _sequences(found: dict[str, Any]) -> Listing:
    own = found.get("sequences")
    if not own:
        return Listing("", [], [])
    lines = [["length", *(number(own["lengths"][key]) for key in RANGE)]]
    unknown = ", ".join(f"{part} {100 * share:.2g} %" for part, share in own.get("unknown", {}).items())
    title = f"sequences: {number(own['tokens'])} tokens, {number(own['vocabulary'])} in the vocabulary"
    title += f" ({number(own['once'])} met once), {100 * own['padding']:.2g} % padding"
    return Listing(title + (f"; unknown: {unknown}" if unknown else ""), ["", *_range()], lines)


def _words(found: dict[str, Any]) -> Listing:
    own = found.get("sequences", {}).get("words", [])
    lines = [[word if word.strip() else repr(word), number(count)] for word, count in own[:12]]
    return Listing("most frequent tokens", ["token", "times"], lines)


def _series(found: dict[str, Any]) -> Listing:
    own = found.get("series")
    if not own:
        return Listing("", [], [])
    columns = list(own["columns"].items())
    lines = [
        [name, *(number(c[key]) for key in RANGE), number(c["lag 1"]), number(c["longest standstill"])]
        for name, c in columns[:MOST]
    ]
    title = f"series of {own['length']} steps, {'in the order of time' if own['ordered'] else 'without an order'}"
    return Listing(title + _more(columns), ["column", *_range(), "autocorrelation", "longest standstill"], lines)


def _range() -> list[str]:
    return ["min", "25 %", "median", "75 %", "max"]


def _more(lines: list[Any]) -> str:
    return f" (the first {MOST} of {len(lines)})" if len(lines) > MOST else ""


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"
