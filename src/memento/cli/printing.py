"""Print what commands have found: text for people, JSON for scripts.

Knows: streams, widths, JSON. May not know: stores, commands.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from memento.wording import safe_text


def print_safe(text: str, end: str = "\n") -> None:
    """Print foreign text without what would steer the terminal; an open escape ends with its line."""
    sys.stdout.write("\n".join(safe_text(line) for line in text.split("\n")) + end)
    sys.stdout.flush()


def agrees(question: str, *, as_json: bool) -> bool:
    """Ask a person, where there is one."""
    if as_json or not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def print_json(command: str, value: Mapping[str, Any]) -> None:
    """Print what a script reads: an object whose `schema` says what it has, like "memento.ls/1".

    A field may be added to a version; one that goes, or means something else, makes a new version.
    """
    told = {"schema": f"memento.{command}/1", **value}
    print(json.dumps(_strict(told), indent=2, default=str, ensure_ascii=True))


def _strict(value: Any) -> Any:
    """What JSON can say: it has no infinity and no NaN, though Python's writer would write them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _strict(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return value


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows with their columns aligned."""
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def time_text(seconds: float) -> str:
    """Say a moment in this place's time."""
    return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")
