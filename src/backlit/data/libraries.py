"""Libraries that are imported only where they are used, with the line that installs a missing one."""

from importlib import import_module
from typing import Any

from backlit.errors import MissingLibraryError


def library(module: str, package: str, reason: str) -> Any:
    """The module, or MissingLibraryError with the line that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        text = f"{reason} needs {package} ({error}); install it with: pip install {package}"
        raise MissingLibraryError(text) from None
