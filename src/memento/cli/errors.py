"""Turn our errors into a message and an exit code; a user's typing error needs no traceback.

Knows: which errors are ours. May not know: commands.

Exit codes: 0 done, 1 tasks failed or our error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from memento.errors import MementoError, RunInterrupted


class UsageError(MementoError):
    """The command line names something that is not there; exits with 2."""


@contextmanager
def explained() -> Iterator[None]:
    """Print our errors and exit; everything else keeps its traceback."""
    try:
        yield
    except UsageError as error:
        print(f"memento: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except MementoError as error:
        print(f"memento: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except RunInterrupted as error:
        # The display has printed the summary already.
        print(f"memento: {error.summary}", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader (head, less) has gone: leave quietly, and keep Python from flushing into it.
        sys.stderr.close()
        raise SystemExit(0) from None
