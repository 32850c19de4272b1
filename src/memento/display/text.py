"""Tell a run in lines: the wording that all displays share.

Knows: events and words. May not know: terminals, notebooks, streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memento.events import (
    Event,
    FailureGroup,
    RunFinished,
    RunStarted,
    Said,
    TaskFailed,
    TaskRetried,
    Tick,
    WorkerState,
)
from memento.wording import cause_line, counts, duration, number_of, one_line, safe_text, short_name

# A run in which everything fails differently must not flood the screen; the end tells the rest.
GROUPS_WHILE_RUNNING = 8
GROUPS_AT_THE_END = 10
WARNINGS_AT_THE_END = 5
CAUSES = 3  # that are named while a run goes on; the end of the run names more
NAMED = 3  # running tasks in a line of progress
HANGS, HANGS_AFTER = 3.0, 60.0  # times the longest finished task; seconds
NOTES = 40
NOTE_LINES = 100


class Line(NamedTuple):
    """One safe line for a person, and what kind of thing it says."""

    text: str
    kind: str = "info"  # "head", "info", "warning", "failure", "detail", "command", "done"
    group: FailureGroup | None = None  # that it sums up, for displays that can unfold one


class Narrator:
    """Turns events into the lines that stay; ticks are left to the displays.

    `failures` says whether the first failure of each cause has lines of its own; not where causes are shown live.
    `reported` says whether the caller gets an exception with the report of what failed: the end does not tell it too.
    """

    def __init__(self, *, failures: bool = True, reported: bool = False) -> None:
        self._failures, self._reported = failures, reported
        self._begin(running=False)

    def _begin(self, running: bool) -> None:
        self._running = running
        self._quiet = False
        self._groups = 0
        self._notes = 0
        self._last_note = ""
        self._of = ""  # which matrix the run is of, where it has an id

    def lines(self, event: Event) -> Iterator[Line]:
        """Yield what `event` adds to the story."""
        if isinstance(event, RunStarted):
            self._begin(running=True)
            self._of = f" of matrix {one_line(event.matrix, 40)!r}" if event.matrix else ""
            self._quiet = event.todo == 0  # results are only looked up
            if not self._quiet:
                yield from started(event, self._of)
        elif isinstance(event, TaskFailed):
            if event.first_of_group and self._failures:
                self._groups += 1
                if self._groups <= GROUPS_WHILE_RUNNING:
                    yield from failed(event.group)
                elif self._groups == GROUPS_WHILE_RUNNING + 1:
                    yield Line("More tasks failed, with other causes; the end lists them.", "failure")
        elif isinstance(event, TaskRetried):
            reason = one_line(event.reason, 160)
            what = f"Attempt {event.attempt} failed, trying again in {duration(event.delay)}"
            if event.lost:
                what = "A task lost its place and is begun again"
            yield from self._note(f"{what}: {reason}", "warning")
        elif isinstance(event, Said):
            yield from self._note(event.text, event.level)
        elif isinstance(event, RunFinished):
            if not self._running:
                yield in_all(event)
            elif self._quiet and not (event.done or event.failed or event.left):
                yield all_cached(event, self._of)
                for text in odd_lines(event):
                    yield Line(f"  {text}", "warning")
            else:
                yield from finished(event, causes=event.interrupted or not self._reported)
            self._running = False

    def _note(self, text: str, kind: str) -> Iterator[Line]:
        if text == self._last_note:
            return
        self._last_note = text
        self._notes += 1
        if self._notes <= NOTES:
            for line in text.splitlines()[:NOTE_LINES]:
                yield Line(safe_text(line).expandtabs().rstrip(), kind)  # a diff shows how code is indented
        elif self._notes == NOTES + 1:
            yield Line("More notes like these are not shown.", kind)


class Causes:
    """Counts failures by cause, from one redraw to the next."""

    def __init__(self) -> None:
        self._groups: dict[str, FailureGroup] = {}  # by the key of the first that failed so

    def hear(self, event: Event) -> None:
        """Take in what changes."""
        if isinstance(event, RunStarted):
            self._groups = {}
        elif isinstance(event, TaskFailed):
            self._groups[event.group.key] = event.group

    def lines(self) -> list[str]:
        """Return a line for each of the most frequent causes, and one for the others."""
        groups = sorted(self._groups.values(), key=lambda group: -group.count)
        lines = [f"{group.count:,} failed: {one_line(group.title, 400)}" for group in groups[:CAUSES]]
        more = groups[CAUSES:]
        if more:
            failed = sum(group.count for group in more)
            lines.append(f"{failed:,} failed from {number_of(len(more), 'other cause')}")
        return lines


def started(event: RunStarted, of: str = "") -> Iterator[Line]:
    """Say which store, and the plan."""
    yield Line(f"{one_line(short_name(event.experiment))}, store {one_line(event.store)}", "head")
    workers = number_of(event.workers, "worker")
    parts = [f"{event.cached:,} cached"] if event.cached else []
    parts.append(f"{event.todo:,} to run on {'up to ' if event.grows else ''}{workers}")
    if event.forecast is not None and event.forecast >= 1:
        parts.append(f"{'at least' if event.grows else 'about'} {duration(event.forecast)}")
    yield Line(f"{number_of(event.total, 'task')}{of}: {', '.join(parts)}")


def failed(group: FailureGroup) -> Iterator[Line]:
    """Show the first failure of a group while the run goes on."""
    yield Line(f"failed: {one_line(group.title, 400)}", "failure")
    yield Line(f"    {one_line(group.config, 400)}", "detail")
    if group.rule:
        yield Line(f"    {one_line(group.rule, 400)}", "detail")


def finished(event: RunFinished, *, causes: bool = True) -> Iterator[Line]:
    """Sum a run up, its failures by cause if asked, and how to go on."""
    told = counts(done=event.done, cached=event.cached, failed=event.failed)
    if event.interrupted:
        left = f", {event.left:,} left" if event.left else ""
        yield Line(f"Interrupted after {duration(event.elapsed)}: {told}{left}", "warning")
    else:
        left = f", {event.left:,} not run" if event.left else ""
        kind = "failure" if event.failed else "done"
        yield Line(f"{number_of(event.total, 'task')}: {told}{left} in {duration(event.elapsed)}", kind)
    if causes:
        yield from failures_by_cause(event.groups, event.store)
    for text in odd_lines(event):
        yield Line(f"  {text}", "warning")
    for line in event.how_to_go_on.splitlines():
        yield Line(one_line(line))


def failures_by_cause(groups: Sequence[FailureGroup], store: str) -> Iterator[Line]:
    """Tell each cause once, with what its tasks have in common and the line that shows the first of them."""
    if not groups:
        return
    from memento.results.reports import store_option

    option = safe_text(store_option(store))
    for group in groups[:GROUPS_AT_THE_END]:
        yield Line(f"  {cause_line(group.count, group.title, group.rule)}", "failure", group)
        yield Line(f"      memento show {group.key[:12]}{option}", "command")
    more = len(groups) - GROUPS_AT_THE_END
    if more > 0:
        yield Line(f"  and {number_of(more, 'other cause')}: `results.failures` has them all", "failure")


def odd_lines(event: RunFinished) -> Iterator[str]:
    """Say what tasks warned of, and what is odd about the results."""
    for group in event.warned[:WARNINGS_AT_THE_END]:
        yield cause_line(group.count, group.title, group.rule, " warned")
    more = len(event.warned) - WARNINGS_AT_THE_END
    if more > 0:
        yield f"and {number_of(more, 'other warning')}: `results.warnings` lists them"
    yield from map(one_line, event.notes)


def all_cached(event: RunFinished, of: str = "") -> Line:
    """Say in one line that there was nothing to do."""
    name, store = one_line(short_name(event.experiment)), one_line(event.store)
    if event.total:
        return Line(f"{name}: {number_of(event.total, 'task')}{of}, all cached in {store}", "done")
    return Line(f"{name}: no task of its matrix is to be computed; nothing to do in {store}", "done")


def in_all(event: RunFinished) -> Line:
    """Sum several runs up, each of which has told its own story already."""
    told = counts(done=event.done, cached=event.cached, failed=event.failed, left=event.left)
    kind = "failure" if event.failed else "warning" if event.interrupted else "done"
    return Line(f"In all {number_of(event.total, 'task')}: {told} in {duration(event.elapsed)}", kind)


def progress_parts(tick: Tick, *, named: bool = False) -> list[str]:
    """Say where a run stands, the most important first; at its end what runs, if that is to be named."""
    parts = [f"{settled(tick):,}/{tick.total:,} ({percent(tick)})"]
    if tick.paused:
        parts.append(f"paused by {one_line(tick.paused, 60)} (memento resume)")
    if tick.failed:
        parts.append(f"{tick.failed:,} failed")
    if tick.eta is not None and not tick.paused:  # nobody knows how long it stays so
        parts.append(f"{duration(tick.eta)} left")
    if tick.cached:
        parts.append(f"{tick.cached:,} cached")
    if not named or not tick.running:
        parts.append(f"{len(tick.running) + tick.unlisted:,} running")
    if tick.throughput > 0:
        parts.append(rate(tick.throughput))
    if named and tick.running:
        parts.append(running_text(tick))
    return parts


def running_text(tick: Tick) -> str:
    """Name the tasks that have run longest, for how long, and how long others took."""
    count = len(tick.running) + tick.unlisted
    longest = sorted(tick.running, key=lambda state: -state.seconds)[:NAMED]
    if count == 1:
        text = f"1 running for {duration(longest[0].seconds)}: {_named(longest[0])}"
    else:
        names = "; ".join(f"{_named(state)} for {duration(state.seconds)}" for state in longest)
        more = f"; and {count - len(longest):,} more" if count > len(longest) else ""
        text = f"{count:,} running: {names}{more}"
    return f"{text} (the others took {duration(tick.longest)} at most)" if tick.longest else text


def _named(state: WorkerState) -> str:
    part = share(state)
    told = list(filter(None, ("" if part is None else f"{part:.0%}", metrics_text(state))))
    config = one_line(state.config, 160) or state.key[:12]
    return f"{config} [{', '.join(told)}]" if told else config


def hangs(tick: Tick) -> bool:
    """Whether a task runs far longer than any that has finished."""
    longest = max((state.seconds for state in tick.running), default=0.0)
    return bool(tick.longest) and longest > max(HANGS * tick.longest, HANGS_AFTER)


def settled(tick: Tick) -> int:
    """How many tasks need no more work."""
    return tick.done + tick.cached + tick.failed


def percent(tick: Tick) -> str:
    """How much of a run is done; 100% only where nothing is left."""
    return f"{100 * settled(tick) // max(tick.total, 1)}%"


def rate(per_second: float) -> str:
    """Say a throughput in the unit that gives readable numbers.

    >>> rate(1300.0), rate(2.5), rate(0.05), rate(0.0005)
    ('1,300 tasks/s', '2.5 tasks/s', '3.0 tasks/min', '1.8 tasks/h')
    """
    unit, amount = "s", per_second
    if amount < 0.5:
        unit, amount = "min", per_second * 60
    if amount < 0.5:
        unit, amount = "h", per_second * 3600
    return f"{amount:,.0f} tasks/{unit}" if amount >= 100 else f"{amount:.1f} tasks/{unit}"


def metrics_text(state: WorkerState, limit: int = 3) -> str:
    """Say a task's latest metrics, at most `limit` of them, after what it is at."""
    told = [f"{one_line(name, 24)}={value:.4g}" for name, value in list(state.metrics.items())[:limit]]
    return " ".join([f"({one_line(state.doing, 60)})", *told] if state.doing else told)


def share(state: WorkerState) -> float | None:
    """How much of a task's own bar is full, between 0 and 1; None where it has none."""
    if not state.total or state.total <= 0:
        return None
    return min(max(state.done / state.total, 0.0), 1.0)
