"""Turn our errors into a message and an exit code; a user's typing error needs no traceback.

Knows: which errors are ours. May not know: commands.

Exit codes, of all commands
    0    done as asked
    1    tasks failed, two things differ, a file of yours cannot be imported, something is wrong or was refused, or an
         error of ours; the output says which
    2    wrong usage: an option, a file, a key or a store that is not there, a matrix that is wrong; nothing was done
    124  a run was stopped at its deadline, and tasks are left, as `timeout` of the shell says it; what finished is kept
    130  interrupted by Ctrl-C (128 + the signal); what finished is kept
    143  ended by SIGTERM, likewise
Where --json was given, the last line of standard error is an object ("memento.error/1") if the code is not 0, unless
standard output has said it already, as where `verify` finds damage.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from memento.errors import MatrixError, MementoError, RunInterrupted
from memento.wording import safe_text

TIME_IS_UP = 124
AS_JSON: ContextVar[bool] = ContextVar("as_json", default=False)  # whether --json was given to this call


class UsageError(MementoError):
    """The command line names something that is not there; exits with 2."""


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Turn what says that a value cannot be read into wrong usage."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{error}.") from error


@contextmanager
def explained() -> Iterator[None]:
    """Print our errors and exit; everything else keeps its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that a terminal lacks ends no command
    try:
        yield
        sys.stdout.flush()  # here, and not at the interpreter's end, where a closed pipe cannot be answered
    except (UsageError, MatrixError) as error:
        say(error, 2)
        raise SystemExit(2) from None
    except MementoError as error:
        say(error, 1)
        raise SystemExit(1) from None
    except RunInterrupted as error:
        # The display has printed the summary already.
        say(error.summary, 130, "Interrupted")
        raise SystemExit(130) from None
    except SystemExit as ended:
        if AS_JSON.get() and isinstance(ended.code, int) and ended.code > 128:
            say(f"ended by signal {ended.code - 128}", ended.code, "Interrupted")
        raise
    except KeyboardInterrupt:
        if AS_JSON.get():
            say("interrupted", 130, "Interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader (head, less) has gone: leave quietly, and keep Python from flushing into its pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def say(error: object, code: int, kind: str = "") -> None:
    """Print an error: for people, or where JSON was asked for as an object on one line."""
    text = str(error)
    if not AS_JSON.get():
        lines = text.split("\n")  # each by itself: an escape that is left open ends with its line
        print("memento: " + "\n".join(safe_text(line) for line in lines), file=sys.stderr)
        return
    import json

    todo = getattr(error, "todo", "") or None
    told = {
        "schema": "memento.error/1",
        "error": text.removesuffix(todo or "").rstrip(),
        "hint": todo,
        "kind": kind or type(error).__name__,
        "exit_code": code,
    }
    print(json.dumps(told), file=sys.stderr)  # all but ASCII as escapes: nothing steers a terminal
