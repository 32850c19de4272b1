"""The processes of pilots, found by the folder in which they work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

_PATIENCE = 300.0  # seconds


def pilots(folder: Path) -> set[int]:
    """Return the pilots whose stores lie in a folder."""
    found = set()
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        command, place = process.info["cmdline"] or (), process.info["cwd"] or ""
        is_pilot = any("memento.executors.pilots." in word for word in command)
        if is_pilot and place.startswith(str(folder)) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.add(process.pid)
    return found


def until(so: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _PATIENCE
    while not so():
        assert time.monotonic() < end, f"not within {_PATIENCE} s"
        time.sleep(0.02)
