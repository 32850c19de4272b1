"""Take along the source lines that stand in no file, so that a traceback made in a worker shows them.

Knows: `linecache`, the standard input of `python -`. May not know: tasks, workers.

Cells of a notebook and lines typed into a prompt are kept in this process' `linecache` only. A script that comes from
the standard input is kept nowhere, but can be read once more where that is a file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping

_MOST = 4_000_000  # characters; whoever types more sees the latest
_STDIN = "<stdin>"


def sources() -> dict[str, str]:
    """Return the source texts of this process that stand in no file, by the names that code objects have for them."""
    found: dict[str, str] = {}
    room = _MOST
    linecache = sys.modules.get("linecache")  # where nobody has it, nothing is in it
    for name, entry in reversed(list(getattr(linecache, "cache", {}).items())):
        if len(entry) != 4 or entry[1] is not None:  # of a file, which workers find by themselves
            continue
        room -= entry[0]
        if room < 0:
            break
        found[name] = "".join(entry[2])
    if _STDIN not in found and sys.argv[:1] == ["-"]:
        script = _standard_input()
        if script:
            found[_STDIN] = script
    return found


def install(texts: Mapping[str, str]) -> None:
    """Let tracebacks of this process find texts that stand in no file."""
    if not texts:
        return
    import linecache

    for name, text in texts.items():
        if name not in linecache.cache:
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def _standard_input() -> str:
    try:
        status = os.fstat(0)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            return ""
        return os.pread(0, status.st_size, 0).decode("utf-8", "replace")
    except (OSError, AttributeError):  # closed, a terminal; a system without pread
        return ""
