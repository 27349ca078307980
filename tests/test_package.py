"""The package as a whole: public names, what an import costs, and which way imports point."""

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import is_dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import backlit as bl
from backlit import losses, optim
from backlit.settings import Settings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "backlit"
HEAVY = {"jax", "jaxlib", "sklearn", "pandas", "matplotlib", "pydantic", "scipy"}

# From the ground up. A module may import at its own level and below.
LEVELS = (
    {"backlit", "errors"},
    {"settings", "engine"},
    {"protocol", "labels"},
    {"initializers", "layers", "losses", "optim", "data", "word_vectors"},
    {"config", "training"},
    {"evaluation", "generation", "gradcheck", "rate_curve", "rate_finder", "report", "plots", "see"},
    {"api", "description", "estimators", "lab", "overrides"},
    {"commandline", "cli", "__main__"},
)
USED_EVERYWHERE = {"backlit.evaluation.entities", "backlit.evaluation.metrics"}
"""Pure functions of NumPy arrays that sit on nothing but errors: training counts with them too."""

UPWARDS_WHEN_CALLED = {
    ("backlit.settings", "backlit.optim.schedules"): "a setting that may be a schedule is built as one",
    ("backlit.protocol", "backlit.layers.compose"): "a list of layers is a Chain",
    ("backlit.training.run", "backlit.report"): "run.report() writes the report",
}


class Import(NamedTuple):
    """One import statement's target; `lazy` when it stands within a function."""

    importer: str
    target: str
    lazy: bool


def module_name(file: Path) -> str:
    parts = ("backlit", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(SOURCE.rglob("*.py"))}


def imports(importer: str) -> list[Import]:
    """Every import of a module, with `from backlit.data import files` resolved to backlit.data.files."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(importer, alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}: relative import; write the whole path"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend(Import(importer, name if name in FILES else str(node.module), lazy) for name in whole)
        else:
            within = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, within)

    visit(ast.parse(FILES[importer].read_text(encoding="utf-8")), lazy=False)
    return found


IMPORTS = [found for name in FILES for found in imports(name)]
INNER = [found for found in IMPORTS if found.target.split(".")[0] == "backlit"]


def level(module: str) -> int:
    top = module.split(".")[1] if "." in module else module
    for height, names in enumerate(LEVELS):
        if top in names:
            return height
    pytest.fail(f"{module}: on which level does {top} stand? Add it to LEVELS in {Path(__file__).name}")


def test_imports_point_downwards():
    upwards = {(i.importer, i.target) for i in INNER if level(i.target) > level(i.importer)}
    upwards = {pair for pair in upwards if pair[1] not in USED_EVERYWHERE}
    assert upwards == set(UPWARDS_WHEN_CALLED)


def test_upward_imports_wait_until_they_are_called():
    assert [i for i in INNER if (i.importer, i.target) in UPWARDS_WHEN_CALLED and not i.lazy] == []


def test_what_is_used_everywhere_sits_on_errors_alone():
    for name in USED_EVERYWHERE:
        assert {i.target for i in imports(name) if i.target.startswith("backlit")} == {"backlit.errors"}


def test_no_circle():
    graph: dict[str, set[str]] = {name: set() for name in FILES}
    for found in INNER:
        if not found.lazy:
            graph[found.importer].add(found.target)
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) == set(FILES)


def test_only_the_engine_imports_jax():
    importers = {i.importer for i in IMPORTS if i.target.split(".")[0] in ("jax", "jaxlib")}
    assert importers
    assert {name for name in importers if not name.startswith("backlit.engine.")} == set()


@pytest.mark.parametrize(
    "code",
    ["import backlit", "from backlit.cli import main; assert main(['--help']) == 0"],
    ids=["import backlit", "backlit --help"],
)
def test_heavy_libraries_are_not_loaded_by(code):
    # The built-in examples of the suite have loaded everything here, so a fresh interpreter is asked.
    report = "import sys; print('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", f"{code}\n{report}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "backlit" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", bl.__all__)
def test_public_name_is_there_and_documented(name):
    value = getattr(bl, name)
    assert name in dir(bl)
    assert own_docstring(value), f"backlit.{name} has no docstring"


def own_docstring(value: object) -> str:
    """Its own docstring, not its base's, and not the signature that `dataclass` writes where there is none."""
    text = vars(value).get("__doc__") if isinstance(value, type) else inspect.getdoc(value)
    if isinstance(value, type) and is_dataclass(value) and (text or "").startswith(f"{value.__name__}("):
        return ""
    return text or ""


def test_public_names_stand_once():
    assert len(bl.__all__) == len(set(bl.__all__))


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'backlit' has no attribute 'Dens'"):
        bl.Dens  # noqa: B018


@pytest.mark.parametrize("package", [bl.layers, losses, optim, bl.data, bl.initializers], ids=lambda m: m.__name__)
def test_settings_of_each_package_have_docstrings(package: ModuleType):
    public = getattr(package, "__all__", dir(package))
    classes = [c for c in map(vars(package).get, public) if isinstance(c, type) and issubclass(c, Settings)]
    assert classes
    assert [c.__name__ for c in classes if not own_docstring(c)] == []


def test_every_file_says_what_it_holds():
    without = [n for n, f in FILES.items() if not ast.get_docstring(ast.parse(f.read_text(encoding="utf-8")))]
    assert without == []


def test_version_is_the_newest_in_the_changelog():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == bl.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", bl.__version__)
