"""A shared step is computed once, by one worker, whatever happens to workers."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.context import step_locks
from memento.context.context import Context
from memento.context.step_calls import Call
from memento.context.task_space import StopTask
from memento.store.step_records import read_record, records, step_text
from memento.system import try_lock
from tests.context.making import context


def test_a_step_is_computed_once_over_all_tasks(store: str) -> None:
    def load(n: int, scale: float = 1.0) -> Any:
        note(store)
        return np.arange(n) * scale

    Path(store).mkdir()
    values = [context(store, i).cached(load, 50_000, scale=2.0) for i in range(4)]
    assert all((v == np.arange(50_000) * 2.0).all() for v in values)
    assert (Path(store) / "called").read_text() == "x"


def test_other_arguments_are_another_step(store: str) -> None:
    def step(n: int) -> int:
        return n + 1

    assert [context(store).cached(step, n) for n in (1, 2, 1)] == [2, 3, 2]


def test_what_one_task_changes_in_a_steps_value_no_other_task_sees(store: str) -> None:
    def step() -> Any:
        return np.zeros(50_000)

    context(store, 1).cached(step)[:] = 1
    assert context(store, 2).cached(step).sum() == 0


def test_a_step_may_return_none(store: str) -> None:
    Path(store).mkdir()

    def step() -> None:
        note(store)

    assert [context(store).cached(step) for _ in range(2)] == [None, None]
    assert (Path(store) / "called").read_text() == "x"


def test_a_step_that_raises_raises_in_its_task_and_a_later_attempt_tries_again(store: str) -> None:
    Path(store).mkdir()
    flag = Path(store) / "flag"

    def step() -> int:
        if not flag.exists():
            flag.touch()
            raise OSError("the server is away")
        return 7

    with pytest.raises(OSError, match="the server is away"):
        context(store, 1).cached(step)
    assert context(store, 1, attempt=2).cached(step) == 7
    assert context(store, 2).cached(step) == 7


def test_a_damaged_step_is_computed_again(store: str) -> None:
    def step() -> Any:
        return np.arange(50_000)

    context(store).cached(step)
    (file,) = Path(store, "steps").glob("??/*.npy")
    file.write_bytes(b"torn")
    assert (context(store).cached(step) == np.arange(50_000)).all()


def test_a_step_that_asks_for_itself_is_told_so(store: str) -> None:
    one = context(store)
    _contexts.append(one)
    try:
        with pytest.raises(RuntimeError, match="asks for itself"):
            one.cached(_endless, 1)
    finally:
        _contexts.clear()


class _Contexts(list[Context]):
    """Where a step finds its context, which is no part of its key."""

    def __memento_key__(self) -> str:
        return "contexts"


_contexts = _Contexts()


def _endless(n: int) -> Any:
    return _contexts[0].cached(_endless, n)


def test_a_step_may_use_another_step(store: str) -> None:
    assert context(store).cached(_outer, store, 3) == 31


def _inner(n: int) -> int:
    return n * 10


def _outer(store: str, n: int) -> int:
    value: int = context(store).cached(_inner, n)
    return value + 1


def test_a_task_that_waits_for_a_step_can_be_stopped(store: str) -> None:
    lock = Path(store, "steps", "keys", f"{Call(_inner, (1,), {}).key.hex()}.lock")
    lock.parent.mkdir(parents=True)
    with open(lock, "w") as held:
        assert try_lock(held.fileno())
        with pytest.raises(StopTask):
            context(store, stopping=lambda: True).cached(_inner, 1)


def test_threads_of_one_process_share_the_work(store: str) -> None:
    Path(store).mkdir()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(300)
        context(store).cached(_slow, store)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert Path(store, "called").read_text() == "x"


def note(store: str) -> None:
    with open(Path(store) / "called", "a") as file:
        file.write("x")


def _slow(store: str) -> int:
    note(store)
    return sum(range(200_000))


WORKER = """
import os, sys
from pathlib import Path
from memento.context.context import Context
from memento.context.task_space import TaskSpace
store, name = sys.argv[1:]
def step(store):
    with open(Path(store) / "called", "a") as file:
        file.write(os.environ["NAME"])
    if os.environ["NAME"] == "a":
        print("computing", flush=True)
        sys.stdin.read()  # until somebody kills us
    return list(range(50))
os.environ["NAME"] = name
print("asking", flush=True)
value = Context.for_task(TaskSpace(store, "run", name.encode() * 16)).cached(step, store)
print(sum(value), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_when_the_worker_that_computes_is_killed_another_takes_over(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "worker.py").write_text(WORKER)

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "worker.py"), str(store), name]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with start("a") as first:
        assert first.stdout is not None
        assert [first.stdout.readline().strip() for _ in range(2)] == ["asking", "computing"]
        with start("b") as second:
            assert second.stdout is not None
            assert second.stdout.readline().strip() == "asking"
            os.kill(first.pid, signal.SIGKILL)
            assert second.stdout.readline().strip() == "1225"
    assert (store / "called").read_text() == "ab"


def _beside(context: Context, size: int) -> list[int]:
    """Is computed by two at the same time, each with a checkpoint and a file of the step's own."""
    for step in range(3):
        _both.wait(300)
        context.checkpoint(step)
        (context.directory / "note.txt").write_text("the same")
    _both.wait(300)
    return list(range(size))


_both = threading.Barrier(2)


@pytest.mark.parametrize("size", [3, 50_000])
def test_where_a_disk_has_no_locks_two_copies_of_a_task_may_compute_a_step_and_both_get_it(
    store: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def no_locks(descriptor: int) -> bool:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(step_locks, "try_lock", no_locks)
    monkeypatch.setattr(step_locks, "unlock", no_locks)
    Path(store).mkdir()
    found: list[object] = []

    def work(fence: int) -> None:
        found.append(context(store, fence=fence).cached(_beside, size=size))

    threads = [threading.Thread(target=work, args=(fence,)) for fence in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert found == [list(range(size))] * 2
    assert context(store).cached(_beside, size=size) == list(range(size))  # and nobody computes it again


def used(told: Context) -> list[str]:
    """Name the steps that a task used, by what their records say."""
    store = told._attempt.place().store
    found = [read_record(store, key) for key in told.left_behind()[4] or ()]
    return [step_text(record) for record in found if record]


def test_a_task_tells_which_steps_it_used(store: str) -> None:
    first, second, other = (context(store, i) for i in range(3))
    first.cached(_inner, 1)
    second.cached(_inner, n=2)
    second.cached(_inner, 1)
    assert [used(first), used(second)] == [["_inner(n=1)"], ["_inner(n=2)", "_inner(n=1)"]]
    assert other.left_behind()[4] is None


def test_a_task_that_goes_on_from_a_checkpoint_has_used_what_it_had_before(store: str) -> None:
    before, after = context(store), context(store)
    before.cached(_inner, 1)
    before.checkpoint(5)
    after.restore()
    after.cached(_inner, 2)
    assert used(after) == ["_inner(n=1)", "_inner(n=2)"]


def _featurize(context: Context, n: int) -> Any:
    return context.cached(_inner, n) + context.cached(_inner, n + 1)


def test_a_task_tells_the_steps_within_its_steps_also_where_they_were_there(store: str) -> None:
    for number in range(2):
        told = context(store, number)
        assert told.cached(_featurize, 1) == 30
        assert sorted(used(told)) == ["_featurize(n=1)", "_inner(n=1)", "_inner(n=2)"]
    (outer,) = (record for record in records(store) if "_featurize" in record.name)
    assert (outer.run, outer.task, len(outer.steps)) == ("run", b"\0" * 16, 2)


def test_what_another_release_has_stored_and_nobody_can_read_is_computed_again(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context(store).cached(_inner, 1) == 10

    def broken(*_: Any, **__: Any) -> Any:
        monkeypatch.undo()
        raise AttributeError("there was such a class once")

    monkeypatch.setattr("memento.context.steps.decode", broken)
    assert context(store, 1).cached(_inner, 1) == 10


def test_what_a_task_computes_or_waits_for_is_told(store: str) -> None:
    told: list[tuple[Any, ...]] = []

    def step(context: Context) -> int:
        context.progress(1, total=4)
        return 1

    one = context(store, live=lambda *facts: told.append(facts), live_every=0.0)
    one.cached(step)
    one.cached(step)
    name = "computes step test_what_a_task_computes_or_waits_for_is_told.<locals>.step()"
    assert told == [(0.0, None, {}, name), (1.0, 4.0, {}, name), (1.0, 4.0, {})]
    told.clear()
    lock = Path(store, "steps", "keys", f"{Call(_inner, (1,), {}).key.hex()}.lock")
    with open(lock, "w") as held:
        assert try_lock(held.fileno())
        with pytest.raises(StopTask):
            context(store, live=lambda *facts: told.append(facts), stopping=lambda: True).cached(_inner, 1)
    assert told == [(0.0, None, {}, "waits for step _inner(n=1)"), (0.0, None, {})]
