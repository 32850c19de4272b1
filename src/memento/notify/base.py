"""Providers that tell people what happens: the classes of 1.2.0, and the hook that hands them events.

Knows: events. May not know: who runs tasks, threads, mail.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from memento.events import Event, RunFinished, TasksFinished
from memento.notify.messages import Digest


class NotificationProvider(ABC):
    """Tells people what happens in a run.

    Inherit from `DefaultNotificationProvider` to implement only what is wanted: either the three methods,
    called once for each task as in 1.2.0, or `on_event`, which gets the events themselves. All are called
    from one thread that is not the run's; what they raise is logged, and a run never waits for them.
    """

    @abstractmethod
    def task_completed(self) -> None:
        """Called when a task completes."""

    @abstractmethod
    def all_tasks_completed(self) -> None:
        """Called when all tasks are complete."""

    @abstractmethod
    def task_failure(self) -> None:
        """Called when a task fails."""

    def on_event(self, event: Event) -> None:
        """Take an event of `memento.events`; all come here.

        By default it is told through the three methods: one call for each task that this run finished, and
        `all_tasks_completed` at the end of a run that was not interrupted.

        Parameters
        ----------
        event : Event
            What happened; `memento.events` says what each one holds.
        """
        if isinstance(event, TasksFinished):
            for _ in range(event.done - event.shared):
                self.task_completed()
            for _ in range(event.failed):
                self.task_failure()
        elif isinstance(event, RunFinished) and event.notify and not event.interrupted:
            self.all_tasks_completed()


class DefaultNotificationProvider(NotificationProvider):
    """Does nothing; the class to extend for a provider of one's own.

    Examples
    --------
    >>> from memento.events import TasksFinished
    >>> class Bell(DefaultNotificationProvider):
    ...     def task_failure(self):
    ...         print("ding")
    >>> Bell().on_event(TasksFinished(done=3, failed=1, seconds=0.1))
    ding
    """

    def task_completed(self) -> None:
        """Do nothing."""

    def all_tasks_completed(self) -> None:
        """Do nothing."""

    def task_failure(self) -> None:
        """Do nothing."""


class _TextNotificationProvider(DefaultNotificationProvider):
    """Says 1.2.0's three texts; each subclass in its own way."""

    def _say(self, text: str) -> None:
        raise NotImplementedError

    def task_completed(self) -> None:
        """Say that a task completed."""
        self._say("Task completed")

    def all_tasks_completed(self) -> None:
        """Say that all tasks completed."""
        self._say("All tasks completed")

    def task_failure(self) -> None:
        """Say that a task failed."""
        self._say("Task failed")


class ConsoleNotificationProvider(_TextNotificationProvider):
    """Writes notifications to the console (stdout).

    Examples
    --------
    >>> ConsoleNotificationProvider().task_completed()
    Task completed
    """

    def _say(self, text: str) -> None:
        print(text)  # noqa: T201  # printing is what it is for


class FileSystemNotificationProvider(_TextNotificationProvider):
    """Writes notifications to a file.

    Parameters
    ----------
    filepath : str, path or text stream, optional
        A file to append to, or a file-like object to write to. Defaults to 'logs.txt'.
    """

    def __init__(self, filepath: Any = None) -> None:
        self._file = "logs.txt" if filepath is None else filepath

    def _say(self, text: str) -> None:
        if hasattr(self._file, "write"):
            self._file.write(f"{text}\n")
        else:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(f"{text}\n")


class DigestNotificationProvider(_TextNotificationProvider):
    """What providers that send whole messages share: few of them, each worth reading.

    While a run goes on: a failure of a new kind, nothing finished for five times the usual, an end that moves away; at
    most one message in `every` seconds, and fewer as they grow many. The end is told always.
    A subclass of the user's that changes one of 1.2.0's methods is called as in 1.2.0.
    """

    best_by: tuple[str | None, bool] = (None, False)  # of subclasses that do not call __init__

    def __init__(
        self,
        every: float = 900.0,
        metric: str | None = None,
        minimize: bool = False,
        *,
        shortest: float = 0.0,
    ) -> None:
        self._digest = Digest(every, shortest=shortest)
        self.best_by = (metric, minimize)

    def send(self, subject: str, body: str) -> None:
        """Send one message."""
        raise NotImplementedError(f"{type(self).__qualname__} must say how it sends")

    def _say(self, text: str) -> None:
        self.send(f"[Memento] {text}", text)

    def on_event(self, event: Event) -> None:
        """Send what the event makes worth sending."""
        if speaks_for_each_task(self):
            super().on_event(event)
            return
        message = self._digest.message(event)
        if message is not None:
            self.send(*message)


TASK_METHODS = ("task_completed", "all_tasks_completed", "task_failure")


def speaks_for_each_task(provider: object) -> bool:
    """Whether a provider lives by the three methods of 1.2.0 and not by events."""
    kind, digest = type(provider), DigestNotificationProvider
    hook = getattr(kind, "on_event", None)
    if hook is digest.on_event:
        return any(getattr(kind, name) is not getattr(digest, name) for name in TASK_METHODS)
    return hook is None or hook is NotificationProvider.on_event
