"""Say what a run would do: how many tasks of each kind, and the first of each.

Knows: sessions and their plans. May not know: who reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress, count, islice, repeat
from operator import eq
from typing import TYPE_CHECKING

from memento.config import config_text, short_text
from memento.wording import duration, number_of, one_line

if TYPE_CHECKING:
    from memento.runner.session import Session

_LINES = 30  # a plan that scrolls away tells nothing
_WIDTH = 200  # characters of a line
_RANGES, _NUMBERS = 6, 12  # ranges whose values are shown, and values of one that are shown in full


def plan_lines(session: Session, waiting: int = 0) -> list[str]:
    """Return a plan as at most 30 lines, the first of which sums it up.

    `waiting` is how many results of other matrices its tasks take that are not computed yet.
    """
    groups = _groups(session)
    lines = [_head(session, groups)]
    lines += [_range(name, given) for name, given in session.matrix.ranges[:_RANGES]]
    if waiting:
        lines.append(f"  {number_of(waiting, 'result')} that it needs of other matrices: not computed yet,")
        lines.append("  so rules about what they return are left out here")
    room = _LINES - len(lines) - 2 * len(groups) - 1  # a title and a rest for each, and who prints adds one
    for left, (reason, (total, numbers)) in zip(range(len(groups), 0, -1), groups.items(), strict=True):
        shown = min(total, max(room // left, 1))
        room -= shown
        lines.append(f"  {reason}: {total:,}")
        configs = map(session.shown.config, islice(numbers, shown))
        lines += [f"    {one_line(config_text(config), _WIDTH)}" for config in configs]
        if total > shown:
            lines.append(f"    ... and {total - shown:,} more")
    return lines


def _range(name: str, given: Sequence[float]) -> str:
    """Say which values a range stands for."""
    texts = list(map(str, given))
    if len(texts) > _NUMBERS:
        texts[3:-1] = ["..."]
    said = f"  {name}: {', '.join(texts)} ({number_of(len(given), 'value')} of {given!r})"
    return one_line(said, _WIDTH)


def _groups(session: Session) -> dict[str, tuple[int, Iterator[int]]]:
    """Return for each reason how many tasks have it, and their numbers; what will be run comes first."""
    plan = session.plan
    kinds = bytes(state + 128 * cached for state, cached in zip(plan.states, plan.cached, strict=True))
    groups: dict[str, tuple[int, Iterator[int]]] = {}
    for kind, total in sorted(Counter(kinds).items()):
        numbers = compress(count(), map(eq, kinds, repeat(kind)))
        groups[plan.reason(kinds.index(kind))] = total, numbers
    return groups


def _head(session: Session, groups: dict[str, tuple[int, Iterator[int]]]) -> str:
    plan, workers = session.plan, session.options.num_workers
    usual = {"cached": plan.hits, "failed before": 0, "new": 0}  # told also where there are none
    for reason, (total, _) in groups.items():
        if not reason.startswith("cached"):
            usual[reason] = total
    parts = [f"{total:,} {reason}" for reason, total in usual.items()]
    name = session.matrix.id
    of = "" if name is None else f" of matrix {short_text(name, 40)!r}"
    count, whole = number_of(plan.total, "configuration"), session.tasks.whole
    if whole > plan.total:
        count = f"{plan.total:,} of {number_of(whole, 'configuration')} (sample)"
    text = f"{count}{of}: {', '.join(parts)}"
    seconds = plan.time_on(workers)
    if seconds is not None:
        text += f"; about {duration(seconds)} on {number_of(workers, 'worker')}"
    elif len(plan.todo):
        text += f"; on {number_of(workers, 'worker')}, how long is not known yet"
    return text
