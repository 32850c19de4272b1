"""What lies in the store's files, results and steps, is the same for every task, whatever the others do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memento import Memento
from memento.store.store import Store
from memento.values import payloads, places

SIZE = 200_000  # doubles: 1.6 MB, which is mapped
TASKS = range(6)


def made(kind: str) -> Any:
    array = np.arange(float(SIZE))
    if kind == "array":
        return array
    return {"x": array} if kind == "nested" else pd.DataFrame({"x": array, "y": np.arange(SIZE)})


def part(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else value["x"]


def pipeline(context: Any, config: Any) -> Any:
    if config.stage == "first":
        return made(config.kind)
    step = context.cached(made, "array")
    seen = float(part(config.first).sum()), float(step.sum())
    if isinstance(config.first, pd.DataFrame):
        config.first.loc[:, "x"] = -1.0
        config.first.loc[3, "y"] = -1
    else:
        part(config.first)[:] = -1.0
    step[:] = -1.0
    return (*seen, float(part(config.first).max()), float(context.cached(made, "array").sum()))


def run(folder: Path, executor: Any, kinds: list[str], tasks: range = TASKS) -> Any:
    memento = Memento(pipeline, store=folder, executor=executor, num_workers=2, progress=False)
    memento.add_matrix({"id": "first", "parameters": {"stage": ["first"], "kind": kinds}})
    memento.add_matrix(
        {"id": "then", "dependencies": ["first"], "parameters": {"stage": ["then"], "task": tasks}}
    )
    found = memento.run_all()
    assert found is not None
    return found["then"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:num_workers")
@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_task_may_change_what_it_got_and_no_other_sees_it(executor: str, tmp_path: Path) -> None:
    results = run(tmp_path / "store", executor, ["array", "nested", "frame"])
    whole = float(np.arange(SIZE).sum())
    assert [result.inner for result in results] == [(whole, whole, -1.0, whole)] * 3 * len(TASKS)
    with Store.open(tmp_path / "store") as store:
        refs = list(store.payloads.refs())
        assert len(refs) >= 3
        for ref in refs:
            store.payloads.verify(ref)


def test_what_tasks_of_one_process_share_is_read_once_to_be_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "serial", ["array"])
    monkeypatch.setattr(payloads, "_verified", set())  # as in another process
    read = 0
    read_into = places.Content.pass_through

    def counted(self: Any, size: int, seen: Any) -> None:
        nonlocal read
        read += size
        read_into(self, size, seen)

    def copies(*_: Any) -> Any:
        raise AssertionError("a large value is read into memory")

    monkeypatch.setattr(places.Content, "pass_through", counted)
    monkeypatch.setattr(places.Content, "read", copies)
    results = run(tmp_path, "serial", ["array"], range(10, 16))
    assert [result.was_cached for result in results] == [False] * 6
    assert [result.inner[0] for result in results] == [float(np.arange(SIZE).sum())] * 6
    # The result and the step are two files of one content.
    assert 2 * 8 * SIZE <= read < 2 * 8 * SIZE + 1_000
