"""Tell which versions of the code count as which: what people accepted, what runs found changed.

Knows: an index. May not know: how code is read, plans, policies.

    a row ── code ──> the version that computed it ── adoptions ──> versions as which it counts too
                                                   └─ changes ───> the version that would compute it now

What was imported counts as every version: what computed it is not known, and somebody has said that it is the result.

A change is noted by every run, also by one that computes nothing: so a person can accept it later, without the code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from memento.index.contract import Index
from memento.records import Adoption, CodeVersion

IMPORTED = CodeVersion(b"memento imported", {})  # of results that were computed elsewhere


class Versions:
    """The versions of one experiment's code, as they stand when this is made.

    Attributes
    ----------
    digests : dict
        Id -> digest, of all versions that the store has.
    present : dict
        Id of a version -> the ids of those that would compute its results now, as far as runs have seen.
    """

    def __init__(self, index: Index, experiment: str) -> None:
        self._index, self._experiment = index, experiment
        self._read()

    def _read(self) -> None:
        self.digests, changes, self._adoptions = self._index.history(self._experiment)
        self.present: dict[int, set[int]] = {}
        for code, present in changes:
            self.present.setdefault(code, set()).add(present)

    def ids(self, digest: bytes) -> frozenset[int]:
        """Return the ids of a version itself."""
        return frozenset(number for number, found in self.digests.items() if found == digest)

    def counting_as(self, digest: bytes) -> frozenset[int]:
        """Return the ids of the versions whose results count as this one's: itself, what was adopted or imported."""
        counting = set(self.ids(digest))
        grown = bool(counting)
        while grown:
            more = {code for code, present, *_ in self._adoptions if present in counting} - counting
            counting |= more
            grown = bool(more)
        return frozenset(counting | self.ids(IMPORTED.digest))

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
        return list(self._adoptions)

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
        """Note which versions a run has seen; return their ids. Writes only what is news.

        `stale` are ids of versions that computed a result, with the place in `digests` of the one that would now;
        `describe` returns the version at a place, and is asked for new ones only.
        """
        ids = {digest: number for number, digest in self.digests.items()}
        wanted = {ids[digest]: {ids[digest]} for digest in digests if digest in ids}
        stale = list(stale)
        for code, place in stale:
            if digests[place] in ids:
                wanted.setdefault(code, set()).add(ids[digests[place]])
        known = all(digest in ids for digest in digests)
        if not known or any(self.present.get(code) != presents for code, presents in wanted.items()):
            fresh = [describe(place) for place, digest in enumerate(digests) if digest not in ids]
            changed = [(code, digests[place]) for code, place in stale]
            self._index.note_codes(self._experiment, fresh, digests, changed, run)
            self._read()
            ids = {digest: number for number, digest in self.digests.items()}
        return [ids[digest] for digest in digests]

    def results(self) -> dict[int, int]:
        """Return how many results each version computed."""
        return self._index.results_of_codes(self._experiment)

    def seen(self, codes: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        """Return when versions were seen first, in UTC seconds, and by which run; None where it computed nothing."""
        return self._index.codes_seen(codes)

    def adopt(self, changes: Collection[tuple[int, int]], who: str, verified: int, results: int) -> None:
        """Accept changes: results of the first version of each pair count as the second one's. Idempotent.

        Of so many results as `results`, `verified` were computed again and were equal.
        """
        self._index.adopt(self._experiment, changes, who, verified, results)
        self._read()


def presents(
    ids: Mapping[bytes, int], current: Iterable[bytes], stale: Iterable[tuple[int, bytes]]
) -> dict[int, set[int]]:
    """Return for each version the ids of those that would compute its results now; see `Index.note_codes`."""
    found = {ids[digest]: {ids[digest]} for digest in current}
    for code, digest in stale:
        found.setdefault(code, set()).add(ids[digest])
    return found


def joined(version: CodeVersion, parts: Iterable[CodeVersion]) -> CodeVersion:
    """Return a version as it is read: with all functions of its parts."""
    functions, unfollowed = dict(version.functions), list(version.unfollowed)
    for part in parts:
        functions |= part.functions
        unfollowed += part.unfollowed
    return version._replace(functions=functions, unfollowed=tuple(dict.fromkeys(unfollowed)), parts=())


def mixed(digests: Iterable[bytes]) -> CodeVersion:
    """Return the version of tasks that several versions computed, the last one first."""
    from hashlib import blake2b

    parts = tuple(CodeVersion(digest, {}) for digest in dict.fromkeys(digests))
    told = blake2b(b"mixed" + b"".join(sorted(part.digest for part in parts)), digest_size=16)
    return CodeVersion(told.digest(), {}, parts=parts, mixed=True)
