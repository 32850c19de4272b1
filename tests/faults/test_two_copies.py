"""A place that was lost may live on: nothing of what its copy of the task does reaches the successor's result."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Memento
from memento.executors.base import Executor, Lost, Message, Running
from memento.records import Outcome
from memento.results.result import Result
from memento.store.store import Store
from memento.worker.task_runner import Conditions, local_runner
from memento.worker.work import Task, Work

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process")
STEPS = 6


class Partitioned(Executor):
    """Runs each attempt in a process of its own; one that stops itself is taken for lost, and lives on.

    `wake_at` says when the copy goes on: after the successor is done, or each time the successor stops itself too.
    """

    name = "partitioned"
    isolates = True

    def __init__(self, *, wake: str) -> None:
        self.wake_at = wake
        self.copies: list[int] = []
        self.late: list[Outcome] = []
        self.fences: list[int] = []
        self._queue: deque[Task] = deque()

    def start(self, work: Work) -> None:
        self._work = work

    def want(self) -> int:
        return 0 if self._queue else 1

    def submit(self, tasks: Sequence[Task]) -> None:
        self._queue.extend(tasks)

    def poll(self, timeout: float) -> list[Message]:
        if not self._queue:
            return []
        task = self._queue.popleft()
        self.fences.append(task.fence)
        pipe, pid = self._begin(task)
        while os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
            if task.attempt == 1:  # its place is lost, and lives on
                self.copies.append(pid)
                self._pipe = pipe
                return [Lost(task.number, task.attempt, "the node does not answer")]
            if self.wake_at == "beside":
                self.let_copies_go_on()
            os.kill(pid, signal.SIGCONT)
        with open(pipe, "rb") as file:
            outcome: Outcome = pickle.load(file)
        return [outcome]

    def _begin(self, task: Task) -> tuple[int, int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return reader, pid
        with open(writer, "wb") as file:
            pickle.dump(local_runner(self._work, Conditions(worker=f"host/{task.attempt}")).run(task), file)
        os._exit(0)

    def let_copies_go_on(self) -> None:
        """Let the lost attempt go on to its end."""
        while self.copies:
            pid = self.copies.pop()
            os.kill(pid, signal.SIGCONT)
            while os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
                os.kill(pid, signal.SIGCONT)
            with open(self._pipe, "rb") as file:
                self.late.append(pickle.load(file))

    def running(self) -> list[Running]:
        return []

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        self._queue.clear()

    def wake(self) -> None:
        return

    def close(self) -> None:
        return


def experiment(context: Any, config: Any) -> Any:
    """Leaves a line of each step everywhere, and stops itself in the middle."""
    who, folder = f"attempt {context.attempt}", context.directory
    done = context.restore() if context.checkpoint_exist() else []
    while len(done) < STEPS:
        done = [*done, who]
        line = f"{len(done)} {who}\n"
        with open(folder / "log.txt", "a") as file:
            file.write(line)
        (folder / f"{len(done)}.txt").write_text(line)
        context.artifact("plots/last.txt").write_text(line)
        context.record(done=len(done))
        context.checkpoint(done)
        if len(done) == config.stop:
            os.kill(os.getpid(), signal.SIGSTOP)
        if context.attempt > 1 and len(done) == STEPS - 1:
            os.kill(os.getpid(), signal.SIGSTOP)  # where the copy may go on
    log = (folder / "log.txt").read_text().splitlines()
    files = {path.name: path.read_text() for path in folder.glob("[0-9].txt")}
    if context.attempt == 1 and config.spiteful:
        shutil.rmtree(folder)
    return done, log, files, context.artifact("plots/last.txt")


def run(executor: Executor, stop: int, *, spiteful: bool) -> Result:
    results = Memento(experiment, executor=executor).run(
        {"parameters": {"stop": [stop], "spiteful": [spiteful]}}
    )
    assert results is not None
    return results[0]


@pytest.fixture(params=["beside", "after"])
def executor(request: pytest.FixtureRequest) -> Iterator[Partitioned]:
    executor = Partitioned(wake=request.param)
    yield executor
    for pid in executor.copies:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize("spiteful", [False, True])
@pytest.mark.parametrize(
    "stop", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(STEPS, marks=pytest.mark.slow)]
)
def test_nothing_of_a_copy_that_lives_on_reaches_the_result(
    executor: Partitioned, stop: int, spiteful: bool
) -> None:
    result = run(executor, stop, spiteful=spiteful)
    executor.let_copies_go_on()
    assert executor.fences == [0, 1]
    assert [outcome.failure for outcome in executor.late] == [None]  # the copy did all that it wanted to
    whose = ["attempt 1"] * stop + ["attempt 2"] * (STEPS - stop)
    done, log, files, path = result.inner
    assert done == whose
    assert log == [f"{n} {who}" for n, who in enumerate(whose, 1)]
    assert files == {f"{n}.txt": f"{n} {who}\n" for n, who in enumerate(whose, 1)}
    last = f"{STEPS} {whose[-1]}\n"
    assert path.read_text() == last
    assert {name: file.read_text() for name, file in result.artifacts.items()} == {"plots/last.txt": last}
    assert result.metrics["done"]["y"].tolist() == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.usefixtures("in_folder")
def test_what_knows_tasks_folders_knows_those_of_a_fence(
    tmp_path: Path, executor: Partitioned, capsys: pytest.CaptureFixture[str]
) -> None:

    result = run(executor, 3, spiteful=False)
    executor.let_copies_go_on()
    text = f"{STEPS} attempt 2\n"
    assert memento.verify("memento-store").problems == []
    # copied
    Store.open("copy").close()
    memento.merge("memento-store", into="copy")
    (copied,) = memento.load("copy")
    assert copied.artifacts["plots/last.txt"].is_relative_to(tmp_path / "copy")
    assert copied.artifacts["plots/last.txt"].read_text() == text
    # renamed
    with Store.open("memento-store") as store:
        store.rename(store.index.experiments()[0][0], "other:experiment")
    (renamed,) = memento.load("memento-store")
    assert renamed.key != result.key
    assert renamed.artifacts["plots/last.txt"].read_text() == text
    # freed: what no row names
    memento.gc("memento-store")
    assert renamed.artifacts["plots/last.txt"].read_text() == text
    artifacts = Path("memento-store", "artifacts")
    assert [path.name for path in artifacts.iterdir()] == [f"{renamed.key}.1"]
    assert list(Path("memento-store", "checkpoints").iterdir()) == []
    assert memento.verify("memento-store").problems == []
    with Store.open("memento-store") as store:
        store.forget([bytes.fromhex(renamed.key)])
    memento.gc("memento-store")
    assert list(artifacts.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("in_folder")
def test_a_later_run_keeps_away_from_copies_too(executor: Partitioned) -> None:
    result = run(executor, 3, spiteful=False)
    with Store.open("memento-store") as store:
        store.forget([bytes.fromhex(result.key)])
    again = Partitioned(wake="after")
    second = run(again, 3, spiteful=False)
    try:
        assert again.fences == [2, 3]
        executor.let_copies_go_on()
        assert second.artifacts["plots/last.txt"].read_text() == f"{STEPS} attempt 2\n"
    finally:
        again.let_copies_go_on()
