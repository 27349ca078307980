"""Before anything is imported: no window opens, and no test writes into the user's cache."""

import os
import tempfile

import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
if "BACKLIT_CACHE" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="backlit-tests-")
    os.environ["BACKLIT_CACHE"] = _folder.name


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A row of a table in cases.py is called by its own name in the list of tests."""
    name = getattr(val, "id", None)
    return name if isinstance(name, str) else None


@pytest.fixture(autouse=True)
def same_numbers(request: pytest.FixtureRequest) -> None:
    """A test draws the same from its module's `rng`, whichever tests ran before it in this process."""
    if (rng := getattr(request.module, "rng", None)) is not None:
        rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
