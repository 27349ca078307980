"""The report page of a run: its parts in order, and the figures and tables that need the tested rows."""

from base64 import b64encode
from collections.abc import Callable
from importlib.resources import files as resources
from typing import TYPE_CHECKING

import numpy as np

from backlit import __version__
from backlit.evaluation import calibration, confusion, decide, labels, per_class, roc
from backlit.evaluation.metrics import Array
from backlit.report import mistakes, sections
from backlit.report.html import Html, number, percent, table, tag
from backlit.report.mistakes import Mistake
from backlit.report.record import Record, Tested

if TYPE_CHECKING:
    from backlit.report.canvas import Picture

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Told to the browser: this page loads nothing and runs nothing."""

_MOST_CLASSES = 200
"""Of more classes than this (the words of a language, the pixels of a picture) no single one is shown."""

_CELLS = 8
"""A table of mistakes shows the features themselves when there are no more than this."""


class Page:
    """The page in the making; `files` holds the PNG files by name once `html` was called."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.files: dict[str, bytes] = {}

    def html(self) -> str:
        record = self.record
        parts: list[tuple[str, str, Html]] = [("result", "Result", sections.result(record))]
        if record.findings:
            parts.append(("findings", "Findings", sections.findings(record)))
        parts.append(("learning", "Learning", self.learning()))
        if record.test is not None and record.task == "regression":
            parts.append(("values", "Predictions", self.values(record.test)))
            parts.append(("mistakes", "Largest errors", self.largest_errors(record.test)))
        elif record.test is not None and record.task != "ranking":
            parts.append(("classes", "Classes", self.classes(record.test)))
            parts.append(("mistakes", "Worst mistakes", self.mistakes(record.test)))
        parts.append(("settings", "Settings", sections.settings(record)))
        parts.append(("environment", "Environment", sections.environment(record)))
        links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in parts]
        body = [tag("section", tag("h2", title, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title")
                for name, title, content in parts]  # fmt: skip
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", f"{record.name} · Backlit report"),
            tag("style", Html((resources("backlit.report") / "page.css").read_text(encoding="utf-8"))),
        )
        shown = tag(
            "body",
            tag("a", "Skip to the result", href="#result", class_="skip"),
            tag("header", sections.heading(record), sections.notes(record),
                tag("nav", tag("ul", *links), aria_label="Parts of this report")),
            tag("main", *body),
            tag("footer", tag("p", f"Made by Backlit {__version__} from {record.directory.name}.")),
        )  # fmt: skip
        return "<!DOCTYPE html>\n" + tag("html", head, shown, lang="en") + "\n"

    def learning(self) -> Html:
        """The curves, or that no epoch was finished."""
        from backlit.report import curves

        made = curves.pictures(self.record.history, self.record.result.get("best_epoch"))
        return self.figures(made) if made else sections.nothing("No epoch was finished, so there is no curve to draw.")

    def classes(self, tested: Tested) -> Html:
        """Per-class table, confusion matrix, ROC, calibration."""
        from backlit.report import classes

        task = self.record.task
        count = 2 if task == "binary" else tested.output.shape[-1]
        if count > _MOST_CLASSES:
            return sections.nothing(f"{number(count)} classes are too many to show each.")
        names = self.record.classes(count)
        true, said = labels(task, tested.output, tested.target), decide(task, tested.scores)
        if task != "multilabel":
            true, said = true.reshape(-1), said.reshape(-1)
        areas, made = roc(task, tested.scores, tested.target), []
        if task != "multilabel":
            counts = confusion(true, said, count)
            made.append(classes.confusion_picture(counts, names))
        if areas:
            made.append(classes.roc_picture(areas, names))
        if task != "multilabel":
            made.append(classes.calibration_picture(calibration(task, tested.scores, tested.target)))
        scores = per_class(true, said, count)
        rows = [
            [name, *(f"{column[k]:.3f}" for column in scores[:3]),
             f"{areas[k].area:.4f}" if k in areas else "-", number(int(scores.support[k]))]
            for k, name in enumerate(names)
        ]  # fmt: skip
        rows.append(["mean", *(f"{column.mean():.3f}" for column in scores[:3]),
                     f"{np.mean([a.area for a in areas.values()]):.4f}" if areas else "-",
                     number(int(scores.support.sum()))])  # fmt: skip
        columns = ["class", "precision", "recall", "F1", "ROC area", "rows"]
        listed = table("Precision, recall and F1 of each class", columns, rows)
        if task != "multilabel" and (pairs := classes.mistaken(counts)[:10]):
            often = [[f"{names[i]} taken for {names[j]}", number(n), percent(n / max(1, counts[i].sum()))]
                     for (i, j), n in pairs]  # fmt: skip
            listed = tag("div", listed, table("Most frequent mistakes", ["mistake", "rows", "share of class"], often),
                         class_="pair")  # fmt: skip
        return Html(listed + self.figures(made))

    def mistakes(self, tested: Tested) -> Html:
        """The worst mistakes, as pictures where rows are images and as a table otherwise."""
        task = self.record.task
        count = 2 if task == "binary" else tested.output.shape[-1]
        if task == "multilabel" and count > _MOST_CLASSES:
            return sections.nothing("A row with so many answers is never quite right.")
        worst, wrong, of = mistakes.worst(task, tested, self.record.classes(count))
        if not worst:
            return sections.nothing("None: every test row was decided right.")
        verb, first = "is" if wrong == 1 else "are", f"; here are the {len(worst)} worst" if len(worst) < wrong else ""
        said = tag("p", f"{number(wrong)} of {number(of)} {verb} wrong{first}. The further the net was "
                        "from the truth, the earlier in the list.", class_="quiet")  # fmt: skip
        images = mistakes.images(self.record, [one.place for one in worst])
        if images is None:
            return Html(said + self.mistakes_table(worst, tested))
        return Html(
            said
            + tag("div", *(self.face(one, image) for one, image in zip(worst, images, strict=True)), class_="faces")
        )

    def face(self, one: Mistake, image: Array) -> Html:
        png = mistakes.image_png(image)
        self.files[f"mistake_{len([n for n in self.files if n.startswith('mistake_')]) + 1:02d}.png"] = png
        told = f"Row {one.row}: true {one.true}, predicted {one.predicted}, {percent(one.confidence)} sure"
        caption = tag("figcaption", tag("b", f"{one.true} → {one.predicted}"), tag("br"),
                      f"{percent(one.confidence)} sure, row {one.row}")  # fmt: skip
        return tag("figure", tag("img", src=_data(png), alt=told), caption)

    def mistakes_table(self, worst: list[Mistake], tested: Tested) -> Html:
        cells, features = _cells(tested, self.record)
        rows = [[one.row, one.true, one.predicted, percent(one.confidence), *cells(one.place)] for one in worst]
        return table("Worst mistakes", ["row", "true", "predicted", "sure", *features], rows)

    def values(self, tested: Tested) -> Html:
        """Predicted against true, residuals."""
        from backlit.report import values

        return self.figures(values.pictures(tested.output, tested.target))

    def largest_errors(self, tested: Tested) -> Html:
        from backlit.report.values import flat

        y, t = flat(tested.output), flat(tested.target)
        error = y - t
        size = np.nan_to_num(np.abs(error), nan=np.inf)
        worst = np.argsort(-size.max(axis=1), kind="stable")[:12]
        k = size.argmax(axis=1)  # the worst output of each row
        cells, features = _cells(tested, self.record)
        rows = [[str(tested.index[i]), number(float(t[i, k[i]])), number(float(y[i, k[i]])),
                 number(float(error[i, k[i]])), *cells(int(i))] for i in worst]  # fmt: skip
        return table("Largest errors", ["row", "true", "predicted", "error", *features], rows)

    def figures(self, made: "list[Picture]") -> Html:
        return tag("div", *(self.figure(picture) for picture in made), class_="figures")

    def figure(self, picture: "Picture") -> Html:
        """A figure for light and for dark screens; the light one is also kept as a file."""
        from backlit.report.canvas import DARK, LIGHT, png

        light, dark = png(picture.draw(LIGHT)), png(picture.draw(DARK))
        self.files[f"{picture.name}.png"] = light
        width, height = (int.from_bytes(light[at : at + 4], "big") for at in (16, 20))  # from the PNG's first chunk
        image = tag(
            "picture",
            tag("source", srcset=_data(dark), media="(prefers-color-scheme: dark)"),
            tag("img", src=_data(light), alt=picture.alt, width=width, height=height),
        )
        return tag("figure", image, tag("figcaption", picture.caption) if picture.caption else Html(""))


def _cells(tested: Tested, record: Record) -> tuple[Callable[[int], list[str]], list[str]]:
    """The features of a row, in words, and their names, when they are few; otherwise no columns."""
    x = tested.x
    if x is None or x.dtype.kind not in "uifb" or x[0].size > _CELLS:
        return lambda place: [], []
    x, words, features = x.reshape(len(x), -1), record.vocabulary, record.features
    names = [features[k] if k < len(features) else f"x{k}" for k in range(x.shape[1])]
    if words and x.dtype.kind in "ui" and x.min() >= 0 and x.max() < len(words):
        return lambda place: [words[v] for v in x[place]], names
    return lambda place: [number(float(v)) for v in x[place]], names


def _data(png: bytes) -> str:
    return "data:image/png;base64," + b64encode(png).decode("ascii")
