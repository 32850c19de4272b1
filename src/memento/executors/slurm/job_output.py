"""Read what jobs have printed, for people who have to know why one did not begin.

Knows: text files. May not know: jobs, Slurm.
"""

from __future__ import annotations

from pathlib import Path

SETUP_FAILED = "memento: setup failed"  # as the script says
SHARE_IT = 'give a store on a path that all hosts share, like Memento(..., store="/shared/store")'
_TAIL = 4_000  # bytes of it
_LINES = 15


def end_of(path: Path) -> str:
    """Return the end of a file; "" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL, 0))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def quoted(output: str) -> str:
    """Put what a job printed into a message."""
    lines = output.splitlines()[-_LINES:]
    return " It printed:\n" + "\n".join(f"    {line}" for line in lines) if lines else " It printed nothing."
