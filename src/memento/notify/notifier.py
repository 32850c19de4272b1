"""Hand events to a provider or a listener from a thread, so that none can hold up or harm a run.

Knows: a provider's hook, a listener's call. May not know: the runner, mail.

Owners
    run's thread       `listen`, `close`; never waits for a provider but in `close`, for a bounded time
    memento-notify     the only caller of the provider; a daemon, left behind where the provider hangs
    both               the queue, under one lock; bounded by merging and dropping
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from memento.events import Event, Listener, RunFinished, RunStarted, TasksFinished, TasksStarted, Tick
from memento.notify.base import (
    TASK_METHODS,
    DigestNotificationProvider,
    NotificationProvider,
    speaks_for_each_task,
)
from memento.notify.messages import redact
from memento.wording import one_line

log = logging.getLogger("memento.notify")

ROOM = 1000  # events that wait; a provider that is behind hears a shorter story
CLOSE_TIMEOUT = 10.0
KEYS = 10_000  # of finished tasks that wait in one event; of more, only the sums are told
_ADDED = (TasksStarted, TasksFinished, Tick)
_ENDS = (RunStarted, RunFinished)


class Notifier:
    """Delivers a run's events to one provider or listener."""

    def __init__(
        self, provider: NotificationProvider | Listener, *, held: bool = False, each_task: bool = False
    ) -> None:
        self._provider = provider
        self._held = held  # no thread starts until `deliver`
        self._each_task = each_task  # by 1.2.0's three methods, whatever else the provider could do
        self._is_listener = not any(hasattr(provider, hook) for hook in ("on_event", *TASK_METHODS))
        # Providers of 1.2.0 get their tasks one by one, so that closing can stop between two of them.
        self._one_by_one = each_task or (not self._is_listener and speaks_for_each_task(provider))
        self._queue: deque[Event] = deque()
        self._lock = threading.Condition()
        self._closing = False
        self._only_last = False
        self._idle = True
        self._thread: threading.Thread | None = None
        self._problems: dict[str, str] = {}

    @property
    def names_tasks(self) -> bool:
        """Whether it can make use of the tasks' keys; messages that sum a run up name failures only."""
        return not self._one_by_one and not isinstance(self._provider, DigestNotificationProvider)

    @property
    def best_by(self) -> tuple[str | None, bool] | None:
        """By which number the end of a run names the best configuration; None where nobody is told of one."""
        provider = self._provider
        if self._one_by_one or not isinstance(provider, DigestNotificationProvider):
            return None
        return provider.best_by

    @property
    def problems(self) -> list[str]:
        """What went wrong in telling people, one line for each kind of failure."""
        if not self._problems:  # asked with every event
            return []
        with self._lock:
            return list(self._problems.values())

    def listen(self, event: Event) -> None:
        """Queue `event`; never waits, never raises."""
        if self._one_by_one and not isinstance(event, (TasksFinished, RunFinished)):
            return
        with self._lock:
            if self._closing or not self._put(event):
                return
            self._idle = False
            self._wake()

    def deliver(self) -> None:
        """Begin to deliver what a held one has queued."""
        with self._lock:
            self._held = False
            self._wake()

    def _wake(self) -> None:
        if self._thread is None and self._queue and not self._held:
            # A child of fork would inherit the lock, not the thread: it is made when it is first needed.
            self._thread = threading.Thread(target=self._deliver, name="memento-notify", daemon=True)
            self._thread.start()
        self._lock.notify_all()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Give the provider `timeout` seconds to hear the rest, and return whether it heard all of it.

        A provider that still hangs then is left to its daemon thread.
        """
        with self._lock:
            self._closing, self._held = True, False
            self._wake()
            heard = self._lock.wait_for(lambda: self._idle, timeout / 2)
            if not heard:
                # The other half of the time is for the run's end alone: it is what a person waits for.
                last = [e for e in self._queue if isinstance(e, RunFinished)]
                complete = len(last) == len(self._queue) and not self._one_by_one
                self._queue = deque(last)
                self._only_last = True
                self._lock.notify_all()
                heard = self._lock.wait_for(lambda: self._idle, timeout / 2) and complete
            if not heard:
                self._problem("slow", f"{_name(self._provider)} was too slow; not everything was told")
            return heard

    def _put(self, event: Event) -> bool:
        """Add to the bounded queue: starts and ends add up, a tick replaces the last, the rest may find no room."""
        if isinstance(event, _ADDED):
            for i in range(len(self._queue) - 1, -1, -1):
                other = self._queue[i]
                if type(other) is type(event):
                    both = _both(other, event)
                    if isinstance(event, TasksStarted):  # nothing ends before it starts
                        self._queue[i] = both
                    else:
                        del self._queue[i]
                        self._queue.append(both)
                    return True
                if isinstance(other, _ENDS) or (len(self._queue) < ROOM and not isinstance(other, _ADDED)):
                    break
        elif len(self._queue) >= ROOM and not isinstance(event, _ENDS):
            return False
        self._queue.append(event)
        return True

    def _deliver(self) -> None:
        while True:
            with self._lock:
                while not self._queue:
                    self._idle = True
                    self._lock.notify_all()
                    if self._closing:
                        return
                    self._lock.wait()
                event = self._queue.popleft()
            if self._one_by_one and isinstance(event, TasksFinished):
                self._each(event)
            else:
                self._call(event)

    def _each(self, event: TasksFinished) -> None:
        done, failed = TasksFinished(1, 0, 0.0), TasksFinished(0, 1, 0.0)
        for count, one in ((event.done - event.shared, done), (event.failed, failed)):
            for _ in range(count):
                if self._only_last:
                    return
                self._call(one)

    def _call(self, event: Event) -> None:
        provider: Any = self._provider
        try:
            if self._is_listener:
                provider(event)
            elif hasattr(provider, "on_event") and not self._each_task:
                provider.on_event(event)
            else:  # 1.2.0 asked for the three methods, not for the class
                NotificationProvider.on_event(provider, event)
        except BaseException as exc:  # else nobody empties the queue
            try:
                reason = one_line(redact(str(exc)), 300)
            except Exception as second:  # its text fails as well
                reason = f"(and to say why it raised {type(second).__name__})"
            what = f"{_name(provider)} failed: {type(exc).__name__}: {reason}"
            if self._is_listener:
                what = f"the listener {what}. It hears no more of this run, whose tasks it cannot harm."
                with self._lock:
                    self._closing = True
                    self._queue.clear()
            self._problem(type(exc).__qualname__, what)

    def _problem(self, kind: str, text: str) -> None:
        with self._lock:
            if kind in self._problems:
                return
            self._problems[kind] = text
        # Where nobody set up logging, its last resort would say what the display says too.
        if log.hasHandlers():
            log.warning("%s", text)


def _both(first: Event, second: Event) -> Event:
    """Tell two events of one kind as one: at the first's time what starts, else at the second's."""
    if isinstance(first, TasksFinished) and isinstance(second, TasksFinished):
        keys, failed_keys = first.keys + second.keys, first.failed_keys + second.failed_keys
        tasks = first.tasks + second.tasks
        named = first.keys or first.failed_keys
        if not named or len(keys) + len(failed_keys) > KEYS:
            keys = failed_keys = tasks = ()  # of all of them, or of none
        return second._replace(
            done=first.done + second.done,
            failed=first.failed + second.failed,
            seconds=first.seconds + second.seconds,
            shared=first.shared + second.shared,
            keys=keys,
            failed_keys=failed_keys,
            tasks=tasks,
        )
    if isinstance(first, TasksStarted) and isinstance(second, TasksStarted):
        if not first.keys or len(first.keys) + len(second.keys) > KEYS:
            return first._replace(keys=(), workers=(), configs=())
        added = {
            name: getattr(first, name) + getattr(second, name) for name in ("keys", "workers", "configs")
        }
        return first._replace(**added)
    return second


def _name(provider: object) -> str:
    return str(getattr(provider, "__qualname__", type(provider).__name__)).rpartition("<locals>.")[2]
