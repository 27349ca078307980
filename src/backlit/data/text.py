"""A text, character by character: the next one is to be predicted."""

import gzip
import zlib
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from backlit.data import files
from backlit.data.dataset import Dataset
from backlit.data.download import fetch
from backlit.data.source import Source
from backlit.errors import DataError
from backlit.settings import Count


@dataclass(frozen=True, kw_only=True)
class Text(Source):
    """Base of texts: x (N, length) characters and y (N, length), the character that follows each.

    Row i + 1 goes on where row i ends, and no character is read in two rows; less than a row is left over at the end.
    The rows are ordered, so a split cuts the text: training first, then validation, then test. The vocabulary, and the
    classes, are all characters that occur, in the order of Unicode. With `order: streams` in the experiment, row b of a
    batch goes on where row b of the batch before it ended: what a recurrent net needs that keeps its state.
    """

    abstract: ClassVar[bool] = True
    length: Count = 64

    @abstractmethod
    def read(self) -> tuple[str, str]:
        """The text, and its name."""

    def load(self) -> Dataset:
        text, name = self.read()
        rows = (len(text) - 1) // self.length
        if rows < 1:
            expected = f"expected at least {self.length + 1} characters, a row of {self.length} and the one after it"
            raise DataError(f"{name}: {expected}, got {len(text)}; use a smaller length")
        letters, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), "<u4"), return_inverse=True)
        codes = codes.astype(np.int32)
        x, y = (codes[i : i + rows * self.length].reshape(rows, self.length) for i in (0, 1))
        alphabet = tuple(map(chr, letters.tolist()))
        return Dataset(x, y, alphabet, vocabulary=alphabet, ordered=True, name=name).checked()


@dataclass(frozen=True)
class Characters(Text):
    """Your own text: a file in UTF-8, or packed by gzip (.gz).

    Errors: DataError for a file that is missing, no UTF-8, or shorter than a row.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from backlit.data import Characters
    >>> path = Path(tempfile.mkdtemp()) / "poem.txt"
    >>> _ = path.write_text("tip-top-tap")
    >>> data = Characters(str(path), length=4).load()
    >>> data.x.tolist(), data.y.tolist(), "".join(data.vocabulary)
    ([[5, 2, 4, 0], [5, 3, 4, 0]], [[2, 4, 0, 5], [3, 4, 0, 5]], '-aiopt')
    """

    aliases: ClassVar[tuple[str, ...]] = ("characters",)
    path: str

    def read(self) -> tuple[str, str]:
        path = files.find(self.path)
        return text_of(path), path.name


@dataclass(frozen=True)
class TinyShakespeare(Text):
    """1 115 394 characters of Shakespeare's plays, 65 different ones.

    Looked for as `tinyshakespeare/input.txt` or `.txt.gz`, or fetched. Source: Karpathy 2015,
    https://karpathy.github.io/2015/05/21/rnn-effectiveness/
    """

    aliases: ClassVar[tuple[str, ...]] = ("tiny-shakespeare",)
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    )
    sha256: ClassVar[str] = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

    def read(self) -> tuple[str, str]:
        name = "tinyshakespeare/input.txt"
        return text_of(files.search(name, f"{name}.gz") or fetch(name, self.mirrors, self.sha256)), "tinyshakespeare"


def text_of(path: Path) -> str:
    """A text in UTF-8, unpacked when it is packed by gzip; line ends stay as they are."""
    data = files.read(path)
    try:
        return (gzip.decompress(data) if data.startswith(files.GZIP) else data).decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        text = f"expected text in UTF-8, got the byte 0x{error.object[error.start]:02x} ({error.reason})"
        raise DataError(f"{path}: line {line}: {text}; write the file anew in UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable gzip file ({error}); fetch the file again") from None
