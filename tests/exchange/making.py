"""Exported tasks made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memento.exchange.exported_tasks import Exported
from memento.records import DONE, TaskRecord

STARTED = 1_700_000_000.25


def task(
    number: int = 1,
    value: Any = None,
    *,
    experiment: str = "lab.py:train",
    parameters: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    repeat: int | None = None,
    status: str = DONE,
    started: float = STARTED,
    **fields: Any,
) -> Exported:
    record = TaskRecord(
        id=number, key=number.to_bytes(16, "big"), experiment=experiment, params="{}", settings="{}",
        repeat=repeat or 0, status=status, code=1, run=1, attempt=1, started=started, runtime=0.5, cpu_time=None,
        memory=1000, virtual=None, worker="host/1", value=None, artifacts=(), log=None, failure=None,
    )  # fmt: skip
    return Exported(record._replace(**fields), parameters or {}, settings or {}, repeat, value, metrics or {})
