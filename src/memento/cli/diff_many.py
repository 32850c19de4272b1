"""In what the tasks of two runs, or of two stores, differ: matched, counted, and the largest differences.

Knows: tasks in bulk, how two results differ. May not know: what was typed, how it is printed.

Tasks of stores are the same by their keys. Two runs of one store never have a result for the same key, so theirs are
the same by their parameters: what differs comes of other settings, or other code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

from memento.cli.differences import (
    MADE_WITH,
    Compared,
    Difference,
    cell,
    circumstances,
    code_differs,
    entries,
    outcome,
    results_differ,
)
from memento.cli.open_store import open_store
from memento.cli.task_text import loaded, shown_parameters
from memento.layout import user_name
from memento.records import FAILED, RunRecord, TaskRecord
from memento.store.location import StorePath
from memento.store.store import Store
from memento.wording import number_of, one_line, short_name

_BATCH = 4_096  # tasks in memory at once
_EXAMPLES = 5  # tasks that are listed
_ENTRIES = 12  # of results
_VALUES = 6  # of a parameter

Identity = Callable[[TaskRecord], bytes]


class Side(NamedTuple):
    """Some tasks of a store."""

    store: Store
    ids: list[int]  # ascending

    def records(self) -> Iterator[tuple[TaskRecord, bytes]]:
        """Yield each task, with a digest of what it came to."""
        for start in range(0, len(self.ids), _BATCH):
            part = self.ids[start : start + _BATCH]
            lasts: dict[int, list[tuple[str, float]]] = {}
            for piece in self.store.index.last_metrics(part):
                for name, (numbers, values) in piece.items():
                    for number, value in zip(numbers.tolist(), values.tolist(), strict=True):
                        lasts.setdefault(number, []).append((name, value))
            for record in self.store.index.records(part):
                yield record, _digest(record, sorted(lasts.get(record.id, []), key=lambda pair: pair[0]))


def _digest(record: TaskRecord, metrics: list[tuple[str, float]]) -> bytes:
    value = None if record.value is None else record.value[:3]
    told = (sorted(outcome(record).items()), value, metrics, sorted(map(user_name, record.artifacts)))
    return blake2b(repr(told).encode("utf-8", "surrogatepass"), digest_size=12).digest()


class Worst(NamedTuple):
    """Where an entry of results differs most."""

    tasks: int  # so many
    difference: Difference
    key: str
    parameters: str


class Many(NamedTuple):
    """What the comparison of many tasks found."""

    both: int
    differ: int
    worst: dict[str, Worst]  # by the entry's name
    only: tuple[list[int], list[int]]  # ids of tasks that only one side has

    @property
    def counts(self) -> bool:
        """Whether there is a difference."""
        return bool(self.differ or self.only[0] or self.only[1])


def compare(a: Side, b: Side, identity: Identity) -> Many:
    """Match the tasks of two sides, and compare those that both have."""
    there: dict[bytes, tuple[int, bytes]] = {identity(r): (r.id, digest) for r, digest in a.records()}
    only, pairs, both = [], [], 0
    for record, digest in b.records():
        known = there.pop(identity(record), None)
        if known is None:
            only.append(record.id)
            continue
        both += 1
        if known[1] != digest:
            pairs.append((known[0], record.id))
    worst: dict[str, Worst] = {}
    differ = sum(_look(a, b, pairs[at : at + _BATCH], worst) for at in range(0, len(pairs), _BATCH))
    return Many(both, differ, worst, (sorted(number for number, _ in there.values()), only))


def _look(a: Side, b: Side, pairs: list[tuple[int, int]], worst: dict[str, Worst]) -> int:
    """Note how the results of pairs of tasks differ; return how many do."""
    ones = {record.id: record for record in a.store.index.records([one for one, _ in pairs])}
    others = {record.id: record for record in b.store.index.records([other for _, other in pairs])}
    differ = 0
    for one, other in pairs:
        if one not in ones or other not in others:
            continue  # computed again meanwhile
        found = list(results_differ(a.store, ones[one], b.store, others[other]))
        differ += bool(found)
        for difference in found:
            _note(worst, difference, b.store, others[other])
    return differ


def _note(worst: dict[str, Worst], one: Difference, store: Store, record: TaskRecord) -> None:
    name = f"{one.part} {one.name}"
    known = worst.get(name)
    if known is None and len(worst) >= _ENTRIES * 10:
        return
    if known is not None and abs(one.change or 0.0) <= abs(known.difference.change or 0.0):
        worst[name] = known._replace(tasks=known.tasks + 1)
        return
    (parameters,) = shown_parameters(store, [record])
    count = 1 if known is None else known.tasks + 1
    worst[name] = Worst(count, one, record.key.hex(), one_line(parameters, 100))


# --- two runs ------------------------------------------------------------------------------------------


def runs_differ(store: Store, a: RunRecord, b: RunRecord) -> Compared:
    """Compare two runs of a store."""
    sides = [Side(store, store.index.ids_of_run(run.id)) for run in (a, b)]
    many = compare(sides[0], sides[1], by_parameters)
    told = [{"experiment": r.info.experiment, "failed tasks": r.counts.get("failed", 0)} for r in (a, b)]
    found = list(entries("run", *told))
    found += entries("settings", loaded(a.info.settings), loaded(b.info.settings))
    found += _parameters(store, many.only)
    made = [{"command": " ".join(r.info.argv), "host": r.info.host, "tasks": r.info.tasks} for r in (a, b)]
    found += entries(MADE_WITH, *made)
    found += circumstances(a.info.provenance, b.info.provenance)
    codes = [sorted({r.code for r in store.index.records(side.ids)}) for side in sides]
    text = [f"tasks that they computed: {_counted(many)}"]
    for run, side, name in ((a, sides[0], "A"), (b, sides[1], "B")):
        if not side.ids and run.info.tasks:
            text.append(
                f"  {name} computed none that is still there; results of tasks that are computed again are replaced"
            )
    text += _only_lines(store, many.only[0], "A") + _only_lines(store, many.only[1], "B") + _worst_lines(many)
    title = "; ".join(
        f"{name}: run {run.id} ({short_name(run.info.experiment)}, {run.status})"
        for name, run in (("A", a), ("B", b))
    )
    more = {"runs": [a.id, b.id], **_as_dict(many, store, store)}
    return Compared("runs", title, found, code_differs(store, *codes), more, text, many.counts)


def by_parameters(record: TaskRecord) -> bytes:
    """Name a task by its parameters, in whatever order they were written."""
    return json.dumps([loaded(record.params), record.repeat], sort_keys=True).encode()


def _parameters(store: Store, only: tuple[list[int], list[int]]) -> Iterator[Difference]:
    """Yield which values parameters have only in the tasks of one side that the other one lacks."""
    seen: tuple[dict[str, set[str]], ...] = {}, {}
    for ids, values in zip(only, seen, strict=True):
        for _, params, _ in store.index.written(ids) if ids else ():
            for name, value in loaded(params).items():
                values.setdefault(name, set()).add(cell(value))
    for name in dict.fromkeys((*seen[0], *seen[1])):
        own = [sorted(values.get(name, ())) for values in seen]
        for side, place in (("a", 0), ("b", 1)):
            missing = [value for value in own[place] if value not in own[1 - place]]
            if missing and own[1 - place]:
                told = ", ".join(missing[:_VALUES]) + (", ..." if len(missing) > _VALUES else "")
                yield Difference("parameters", name, told, told, side)


# --- two stores ----------------------------------------------------------------------------------------


def stores_differ(a: StorePath, b: StorePath) -> Compared:
    """Compare two stores, experiment by experiment."""
    with open_store(a) as one, open_store(b) as other:
        names = dict.fromkeys(name for store in (one, other) for name, _, _ in store.index.experiments())
        text, told, counts = [], [], False
        for name in names:
            sides = [Side(store, sorted(store.index.ids(name))) for store in (one, other)]
            many = compare(sides[0], sides[1], attrgetter("key"))
            counts = counts or many.counts
            text.append(f"{short_name(name)}: {_counted(many)}")
            text += _only_lines(one, many.only[0], "A") + _only_lines(other, many.only[1], "B")
            text += _worst_lines(many)
            told.append({"experiment": name, **_as_dict(many, one, other)})
        title = f"A: {one.location}; B: {other.location}"
    return Compared("stores", title, [], [], {"experiments": told}, text or ["no tasks"], counts)


# --- saying it -----------------------------------------------------------------------------------------


def _counted(many: Many) -> str:
    parts = [f"{number_of(many.both, 'task')} in both"]
    if many.both:
        parts.append(f"{many.differ:,} with other results" if many.differ else "with the same results")
    parts += [f"{len(ids):,} only in {name}" for ids, name in zip(many.only, "AB", strict=True) if ids]
    return ", ".join(parts)


def _only_lines(store: Store, ids: list[int], name: str) -> list[str]:
    records = list(store.index.records(ids[:_EXAMPLES]))
    told = [
        f"  only in {name}: {record.key.hex()[:12]} {'failed ' * (record.status == FAILED)}{one_line(text, 100)}"
        for record, text in zip(records, shown_parameters(store, records), strict=True)
    ]
    return told + (
        [f"  ... and {len(ids) - _EXAMPLES:,} more only in {name}"] if len(ids) > _EXAMPLES else []
    )


def _worst_lines(many: Many) -> list[str]:
    ranked = sorted(many.worst.values(), key=lambda worst: -worst.tasks)
    told = []
    for worst in ranked[:_ENTRIES]:
        one = worst.difference
        what = "most" if one.change is not None and worst.tasks > 1 else "for example"
        told.append(
            f"  {one.part} {one_line(one.name, 60)}: differs in {number_of(worst.tasks, 'task')}, {what}"
        )
        told.append(f"    {one.text} at {worst.key[:12]} {worst.parameters}")
    if len(ranked) > _ENTRIES:
        told.append(f"  ... and in {len(ranked) - _ENTRIES} more entries")
    return told


def _as_dict(many: Many, a: Store, b: Store) -> dict[str, Any]:
    def keys(store: Store, ids: list[int]) -> list[str]:
        return [record.key.hex() for record in store.index.records(ids)]

    return {
        "in_both": many.both,
        "differ": many.differ,
        "only_a": keys(a, many.only[0]),
        "only_b": keys(b, many.only[1]),
        "largest": [
            {**worst.difference.as_dict(), "tasks": worst.tasks, "key": worst.key, "at": worst.parameters}
            for worst in many.worst.values()
        ],
    }
