"""Choose what of a store to give up: by age, by superseded code, until it fits into so many bytes.

Knows: rows, versions of the code, sizes. May not know: how anything is removed, who agreed to it.

What is cheapest to lose comes first: steps, which whoever needs them computes again, oldest first; then results that
code computed which would compute them otherwise now; then all other results, oldest first. No task that is not done
loses its checkpoint here.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from typing import NamedTuple

from memento.index.contract import Index
from memento.index.versions import Versions
from memento.layout import Layout, fence_of, fenced
from memento.records import DONE, StepRecord, TaskRecord
from memento.store.sizes import size_of
from memento.store.step_records import record_path, records

_AT_ONCE = 10_000  # rows that are read at once


class Chosen(NamedTuple):
    """What to give up."""

    steps: list[bytes]  # their keys
    results: list[int]  # ids of their rows
    size: int = 0  # bytes that this frees, as far as files are looked at


def superseded_codes(index: Index, experiment: str) -> set[int]:
    """Return the versions whose results other ones would compute now, as far as runs have seen, and nobody accepted.

    A version that computes some of its own results as before is none of them.
    """
    versions = Versions(index, experiment)
    pending = {code for code, _ in versions.pending()}
    accepted = {
        code
        for code, presents in versions.present.items()
        if any(code in versions.counting_as(versions.digests.get(present, b"")) for present in presents)
    }
    return pending - accepted


def old_results(index: Index, *, superseded: bool, before: float | None) -> list[int]:
    """Return the ids of results that superseded code computed, that ended before a moment, or both, where asked."""
    ids = _superseded(index) if superseded else index.ids(status=DONE)
    return sorted(ids if before is None else _ended_before(index, ids, before))


def old_steps(store: str, before: float | None) -> list[bytes]:
    """Return the keys of steps that were made before a moment; of all where none is given."""
    return [record.key for record in records(store) if before is None or record.made < before]


def to_free(store: str, index: Index, size: int, gone: Chosen | None = None, *, results: bool) -> Chosen:
    """Choose what is cheapest to lose, until so many bytes are free; of `results` only where they may go.

    What is to go anyway, `gone`, frees nothing more.
    """
    gone = gone or Chosen([], [])
    steps, freed = _steps_to_free(store, size, set(gone.steps))
    ids = list[int]()
    for number, its in _results_in_turn(store, index, set(gone.results)) if results else ():
        if freed >= size:
            break
        ids.append(number)
        freed += its
    return Chosen(steps, sorted(ids), freed)


def _steps_to_free(store: str, size: int, gone: Container[bytes]) -> tuple[list[bytes], int]:
    """Choose steps that are not gone, oldest first, until so many bytes are free; return also how many are."""
    found = [record for record in records(store) if record.key not in gone]
    shared = Counter(record.value.ref for record in found)
    users = defaultdict[bytes, list[StepRecord]](list)
    for record in found:
        for used in record.steps:
            users[used].append(record)
    steps, freed = dict[bytes, None](), 0
    for first in sorted(found, key=lambda record: (record.made, record.key)):
        todo = [first] if freed < size else []
        while todo:  # what a step is made of goes no earlier than the step
            one = todo.pop()
            if one.key in steps:
                continue
            steps[one.key] = None
            ref = one.value.ref
            shared[ref] -= 1
            freed += _size_beside_value(store, one.key) + (
                0 if ref is None or shared[ref] else one.value.size
            )
            todo += users[one.key]
    return list(steps), freed


def _size_beside_value(store: str, key: bytes) -> int:
    place, name = Layout(store), key.hex()
    its = (record_path(store, key), place.step_files(name), os.path.join(place.step_work, name))
    return sum(map(size_of, its))


def _superseded(index: Index) -> list[int]:
    found = list[int]()
    for name, done, _ in index.experiments():
        codes = superseded_codes(index, name) if done else ()
        if codes:
            found += [row.id for row in index.known(name) if row.code in codes and row.status == DONE]
    return found


def _ended_before(index: Index, ids: list[int], before: float) -> Iterator[int]:
    for piece in index.outlines(sorted(ids)):
        ended = piece.started + piece.runtime
        yield from piece.ids[ended < before].tolist()


class _Result(NamedTuple):
    """A result that has files; in the order in which results go."""

    is_current: bool  # its code would compute it now
    ended: float
    id: int
    ref: str | None
    value: int  # bytes
    artifacts: int  # bytes


def _results_in_turn(store: str, index: Index, gone: Container[int]) -> Iterator[tuple[int, int]]:
    """Yield ids of results that have files and are not gone, and what each frees: superseded first, then by age."""
    old = set(_superseded(index))
    ids = [number for number in index.ids(status=DONE) if number not in gone]
    pieces = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
    found = [_result(store, record, old) for piece in pieces for record in index.records(piece)]
    shared = Counter(result.ref for result in found)
    for result in sorted(found):
        shared[result.ref] -= 1
        freed = result.artifacts + (0 if shared[result.ref] else result.value)
        if result.ref is not None or freed:
            yield result.id, freed


def _result(store: str, record: TaskRecord, old: Container[int]) -> _Result:
    value = record.value
    ref, size = (value.ref, value.size) if value is not None and value.ref is not None else (None, 0)
    folders = {fenced(record.key.hex(), fence_of(name)) for name in record.artifacts}
    artifacts = sum(size_of(Layout(store).artifacts(folder)) for folder in folders)
    return _Result(record.id not in old, record.started + record.runtime, record.id, ref, size, artifacts)
