"""Decide which messages are worth sending in a run, and word them.

Knows: events and words. May not know: mail, Apprise, threads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from memento.clock import SYSTEM_CLOCK, Clock
from memento.events import (
    Event,
    Extreme,
    FailureGroup,
    RunFinished,
    RunStarted,
    TaskFailed,
    TasksFinished,
    Tick,
    WarningGroup,
)
from memento.notify.watch import Slip, SlipWatch, Stall, StallWatch
from memento.wording import cause_line, counts, duration, number_of, one_line, safe_text, short_name

GROUPS = 10
BEST = 10
RUNNING = 5  # tasks that a message names as running
HELD = 5.0  # seconds of a run in which nothing is sent: the end of a grid that takes no longer says it all
LONGEST_PAUSE = 16  # times the first one: in a run of days in which all goes wrong, six messages a day
TRACEBACK_LINES = 40
OUTPUT_LINES = 10


class Digest:
    """Turns a run's events into few messages: what is new while it goes on, and its end.

    While a run goes on, the pause after a message is `every` seconds, and twice as long after each further one,
    whatever they are about; what waited is told in one. The end does not wait, and of a run that ends in its first
    seconds it is all that is told; of one that takes less than `shortest` seconds, nothing.
    """

    def __init__(self, every: float, clock: Clock = SYSTEM_CLOCK, shortest: float = 0.0) -> None:
        self._every, self._shortest = every, shortest
        self._clock = clock
        self._last: float | None = None
        self._pause, self._sent = every, 0
        self._begin(None)

    def _begin(self, started: RunStarted | None) -> None:
        now = self._clock.monotonic()
        self._started = started
        self._held_until = now + max(min(HELD, self._every), self._shortest) if started is not None else now
        self._done = self._failed = self._causes = 0
        self._left: float | None = None
        self._untold: list[FailureGroup] = []
        self._stall, self._slip = StallWatch(started, now), SlipWatch(started)

    def message(self, event: Event) -> tuple[str, str] | None:
        """Return subject and body where `event` makes a message due."""
        if isinstance(event, RunStarted):
            self._begin(event)
            return None
        if isinstance(event, RunFinished):
            self._begin(None)
            if not event.notify:  # one of several runs of one call: their messages are counted together
                return None
            self._pause, self._sent = self._every, 0
            return end_message(event) if event.elapsed >= self._shortest else None
        now = self._clock.monotonic()
        self._take(event, now)
        return self._due(now)

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, TasksFinished):
            self._done += event.done
            self._failed += event.failed
        elif isinstance(event, TaskFailed):
            if event.first_of_group:
                self._causes += 1
                if len(self._untold) < GROUPS:
                    self._untold.append(event.group)
        elif isinstance(event, Tick):
            self._left = event.eta
        self._stall.take(event, now)
        self._slip.take(event, now)

    def _due(self, now: float) -> tuple[str, str] | None:
        if now < self._held_until or (self._last is not None and now < self._last + self._pause):
            return None
        groups, stall, slip = self._untold, self._stall.found, self._slip.found
        if not (groups or stall or slip):
            return None
        if self._sent:
            self._pause = min(2 * self._pause, LONGEST_PAUSE * self._every)
        self._last, self._untold = now, []
        self._sent += 1
        if stall:
            self._stall.tell()
        if slip:
            self._slip.tell()
        failed = max(self._failed, self._causes)  # a failure may be told before it is counted
        story = _how_far(self._started, self._done, failed, None if stall else self._left)
        return going_on_message(self._started, story, groups, stall, slip)


def _how_far(started: RunStarted | None, done: int, failed: int, left: float | None) -> list[str]:
    if started is None:
        return []
    cached = f", {started.cached:,} cached" if started.cached else ""
    told = f"{done:,} of {number_of(started.todo, 'task')} done, {failed:,} failed{cached}"
    until = f"; about {duration(left)} left" if left else ""
    return [f"{_name(started)} goes on: {told}{until}.", f"Store: {one_line(started.store)}"]


def _name(event: RunStarted | RunFinished) -> str:
    return one_line(short_name(event.experiment), 120)


def going_on_message(
    started: RunStarted | None,
    story: Sequence[str],
    groups: Sequence[FailureGroup],
    stall: Stall | None,
    slip: Slip | None,
) -> tuple[str, str]:
    """Word what is new of a run that goes on; the first of it is the subject."""
    subjects, parts = [], []
    if groups:
        subjects.append(one_line(groups[0].title, 120))
        parts.append(_groups_text(groups))
    if stall:
        subjects.append(f"nothing has finished for {duration(stall.silent)}")
        parts.append(_stall_text(stall))
    if slip:
        subjects.append(f"takes {duration(slip.now)} instead of {duration(slip.before)}")
        before, after, left = map(duration, slip)
        parts.append([f"It was to take {before} in all, and will take about {after}: {left} are left."])
    name = _name(started) if started else "a run"
    lines = list(story)
    for part in parts:
        lines += ["", *part] if lines else part
    return _message(f"{name}: {subjects[0]}", lines)


def _message(subject: str, lines: Sequence[str]) -> tuple[str, str]:
    """Put a message together: who reads a channel need not know the passwords of who runs."""
    texts = f"[Memento] {subject}", "\n".join(lines) + "\n"
    return _PASSWORD.sub(r"\1***@", texts[0]), _PASSWORD.sub(r"\1***@", texts[1])


def _stall_text(stall: Stall) -> list[str]:
    """Word a stall, with what runs longest."""
    tick = stall.tick
    longest = f", the longest {duration(tick.longest)}" if tick.longest else ""
    lines = [
        f"Nothing has finished for {duration(stall.silent)}; a task takes {duration(stall.usual)} as a rule{longest}."
    ]
    running = sorted(tick.running, key=lambda one: -one.seconds)
    if not running:
        return [*lines, "No task runs now: all wait for workers, or for another run."]
    lines.append(f"{number_of(len(running) + tick.unlisted, 'task')} running, the longest first:")
    for one in running[:RUNNING]:
        doing = f", {one_line(one.doing, 120)}" if one.doing else ""
        lines.append(f"    {duration(one.seconds)}: {one_line(one.config, 200)}{doing}")
    key = one_line(running[0].key, 12).rstrip("…")
    if key:
        lines.append(f"    memento logs -f {key} shows what the first one prints.")
    return lines


def end_message(event: RunFinished) -> tuple[str, str]:
    """Word how a run ended."""
    name = _name(event)
    told = counts(done=event.done, cached=event.cached, failed=event.failed, left=event.left)
    took = duration(event.elapsed)
    state = "interrupted, " if event.interrupted else ""
    verb = "was interrupted after" if event.interrupted else "finished in"
    lines = [
        f"{name} {verb} {took}.",
        f"{number_of(event.total, 'task')}: {told}",
        f"Store: {one_line(event.store)}",
    ]
    if event.best:
        lines += ["", *map(_best_line, event.best[:BEST])]
    if event.how_to_go_on:
        lines += ["", safe_text(event.how_to_go_on)]
    elif event.failed:
        store = shlex.quote(one_line(event.store))
        lines += ["", "Run it again to compute what has failed once more; what is done stays."]
        lines += [f"    memento ls --failed --store {store}"]
    if event.groups:
        lines += ["", *_groups_text(event.groups)]
    if event.warned or event.notes:
        lines += ["", *_warned_text(event.warned), *map(one_line, event.notes)]
    return _message(f"{name}: {state}{told} ({took})", lines)


def _best_line(one: Extreme) -> str:
    """Word the best configuration by a number, which is named."""
    which = "highest" if one.highest else "lowest"
    mean = f" (mean of {one.repeats:,} repeats)" if one.repeats > 1 else ""
    key = one_line(one.key, 12).rstrip("…")
    return f"{which} {one_line(one.by, 80)}: {one.value:.6g}{mean} with {one_line(one.config, 400)} ({key})"


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


_PASSWORD = re.compile(r"(://[^\s:/?#@]*:)[^\s/@]+@")
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
