"""Before anything is imported: no window opens, and no test writes into the user's cache."""

import os
import tempfile
from collections.abc import Iterator

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


ONCE = {
    "attention", "augmentation", "contract", "convolution", "data_preprocessing", "fused", "generate", "lab", "lab_rules",
    "losses", "lr_find", "normalization", "optim", "pooling", "published", "recurrent", "rows", "second_order", "wrappers",
}  # fmt: skip
"""Modules with many small programs that nobody needs again: writing them to the disk would take a third of the time."""


@pytest.fixture(autouse=True, scope="module")
def no_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    once = request.module.__name__.rpartition(".")[2].removeprefix("test_") in ONCE
    if once:
        _cache(False)
    yield
    if once:
        _cache(True)


def _cache(used: bool) -> None:
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    import backlit.engine.xla  # noqa: F401  (it settles where the cache lies before this turns it off)

    jax.config.update("jax_enable_compilation_cache", used)
    compilation_cache.reset_cache()  # JAX looks at the setting once, and then no more
