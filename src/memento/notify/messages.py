"""Decide which messages are worth sending in a run, and word them.

Knows: events and words. May not know: mail, Apprise, threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from memento.clock import SYSTEM_CLOCK, Clock
from memento.events import (
    Event,
    FailureGroup,
    RunFinished,
    RunStarted,
    TaskFailed,
    TasksFinished,
    WarningGroup,
)
from memento.wording import cause_line, counts, duration, number_of, one_line, safe_text, short_name

GROUPS = 10
TRACEBACK_LINES = 40
OUTPUT_LINES = 10


class Digest:
    """Turns a run's events into few messages, `every` so many seconds; the last one does not wait."""

    def __init__(self, every: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._every = every
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._started: RunStarted | None = None
        self._last: float | None = None
        self._done = 0
        self._failed = 0
        self._untold: list[FailureGroup] = []
        self._causes = 0

    def message(self, event: Event) -> tuple[str, str] | None:
        """Return subject and body where `event` makes a message due."""
        if isinstance(event, RunStarted):
            self._begin()
            self._started = event
        elif isinstance(event, TasksFinished):
            self._done += event.done
            self._failed += event.failed
            return self._failures()
        elif isinstance(event, TaskFailed):
            if event.first_of_group:
                self._causes += 1
                if len(self._untold) < GROUPS:
                    self._untold.append(event.group)
            return self._failures()
        elif isinstance(event, RunFinished):
            message = end_message(event) if event.notify else None
            self._begin()
            return message
        return None

    def _failures(self) -> tuple[str, str] | None:
        now = self._clock.monotonic()
        if not self._untold or (self._last is not None and now - self._last < self._every):
            return None
        groups, self._untold = self._untold, []
        self._last = now
        failed = max(self._failed, self._causes)  # a failure may be told before it is counted
        return failure_message(self._started, groups, self._done, failed)


def failure_message(
    started: RunStarted | None, groups: list[FailureGroup], done: int, failed: int
) -> tuple[str, str]:
    """Word what failed while the run goes on."""
    name = one_line(short_name(started.experiment), 120) if started else "a run"
    first = groups[0]
    subject = f"[Memento] {name}: {one_line(first.title, 120)}"
    lines = []
    if started:
        cached = f", {started.cached:,} cached" if started.cached else ""
        lines.append(
            f"{name} goes on: {done:,} of {number_of(started.todo, 'task')} done, {failed:,} failed{cached}."
        )
        lines.append(f"Store: {one_line(started.store)}")
    lines += ["", *_groups_text(groups)]
    return subject, "\n".join(lines) + "\n"


def end_message(event: RunFinished) -> tuple[str, str]:
    """Word how a run ended."""
    name = one_line(short_name(event.experiment), 120)
    told = counts(done=event.done, cached=event.cached, failed=event.failed, left=event.left)
    took = duration(event.elapsed)
    state = "interrupted, " if event.interrupted else ""
    subject = f"[Memento] {name}: {state}{told} ({took})"
    verb = "was interrupted after" if event.interrupted else "finished in"
    lines = [
        f"{name} {verb} {took}.",
        f"{number_of(event.total, 'task')}: {told}",
        f"Store: {one_line(event.store)}",
    ]
    if event.how_to_go_on:
        lines += ["", safe_text(event.how_to_go_on)]
    if event.groups:
        lines += ["", *_groups_text(event.groups)]
    if event.warned or event.notes:
        lines += ["", *_warned_text(event.warned), *map(one_line, event.notes)]
    return subject, "\n".join(lines) + "\n"


def _groups_text(groups: Sequence[FailureGroup]) -> list[str]:
    """Word the groups; the first with all that is known of its first failure."""
    lines: list[str] = []
    for group in groups[:GROUPS]:
        lines.append(cause_line(group.count, group.title, group.rule))
        if group.different > 1:
            some = one_line("; ".join(group.messages), 400)
            lines.append(f"    {group.different:,} different messages, such as {some}")
        lines.append(f"    first: {one_line(group.config, 400)}")
        if group.key:
            lines.append(f"    memento show {one_line(group.key, 12).rstrip('…')}")
    if len(groups) > GROUPS:
        lines.append(f"and {number_of(len(groups) - GROUPS, 'other cause')}")
    first = groups[0]
    if first.traceback:
        lines += ["", *_last_lines(first.traceback, TRACEBACK_LINES)]
    if first.output:
        lines += ["", "It printed last:", *_last_lines(first.output, OUTPUT_LINES)]
    return lines


def _warned_text(groups: Sequence[WarningGroup]) -> list[str]:
    lines: list[str] = []
    for group in groups[:GROUPS]:
        lines.append(cause_line(group.count, group.title, group.rule, " warned"))
        lines.append(f"    first: {one_line(group.config, 400)}")
    if len(groups) > GROUPS:
        lines.append(f"and {number_of(len(groups) - GROUPS, 'other warning')}")
    return lines


def _last_lines(text: str, limit: int) -> list[str]:
    lines = safe_text(text).rstrip().splitlines()
    return lines if len(lines) <= limit else ["...", *lines[-limit:]]


_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://\S+", re.IGNORECASE)
_PATH_OF_URL = re.compile(r"(\burl: )\S+", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Take passwords and addresses, whose paths are often keys to a channel, out of `text`.

    >>> redact("no answer from https://hooks.example.org/T0/B0/x: refused")
    'no answer from https://... refused'
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _PATH_OF_URL.sub(r"\1...", _URL.sub(r"\1://...", text))
