"""In what two tasks differ: parameters, results, metrics, code, and what runs were made with; as records and as lines.

Knows: rows of a store, plain values, provenance as runs have it. May not know: what was typed, how many are compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from memento.cli.task_text import loaded, plain_text, told_of, value_of
from memento.keys.code_diff import explain_code
from memento.layout import user_name
from memento.records import TaskRecord
from memento.store.store import Store
from memento.wording import duration, number_of, one_line

MADE_WITH = "made with"  # the part that is told, and does not make two things different
_CELL = 60  # characters of one side
_PACKAGES = 12  # that are listed
_READ = 1 << 20  # bytes of a value's file that is read to be compared by entries


class Difference(NamedTuple):
    """One thing that is not the same on both sides."""

    part: str  # parameters, settings, result, metrics, ...
    name: str
    a: Any
    b: Any
    only: str = ""  # "a" or "b" where the other one has none

    @property
    def change(self) -> float | None:
        """By how much a number differs; None of all else."""
        if self.only or not (_is_number(self.a) and _is_number(self.b)):
            return None
        change = float(self.b) - float(self.a)
        return change if math.isfinite(change) else None

    @property
    def text(self) -> str:
        """Say it in a line: "lr: 0.1 -> 0.2 (+0.1, +100 %)"."""
        name = one_line(self.name, _CELL)
        if self.only:
            return f"{name}: {cell(self.a if self.only == 'a' else self.b)} only in {self.only.upper()}"
        a, b = cell(self.a), cell(self.b)
        if a == b:
            return f"{name}: {a} -> another one"
        change = self.change
        if change is None:
            return f"{name}: {a} -> {b}"
        share = f", {100 * change / abs(self.a):+.3g} %" if self.a else ""
        return f"{name}: {a} -> {b} ({change:+.4g}{share})"

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON tells."""
        return {**self._asdict(), "only": self.only or None, "change": self.change}


class Compared(NamedTuple):
    """What came out."""

    kind: str  # tasks, runs, stores
    title: str
    found: list[Difference]
    code: list[str]  # how the code differs
    more: dict[str, Any]  # what JSON tells beside
    text: list[str]  # ... and people
    counts: bool = False  # whether `more` tells of a difference

    @property
    def same(self) -> bool:
        """Whether nothing differs that counts."""
        return not self.counts and not self.code and all(one.part == MADE_WITH for one in self.found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def cell(value: Any) -> str:
    """Say a value in few characters.

    >>> cell(0.30000000000000004), cell("sklearn.svm._classes:SVC"), cell({"a": 1})
    ('0.3', 'SVC', '{"a": 1}')
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return one_line(plain_text(value), _CELL)
    try:
        return one_line(json.dumps(value, ensure_ascii=False, default=str), _CELL)
    except (ValueError, TypeError):
        return one_line(str(value), _CELL)


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are the same; not a number is itself, and true is not 1.

    >>> same(float("nan"), float("nan")), same(True, 1), same(1, 1.0), same([1, {"a": 2}], [1, {"a": 2}])
    (True, False, True, True)
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def entries(part: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield in what two dicts differ, in the order of the first."""
    for name in dict.fromkeys((*a, *b)):
        if name not in b:
            yield Difference(part, name, a[name], None, "a")
        elif name not in a:
            yield Difference(part, name, None, b[name], "b")
        elif not same(a[name], b[name]):
            yield Difference(part, name, a[name], b[name])


def results(a: tuple[bool, Any], b: tuple[bool, Any]) -> Iterator[Difference]:
    """Yield in what two values differ, each with whether it is all that was stored; dicts by their entries."""
    (whole_a, one), (whole_b, other) = a, b
    whole = whole_a and whole_b
    if isinstance(one, dict) and isinstance(other, dict):
        own = [{str(name): item for name, item in value.items()} for value in (one, other)]
        found = list(entries("result", *own))
        if found or whole:  # else they differ in what is not known of one of them
            yield from found
            return
    elif whole and same(one, other):
        return
    yield Difference("result", "value", one, other)


def circumstances(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield in what the machines and environments of two runs differ (their provenance)."""
    yield from entries(MADE_WITH, _machine(a), _machine(b))
    diffs = [(told.get("git") or {}).get("diff") for told in (a, b)]
    if diffs[0] != diffs[1]:
        counts = [number_of(len(diff.splitlines()), "line") if diff else "none" for diff in diffs]
        yield Difference(MADE_WITH, "git uncommitted changes", *counts)
    for kind, prefix in (("environment", ""), ("packages", "package ")):
        own = [{f"{prefix}{name}": one for name, one in (told.get(kind) or {}).items()} for told in (a, b)]
        yield from entries(MADE_WITH, *own)


def _machine(told: Mapping[str, Any]) -> dict[str, Any]:
    git = told.get("git") or {}
    return {
        "python": next(iter(str(told.get("python") or "").split()), None),
        **{name: told.get(name) for name in ("platform", "machine", "cpus", "cwd")},
        **{f"git {name}": git.get(name) for name in ("commit", "branch", "dirty")},
    }


def lines(found: Iterable[Difference]) -> list[str]:
    """Say differences, those of one part under its name; of many packages the first."""
    told: list[str] = []
    part, packages = "", 0
    for one in found:
        if one.part != part:
            part = one.part
            told.append(part)
        if one.name.startswith("package "):
            packages += 1
            if packages > _PACKAGES:
                continue
        told.append(f"  {one.text}")
    if packages > _PACKAGES:
        told.append(f"  ... and {number_of(packages - _PACKAGES, 'package')} more; --json lists them all")
    return told


def tasks_differ(store: Store, a: TaskRecord, b: TaskRecord) -> Compared:
    """Compare two tasks of a store."""
    told = told_of(store, [a, b])
    params = [
        told[r.key].own | told[r.key].upstream | ({"repeat": r.repeat} if r.repeat else {}) for r in (a, b)
    ]
    found = list(entries("parameters", *params))
    found += entries("settings", loaded(a.settings), loaded(b.settings))
    found += entries("result", {"experiment": a.experiment}, {"experiment": b.experiment})
    found += results_differ(store, a, store, b)
    found += _made_with(store, a, b)
    title = f"A: task {a.key.hex()} of {a.experiment}; B: task {b.key.hex()}"
    title += f" of {b.experiment}" if b.experiment != a.experiment else ""
    keys = {"keys": [a.key.hex(), b.key.hex()]}
    return Compared("tasks", title, found, code_differs(store, [a.code], [b.code]), keys, [])


def results_differ(store_a: Store, a: TaskRecord, store_b: Store, b: TaskRecord) -> Iterator[Difference]:
    """Yield in what differs what two tasks came to."""
    yield from entries("result", outcome(a), outcome(b))
    if a.value is not None and b.value is not None and a.value[:3] != b.value[:3]:
        yield from results(_shown(store_a, a), _shown(store_b, b))
    yield from entries("metrics", _last(store_a, a), _last(store_b, b))
    files = [dict.fromkeys(map(user_name, record.artifacts), "a file") for record in (a, b)]
    yield from entries("artifacts", *files)


def outcome(record: TaskRecord) -> dict[str, Any]:
    """Return how a task ended, for people."""
    failure = record.failure
    told = {"status": record.status}
    return told if failure is None else told | {"error": f"{failure.type}: {failure.message}"}


def _shown(store: Store, record: TaskRecord) -> tuple[bool, Any]:
    """Return whether all of a value can be shown, and the value, or what is known of it."""
    found, value = store.readable(record, _READ)
    return (True, value) if found else (False, value_of(store, record, parts=True)[1])


def _last(store: Store, record: TaskRecord) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, (_, y) in store.index.metrics(record).items():
        told[name] = float(y[-1]) if len(y) else None
        told[f"{name} (values)"] = len(y)
    return told


def _made_with(store: Store, a: TaskRecord, b: TaskRecord) -> Iterator[Difference]:
    runs = [store.index.run(record.run) for record in (a, b)]
    infos = [{} if run is None else run.info.provenance for run in runs]
    if a.run != b.run:
        yield Difference(MADE_WITH, "run", str(a.run), str(b.run))
        hosts = [None if run is None else run.info.host for run in runs]
        if hosts[0] != hosts[1]:
            yield Difference(MADE_WITH, "host", hosts[0], hosts[1])
        yield from circumstances(*infos)
    if duration(a.runtime) != duration(b.runtime):
        yield Difference(MADE_WITH, "time", duration(a.runtime), duration(b.runtime))


def code_differs(store: Store, a: list[int], b: list[int]) -> list[str]:
    """Say how the code of B's tasks differs from that of A's; the newest version of each that the other has not."""
    newest_a, newest_b = max(a, default=0), max(b, default=0)
    if set(a) == set(b) or newest_a == newest_b:
        return []
    known = store.index.codes([newest_a, newest_b])
    if newest_a not in known or newest_b not in known:
        return []
    return explain_code(known[newest_a].functions, known[newest_b].functions)
