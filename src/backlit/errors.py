"""Every error a user can cause is one of these: one sentence with where, what was expected, what came, what to write.

The command line prints the sentence and leaves with exit code 2; it shows no traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class BacklitError(Exception):
    """Base of all errors that a user can cause and mend."""


class SettingError(BacklitError, ValueError):
    """One or more settings are wrong; `problems` holds (path, sentence) pairs, one per wrong setting."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{path}: {text}" if path else text for path, text in problems))

    def under(self, prefix: str) -> "SettingError":
        """The same problems, seen from one level further out."""
        return SettingError([(join(prefix, path), text) for path, text in self.problems])


class ShapeError(BacklitError, ValueError):
    """Shapes that do not fit; `path` names the layer and grows as the error leaves each nested layer."""

    def __init__(self, text: str, path: str = "") -> None:
        self.text, self.path = text, path
        super().__init__(f"{path}: {text}" if path else text)

    def under(self, name: str) -> "ShapeError":
        return ShapeError(self.text, join(name, self.path))


class DataError(BacklitError, ValueError):
    """Data that cannot be trained on: the file, row and column are named."""


class TokenError(DataError):
    """A token that is no row of the Embedding at `path`, which has `size` rows."""

    def __init__(self, text: str, token: int, size: int, path: str = "") -> None:
        self.token, self.size, self.path = token, size, path
        super().__init__(f"{path}: {text}" if path else text)


class CheckpointError(BacklitError):
    """A checkpoint that is corrupt, foreign or does not fit this experiment."""


class NonFiniteError(BacklitError, ArithmeticError):
    """The loss became NaN or infinite; step, layer and what to try are named."""


class MissingLibraryError(BacklitError, ImportError):
    """An optional library is not installed; the sentence holds the line that installs it."""


def join(prefix: str, path: str) -> str:
    """A dotted path: join('net', 'dense_1.units') is 'net.dense_1.units'."""
    return f"{prefix}.{path}" if prefix and path else prefix or path


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that ends an 'unknown name' sentence: the nearest valid name, or the list of all."""
    names = sorted(known)
    lower = {n.lower(): n for n in names}
    close = get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.5)
    return f"did you mean {lower[close[0]]!r}?" if close else "known: " + ", ".join(names)


def unknown(what: str, name: str, known: Iterable[str]) -> SettingError:
    """SettingError for a name that does not exist, with the nearest one that does."""
    return SettingError([("", f"unknown {what} {name!r}; {nearest(name, known)}")])


def received(value: Any, limit: int = 60) -> str:
    """A value as an error shows it, cut when long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
