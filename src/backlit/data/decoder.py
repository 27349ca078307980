"""Decodes images into rows of bytes, in this process or as `python decoder.py` in one of its own.

Nothing of the library is imported here, nor JAX, nor the user's program: a worker is ready within a tenth of a second.
One line of JSON asks, one answers; the bytes of an image go straight into the file, at the place of its row:

    {"file": "rows.bin", "row": [32, 32, 3], "fit": true, "images": [[0, "a.png"], [3072, "b.png"]]}
    [null, "image file is truncated"]
    {"sizes": ["a.png"]}
    [[480, 640]]

The process ends when its input does: when whoever asked has ended, however that came about.
"""

import json
import os
import signal
import sys
import warnings
from typing import Any

SWAPPED = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
"""Pillow's names of grey images with 16 bits."""


def answered(job: dict[str, Any]) -> Any:
    """What is asked of a worker; {"disk": why} when the file cannot be written."""
    if "sizes" in job:
        return [measured(path) for path in job["sizes"]]
    height, width, channels = job["row"]
    found: list[str | None] = []
    try:
        handle = os.open(job["file"], os.O_WRONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        return {"disk": error.strerror or str(error)}
    try:
        for offset, path in job["images"]:
            row = decoded(path, height, width, channels, job["fit"])
            if isinstance(row, bytes):
                write(handle, row, offset)
            found.append(None if isinstance(row, bytes) else row)
    except OSError as error:
        return {"disk": error.strerror or str(error)}
    finally:
        os.close(handle)
    return found


def decoded(path: str, height: int, width: int, channels: int, fit: bool) -> "bytes | str":
    """(height, width, channels) bytes, or what is wrong with the file, as text.

    `fit`: the picture is scaled (bilinear, over all pixels it covers) until it just covers the size, and what juts out is
    cut off alike on both sides. It is turned as its EXIF data say; 16-bit grey keeps its upper 8 bits; transparency goes.
    """
    from PIL import Image, ImageOps

    mode = "RGB" if channels == 3 else "L"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open(path, "rb") as file, Image.open(file) as opened:
                if fit and opened.format == "JPEG":
                    # The smallest size its decoder gives that is still twice as large: 3000 x 2000 to 224 is 4.6 x as fast.
                    opened.draft(mode, (2 * max(height, width),) * 2)
                opened.load()
                image: Any = ImageOps.exif_transpose(opened) if "exif" in opened.info else opened
                if image.mode in SWAPPED:
                    image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
                elif image.mode == "P" and "transparency" in image.info:
                    image = image.convert("RGBA")
                elif image.mode == "F":
                    return "expected pixels of 8 or 16 bits, got floating-point numbers"
                image = image.convert(mode) if image.mode != mode else image
                if image.size != (width, height):
                    if not fit:
                        return f"expected {height} x {width} pixels like the first image, got {image.height} x {image.width}"
                    image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
                return bytes(image.tobytes())
    except Exception as error:  # a damaged file raises whatever its reader trips over
        return said(error)


def measured(path: str) -> "list[int] | str":
    """[height, width] by the header, as the picture is to be seen, or what is wrong with the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open(path, "rb") as file, Image.open(file) as image:
                turned = "exif" in image.info and image.getexif().get(0x0112, 1) >= 5
                return [image.width, image.height] if turned else [image.height, image.width]
    except Exception as error:
        return said(error)


def said(error: Exception) -> str:
    """What Pillow or the system complains of."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image that Pillow can read"
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def write(handle: int, row: bytes, offset: int) -> None:
    """All of the bytes at this place of the file."""
    left = memoryview(row)
    while len(left):
        if hasattr(os, "pwrite"):
            done = os.pwrite(handle, left, offset)
        else:
            os.lseek(handle, offset, os.SEEK_SET)
            done = os.write(handle, left)
        left, offset = left[done:], offset + done


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks; this ends with its input
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(answered(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
