"""Turn our errors into a message and an exit code; a user's typing error needs no traceback.

Knows: which errors are ours. May not know: commands.

Exit codes: 0 done, 1 tasks failed or our error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from memento.errors import MementoError, RunInterrupted
from memento.wording import safe_text


class UsageError(MementoError):
    """The command line names something that is not there; exits with 2."""


@contextmanager
def explained() -> Iterator[None]:
    """Print our errors and exit; everything else keeps its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that a terminal lacks ends no command
    try:
        yield
        sys.stdout.flush()  # here, and not at the interpreter's end, where a closed pipe cannot be answered
    except UsageError as error:
        _say(error)
        raise SystemExit(2) from None
    except MementoError as error:
        _say(error)
        raise SystemExit(1) from None
    except RunInterrupted as error:
        # The display has printed the summary already.
        _say(error.summary)
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader (head, less) has gone: leave quietly, and keep Python from flushing into its pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _say(error: object) -> None:
    lines = str(error).split("\n")  # each by itself: an escape that is left open ends with its line
    print("memento: " + "\n".join(safe_text(line) for line in lines), file=sys.stderr)
