"""What the documentation says is run: every example, every block of Python, every doctest, every link and command."""

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import backlit as bl
from backlit import cli

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SMALL = {
    "02_train.py": ["run", "--epochs", "4"],
    "autoencoders.py": ["autoencoders", "--quick"],
    "mnist_softmax.py": ["study", "--quick"],
    "named_entities.py": ["--quick"],
    "shakespeare.py": ["char-lstm", "run", "--quick"],
    "time_series.py": ["--quick"],
    "translate_dates.py": ["dates", "--quick"],
}
"""Arguments that make an example quick; the others take none."""

LEAVES = {
    "02_train.py": ["run/result.json", "run/report/index.html"],
    "autoencoders.py": ["autoencoders/reconstructions.png"],
    "mnist_softmax.py": ["study/momentum.png", "study/learning_rate.png", "study/batch_size.png", "study/study.json"],
    "shakespeare.py": ["run/result.json"],
    "translate_dates.py": ["dates/attention.png"],
}
SAYS = {
    "01_by_hand.py": ["delta2 = (p - onehot(t)) / B   (5, 3)", "dL/dW1 = x^T delta1   (4, 2)", "of the compiled step"],
    "02_train.py": ["test accuracy", "4 epochs became 14", "the same predictions: True"],
    "autoencoders.py": ["PCA, 32 numbers", "denoising autoencoder, 64 numbers"],
    "estimators.py": ["five folds: accuracy 0.9", "best of 8 settings", "that nothing has seen: accuracy 0.9"],
    "mnist_softmax.py": ["With and without momentum", "Learning rate, Momentum", "Batch size, SGD"],
    "named_entities.py": ["majority", "margin, windows", "BiLSTM"],
    "shakespeare.py": ["nats a character on the validation part", "temperature 0.5"],
    "time_series.py": ["persistence", "ridge, penalty", "GRU, decay", "their mean forecast"],
    "translate_dates.py": ["of 60 dates", "where the decoder looks: dates/attention.png"],
    "own_layer.py": ["All 7 gradients are right", "WRONG  forgetful_1.a", "Snake(frequency=2.0)"],
}
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:    |\$ )?(make|backlit) +([\w-]+)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder in which `backlit train digits` has been called, as the pages take for granted."""
    folder = tmp_path_factory.mktemp("docs")
    net = bl.Chain(bl.Dense(16), bl.ReLU(), bl.Dense(10))
    bl.train(
        net, "digits", preprocessing=[bl.Scale(1 / 16)], epochs=2, engine="numpy", directory=folder / "runs" / "digits"
    )
    return folder


@pytest.mark.parametrize("example", named(EXAMPLES))
def test_example(example, tmp_path):
    """As a user calls it, in a process of its own; warnings are errors."""
    shared = "ignore:Error reading persistent compilation cache entry"  # as in pyproject.toml
    call = [sys.executable, "-W", "error", "-W", shared, str(example), *SMALL.get(example.name, [])]
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    for text in SAYS[example.name]:
        assert text in done.stdout
    for name in LEAVES.get(example.name, []):
        assert (tmp_path / name).stat().st_size > 0


def test_by_hand_the_engines_agree(tmp_path):
    """The first example ends with two differences; both are rounding."""
    call = [sys.executable, str(ROOT / "examples" / "01_by_hand.py")]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True)
    found = [float(value) for value in re.findall(r"^largest difference.*: (\S+)$", done.stdout, re.MULTILINE)]
    assert len(found) == 2
    assert max(found) < 1e-5


@pytest.mark.parametrize("page", named([page for page in PAGES if FENCE.search(read(page))]))
def test_python_blocks(page, runs, tmp_path, monkeypatch):
    """Blocks of a page run one after another, as if typed in; what stands behind a print is what it prints."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in FENCE.findall(read(page)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(page), "exec"), names)
        promised = re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE)
        lines = printed.getvalue().splitlines()
        assert [line for line in lines if line in promised] == promised, printed.getvalue()


@pytest.mark.parametrize("page", named([page for page in PAGES if ">>>" in read(page)]))
def test_doctests(page, runs, tmp_path, monkeypatch):
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8", optionflags=flags)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", named(PAGES))
def test_links_lead_somewhere(page):
    for link in LINK.findall(read(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The names that headings get: lower case, hyphens for spaces, punctuation left out."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", named(PAGES))
def test_commands_exist(page):
    """Every `make x` and `backlit x` at the start of a line of code."""
    known = {
        "make": set(re.findall(r"^(\w+):", read(ROOT / "Makefile"), re.MULTILINE)),
        "backlit": set(typer.main.get_command(cli.app).commands),
    }
    for program, command in COMMAND.findall(read(page)):
        assert command in known[program], f"{program} {command}"


@pytest.mark.parametrize("page", named(PAGES))
def test_files_named_in_code_exist(page):
    """`src/backlit/...`, `tests/...`, `examples/...`, `docs/...` and `benchmarks/...` in backquotes."""
    for path in re.findall(r"`((?:src|tests|examples|docs|benchmarks)/[\w./-]*)`", read(page)):
        assert (ROOT / path).exists(), path


def test_every_example_is_run_and_named_in_the_readme():
    assert {example.name for example in EXAMPLES} == set(SAYS)
    assert [example.name for example in EXAMPLES if example.name not in read(ROOT / "README.md")] == []


def test_every_page_can_be_reached():
    """From the README, by links."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(read(page)) if not re.match(r"[a-z]+:", link))
        found = ((page.parent / link).resolve() for link in links if link.endswith(".md"))
        waiting += [other for other in found if other not in reached]
    assert reached == set(PAGES)


def test_the_readme_is_one_screen():
    lines = read(ROOT / "README.md").splitlines()
    assert len(lines) <= 80
    (block,) = FENCE.findall(read(ROOT / "README.md"))
    assert len(block.splitlines()) <= 15
