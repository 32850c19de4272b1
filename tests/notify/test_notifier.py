from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import pytest

from memento.events import Event, RunFinished, Said, TaskFailed, TasksFinished, TasksStarted, Tick
from memento.notify.base import DefaultNotificationProvider, NotificationProvider
from memento.notify.email import EmailNotificationProvider, SmtpConfiguration
from memento.notify.notifier import KEYS, ROOM, Notifier
from tests.notify.fakes import FINISHED, STARTED, MailServer, failed, group

LONG = 300.0  # seconds that a test waits at most for what takes milliseconds


class Rich(DefaultNotificationProvider):
    """Takes events; can be held."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def on_event(self, event: Event) -> None:
        self.entered.set()
        assert self.gate.wait(LONG)
        self.events.append(event)


class Plain(DefaultNotificationProvider):
    """Lives by the methods of 1.2.0; can be held in the first task."""

    def __init__(self, held: bool = False) -> None:
        self.done = self.failed = self.all = 0
        self.entered = threading.Event()
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def task_completed(self) -> None:
        self.entered.set()
        assert self.gate.wait(LONG)
        self.done += 1

    def task_failure(self) -> None:
        self.failed += 1

    def all_tasks_completed(self) -> None:
        self.all += 1


def test_a_provider_gets_the_events_in_order() -> None:
    provider = Rich()
    events: list[Event] = [
        STARTED,
        TasksFinished(2, 0, 1.0),
        failed(group()),
        TasksFinished(1, 1, 1.0),
        FINISHED,
    ]
    with closing(Notifier(provider)) as notifier:
        provider.gate.clear()
        for event in events:
            notifier.listen(event)
        provider.gate.set()
    assert provider.events == events


TICK = Tick(1, 0, 0, 0, (), 0.0, None, 0.0)


def test_a_provider_with_a_hook_of_its_own_gets_ticks_and_notes_too() -> None:
    provider, plain = Rich(), Plain()
    told: list[Event] = [TICK, Said("a worker was replaced"), TasksFinished(1, 0, 0.5)]
    for one in (provider, plain):
        with closing(Notifier(one)) as notifier:
            for event in told:
                notifier.listen(event)
    assert provider.events == told
    assert plain.done == 1


@pytest.mark.parametrize(("events", "named"), [(3, 30), (KEYS // 10 + 1, 0)])
def test_who_is_behind_hears_the_latest_tick_and_sums_that_name_a_bounded_number_of_tasks(
    events: int, named: int
) -> None:
    provider = Rich()
    provider.gate.clear()
    with closing(Notifier(provider)) as notifier:
        notifier.listen(STARTED)
        assert provider.entered.wait(LONG)
        for i in range(events):
            keys = tuple(f"{i}.{j}" for j in range(10))
            notifier.listen(TasksStarted(keys, ("host/1",) * 10))
            notifier.listen(TICK._replace(done=i))
            notifier.listen(TasksFinished(10, 0, 1.0, keys=keys))
        provider.gate.set()
    _, started, tick, finished = provider.events
    assert isinstance(started, TasksStarted)
    assert isinstance(tick, Tick)
    assert isinstance(finished, TasksFinished)
    assert (len(started.keys), len(started.workers), len(finished.keys)) == (named, named, named)
    assert (tick.done, finished.done) == (events - 1, 10 * events)


def test_a_listener_is_called_with_each_event_and_left_out_once_it_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)
        if isinstance(event, Said):
            raise OSError("down")

    with closing(Notifier(listener)) as notifier:
        for event in (TICK, Said("one"), Said("two")):
            notifier.listen(event)
    assert heard == [TICK, Said("one")]
    (problem,) = notifier.problems
    assert "listener failed: OSError: down. It hears no more of this run" in problem


def test_a_held_notifier_starts_no_thread_and_forgets_nothing() -> None:
    heard: list[Event] = []
    others = set(threading.enumerate())  # of tests before, some of which may end meanwhile
    with closing(Notifier(heard.append, held=True)) as notifier:
        notifier.listen(TICK)
        assert others.issuperset(threading.enumerate())
        notifier.deliver()
        assert len(set(threading.enumerate()) - others) == 1
    assert heard == [TICK]


@pytest.mark.slow
def test_a_hundred_thousand_tasks_wait_in_one_event() -> None:
    provider = Rich()
    notifier = Notifier(provider)
    provider.gate.clear()
    notifier.listen(STARTED)
    assert provider.entered.wait(LONG)
    for _ in range(100_000):
        notifier.listen(TasksFinished(1, 0, 0.5))
    assert len(notifier._queue) == 1
    provider.gate.set()
    assert notifier.close(LONG)
    assert provider.events[1:] == [TasksFinished(100_000, 0, 50_000.0)]


def test_a_queue_stays_bounded_and_keeps_the_counts_and_the_end() -> None:
    provider = Rich()
    notifier = Notifier(provider)
    provider.gate.clear()
    notifier.listen(STARTED)
    assert provider.entered.wait(LONG)
    for _ in range(10 * ROOM):
        notifier.listen(TasksFinished(0, 1, 1.0))
        notifier.listen(failed(group()))
    notifier.listen(FINISHED)
    assert len(notifier._queue) <= ROOM + 2
    provider.gate.set()
    assert notifier.close(LONG)
    assert sum(e.failed for e in provider.events if isinstance(e, TasksFinished)) == 10 * ROOM
    assert provider.events[-1] is FINISHED
    assert sum(isinstance(e, TaskFailed) for e in provider.events) <= ROOM


def test_a_provider_of_1_2_0_is_called_for_each_task() -> None:
    provider = Plain()
    with closing(Notifier(provider)) as notifier:
        notifier.listen(TasksFinished(30, 4, 1.0, shared=10))
        notifier.listen(FINISHED)
    assert (provider.done, provider.failed, provider.all) == (20, 4, 1)


def test_an_object_with_just_the_three_methods_serves_as_in_1_2_0() -> None:
    class Duck:
        calls: list[str] = []  # noqa: RUF012

        def task_completed(self) -> None:
            self.calls.append("done")

        def task_failure(self) -> None:
            self.calls.append("failed")

        def all_tasks_completed(self) -> None:
            self.calls.append("all")

    with closing(Notifier(cast(NotificationProvider, Duck()))) as notifier:
        notifier.listen(TasksFinished(2, 1, 1.0))
        notifier.listen(FINISHED)
    assert Duck.calls == ["done", "done", "failed", "all"]
    assert notifier.problems == []


def test_a_provider_that_raises_is_logged_once_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(DefaultNotificationProvider):
        def task_completed(self) -> None:
            raise ValueError("no way to https://hooks.example.org/T0/key")

        def all_tasks_completed(self) -> None:
            raise OSError("down")

    with closing(Notifier(Broken())) as notifier:
        notifier.listen(TasksFinished(1000, 0, 1.0))
        notifier.listen(FINISHED)
    assert notifier.problems == [
        "Broken failed: ValueError: no way to https://...",
        "Broken failed: OSError: down",
    ]
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2
    assert "key" not in caplog.text


def test_without_logging_a_problem_is_said_once_by_whoever_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(DefaultNotificationProvider):
        def all_tasks_completed(self) -> None:
            raise OSError("down")

    monkeypatch.setattr(logging.getLogger("memento"), "propagate", False)  # nobody set up logging
    with closing(Notifier(Broken())) as notifier:
        notifier.listen(FINISHED)
    assert notifier.problems == ["Broken failed: OSError: down"]
    assert capsys.readouterr().err == ""


def test_a_provider_that_hangs_blocks_neither_the_run_nor_its_end() -> None:
    provider = Rich()
    notifier = Notifier(provider)
    provider.gate.clear()
    notifier.listen(STARTED)
    assert provider.entered.wait(LONG)
    for _ in range(1000):
        notifier.listen(TasksFinished(1, 0, 1.0))
    assert not notifier.close(timeout=0.05)
    assert notifier.problems == ["Rich was too slow; not everything was told"]
    thread = notifier._thread
    assert thread is not None
    assert thread.daemon
    provider.gate.set()
    thread.join(LONG)
    assert not thread.is_alive()


def test_the_end_is_told_even_when_the_tasks_before_it_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Plain(held=True)
    notifier = Notifier(provider)
    notifier.listen(TasksFinished(100_000, 0, 1.0))
    notifier.listen(FINISHED)
    assert provider.entered.wait(LONG)

    wait_for = notifier._lock.wait_for

    def second_half(heard: Callable[[], bool], seconds: float) -> bool:
        """Let the first half of the waiting be over at once, and the provider go on when the second begins."""
        if not notifier._only_last:
            return False
        provider.gate.set()
        return wait_for(heard, seconds)

    monkeypatch.setattr(notifier._lock, "wait_for", second_half)
    assert not notifier.close(timeout=LONG)
    assert provider.done == 1
    assert provider.all == 1


def test_a_closed_notifier_takes_nothing_more() -> None:
    provider = Plain()
    notifier = Notifier(provider)
    assert notifier.close()
    notifier.listen(TasksFinished(1, 0, 1.0))
    assert notifier.close()
    assert provider.done == 0


def test_a_run_without_news_starts_no_thread() -> None:
    others = set(threading.enumerate())
    notifier = Notifier(Plain())
    assert others.issuperset(threading.enumerate())
    notifier.close()


def test_mail_servers_that_hang_are_survived(hanging_port: int) -> None:
    smtp = SmtpConfiguration("127.0.0.1", hanging_port)
    provider = EmailNotificationProvider(smtp, "a@example.org", ["b@example.org"], timeout=0.1)
    with closing(Notifier(provider)) as notifier:
        notifier.listen(STARTED)
        notifier.listen(failed(group()))
        notifier.listen(FINISHED)
        notifier.close(LONG)
    assert len(notifier.problems) == 1
    assert "timed out" in notifier.problems[0]


def test_ten_thousand_tasks_make_one_mail(open_mail_server: MailServer) -> None:
    smtp = SmtpConfiguration(open_mail_server.host, open_mail_server.port, require_tls=False)
    provider = EmailNotificationProvider(smtp, "a@example.org", ["b@example.org"])
    finished = RunFinished("exp:f", "/s", 10_000, 10_000, 0, 0, 60.0)
    with closing(Notifier(provider)) as notifier:
        notifier.listen(STARTED)
        for _ in range(10_000):
            notifier.listen(TasksFinished(1, 0, 0.01))
        notifier.listen(finished)
        assert notifier.close(LONG)
    assert [mail.subject for mail in open_mail_server.mails] == ["[Memento] exp:f: 10,000 done (1 min)"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_any_exception_of_a_provider_stays_in_its_thread(kind: type[BaseException]) -> None:
    class Odd(kind):  # type: ignore[valid-type, misc]  # one of these two
        def __str__(self) -> str:
            raise RuntimeError("even its text fails")

    class Broken(DefaultNotificationProvider):
        calls = 0

        def on_event(self, event: Any) -> None:
            self.calls += 1
            raise Odd

    provider = Broken()
    with closing(Notifier(provider)) as notifier:
        notifier.listen(STARTED)
        notifier.listen(FINISHED)
        assert notifier.close(LONG)
    assert provider.calls == 2
    assert notifier.problems == ["Broken failed: Odd: (and to say why it raised RuntimeError)"]
