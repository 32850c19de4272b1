"""`memento logs KEY`: what a task printed.

Knows: where logs stand. May not know: runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from memento.cli.inspect import find_task, open_store
from memento.wording import safe_text

_LOOK_EVERY = 0.3  # seconds


def print_log(path: Path | None, key: str, *, follow: bool) -> None:
    """Print a task's output; with `follow`, wait for the task's end and for more."""
    with open_store(path) as store:
        record = find_task(store, key)
        shown = b""
        while True:
            text = store.log(record)
            if text.startswith(shown):
                _print(text[len(shown) :])
            else:  # a new attempt began
                _print(text)
            shown = text
            if not follow:
                break
            time.sleep(_LOOK_EVERY)
            record = find_task(store, key)
    if not shown and not follow:
        print("it printed nothing", file=sys.stderr)


def _print(data: bytes) -> None:
    sys.stdout.write(safe_text(data.decode("utf-8", "replace")))
    sys.stdout.flush()
