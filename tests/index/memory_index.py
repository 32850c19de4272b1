"""An index in this process' memory: what the contract asks for, and nothing else.

It shows how much another index has to be, and serves tests that want none of SQLite.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from memento import records as rec
from memento.clock import Clock
from memento.errors import NotAStore, StoreUnwritable
from memento.index import attempts as tries
from memento.index import declared_values as ax
from memento.index import types as t
from memento.index.contract import Index
from memento.index.lease import run_name
from memento.index.run_contract import Run
from memento.index.versions import joined, mixed, presents
from memento.keys.task_key import renamed_keys
from memento.records import DONE, FAILED, Known, TaskRecord, TaskRow

_Told = Callable[[Collection[bytes]], None] | None


class _Row(NamedTuple):
    record: TaskRecord
    metrics: tuple[rec.Series, ...]


class _Data:
    """What all who open one folder share."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.last = 0
        self.rows: dict[int, _Row] = {}  # in the order of their ids
        self.by_key: dict[bytes, int] = {}
        self.attempts: list[tuple[bytes, str, tuple[rec.Attempt, ...]]] = []  # key, experiment
        # And names; statuses are "" while there is a lease.
        self.runs: dict[int, tuple[rec.RunRecord, str]] = {}
        self.claims: dict[bytes, int] = {}  # key -> run
        self.experiments: dict[str, None] = {}
        self.codes: dict[int, tuple[rec.CodeVersion, float, int | None]] = {}
        self.changes: dict[str, dict[int, set[int]]] = {}
        self.adoptions: dict[str, list[rec.Adoption]] = {}
        self.axes: dict[str, list[tuple[str, str]]] = {}
        self.orders: dict[str, bytes] = {}
        self.moves: list[tuple[bytes, bytes]] = []
        self.commands: list[t.Command] = []
        self.answers: list[t.Answer] = []
        self.events: list[t.Event] = []
        self.activities: dict[int, tuple[float, list[t.Activity], t.Standing | None]] = {}

    def add_code(self, version: rec.CodeVersion, now: float, run: int | None) -> int:
        for number, (known, _, _) in self.codes.items():
            if known.digest == version.digest:
                return number
        for part in version.parts:
            self.add_code(part, now, run)
        self.codes[len(self.codes) + 1] = version, now, run
        return len(self.codes)

    def drop(self, number: int, *, keep_attempt: bool) -> None:
        record = self.rows.pop(number).record
        if self.by_key.get(record.key) == number:
            del self.by_key[record.key]
        if keep_attempt and record.status == FAILED:
            self.attempts.append((record.key, record.experiment, tries.last_attempts(record)))

    def give_back(self, run: int) -> None:
        self.claims = {key: owner for key, owner in self.claims.items() if owner != run}
        self.activities.pop(run, None)


_FOLDERS: dict[str, _Data] = {}


class MemoryIndex(Index):
    """A store's records in memory, for as long as this process lives."""

    def __init__(self, data: _Data, clock: Clock, readonly: bool) -> None:
        self.data, self.clock, self.readonly = data, clock, readonly
        self.notes: list[str] = []
        self._scanned: dict[str, int] = {}

    @classmethod
    def exists(cls, folder: str) -> bool:
        return folder in _FOLDERS

    @classmethod
    def open(cls, folder: str, *, create: bool, readonly: bool, clock: Clock) -> MemoryIndex:
        if folder not in _FOLDERS and not create:
            raise NotAStore(folder, "there is no index.", "Check the path.")
        return cls(_FOLDERS.setdefault(folder, _Data()), clock, readonly)

    def close(self) -> None:
        pass

    @property
    def is_gone(self) -> bool:
        return self.data not in _FOLDERS.values()

    @contextmanager
    def _writing(self) -> Iterator[_Data]:
        if self.readonly:
            raise StoreUnwritable("memory", "it was opened for reading only.")
        with self.data.lock:
            yield self.data

    def _rows(self, experiment: str | None = None) -> list[_Row]:
        with self.data.lock:
            rows = list(self.data.rows.values())
        return [row for row in rows if experiment is None or row.record.experiment == experiment]

    def known(self, experiment: str) -> Iterator[Known]:
        self._scanned[experiment] = self.data.last
        yield from (_known(row.record) for row in self._rows(experiment))

    def records(self, ids: Iterable[int]) -> Iterator[TaskRecord]:
        for number in ids:
            row = self.data.rows.get(number)
            if row is not None:
                yield row.record

    def ids(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[int]:
        found = [r.record.id for r in self._rows(experiment) if status in (None, r.record.status)]
        return found[::-1][:limit]

    def attempts(self, key: bytes) -> list[rec.Attempt]:
        with self.data.lock:
            found = [attempt for k, _, attempts in self.data.attempts if k == key for attempt in attempts]
            number = self.data.by_key.get(key)
            last = () if number is None else tries.last_attempts(self.data.rows[number].record)
        return tries.each_once([*found, *last])

    def metrics(self, record: TaskRecord) -> dict[str, tuple[Any, Any]]:
        row = self.data.rows.get(record.id)
        found = {s.name: np.frombuffer(s.data, "<f8").reshape(2, -1) for s in (row.metrics if row else ())}
        return {name: (x, y) for name, (x, y) in found.items()}

    def experiments(self) -> list[tuple[str, int, int]]:
        counts = {name: [0, 0] for name in self.data.experiments}
        for row in self._rows():
            counts[row.record.experiment][row.record.status != DONE] += 1
        return [(name, done, failed) for name, (done, failed) in counts.items()]

    def axes(self, experiment: str) -> list[tuple[str, list[tuple[Any, ax.Item | None]]]]:
        return [(name, ax.values_of(text)) for name, text in self.data.axes.get(experiment, ())]

    def order(self, experiment: str) -> bytes:
        return self.data.orders.get(experiment, b"")

    def codes(self, ids: Iterable[int]) -> dict[int, rec.CodeVersion]:
        kept = {version.digest: version for version, _, _ in self.data.codes.values()}

        def whole(version: rec.CodeVersion) -> rec.CodeVersion:
            return joined(version, [whole(kept[part.digest]) for part in version.parts])

        return {n: whole(self.data.codes[n][0]) for n in ids if n in self.data.codes}

    def codes_seen(self, ids: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        return {n: self.data.codes[n][1:] for n in ids if n in self.data.codes}

    def history(self, experiment: str) -> t.History:
        changes = self.data.changes.get(experiment, {})
        return t.History(
            {number: version.digest for number, (version, _, _) in self.data.codes.items()},
            [(code, present) for code, presents in changes.items() for present in sorted(presents)],
            list(self.data.adoptions.get(experiment, ())),
        )

    def relabel(self, experiment: str, axes: Sequence[ax.Declared]) -> None:
        self.data.axes[experiment] = ax.joined(self.data.axes.get(experiment, []), axes)[1]

    def note_codes(
        self,
        experiment: str,
        fresh: Iterable[rec.CodeVersion],
        current: Iterable[bytes],
        stale: Iterable[tuple[int, bytes]],
        run: int | None,
    ) -> None:
        with self._writing() as data:
            for version in fresh:
                data.add_code(version, self.clock.now(), run)
            ids = {version.digest: number for number, (version, _, _) in data.codes.items()}
            data.experiments[experiment] = None
            data.changes.setdefault(experiment, {}).update(presents(ids, current, stale))

    def adopt(
        self, experiment: str, changes: Iterable[tuple[int, int]], who: str, verified: int, results: int
    ) -> None:
        with self._writing() as data:
            adopted = data.adoptions.setdefault(experiment, [])
            for change in changes:
                if change not in [found[:2] for found in adopted]:
                    adopted.append(rec.Adoption(*change, self.clock.now(), who, verified, results))

    def runs(self, limit: int | None = None) -> list[rec.RunRecord]:
        found = list(self.data.runs.values())[::-1][:limit]
        return [run if run.status else self.leases.with_status(run, name) for run, name in found]

    def names_of_runs(self) -> dict[int, str]:
        return {number: name for number, (_, name) in self.data.runs.items()}

    def living(self) -> t.Living:
        with self.data.lock:
            runs = self.leases.alive(self._owners())
            ids = {owner.run for owner in runs}
            return t.Living(runs, {key: run for key, run in self.data.claims.items() if run in ids})

    def _owners(self) -> list[t.Owner]:
        return [t.Owner.of(run, name) for run, name in self.data.runs.values() if run.ended is None]

    def drop_dead(self, but: int = 0) -> None:
        for owner in self._owners():
            if owner.run != but and self.leases.is_dead(owner):
                record, name = self.data.runs[owner.run]
                self.data.runs[owner.run] = record._replace(ended=record.heartbeat, status="died"), name
                self.data.give_back(owner.run)

    def begin(self, info: rec.RunInfo, cached: int = 0, committed: _Told = None) -> Run:
        with self._writing() as data:
            self.drop_dead()
            data.experiments[info.experiment] = None
            number, now = len(data.runs) + 1, self.clock.now()
            name = run_name(now, info.pid, number)
            data.runs[number] = rec.RunRecord(number, info, now, now, None, "", {"cached": cached}), name
            return MemoryRun(self, number, self._scanned.get(info.experiment, data.last), committed)

    def forget(self, keys: Iterable[bytes]) -> int:
        with self._writing() as data:
            wanted = set(keys)
            doomed = self.discard([data.by_key[key] for key in wanted if key in data.by_key])
            data.attempts = [found for found in data.attempts if found[0] not in wanted]
        return len(doomed)

    def retry(self, keys: Collection[bytes] | None, experiment: str | None) -> list[TaskRecord]:
        with self._writing() as data:
            failed = [row.record for row in self._rows(experiment) if row.record.status == FAILED]
            retried = [record for record in failed if keys is None or record.key in keys]
            for record in retried:
                data.drop(record.id, keep_attempt=True)
        return retried

    def set_back(self, experiment: str | None = None) -> list[t.SetBack]:
        alive, last = {owner.run for owner in self.living().runs}, dict[Any, Any]()
        with self.data.lock:
            for key, name, attempts in self.data.attempts:
                if experiment in (None, name) and key not in self.data.by_key:
                    last.pop(key, None)
                    last[key] = name, attempts[-1]
        found = [(key, name, one) for key, (name, one) in last.items() if one.status == FAILED]
        return [
            t.SetBack(key, name, one.run, one.started) for key, name, one in found if one.run not in alive
        ]

    def discard(self, ids: Iterable[int], *, unless_living: bool = False) -> list[int]:
        with self._writing() as data:
            if unless_living and self.living().runs:
                return []
            there = [number for number in ids if number in data.rows]
            for number in there:
                data.drop(number, keep_attempt=False)
        return there

    def rename(self, old: str, new: str, folders: Container[bytes]) -> t.Renamed:
        with self._writing() as data:
            if old == new:
                raise t.CannotRename(f"{old!r} is its name already.", "Name two experiments.")
            if old not in data.experiments:
                raise t.CannotRename(f"the store has no experiment {old!r}.", "")
            for owner in self.living().runs:
                if data.runs[owner.run][0].info.experiment in (old, new):
                    raise t.CannotRename("a run is at work.", "Rename when it has ended, or stop it first.")
            data.experiments[new] = None
            moved, stays = 0, set()
            for number, row in [(n, r) for n, r in data.rows.items() if r.record.experiment == old]:
                was, key = row.record.key, renamed_keys(row.record.key, old, new)
                if key in data.by_key:
                    stays.add(was)
                    continue
                data.rows[number] = row._replace(record=row.record._replace(key=key, experiment=new))
                del data.by_key[was]
                data.by_key[key] = number
                moved += 1
                if was in folders:
                    data.moves.append((was, key))
            for place, (key, name, attempts) in enumerate(data.attempts):
                if name == old and key not in stays:
                    data.attempts[place] = renamed_keys(key, old, new), new, attempts
            self._move_experiment(old, new, leave=bool(stays))
            return t.Renamed(moved, len(stays))

    def _move_experiment(self, old: str, new: str, *, leave: bool) -> None:
        data = self.data
        declared = ax.declared_by(data.axes.get(old, ()))
        data.axes[new] = ax.joined(data.axes.get(new, []), declared)[1]
        if old in data.orders:
            data.orders.setdefault(new, ax.renamed_order(data.orders[old], old, new))
        theirs = data.changes.setdefault(new, {})
        data.changes[new] = {**data.changes.get(old, {}), **theirs}
        data.adoptions[new] = [*data.adoptions.get(new, ()), *data.adoptions.get(old, ())]
        if not leave:
            del data.experiments[old]
            for table in (data.axes, data.orders, data.changes, data.adoptions):
                table.pop(old, None)
            for number, (run, name) in data.runs.items():
                if run.info.experiment == old:
                    data.runs[number] = run._replace(info=run.info._replace(experiment=new)), name

    def moves(self) -> list[tuple[bytes, bytes]]:
        return list(self.data.moves)

    def moved(self, keys: Iterable[bytes]) -> None:
        gone = set(keys)
        with self._writing() as data:
            data.moves = [move for move in data.moves if move[0] not in gone]

    @contextmanager
    def exclusive(self) -> Iterator[t.Living]:
        with self._writing():
            yield self.living()

    def names(
        self, keys: Container[bytes], files: Container[str], after: int = 0, without: Container[int] = ()
    ) -> t.Names:
        with self.data.lock:
            rows = {number: row for number, row in self.data.rows.items() if number not in without}
            records = [row.record for number, row in rows.items() if number > after]
            told = [r.value.ref for r in records if r.value is not None] + [log.file for log in self._logs()]
            return t.Names(
                self.data.last,
                {name for name in told if name is not None and name in files},
                {r.key: r.id for r in records if r.key in keys and r.status == DONE},
                {r.key for r in records if r.key in keys},
                Counter(step for r in records for step in r.steps),
            )

    def _logs(self) -> list[Any]:
        records = [row.record for row in self._rows()]
        own = [part.log for r in records for part in r.pieces] + [r.log for r in records]
        return [log for log in [*own, *(a.log for _, _, its in self.data.attempts for a in its)] if log]

    def log_ends(self) -> dict[str, int]:
        return {log.file: log.end for log in sorted(self._logs(), key=lambda log: log.end)}

    def forget_log(self, file: str, size: int) -> None:
        with self._writing() as data:
            for number, row in data.rows.items():
                log = row.record.log
                if log is not None and log.file == file and log.end > size:
                    data.rows[number] = row._replace(record=row.record._replace(log=None))

    def send(self, command: t.Command) -> int:
        with self._writing() as data:
            sent = command._replace(id=len(data.commands) + 1, sent=self.clock.now())
            data.commands.append(sent)
            return sent.id

    def answers(self, command: int) -> list[t.Answer]:
        return [answer for answer in self.data.answers if answer.command == command]

    def events(self, run: int, after: int = 0) -> list[t.Event]:
        return [event for event in self.data.events if event.run == run and event.id > after]

    def activity(self, run: int) -> tuple[float, list[t.Activity], t.Standing | None]:
        return self.data.activities.get(run, (0.0, [], None))


class MemoryRun(Run):
    """The writer of one run's results."""

    def __init__(self, index: MemoryIndex, number: int, seen: int, committed: _Told) -> None:
        self.id, self.name = number, index.data.runs[number][1]
        self.previous: dict[bytes, int] = {}
        self._index, self._data, self._clock = index, index.data, index.clock
        self._info = self._data.runs[number][0].info
        self._seen, self._committed = seen, committed
        self._news: list[Known] = []
        self._others: dict[bytes, int] = {}
        self._last_command = len(self._data.commands)
        self._told: list[tuple[float, str, Mapping[str, Any]]] = []
        self._shown: tuple[list[t.Activity], t.Standing | None] | None = None

    def code(self, version: rec.CodeVersion) -> int:
        with self._data.lock:
            return self._data.add_code(version, self._clock.now(), self.id)

    def mixed_code(self, present: int, older: Sequence[bytes]) -> int:
        return self.code(mixed([self._data.codes[present][0].digest, *older]))

    def bring(self, brought: t.Brought) -> t.Numbers:
        name, data = self._info.experiment, self._data
        numbers = t.Numbers({}, {}, {})
        with data.lock:
            for called, run in brought.runs:
                number = next(
                    (n for n, (r, _) in data.runs.items() if _who(r) == _who(run)), len(data.runs) + 1
                )
                if number not in data.runs:
                    info = run.info._replace(experiment=name)
                    fresh = run_name(run.started, run.info.pid, number)
                    taken = called in self._index.names_of_runs().values()
                    data.runs[number] = run._replace(id=number, info=info), fresh if taken else called
                numbers.runs[run.id], numbers.names[called] = number, data.runs[number][1]
            for code, (version, seen, by) in sorted(brought.codes.items()):
                numbers.codes[code] = data.add_code(version, seen, numbers.runs.get(by) if by else None)
            ours, theirs = data.changes.setdefault(name, {}), dict[int, set[int]]()
            for code, present in brought.changes:
                theirs.setdefault(numbers.codes[code], set()).add(numbers.codes[present])
            data.changes[name] = theirs | ours
            adopted = data.adoptions.setdefault(name, [])
            for one in brought.adoptions:
                one = one._replace(code=numbers.codes[one.code], present=numbers.codes[one.present])
                if one[:2] not in [found[:2] for found in adopted]:
                    adopted.append(one)
        return numbers

    def absorb(
        self,
        rows: t.OfRuns,
        attempts: t.OfRuns,
        replaced: Collection[int],
    ) -> bool:
        data = self._data
        with data.lock:
            if any(owner.run != self.id for owner in self._index.living().runs):
                return False
            for number in replaced:
                data.drop(number, keep_attempt=True)
            for run, row in rows:
                data.last += 1
                data.by_key[row.key] = data.last
                data.rows[data.last] = _Row(self._record(row, run), row.outcome.metrics)
            for run, row in attempts:
                tried = tries.last_attempts(self._record(row, run))
                data.attempts.append((row.key, self._info.experiment, tried))
        self.release([row.key for _, row in rows])
        return True

    def declare(self, axes: Sequence[ax.Declared], keys: bytes, follows: bool) -> list[Sequence[str]]:
        name = self._info.experiment
        with self._data.lock:
            order = ax.order_after(self._data.orders.pop(name, None), keys, follows)
            if order is not None:
                self._data.orders[name] = order
            fragments, self._data.axes[name] = ax.joined(self._data.axes.get(name, []), axes)
        return fragments

    def claim(self, keys: Sequence[bytes]) -> t.Claim:
        with self._data.lock:
            self._look()
            self._index.drop_dead(but=self.id)
            taken = {key for key, run in self._data.claims.items() if run != self.id}
            done = [k for k in keys if k in self._others and self._others[k] != self.previous.get(k)]
            finished = [_known(record) for record in self._index.records(self._others[key] for key in done)]
            gone = {known.key for known in finished}
            granted = [key for key in keys if key not in gone and key not in taken]
            self._data.claims.update(dict.fromkeys(granted, self.id))
        return t.Claim(granted, [key for key in keys if key in taken and key not in gone], finished)

    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> t.Committed:
        ids: dict[bytes, int] = {}
        superseded: dict[bytes, Known] = {}
        data, done = self._data, set()
        with data.lock:
            self._look()
            data.attempts += [self._attempt(row) for _, row in failed_attempts]
            for row in rows:
                key, status = row.key, row.outcome.status
                older = data.by_key.get(key)
                standing = None if older is None else data.rows[older].record
                replaces = status == DONE and self.previous.get(key) == older
                if standing is not None and standing.status == DONE and not replaces:
                    if status == FAILED:
                        data.attempts.append(self._attempt(row))
                    if self.previous.get(key) == standing.id:
                        ids[key] = standing.id
                    else:
                        superseded[key] = _known(standing)
                else:
                    if standing is not None:
                        data.drop(standing.id, keep_attempt=True)
                    data.last += 1
                    ids[key] = data.by_key[key] = data.last
                    data.rows[data.last] = _Row(self._record(row), row.outcome.metrics)
                    self._others.pop(key, None)
                    self.previous.pop(key, None)
                    if status == DONE:
                        done.add(key)
                    else:
                        self.previous[key] = data.last
                if data.claims.get(key) == self.id:
                    del data.claims[key]
            self._seen = data.last
            self._write_told()
        if self._committed is not None:
            self._committed(done)
        return t.Committed(ids, superseded)

    def _attempt(self, row: TaskRow) -> tuple[bytes, str, tuple[rec.Attempt, ...]]:
        return row.key, self._info.experiment, tries.last_attempts(self._record(row))

    def _record(self, row: TaskRow, run: int = 0) -> TaskRecord:
        """Return how a task ended as it is read; its id is the newest."""
        run = run or self.id
        info, out = self._data.runs[run][0].info, row.outcome
        out, shares = tries.whole(out, run) if out.earlier else (out, [])
        warned = json.loads(out.warnings) if out.warnings else ()
        return TaskRecord(
            self._data.last, row.key, info.experiment, row.params, info.settings, row.repeat, out.status, row.code,
            run, out.attempt, out.started, out.runtime, out.cpu_time, out.memory, out.virtual, out.worker,
            out.value, out.artifacts, out.log, out.failure, tuple(rec.Warned._make(entry) for entry in warned),
            tries.pieces_of(shares, out.status, out.failure), out.steps or (),
        )  # fmt: skip

    def release(self, keys: Iterable[bytes]) -> None:
        with self._data.lock:
            for key in [key for key in keys if self._data.claims.get(key) == self.id]:
                del self._data.claims[key]

    def news(self) -> list[Known]:
        with self._data.lock:
            self._look()
            news, self._news = self._news, []
        return news

    def _look(self) -> None:
        """Read what others committed."""
        for number in range(self._seen + 1, self._data.last + 1):
            row = self._data.rows.get(number)
            if row is not None and row.record.experiment == self._info.experiment:
                self._news.append(_known(row.record))
                self._others[row.record.key] = number
        self._seen = self._data.last

    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        living = {owner.run for owner in self._index.living().runs} - {self.id}
        return [key for key in keys if self._data.claims.get(key) in living]

    def heartbeat(self) -> None:
        with self._data.lock:
            record, name = self._data.runs[self.id]
            if record.ended is None or record.status == "died":
                record = record._replace(heartbeat=self._clock.now(), ended=None, status="")
                self._data.runs[self.id] = record, name
            self._write_told()

    def finish(self, status: str, counts: dict[str, int]) -> None:
        now = self._clock.now()
        with self._data.lock:
            self._write_told()
            self._data.give_back(self.id)
            record, name = self._data.runs[self.id]
            ended = record._replace(status=status, counts=counts, heartbeat=now, ended=now)
            self._data.runs[self.id] = ended, name

    def commands(self) -> list[t.Command]:
        found, self._last_command = self._data.commands[self._last_command :], len(self._data.commands)
        everybody = ("", self._info.experiment)
        return [c for c in found if c.run == self.id or (c.run is None and c.experiment in everybody)]

    def answer(self, command: int, text: str, *, undo: str = "", done: bool = True) -> None:
        with self._data.lock:
            self._data.answers.append(t.Answer(command, self.id, self._clock.now(), text, undo, done))
            self._write_told()

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        self._told.append((self._clock.now(), kind, dict(data)))

    def show(self, activities: Sequence[t.Activity], standing: t.Standing | None = None) -> None:
        self._shown = list(activities), standing

    def _write_told(self) -> None:
        events = self._data.events
        events += [t.Event(len(events) + 1 + n, self.id, *told) for n, told in enumerate(self._told)]
        self._told = []
        if self._shown is not None:
            self._data.activities[self.id] = (self._clock.now(), *self._shown)


def _who(run: rec.RunRecord) -> tuple[object, ...]:
    return run.started, run.info.host, run.info.pid, run.info.process_started


def _known(record: TaskRecord) -> Known:
    return Known(record.key, record.id, record.status, record.code, record.runtime)
