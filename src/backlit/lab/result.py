"""What an experiment of the lab gives back: numbers, a paragraph that reads them, pictures and films."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backlit.report.canvas import LIGHT, Picture, Theme, png

Table = tuple[tuple[str, ...], ...]
"""Lines of text; the first one are headings, the first column names."""

COLOURS = 128
"""Of a film: enough for lines and a colour scale, and half the bytes of 256."""


class Film(NamedTuple):
    """A moving picture: its file name, what it shows in words, a caption, its frames in a theme, seconds a frame.

    Frames are figures or Pillow images of one size; the last one stands for two seconds.
    """

    name: str
    alt: str
    caption: str
    frames: Callable[[Theme], Iterable[Any]]
    seconds: float = 0.1


@dataclass(frozen=True)
class Result:
    """What one experiment of the lab measured.

    name, title   "batch-size", "What the size of a batch changes"
    numbers       what was measured: plain numbers, lists, dicts, NumPy arrays
    text          what is to be seen, with the measured numbers in it
    pictures      figures that are drawn when they are asked for, in a theme; films likewise
    table         the most telling of the numbers, as text

    >>> import backlit as bl, numpy as np, tempfile
    >>> from backlit.lab.result import Result
    >>> result = Result("coin", "A coin", {"heads": np.array([0.5, 0.25])}, "Half of the first, a quarter of the second.")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in result.save(folder)]
    ['numbers.json']
    """

    name: str
    title: str
    numbers: dict[str, Any]
    text: str
    pictures: tuple[Picture, ...] = ()
    films: tuple[Film, ...] = ()
    table: Table = ()

    def save(self, directory: str | Path, theme: Theme = LIGHT) -> list[Path]:
        """Write each picture (PNG) and film (GIF) under its name, and numbers.json; the paths, numbers last."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        files = [(f"{picture.name}.png", png(picture.draw(theme))) for picture in self.pictures]
        files += [(f"{film.name}.gif", gif(film, theme)) for film in self.films]
        files += [("numbers.json", (json.dumps(plain(self.numbers), indent=1) + "\n").encode())]
        for name, content in files:
            (folder / name).write_bytes(content)
        return [folder / name for name, _ in files]

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.text}"


def gif(film: Film, theme: Theme = LIGHT) -> bytes:
    """The film as a GIF file that runs again and again."""
    first, *rest = _images(film, theme)
    each = round(1000 * film.seconds)
    file = BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, loop=0, optimize=True,
               duration=[each] * len(rest) + [max(each, 2000)])  # fmt: skip
    return file.getvalue()


def _images(film: Film, theme: Theme) -> Iterator[Any]:
    """Frames as images of few colours, without dots: dots cost bytes and flicker."""
    from PIL import Image

    for frame in film.frames(theme):
        image = frame if isinstance(frame, Image.Image) else Image.open(BytesIO(png(frame)))
        yield image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def plain(value: Any) -> Any:
    """Numbers as JSON has them: arrays become lists, NaN and infinity null.

    >>> plain({"a": np.array([1.0, np.nan]), 2: np.float32(0.5)})
    {'a': [1.0, None], '2': 0.5}
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(np.asarray(value).tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
