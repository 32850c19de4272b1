"""A run of which tasks were cancelled is not told as done: some of them have no result."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from memento import Memento
from memento.errors import CommandRefused
from memento.runner.remote_control import control
from memento.store.store import Store


def cancels(context: Any, config: Any) -> int:
    if config.x == 0:
        with suppress(CommandRefused):  # by the second run: all of these have finished
            control(config.settings["folder"]).cancel(x=2)
    return int(config.x)


def test_a_run_with_cancelled_tasks_is_not_told_as_done(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    owner = Memento(
        cancels, executor="threads", num_workers=1, store=folder, progress=False, on_error="return"
    )
    matrix = {"parameters": {"x": [0, 1, 2]}, "settings": {"folder": str(folder)}}
    owner.run(matrix)
    owner.run(matrix)
    with Store.open(folder, create=False, readonly=True) as store:
        second, first = store.index.runs()
        assert [(run.status, run.counts["done"]) for run in (first, second)] == [
            ("interrupted", 2),
            ("done", 1),
        ]
