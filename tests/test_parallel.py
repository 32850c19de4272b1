"""TaskManager: order, priorities, failures and deaths, on real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memento import (
    TASK_PRIORITY_HIGH,
    TASK_PRIORITY_LOW,
    TASK_PRIORITY_MEDIUM,
    AggregateException,
    AppriseNotificationProvider,
    DefaultNotificationProvider,
    EmailNotificationProvider,
    SmtpConfiguration,
    TaskManager,
    delayed,
)
from memento.errors import UnsavableResult, WorkerDied
from memento.events import Event, RunFinished
from memento.notify.base import DigestNotificationProvider


def append(path: str, text: str) -> str:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text + "\n")
    return text


def test_results_come_in_the_order_of_adding() -> None:
    manager = TaskManager(workers=2)
    manager.add_tasks(delayed(pow)(x, 2) for x in range(20))
    assert manager.run() == [x**2 for x in range(20)]


@pytest.mark.slow
def test_tasks_start_by_priority_and_then_in_the_order_of_adding() -> None:
    order = str(Path("order.txt").absolute())
    manager = TaskManager(workers=1)
    for priority, name in (
        (TASK_PRIORITY_LOW, "low 1"),
        (TASK_PRIORITY_MEDIUM, "medium 1"),
        (TASK_PRIORITY_HIGH, "high 1"),
        (TASK_PRIORITY_LOW, "low 2"),
        (TASK_PRIORITY_HIGH, "high 2"),
        (0, "first"),
    ):
        manager.add_task(delayed(append)(order, name), priority)
    assert manager.run() == ["low 1", "medium 1", "high 1", "low 2", "high 2", "first"]
    started = Path(order).read_text(encoding="utf-8").splitlines()
    assert started == ["first", "high 1", "high 2", "medium 1", "low 1", "low 2"]


@pytest.mark.slow
def test_a_manager_can_run_again() -> None:
    manager = TaskManager(workers=1)
    assert manager.run() == []
    manager.add_task(delayed(sum)([1]))
    assert manager.run() == [1]
    assert manager.run() == []


def test_what_a_task_holds_is_what_it_held_when_it_was_added() -> None:
    numbers = [1, 2]
    manager = TaskManager(workers=1)
    manager.add_task(delayed(sum)(numbers))
    numbers.append(100)
    assert manager.run() == [3]


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_task_and_no_other() -> None:
    # 1.2.0 waited forever.
    manager = TaskManager(workers=1)
    done = str(Path("done.txt").absolute())
    manager.add_task(delayed(append)(done, "before"))
    manager.add_task(lambda: os.kill(os.getpid(), signal.SIGKILL))
    manager.add_task(lambda: os._exit(3))
    manager.add_task(delayed(append)(done, "after"))
    with pytest.raises(AggregateException) as caught:
        manager.run()
    assert [type(e) for e in caught.value.exceptions] == [WorkerDied, WorkerDied]
    assert "SIGKILL" in str(caught.value.exceptions[0])
    assert Path(done).read_text(encoding="utf-8").split() == ["before", "after"]


def test_exceptions_come_back_as_they_were_raised() -> None:
    manager = TaskManager(workers=2)
    manager.add_task(delayed(int)("no number"))
    manager.add_task(delayed(sum)([1]))
    manager.add_task(delayed({}.__getitem__)("key"))
    with pytest.raises(AggregateException) as caught:
        manager.run()
    first, second = caught.value.exceptions
    assert isinstance(first, ValueError)
    assert "no number" in str(first)
    assert (type(second), second.args) == (KeyError, ("key",))
    assert "ValueError" in str(caught.value)


@pytest.mark.slow
def test_the_manager_serves_again_after_a_failure() -> None:
    manager = TaskManager(workers=1)
    manager.add_task(delayed(int)("no number"))
    with pytest.raises(AggregateException):
        manager.run()
    manager.add_task(delayed(int)("7"))
    assert manager.run() == [7]


@pytest.mark.slow
def test_max_tasks_per_worker_replaces_workers() -> None:
    manager = TaskManager(workers=1, max_tasks_per_worker=2)
    manager.add_tasks(delayed(os.getpid)() for _ in range(6))
    assert len(set(manager.run())) == 3


@pytest.mark.parametrize("wrong", [3, None, "text"])
def test_what_cannot_be_called_is_no_task(wrong: Any) -> None:
    with pytest.raises(TypeError, match="delayed"):
        TaskManager().add_task(wrong)


def test_a_negative_priority_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        TaskManager().add_task(print, -1)


class Heard(DefaultNotificationProvider):
    def __init__(self) -> None:
        self.said: list[str] = []

    def task_completed(self) -> None:
        self.said.append("completed")

    def task_failure(self) -> None:
        self.said.append("failure")

    def all_tasks_completed(self) -> None:
        self.said.append("all")


def test_a_provider_hears_of_every_task_and_of_the_end() -> None:
    heard = Heard()
    manager = TaskManager(1, notification_provider=heard, notify_on_complete=True)
    manager.add_tasks([delayed(sum)([1]), delayed(sum)([2])])
    manager.run()
    assert heard.said == ["completed", "completed", "all"]


def test_a_provider_hears_of_failures_and_of_no_end_with_them() -> None:
    heard = Heard()
    manager = TaskManager(1, notification_provider=heard, notify_on_complete=True)
    manager.add_tasks([delayed(int)("x"), delayed(sum)([2])])
    with pytest.raises(AggregateException):
        manager.run()
    assert sorted(heard.said) == ["completed", "failure"]


@pytest.mark.slow
def test_a_provider_of_one_s_own_hook_gets_the_events() -> None:
    class Events(DefaultNotificationProvider):
        def __init__(self) -> None:
            self.events: list[Event] = []

        def on_event(self, event: Event) -> None:
            self.events.append(event)

    hook = Events()
    manager = TaskManager(1, notification_provider=hook, notify_on_complete=True)
    manager.add_task(delayed(sum)([1]))
    manager.run()
    assert isinstance(hook.events[-1], RunFinished)
    assert hook.events[-1].done == 1


@pytest.mark.slow
def test_a_provider_that_raises_harms_no_task() -> None:
    # In 1.2.0 the task failed with it.
    class Broken(DefaultNotificationProvider):
        def task_completed(self) -> None:
            raise OSError("no network")

    manager = TaskManager(1, notification_provider=Broken())
    manager.add_task(delayed(sum)([1, 2]))
    assert manager.run() == [3]


@pytest.mark.slow
def test_a_provider_that_sends_digests_elsewhere_is_told_one_by_one_here() -> None:
    sent: list[str] = []

    class Recorded(AppriseNotificationProvider):
        def __init__(self) -> None:
            DigestNotificationProvider.__init__(self)

        def send(self, subject: str, body: str) -> None:
            sent.append(subject)

    manager = TaskManager(1, notification_provider=Recorded(), notify_on_complete=True)
    manager.add_tasks([delayed(sum)([1, 2])] * 2)
    manager.run()
    assert sent == ["[Memento] Task completed"] * 2 + ["[Memento] All tasks completed"]


@pytest.mark.slow
def test_a_provider_that_fails_is_named_as_the_user_knows_it(caplog: pytest.LogCaptureFixture) -> None:
    smtp = SmtpConfiguration("localhost", 1, require_tls=False)  # nobody listens there
    manager = TaskManager(
        1, notification_provider=EmailNotificationProvider(smtp, "a@example.org", ["b@example.org"])
    )
    manager.add_task(delayed(sum)([1, 2]))
    assert manager.run() == [3]
    (record,) = caplog.records
    assert record.getMessage().startswith("EmailNotificationProvider failed: MailNotSent: no mail was sent")


def test_what_tasks_print_is_seen() -> None:
    code = (
        "from memento import TaskManager, delayed; m = TaskManager(1);"
        " m.add_task(delayed(print)('hello')); print(m.run())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert told.stdout.splitlines() == ["hello", "[None]"]


def test_a_result_that_cannot_travel_fails_its_task_alone() -> None:
    manager = TaskManager(1)
    manager.add_tasks([delayed(open)(os.devnull, "rb"), delayed(sum)([1])])
    with pytest.raises(AggregateException) as caught:
        manager.run()
    (error,) = caught.value.exceptions
    assert isinstance(error, UnsavableResult)


def test_delayed_keeps_arguments_for_later() -> None:
    later = delayed(sorted)([2, 1], reverse=True)
    assert later() == [2, 1]
    assert later() == [2, 1]
