"""What several attempts at one task come to: those that failed, and those from whose checkpoints others went on.

Knows: records. May not know: how they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from memento.records import INTERRUPTED, Attempt, Failure, LogSlice, Outcome, TaskRecord


def whole(outcome: Outcome, run: int) -> tuple[Outcome, list[list[Any]]]:
    """Return what all pieces of a task come to, and each piece as plain JSON, this attempt's own the last."""
    own = (run, *outcome[2:7], outcome.worker, outcome.log)
    pieces = [(_run_number(p.run), *p[1:]) for p in outcome.earlier] + [own]
    each_cpu, each_memory = [p[4] for p in pieces], [p[5] for p in pieces if p[5] is not None]
    joined = outcome._replace(
        started=pieces[0][2],
        runtime=sum(p[3] for p in pieces),
        cpu_time=None if None in each_cpu else sum(filter(None, each_cpu)),
        memory=max(each_memory, default=None),
    )
    return joined, [[*p[:7], *(p[7] or (None, None, None))] for p in pieces]


def _run_number(name: str) -> int:
    """Return the id at the end of a run's name; 0 where there is none."""
    try:
        return int(name.rpartition("-")[2], 16)
    except ValueError:
        return 0


def pieces_of(told: Sequence[Any], status: str, failure: Failure | None) -> tuple[Attempt, ...]:
    """Build each attempt's share of a task from what `whole` gives; the last one has made the task what it is."""
    shares = []
    try:
        for run, number, started, runtime, cpu_time, memory, worker, file, start, end in told:
            log = None if file is None else LogSlice(file, start, end)
            share = Attempt(
                number, INTERRUPTED, started, runtime, cpu_time, memory, worker, run, None, log, runtime
            )
            shares.append(share)
    except (ValueError, TypeError):  # a column that changed: it only informs people
        return ()
    return (*shares[:-1], shares[-1]._replace(status=status, failure=failure, kept=None)) if shares else ()


def last_attempts(record: TaskRecord) -> tuple[Attempt, ...]:
    """Return the attempt that made a task what it is, after those from which it went on."""
    if record.pieces:
        return record.pieces
    r = record
    facts = (r.attempt, r.status, r.started, r.runtime, r.cpu_time, r.memory, r.worker, r.run)
    return (Attempt(*facts, r.failure, r.log),)


def each_once(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return attempts by the time of their start, each once: what a checkpoint tells of one joins what its row tells.

    Of two checkpoints that tell of one attempt the later counts.
    """
    found: list[Attempt] = []
    for attempt in attempts:
        place = next((i for i, known in enumerate(found) if _is_one(known, attempt)), None)
        if place is None:
            found.append(attempt)
            continue
        known = found[place]
        kept = max(filter(None, (known.kept, attempt.kept)), default=None)
        longer = max(known, attempt, key=lambda a: (a.status != INTERRUPTED, a.runtime))
        found[place] = longer._replace(kept=kept)
    return sorted(found, key=lambda attempt: attempt.started)


def memory_limits(attempts: Iterable[Attempt]) -> list[int | None]:
    """Return how many bytes each of a task's attempts might use, where one before has proven to need more, or it has.

    None where that is not told: no attempt needed more than all tasks of its run had.
    """
    given: dict[int, int] = {}  # by run: what attempts get from then on
    found: list[int | None] = []
    for attempt in attempts:
        failure = attempt.failure
        found.append((failure.memory_limit if failure is not None else 0) or given.get(attempt.run))
        if failure is not None and failure.next_limit:
            given[attempt.run] = failure.next_limit
    return found


def _is_one(a: Attempt, b: Attempt) -> bool:
    """Tell whether two records are of one attempt: those of one task in one run never overlap.

    Their starts may differ: that of a worker which died is told by who watched it.
    """
    if (a.run, a.number) != (b.run, b.number):
        return False
    return a.started <= b.started + b.runtime and b.started <= a.started + a.runtime
