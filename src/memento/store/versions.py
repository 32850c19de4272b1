"""Keep the versions of the code: what each is, which one would compute a result now, which ones people accepted.

Knows: the tables `codes`, `changes`, `adoptions`. May not know: how code is read, plans, policies.

    a row ── code ──> the version that computed it ── adoptions ──> versions as which it counts too
                                                   └─ changes ───> the version that would compute it now

A change is noted by every run, also by one that computes nothing: so a person can accept it later, without the code.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.store import sql
from memento.store.database import Database

if TYPE_CHECKING:
    from memento.records import Adoption, CodeVersion


class Versions:
    """The versions of one experiment's code; made by `Store.versions`, as they stand then.

    Attributes
    ----------
    digests : dict
        Id -> digest, of all versions that the store has.
    present : dict
        Id of a version -> the ids of those that would compute its results now, as far as runs have seen.
    """

    def __init__(self, database: Database, clock: Clock, experiment: str) -> None:
        self._database, self._clock, self._name = database, clock, experiment
        with database.explaining():
            connection = database.connection()
            self.digests: dict[int, bytes] = dict(connection.execute(sql.CODE_DIGESTS))
            found = connection.execute(sql.EXPERIMENT_ID, (experiment,)).fetchone()
            self._experiment: int | None = found[0] if found else None
            self.present = _gathered(connection.execute(sql.CHANGES, (self._experiment,)))
            self._adoptions: list[tuple[Any, ...]] = connection.execute(
                sql.ADOPTIONS, (self._experiment,)
            ).fetchall()

    def counting_as(self, digest: bytes) -> frozenset[int]:
        """Return the ids of the versions whose results count as this one's: itself, and what was adopted."""
        counting = {number for number, found in self.digests.items() if found == digest}
        grown = bool(counting)
        while grown:
            more = {code for code, present, *_ in self._adoptions if present in counting} - counting
            counting |= more
            grown = bool(more)
        return frozenset(counting)

    def last_adopted(self, code: int) -> int:
        """Return the version as which the results of this one were adopted last; itself where none was."""
        seen = {code}
        for adopted, present, *_ in self._adoptions:  # in the order of time
            if adopted == code and present not in seen:
                seen.add(present)
                code = present
        return code

    def adoptions(self) -> list[Adoption]:
        """Return what was accepted, the oldest first."""
        from memento.records import Adoption

        return [Adoption._make(row) for row in self._adoptions]

    def pending(self) -> list[tuple[int, int]]:
        """Return the changes that nobody has accepted: of which version, to which."""
        return [
            (code, present)
            for code, presents in self.present.items()
            for present in presents
            if code not in self.counting_as(self.digests.get(present, b""))
        ]

    def note(
        self,
        digests: Sequence[bytes],
        stale: Iterable[tuple[int, int]],
        describe: Callable[[int], CodeVersion],
        run: int | None = None,
    ) -> list[int]:
        """Note which versions a run has seen; writes only what is news.

        Parameters
        ----------
        digests : sequence of bytes
            Of the versions that its tasks are of.
        stale : iterable of (int, int)
            Id of the version that computed a result, and the place in `digests` of the one that would now.
        describe : callable
            Returns the version at a place in `digests`; asked only for those that the store does not have.
        run : int, optional
            The run's id, where it computes something.

        Returns
        -------
        list of int
            The versions' ids.
        """
        ids = {digest: number for number, digest in self.digests.items()}
        wanted = {ids[digest]: {ids[digest]} for digest in digests if digest in ids}
        stale = list(stale)
        for code, place in stale:
            if digests[place] in ids:
                wanted.setdefault(code, set()).add(ids[digests[place]])
        known = all(digest in ids for digest in digests)
        if not known or any(self.present.get(code) != presents for code, presents in wanted.items()):
            self._write(digests, stale, describe, run)
            ids = {digest: number for number, digest in self.digests.items()}
        return [ids[digest] for digest in digests]

    def _write(
        self,
        digests: Sequence[bytes],
        stale: Iterable[tuple[int, int]],
        describe: Callable[[int], CodeVersion],
        run: int | None,
    ) -> None:
        known = set(self.digests.values())
        fresh = {digest: describe(place) for place, digest in enumerate(digests) if digest not in known}
        with self._database.writing() as connection:
            for version in fresh.values():
                add_code(connection, version, self._clock.now(), run)
            self.digests = dict(connection.execute(sql.CODE_DIGESTS))
            ids = {digest: number for number, digest in self.digests.items()}
            wanted = {ids[digest]: {ids[digest]} for digest in digests}
            for code, place in stale:
                wanted.setdefault(code, set()).add(ids[digests[place]])
            connection.execute(sql.ADD_EXPERIMENT, (self._name,))
            (self._experiment,) = connection.execute(sql.EXPERIMENT_ID, (self._name,)).fetchone()
            for code, presents in wanted.items():
                if self.present.get(code) != presents:
                    connection.execute(sql.DROP_CHANGES, (self._experiment, code))
                    rows = [(self._experiment, code, present) for present in sorted(presents)]
                    connection.executemany(sql.ADD_CHANGE, rows)
        self.present |= wanted

    def results(self) -> dict[int, int]:
        """Return how many results each version computed."""
        with self._database.explaining():
            return dict(self._database.connection().execute(sql.RESULTS_OF_CODES, (self._experiment,)))

    def adopt(self, changes: Collection[tuple[int, int]], who: str, verified: int, results: int) -> None:
        """Accept changes: results of the first version of each pair count as the second one's. Idempotent.

        Parameters
        ----------
        changes : collection of (int, int)
            Ids of versions, as of `pending`.
        who : str
            Who accepts them.
        verified : int
            How many results were computed again, and were equal.
        results : int
            Of how many.
        """
        now = self._clock.now()
        rows = [(self._experiment, *change, now, who, verified, results) for change in changes]
        with self._database.writing() as connection:
            connection.executemany(sql.ADD_ADOPTION, rows)
            self._adoptions = connection.execute(sql.ADOPTIONS, (self._experiment,)).fetchall()

    def seen(self, codes: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        """Return when versions were seen first, in UTC seconds, and by which run; None where it computed nothing."""
        with self._database.explaining():
            found = self._database.connection().execute(sql.CODES_SEEN, (json.dumps(sorted(codes)),))
            return {number: (seen, run) for number, seen, run in found}


def mixed(digests: Iterable[bytes]) -> CodeVersion:
    """Return the version of tasks that several versions computed, the last one first."""
    from hashlib import blake2b

    from memento.records import CodeVersion

    parts = tuple(CodeVersion(digest, {}) for digest in dict.fromkeys(digests))
    told = blake2b(b"mixed" + b"".join(sorted(part.digest for part in parts)), digest_size=16)
    return CodeVersion(told.digest(), {}, parts=parts, mixed=True)


def _gathered(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    gathered: dict[int, set[int]] = {}
    for code, present in pairs:
        gathered.setdefault(code, set()).add(present)
    return gathered


def add_code(connection: sqlite3.Connection, version: CodeVersion, now: float, run: int | None) -> int:
    """Return the store's id of a version, adding it, and what it combines, when it is new."""
    from memento.store import rows

    row = connection.execute(sql.CODE_ID, (version.digest,)).fetchone()
    if row is None:
        parts = [add_code(connection, part, now, run) for part in version.parts]
        values = rows.code_values(version, parts, run, now)
        return int(connection.execute(sql.ADD_CODE, values).lastrowid or 0)
    return int(row[0])


def read_codes(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, CodeVersion]:
    """Return versions by id, each with all functions of its parts."""
    from memento.store import rows

    found: dict[int, tuple[CodeVersion, list[int]]] = {}
    missing = set(ids)
    asked = frozenset(missing)
    while missing:
        listed = connection.execute(sql.CODES, (json.dumps(sorted(missing)),)).fetchall()
        found.update({row[0]: rows.code_version(row) for row in listed})
        named = {part for row in listed for part in found[row[0]][1]}
        missing = named - found.keys()
        if not listed:
            break
    return {number: _whole(number, found) for number in asked if number in found}


def _whole(number: int, found: Mapping[int, tuple[CodeVersion, list[int]]]) -> CodeVersion:
    version, parts = found[number]
    functions, unfollowed = dict(version.functions), list(version.unfollowed)
    for part in parts:
        if part in found and part < number:  # parts are older: a damaged index leads into no circle
            whole = _whole(part, found)
            functions |= whole.functions
            unfollowed += whole.unfollowed
    return version._replace(functions=functions, unfollowed=tuple(dict.fromkeys(unfollowed)))
