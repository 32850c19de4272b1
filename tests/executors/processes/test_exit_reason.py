"""How the end of a task whose process was ended is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from memento.executors.processes.exit_reason import ExitReason, why_ended
from memento.records import MEMORY


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (1_520_000_000, "it used 1.52 GB of memory, more than memory_limit=1 GB, and was ended"),
        (1_000_300_000, "it used more memory than memory_limit=1 GB, and was ended"),
    ],
)
def test_the_memory_that_was_used_is_told_where_it_reads_as_more_than_the_limit(used: int, told: str) -> None:
    work: Any = SimpleNamespace(memory_limit=1_000_000_000)
    assert why_ended(work, ExitReason(MEMORY, 0, used), 9, "").message == told
