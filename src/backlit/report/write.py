"""Writing the report of a run."""

import os
from pathlib import Path

from backlit.errors import BacklitError, MissingLibraryError
from backlit.report.page import Page
from backlit.report.record import read


def write_report(run_directory: Path | str) -> Path:
    """Write `<run>/report/index.html` and the PNG files beside it; return the path of the page.

    The page is one file: styles and pictures are within it, it needs no network and no JavaScript, and it follows the
    reader's choice of a light or a dark screen. What a run lacks (it was interrupted, a file is damaged) is said on the
    page. A second call writes the report anew.

    Errors: DataError when there is no run in the directory, MissingLibraryError without matplotlib, BacklitError when
    the report cannot be written.
    """
    record = read(Path(run_directory))
    try:
        page = Page(record)
        text = page.html()
    except ModuleNotFoundError as error:
        library = str(error.name).split(".")[0]
        if library not in ("matplotlib", "PIL"):
            raise
        install = {"PIL": "pillow"}.get(library, library)
        raise MissingLibraryError(f"report needs {install}, which is not installed; pip install {install}") from None
    folder = record.directory / "report"
    try:
        return _save(folder, text, page.files)
    except OSError as error:
        raise BacklitError(
            f"report: expected to write {str(folder)!r}, got {error.strerror or error}; "
            "free the place or make it writable, then run `backlit report` again"
        ) from None


def _save(folder: Path, text: str, pictures: dict[str, bytes]) -> Path:
    """Pictures first, the page last and in one move, so that a page that is there is whole."""
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("mistake_[0-9][0-9].png"):
        stale.unlink()
    for name, png in pictures.items():
        (folder / name).write_bytes(png)
    page, draft = folder / "index.html", folder / f"index.html.{os.getpid()}.tmp"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, page)
    return page
