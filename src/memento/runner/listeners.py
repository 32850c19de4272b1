"""Everybody who hears a run's events: the display at once, providers and users' listeners in threads of their own.

Knows: displays, notifiers. May not know: sessions, stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.display.base import make_display
from memento.events import Event, Listener, RunStarted, Said

if TYPE_CHECKING:
    from memento.notify.base import NotificationProvider
    from memento.notify.notifier import Notifier

_PATIENCE = 10.0  # seconds that the end of a run waits for all of them to hear the rest


class Listeners:
    """Tells events to the display, and to all `others` without ever waiting for one of them."""

    def __init__(
        self,
        progress: bool | None,
        others: Sequence[NotificationProvider | Listener] = (),
        clock: Clock = SYSTEM_CLOCK,
        *,
        reported: bool = False,
    ) -> None:
        self._progress, self._clock = progress, clock
        self._reported = reported  # what fails is told by the exception that the caller gets
        self._notifiers: list[Notifier] = []
        if others:
            from memento.notify.notifier import Notifier

            self._notifiers = [Notifier(other, held=True) for other in others]
        self._told: dict[Notifier, int] = {}  # how many of its problems were told

    @property
    def name_tasks(self) -> bool:
        """Whether anybody can make use of events that name every task."""
        return any(notifier.names_tasks for notifier in self._notifiers)

    @property
    def best_by(self) -> tuple[tuple[str | None, bool], ...]:
        """By which numbers, and whether the lowest, somebody wants to hear of the best configuration."""
        wanted = [notifier.best_by for notifier in self._notifiers]
        return tuple(dict.fromkeys(one for one in wanted if one is not None))

    @property
    def displays(self) -> bool:
        """Whether people are shown how the run goes and ends."""
        return self._display.shows

    def __enter__(self) -> Listeners:
        self._display = make_display(self._progress, reported=self._reported)
        self._display.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            for notifier in self._notifiers:
                notifier.close(_PATIENCE / len(self._notifiers))
            self._tell_problems()
        finally:
            self._display.__exit__(*error)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        if not event.time:
            event = event._replace(time=self._clock.now())
        self._display.listen(event)
        for notifier in self._notifiers:
            notifier.listen(event)
            if isinstance(event, RunStarted):
                # Only now: workers may be copies of this process, which are made as long as it has one thread.
                notifier.deliver()
        self._tell_problems()

    def _tell_problems(self) -> None:
        for notifier in self._notifiers:
            problems = notifier.problems
            fresh = problems[self._told.get(notifier, 0) :]
            self._told[notifier] = len(problems)
            for problem in fresh:
                self.emit(Said(problem, "warning"))
