"""From what went wrong to an exit code: a sentence for what a user can mend, a traceback only for our own mistakes.

    0    done
    1    a gradient is wrong (`backlit gradcheck`); a traceback (an error of ours)
    2    one sentence: a wrong setting, data that cannot be used, a full disk
    130  stopped by SIGINT, 143 by SIGTERM: saved, `--resume` goes on
    141  whoever read our output has gone (`backlit list | head -1`)

What is said goes to stderr: stdout holds results alone.
"""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from backlit.errors import BacklitError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO,
    errno.EMFILE, errno.ENFILE,
)  # fmt: skip


def guarded(call: Callable[[], int | None]) -> int:
    """The exit code of `call`; what went wrong is said on stderr in one sentence."""
    try:
        code = call() or 0
        sys.stdout.flush()  # here, so that a reader who has gone is noticed while it can be dealt with
        return code
    except BacklitError as error:
        return told(error)
    except KeyboardInterrupt:
        say("stopped by SIGINT; nothing was lost that had been saved")
        return 130
    except BrokenPipeError:
        _forget_output()
        return 141
    except OSError as error:
        if error.errno not in (*FULL, *PLACE):
            raise
        say(sentence(error))
        _forget_output()
        return 2


def told(error: BacklitError) -> int:
    """Say a user's error; the exit code."""
    from backlit.training.interrupt import Interrupted

    if isinstance(error, Interrupted):
        note(str(error))
        return error.code
    for line in str(error).splitlines() or [type(error).__name__]:
        say(line)
    return 2


def sentence(error: OSError) -> str:
    """What the operating system refused, where, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    hint = "free some space, then go on with --resume" if error.errno in FULL else "check the path and its permissions"
    return f"{where}could not be written or read: {error.strerror}; {hint}"


def say(text: str) -> None:
    """One line on stderr: what is wrong."""
    coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    note(f"\x1b[1;31merror:\x1b[0m {text}" if coloured else f"error: {text}")


def note(*lines: Any) -> None:
    """Lines on stderr, for a person; never raises, for there would be nowhere left to say it."""
    try:
        for line in lines:
            print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


def _forget_output() -> None:
    # Python flushes stdout once more when it ends, and would complain then.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
