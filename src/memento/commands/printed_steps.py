"""Metrics of a program that goes on where an earlier attempt of its task was cut off.

Knows: points, a file beside what the program itself has left. May not know: processes, templates.

A program that begins again prints all its steps again, one that goes on prints only those that are left: of each
metric, points of earlier attempts stand below the first step that this attempt prints.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_NAME = ".memento-steps"  # JSON lines: [metric, step, value], or [metric, step] where an attempt began with that step

Points = dict[str, list[tuple[float, float]]]


class Curves:
    """Records what a program prints, and what earlier attempts of the task have printed before it."""

    def __init__(self, record: Callable[..., Any], folder: Path) -> None:
        self._record, self._path = record, folder / _NAME
        self._earlier = self._read()
        self._begun: set[str] = set()

    def record(self, values: Mapping[str, float], step: float | None) -> None:
        """Take one line of metrics."""
        if step is None:
            self._record(values, None)
            return
        lines: list[list[Any]] = []
        for name, value in values.items():
            if name not in self._begun:
                self._begun.add(name)
                lines.append([name, step])
                self._show(name, step)
            lines.append([name, step, value])
        self._record(values, step)
        with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)

    def end(self) -> None:
        """Record what earlier attempts have and this one had no need to print."""
        for name in list(self._earlier):
            self._show(name, float("inf"))

    def forget(self) -> None:
        """Leave nothing: the program has finished, and what is in its folder is its own."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _show(self, name: str, below: float) -> None:
        for x, y in self._earlier.pop(name, ()):
            if x < below:
                self._record({name: y}, x)

    def _read(self) -> Points:
        found: Points = {}
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return found
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # one that was cut off
                name, step, *value = json.loads(line)
                if value:
                    found.setdefault(name, []).append((step, value[0]))
                else:
                    found[name] = [point for point in found.get(name, ()) if point[0] < step]
        return found
