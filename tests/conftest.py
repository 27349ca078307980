"""Before anything is imported: no window opens, and no test writes into the user's cache."""

import os
import tempfile

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
if "BACKLIT_CACHE" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="backlit-tests-")
    os.environ["BACKLIT_CACHE"] = _folder.name


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A row of a table in cases.py is called by its own name in the list of tests."""
    name = getattr(val, "id", None)
    return name if isinstance(name, str) else None
