"""What every index must do with what another store's index tells: take it in once, beside its own.

Knows: the contract. May not know: how an index keeps anything. `memento.testing.index_contract` has the rest.
"""

from __future__ import annotations

from typing import Any

from memento.index.types import Brought
from memento.index.versions import Versions
from memento.records import DONE, Adoption, CodeVersion, Encoded, LogSlice, Piece, RunRecord, Series
from memento.testing.index_records import Opener, RecordsContract
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of

A, B = (CodeVersion(letter * 16, {"m:f": (letter.decode(), "...")}) for letter in (b"a", b"b"))


def ended(number: int, **info: Any) -> RunRecord:
    """Return a run of another store."""
    return RunRecord(number, info_of(EXPERIMENT, host="far", **info), 10.0, 20.0, 30.0, "failed", {"done": 1})


class JoiningContract(RecordsContract):
    """Promises of an index."""

    def test_what_another_store_knows_is_noted_once(self, open_index: Opener) -> None:
        brought = Brought(
            [("20200101-000000-7-0005", ended(5, settings='{"a": 1}'))],
            {7: (A, 15.0, 5), 9: (B, 16.0, None)},
            [(7, 9), (9, 9)],
            [Adoption(7, 9, 17.0, "ada", 1, 2)],
        )
        with open_index() as index:
            run = index.begin(info_of())
            own = run.code(B)
            numbers = run.bring(brought)
            assert run.bring(brought) == numbers
            assert numbers.codes[9] == own
            assert numbers.names == {"20200101-000000-7-0005": "20200101-000000-7-0005"}
            assert index.names_of_runs() == {run.id: run.name, numbers.runs[5]: "20200101-000000-7-0005"}
            told = index.run(numbers.runs[5])
            assert told is not None
            assert told == brought.runs[0][1]._replace(id=numbers.runs[5])
            assert index.codes_seen([numbers.codes[7]]) == {numbers.codes[7]: (15.0, numbers.runs[5])}
            versions = Versions(index, EXPERIMENT)
            assert versions.adoptions() == [Adoption(numbers.codes[7], own, 17.0, "ada", 1, 2)]
            assert versions.present == {numbers.codes[7]: {own}, own: {own}}
            assert [owner.run for owner in index.living().runs] == [run.id]

    def test_two_runs_of_one_name_get_two(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            numbers = run.bring(Brought([(run.name, ended(1))], {}, [], []))
            names = index.names_of_runs()
            assert names[run.id] == run.name != numbers.names[run.name] == names[numbers.runs[1]]

    def test_rows_of_other_runs_are_as_those_had_made_them(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            runs = run.bring(Brought([("far", ended(5)), ("near", ended(6, pid=8))], {}, [], [])).runs
            large = Encoded("bytes", b"x" * 5_000, None, 5_000, "builtins:bytes")
            series = Series("loss", 1, 0.5, 0.5, 0.5, b"\0" * 16)
            earlier = Piece(f"-{runs[6]:x}", 1, 5.0, 1.0, 0.5, 10, "w", LogSlice("near/1.log", 0, 3))
            row = row_of(1, value=large, metrics=(series,), earlier=(earlier,), attempt=2, started=7.0)
            run.claim([key_of(1)])
            assert run.absorb([(runs[5], row)], [(runs[6], row_of(1, failed="first", started=1.0))], [])
            (record,) = index.recent()
            assert (record.run, record.value, record.status) == (runs[5], large, DONE)
            assert [(piece.run, piece.number) for piece in record.pieces] == [(runs[6], 1), (runs[5], 2)]
            assert list(index.metrics(record)) == ["loss"]
            assert [a.status for a in index.attempts(key_of(1))][-1] == DONE
            assert len(index.attempts(key_of(1))) == 3
            assert index.living().claimed == set()
            assert [known.key for known in index.known(EXPERIMENT)] == [key_of(1)]
            assert (index.faults(), [row.fault for row in index.check()]) == ([], [""])

    def test_what_they_replace_goes_and_failures_stay_as_attempts(self, open_index: Opener) -> None:
        with open_index() as index:
            first = index.begin(info_of())
            ids = first.commit([row_of(1, failed="no"), row_of(2)]).ids
            first.finish("failed", {})
            run = index.begin(info_of())
            numbers = run.bring(Brought([("far", ended(5))], {}, [], []))
            rows = [(numbers.runs[5], row_of(n, value=b"9")) for n in (1, 2)]
            assert run.absorb(rows, [], list(ids.values()))
            assert {r.key: r.value and r.value.data for r in index.recent()} == {
                key_of(1): b"9",
                key_of(2): b"9",
            }
            assert [a.status for a in index.attempts(key_of(1))].count("failed") == 1

    def test_while_another_run_lives_nothing_is_absorbed(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            numbers = run.bring(Brought([("far", ended(5))], {}, [], []))
            other = index.begin(info_of())
            assert not run.absorb([(numbers.runs[5], row_of(1))], [], [])
            assert index.recent() == []
            other.finish("done", {})
            assert run.absorb([(numbers.runs[5], row_of(1))], [], [])
