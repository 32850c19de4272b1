"""Describe runs and ended tasks, for tests that write to a store or an index.

Knows: records. May not know: who keeps them.
"""

from __future__ import annotations

from typing import Any

from memento.records import (
    DONE,
    FAILED,
    RAISED,
    Encoded,
    Failure,
    Outcome,
    RunInfo,
    TaskRow,
)

EXPERIMENT = "science:experiment"


def key_of(number: int) -> bytes:
    """Return a key for tests."""
    return number.to_bytes(2, "big") * 8


def info_of(experiment: str = EXPERIMENT, **fields: Any) -> RunInfo:
    """Describe a run of this process."""
    import os

    from memento import system

    known: dict[str, Any] = {
        "experiment": experiment,
        "tasks": 10,
        "settings": '{"n_fold": 5}',
        "matrix_id": "",
        "host": system.hostname(),
        "pid": os.getpid(),
        "process_started": system.process_start(os.getpid()) or "",
        "boot_id": system.boot_identity(),
        "argv": ("science.py", "--fast"),
        "provenance": {"python": "3"},
    }
    return RunInfo(**{**known, **fields})


def row_of(
    number: int, *, value: bytes | Encoded = b"1.5", failed: str = "", code: int = 1, **fields: Any
) -> TaskRow:
    """Return how a task ended: done with a JSON value, or failed with a message."""
    if isinstance(value, bytes):
        value = Encoded("json", value, None, len(value), "builtins:float")
    failure = Failure(RAISED, "ValueError", failed, "Traceback ...", "science.py:3", b"pickled", "last words")
    known: dict[str, Any] = {
        "number": number,
        "status": FAILED if failed else DONE,
        "attempt": 1,
        "started": 1_700_000_000.0 + number,
        "runtime": 0.25,
        "cpu_time": 0.2,
        "memory": 1_000,
        "virtual": None,
        "worker": "host/1",
        "value": None if failed else value,
        "metrics": (),
        "artifacts": (),
        "log": None,
        "failure": failure if failed else None,
    }
    return TaskRow(key_of(number), f'{{"n": {number}}}', 0, code, Outcome(**{**known, **fields}))
