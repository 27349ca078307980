"""Reports of small made-up runs of every task: the page is whole, safe and self-contained, no figure is empty."""

import base64
import json
import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from backlit.errors import BacklitError, DataError, MissingLibraryError
from backlit.plots import plot_loss_and_accuracy
from backlit.report import write_report
from backlit.report.canvas import DARK, LIGHT, figure, label, moving_average, png, window
from backlit.report.record import read

HOSTILE = ['<script>alert("1")</script>', 'a & b\'s "q"', "$x^", "日本\x00\ud800", "", "a very long name of a class"]


def history(epochs=12, metric="accuracy"):
    falling = 1 / np.arange(1, epochs + 1)
    return [
        {"epoch": e + 1, "step": 10 * e, "seconds": 0.1 * e, "lr": 0.01 * float(v), "loss": float(v),
         metric: float(1 - v / 2), "validation": {"loss": float(v) + 0.1, metric: float(0.95 - v / 2)}}
        for e, v in enumerate(falling)
    ]  # fmt: skip


def make_run(folder, task, output=None, target=None, *, x=None, shape=(4,), classes=(), features=(), lines=(),
             result=True):  # fmt: skip
    """A run directory as the trainer writes it."""
    folder.mkdir()
    files = {
        "experiment.yaml": "net:\n- {type: Dense, units: 3}\n- ReLU\noptimizer: {type: Adam, lr: 0.001}\n",
        "environment.json": json.dumps({"numpy": "2.4", "devices": ["cpu:0"], "layout": {"cores": 2}}),
        "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
        "data.json": json.dumps({"name": "toy", "task": task, "classes": list(classes), "features": list(features),
                                 "shape": list(shape), "rows": {"train": 100, "validation": 20, "test": 30}}),
    }  # fmt: skip
    if result:
        files["result.json"] = json.dumps(
            {"test": {"loss": 0.25}, "best_epoch": 7, "stopped": "finished", "steps_per_second": 1234.5,
             "seconds": {"startup": 0.4, "compile": 0.5, "train": 1.5, "total": 75.0}, "parameters": 2410}
        )  # fmt: skip
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if output is not None:
        arrays = {"index": 500 + np.arange(len(output)), "target": target, "output": output}
        np.savez(folder / "test.npz", **arrays, **({} if x is None else {"x": x}))
    return folder


def classified(seed=0, rows=30, classes=6):
    rng = np.random.default_rng(seed)
    target = np.arange(rows) % classes
    return (rng.normal(size=(rows, classes)) + 2 * np.eye(classes)[target]).astype("f"), target


@dataclass
class Parsed(HTMLParser):
    """The page as elements; a tag that is not closed, or closed twice, is an error."""

    text: str
    found: list = field(default_factory=list)
    words: list = field(default_factory=list)
    open: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.feed(self.text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def shown(self):
        return " ".join(" ".join(self.words).split())


def page_of(run):
    path = write_report(run)
    assert path == run / "report" / "index.html"
    page = Parsed(path.read_text(encoding="utf-8"))
    check(page, path)
    return page


def check(page, path):
    """What holds for every report."""
    names = {name for name, _ in page.found}
    assert names.isdisjoint({"script", "link", "iframe", "object", "form"})
    assert page.all("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.found:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        for name in ("src", "srcset", "href"):
            value = attrs.get(name, "#")
            assert value.startswith("data:image/png;base64,") or value[1:] in ["", *ids], (tag, name, value[:60])
    css = page.text[page.text.index("<style>") : page.text.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    assert "prefers-color-scheme: dark" in css
    images = page.all("img")
    assert all(image["alt"].strip() for image in images)
    for image in images:
        assert colours(decoded(image["src"])) > 1, image["alt"]
    for source in page.all("source"):
        assert colours(decoded(source["srcset"])) > 1
    kept = {file.read_bytes() for file in path.parent.glob("*.png")}
    assert kept == {base64.b64decode(image["src"].split(",")[1]) for image in images}
    assert len(page.all("table")) == len(page.all("caption")) == page.text.count("<caption>")
    assert all(attrs["scope"] in ("row", "col") for attrs in page.all("th"))
    assert not list(path.parent.glob("*.tmp"))


def decoded(uri):
    return Image.open(BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))).convert("RGB")


def colours(image):
    return len(image.getcolors(maxcolors=1 << 24))


def cells(page_text, caption):
    """The rows of a table by its caption, as text."""
    part = page_text[page_text.index(f"<caption>{caption}") :]
    rows = re.findall(r"<tr>(.*?)</tr>", part[: part.index("</table>")])
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows][1:]


def test_classified_images(tmp_path):
    output, target = classified()
    x = np.random.default_rng(1).integers(0, 17, (30, 64)).astype("f")
    run = make_run(tmp_path / "run", "classification", output, target, x=x, shape=(8, 8, 1), classes=range(6),
                   lines=history())  # fmt: skip
    page = page_of(run)
    said = output.argmax(1)
    wrong = np.flatnonzero(said != target)
    names = {file.name for file in (run / "report").glob("*.png")}
    assert {"loss.png", "accuracy.png", "learning_rate.png", "confusion.png", "roc.png", "calibration.png"} <= names
    faces = [image for image in page.all("img") if image["alt"].startswith("Row ")]
    assert len(faces) == len(wrong) > 0
    p = np.exp(output.astype("d"))
    p /= p.sum(1, keepdims=True)
    first = wrong[p[wrong, target[wrong]].argmin()]
    sure = f"{100 * p[first, said[first]]:.1f} %"
    assert faces[0]["alt"] == f"Row {500 + first}: true {target[first]}, predicted {said[first]}, {sure} sure"
    shown = np.asarray(decoded(faces[0]["src"]))[::12, ::12, 0]
    assert np.abs(shown - (x[first].reshape(8, 8) - x.min()) / (x.max() - x.min()) * 255).max() <= 1
    assert f"{len(wrong)} of 30 are wrong" in page.shown
    assert "Test accuracy" in page.shown
    assert "1 min 15 s" in page.shown
    assert "net.0.type" in page.shown
    assert "finished" not in page.shown.lower()
    assert "notes" not in [attrs.get("class") for attrs in page.all("ul")]


def test_numbers_on_the_page_are_those_of_scikit_learn(tmp_path):
    output, target = classified(seed=3)
    page = page_of(make_run(tmp_path / "run", "classification", output, target, classes="abcdef"))
    said = output.argmax(1)
    scores = np.transpose(sk.precision_recall_fscore_support(target, said, zero_division=0))
    rows = cells(page.text, "Precision, recall and F1 of each class")
    p = np.exp(output.astype("d")) / np.exp(output.astype("d")).sum(1, keepdims=True)
    assert [row[0] for row in rows] == [*"abcdef", "mean"]
    for k in range(6):
        expected = [*scores[k, :3], sk.roc_auc_score(target == k, p[:, k]), scores[k, 3]]
        assert [float(v) for v in rows[k][1:]] == pytest.approx(expected, abs=6e-4)
    mean = [*scores[:, :3].mean(0), sk.roc_auc_score(target, p, multi_class="ovr"), 30]
    assert [float(v) for v in rows[6][1:]] == pytest.approx(mean, abs=6e-4)
    counts = sk.confusion_matrix(target, said)
    i, j = np.unravel_index((counts - np.diag(np.diag(counts))).argmax(), counts.shape)
    assert int(cells(page.text, "Most frequent mistakes")[0][1]) == counts[i, j]
    assert f"{sk.accuracy_score(target, said):.4g}" in page.shown


def test_classified_table_shows_the_features_of_mistakes(tmp_path):
    output, target = classified(classes=3)
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("f")
    run = make_run(tmp_path / "run", "classification", output, target, x=x, classes=["A", "B", "C"],
                   features=["sepal length", "sepal width", "petal length", "petal width"])  # fmt: skip
    page = page_of(run)
    first = cells(page.text, "Worst mistakes")[0]
    place = int(first[0]) - 500
    assert "sepal length" in page.shown
    assert [float(v) for v in first[4:]] == pytest.approx(x[place].tolist(), rel=1e-3)
    assert not any(image["alt"].startswith("Row ") for image in page.all("img"))


def test_binary(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 40)
    output = (rng.normal(size=(40, 1)) + target[:, None]).astype("f")
    page = page_of(make_run(tmp_path / "run", "binary", output, target, classes=["benign", "malignant"]))
    rows = cells(page.text, "Precision, recall and F1 of each class")
    assert rows[1][0] == "malignant"
    assert float(rows[1][4]) == pytest.approx(sk.roc_auc_score(target, output[:, 0]), abs=6e-4)


def test_multilabel(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, (30, 3))
    output = rng.normal(size=(30, 3)) + target
    page = page_of(make_run(tmp_path / "run", "multilabel", output, target, classes=["dog", "cat", "bird"]))
    assert f"{(((output > 0) == target).all(1)).mean():.4g}" in page.shown
    gap = np.abs(1 / (1 + np.exp(-output)) - target).max(1)
    assert int(cells(page.text, "Worst mistakes")[0][0]) == 500 + gap.argmax()


@pytest.mark.parametrize("outputs", [1, 2])
def test_regression(tmp_path, outputs):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(40, outputs)) * 50
    output = target + rng.normal(size=(40, outputs))
    run = make_run(tmp_path / "run", "regression", output, target if outputs > 1 else target[:, 0], shape=(3,),
                   lines=history(metric="rmse"))  # fmt: skip
    page = page_of(run)
    names = {file.name for file in (run / "report").glob("*.png")}
    assert names == {
        "loss.png",
        "rmse.png",
        "learning_rate.png",
        "predicted.png",
        "residuals.png",
        "residual_spread.png",
    }
    assert f"{np.sqrt(((output - target) ** 2).mean()):.4g}" in page.shown
    assert f"{sk.r2_score(target, output):.4g}" in page.shown
    first = cells(page.text, "Largest errors")[0]
    assert int(first[0]) == 500 + np.abs(output - target).max(1).argmax()


def test_sequences_name_the_step(tmp_path):
    rng = np.random.default_rng(0)
    run = make_run(
        tmp_path / "run", "classification", rng.normal(size=(5, 4, 3)), rng.integers(0, 3, (5, 4)), classes="abc"
    )
    page = page_of(run)
    assert re.fullmatch(r"50\d, step [0-3]", cells(page.text, "Worst mistakes")[0][0])
    assert "of 20 are wrong" in page.shown


def test_interrupted_run_says_what_is_missing(tmp_path):
    page = page_of(make_run(tmp_path / "run", "classification", lines=history(), result=False))
    assert "There is no result.json: the run was interrupted, or is still under way." in page.shown
    assert "There is no test.npz" in page.shown
    assert {"Loss by epoch", "Accuracy by epoch"} <= {image["alt"].split(":")[0] for image in page.all("img")}


def test_run_that_died_in_its_first_epoch(tmp_path):
    page = page_of(make_run(tmp_path / "run", "classification", result=False))
    assert "No epoch was finished" in page.shown
    assert page.all("img") == []


def test_one_epoch_without_validation(tmp_path):
    lines = [{"epoch": 1, "step": 5, "lr": 0.1, "loss": 0.5, "accuracy": 0.5}]
    page = page_of(make_run(tmp_path / "run", "classification", lines=lines))
    assert "training goes from 0.5 to 0.5." in page.all("img")[0]["alt"]


def test_broken_lines_and_repeated_epochs(tmp_path):
    run = make_run(tmp_path / "run", "classification", lines=history(4))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({**history(4)[3], "loss": 9.0}) + '\n{"epoch": 5, "lo')
    record = read(run)
    assert [line["epoch"] for line in record.history] == [1, 2, 3, 4]
    assert record.history[3]["loss"] == 9.0
    assert "1 unreadable line left out" in page_of(run).shown


@pytest.mark.parametrize("damage", ["truncated", "pickled", "shape", "label", "task", "empty", "one_number"])
def test_damaged_test_file_is_a_note(tmp_path, damage):
    output, target = classified()
    run = make_run(tmp_path / "run", "none" if damage == "task" else "classification", output, target)
    file = run / "test.npz"
    arrays = {"index": np.arange(30), "target": target, "output": output}
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:300])
    elif damage == "pickled":
        np.savez(file, **{**arrays, "target": np.array([{}] * 30, dtype=object)})
    elif damage == "shape":
        np.savez(file, **{**arrays, "target": target[:7]})
    elif damage == "label":
        np.savez(file, **{**arrays, "target": target + 90})
    elif damage == "empty":
        np.savez(file, **{name: array[:0] for name, array in arrays.items()})
    elif damage == "one_number":
        np.savez(file, **{**arrays, "output": np.float32(1)})
    page = page_of(run)
    assert "left out" in page.shown
    assert "Confusion" not in page.shown


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"classes": 3, "shape": "x", "task": ["a"], "rows": 5, "test": {"accuracy": 5}}', "null"]
)
@pytest.mark.parametrize("name", ["data.json", "result.json", "environment.json", "experiment.yaml", "findings.jsonl"])
def test_damaged_file_is_survived(tmp_path, name, text):
    run = make_run(tmp_path / "run", "regression")
    (run / name).write_text(text)
    assert page_of(run).all("h1")


def test_outputs_that_are_no_numbers(tmp_path):
    output, target = classified()
    output[3], output[4] = np.nan, np.inf
    lines = [*history(7), {"epoch": 8, "loss": float("nan"), "lr": None, "accuracy": "x", "validation": None}]
    page_of(make_run(tmp_path / "a", "classification", output, target, lines=lines))
    values = np.array([1.0, np.nan, 3.0, np.inf])
    page_of(make_run(tmp_path / "b", "regression", values, np.arange(4.0), lines=history(2, "rmse")))


def test_hostile_names_are_shown_and_never_run(tmp_path):
    output, target = classified()
    run = make_run(tmp_path / "run", "classification", output, target, classes=HOSTILE, x=np.zeros((30, 2)), shape=(2,),
                   features=["<b>", "</table>"])  # fmt: skip
    (run / "experiment.yaml").write_text("data: '</pre><script>alert(2)</script>'\n")
    (run / "findings.jsonl").write_text(
        json.dumps({"fault": "<img src=x onerror=alert(3)>", "severity": "critical"}) + "\n"
    )
    page = page_of(run)
    for name in (
        '<script>alert("1")</script>',
        'a & b\'s "q"',
        "$x^",
        "日本\ufffd\ufffd",
        "<b>",
        "alert(2)",
        "onerror=",
    ):
        assert name in page.shown
    assert "<script" not in page.text


def test_findings_most_serious_first(tmp_path):
    run = make_run(tmp_path / "run", "classification")
    found = [
        {"fault": "slow_convergence", "severity": "info", "evidence": {"epochs": 3}},
        {"fault": "dying_relu", "severity": "critical"},
    ]
    (run / "findings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
    rows = cells(page_of(run).text, "Findings")
    assert [row[0] for row in rows] == ["dying_relu", "slow_convergence"]
    assert rows[1][3] == "epochs: 3"


def test_a_settings_file_that_explodes_stays_small(tmp_path):
    run = make_run(tmp_path / "run", "classification")
    bomb = ["a: &a [{x: 1}, {x: 2}]"] + [
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9)
    ]
    (run / "experiment.yaml").write_text("\n".join(bomb))
    assert len(cells(page_of(run).text, "Settings")) == 400
    (run / "experiment.yaml").write_text("&a {me: *a}")
    page_of(run)


def test_report_twice_gives_the_same_bytes_and_no_stale_pictures(tmp_path):
    output, target = classified()
    run = make_run(
        tmp_path / "run", "classification", output, target, x=np.random.default_rng(0).random((30, 3, 3)), shape=(3, 3)
    )
    first = write_report(run).read_bytes()
    (run / "report" / "mine.txt").write_text("kept")
    assert write_report(run).read_bytes() == first
    np.savez(run / "test.npz", index=np.arange(30), target=target, output=10 * np.eye(6)[target])
    page = page_of(run)
    assert "every test row was decided right" in page.shown
    assert (run / "report" / "mine.txt").read_text() == "kept"


def test_colour_images(tmp_path):
    output, target = classified()
    x = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3)).astype("uint8")
    page = page_of(make_run(tmp_path / "run", "classification", output, target, x=x, shape=(5, 4, 3)))
    face = next(image for image in page.all("img") if image["alt"].startswith("Row 5"))
    place = int(re.search(r"Row (\d+)", face["alt"])[1]) - 500
    assert np.abs(np.asarray(decoded(face["src"]))[::19, ::19].astype(int) - x[place]).max() <= 2


def test_many_classes(tmp_path):
    output, target = classified(rows=120, classes=40)
    page = page_of(
        make_run(tmp_path / "run", "classification", output, target, classes=[f"class {k}" for k in range(40)])
    )
    assert "The five worst of 40 classes" in page.shown


def test_nothing_global_is_touched(tmp_path):
    before, backend = dict(matplotlib.rcParams), matplotlib.rcParams._get_backend_or_none()
    write_report(make_run(tmp_path / "run", "classification", *classified(), lines=history(2)))
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.rcParams._get_backend_or_none() == backend


def test_no_run_there(tmp_path):
    with pytest.raises(DataError, match=r"expected a run directory .* \(no such directory\)"):
        write_report(tmp_path / "none")
    with pytest.raises(DataError, match="a directory without them"):
        write_report(tmp_path)


def test_a_report_that_cannot_be_written(tmp_path):
    run = make_run(tmp_path / "run", "classification")
    (run / "report").write_text("in the way")
    with pytest.raises(BacklitError, match=r"report: expected to write .* got File exists"):
        write_report(run)


@pytest.mark.parametrize("call", [write_report, plot_loss_and_accuracy])
def test_without_matplotlib_the_install_line_is_named(tmp_path, monkeypatch, call):
    run = make_run(tmp_path / "run", "classification", lines=history(2))
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib" or n.startswith("backlit.report.c")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("canvas", "classes", "curves"):
        monkeypatch.delattr(f"backlit.report.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingLibraryError, match="pip install matplotlib"):
        call(run)


def test_moving_average():
    values = np.array([1.0, 2.0, 6.0, np.nan, 4.0, 0.0])
    np.testing.assert_allclose(moving_average(values, 3), [1.5, 3.0, 4.0, 5.0, 2.0, 2.0])
    np.testing.assert_allclose(moving_average(values, 1), values)
    np.testing.assert_allclose(moving_average(np.full(3, np.nan), 3), np.full(3, np.nan))
    long = np.arange(50.0)
    np.testing.assert_allclose(moving_average(long, 7)[3:-3], long[3:-3])
    assert [window(n) for n in (1, 5, 6, 40, 400)] == [1, 1, 3, 5, 51]


def test_class_names_that_figures_can_show():
    assert label("plain", 3) == "plain"
    assert label("cost $5", 3) == r"cost \$5"
    assert label("日本", 3) == "#3"
    assert label(" ", 3) == "#3"
    assert label("a long class name 22", 3) == "a long …ame 22"
    assert len(label("x" * 15, 3)) == 14


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(theme):
    """WCAG: text 4.5 to 1, lines 3 to 1 against the paper."""

    def light(colour):
        c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    def contrast(colour):
        a, b = sorted([light(colour), light(theme.paper)])
        return (b + 0.05) / (a + 0.05)

    assert min(contrast(theme.ink), contrast(theme.muted)) >= 4.5
    assert min(contrast(colour) for colour in theme.lines) >= 3


class TestPlotLossAndAccuracy:
    def test_a_run_object_and_its_directory_give_the_same_figure(self, tmp_path):
        run = make_run(tmp_path / "run", "classification", lines=history())
        made = plot_loss_and_accuracy(SimpleNamespace(history=history()))
        assert png(made) == png(plot_loss_and_accuracy(run)) == png(plot_loss_and_accuracy(str(run)))

    def test_raw_is_thin_and_the_moving_average_thick(self):
        lines = history(30)
        loss, accuracy = plot_loss_and_accuracy(SimpleNamespace(history=lines)).axes
        assert (loss.get_title(loc="left"), accuracy.get_title(loc="left")) == ("Loss", "Accuracy")
        raw, mean, *_ = loss.get_lines()
        assert raw.get_linewidth() < mean.get_linewidth()
        values = np.array([line["loss"] for line in lines])
        np.testing.assert_allclose(raw.get_ydata(), values)
        np.testing.assert_allclose(mean.get_ydata()[10], values[9:12].mean())
        assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]

    def test_a_notebook_shows_it(self):
        shown = plot_loss_and_accuracy(SimpleNamespace(history=history()))._repr_png_()
        assert colours(Image.open(BytesIO(shown)).convert("RGB")) > 1

    def test_regression_shows_the_error(self):
        axes = plot_loss_and_accuracy(SimpleNamespace(history=history(metric="rmse"))).axes
        assert axes[1].get_title(loc="left") == "Root mean squared error"

    @pytest.mark.parametrize("run", [SimpleNamespace(history=[]), 3, "/nowhere/at/all"])
    def test_nothing_to_plot(self, run):
        with pytest.raises(DataError, match="plot_loss_and_accuracy: expected"):
            plot_loss_and_accuracy(run)


def test_a_user_style_does_not_leak_into_a_report():
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "figure.facecolor": "red"}):
        made = figure(LIGHT)
    assert matplotlib.colors.to_hex(made.get_facecolor()) == LIGHT.paper
