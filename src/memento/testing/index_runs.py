"""What every index must do for runs: commands to them, what they tell of themselves, runs of another store.

Knows: the contract. May not know: how an index keeps anything. `memento.testing.index_contract` has the rest.
"""

from __future__ import annotations

from typing import Any

from memento.index.types import Activity, Brought, Command, Standing
from memento.index.versions import Versions
from memento.records import DONE, Adoption, CodeVersion, Encoded, LogSlice, Piece, RunRecord, Series
from memento.testing.index_looking import LookingContract
from memento.testing.index_records import Opener
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of

A, B = (CodeVersion(letter * 16, {"m:f": (letter.decode(), "...")}) for letter in (b"a", b"b"))


def ended(number: int, **info: Any) -> RunRecord:
    """Return a run of another store."""
    return RunRecord(number, info_of(EXPERIMENT, host="far", **info), 10.0, 20.0, 30.0, "failed", {"done": 1})


class RunsContract(LookingContract):
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
            assert index.living().claimed == {}
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

    def test_a_run_has_the_tasks_that_it_computed_last(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            ids = one.commit([row_of(1), row_of(2, failed="x")]).ids
            ids |= two.commit([row_of(2), row_of(3)]).ids
            assert index.ids_of_run(one.id) == [ids[key_of(1)]]
            assert index.ids_of_run(two.id) == [ids[key_of(2)], ids[key_of(3)]]

    # --- commands, and what runs tell of themselves ----------------------------------------------------

    def test_a_command_reaches_the_runs_that_it_is_for_once(self, open_index: Opener) -> None:
        with open_index() as index, open_index() as other:
            early = index.begin(info_of())
            unread = other.send(Command("stop", experiment="another:one"))
            to_one = other.send(Command("resize", run=early.id, arguments={"workers": 4}, sender="me@here"))
            to_all = other.send(Command("pause", experiment=EXPERIMENT))
            late = index.begin(info_of())
            to_any = other.send(Command("resume"))
            found = early.commands()
            assert [command.id for command in found] == [to_one, to_all, to_any]
            assert (found[0].kind, found[0].arguments, found[0].sender) == (
                "resize",
                {"workers": 4},
                "me@here",
            )
            assert found[0].sent > 0
            assert [command.id for command in late.commands()] == [to_any]
            assert early.commands() == late.commands() == []
            early.answer(to_one, "4 workers now", undo="resize to 2")
            early.answer(to_one, "no", done=False)
            assert [(a.command, a.run, *a[3:]) for a in other.answers(to_one)] == [
                (to_one, early.id, "4 workers now", "resize to 2", True),
                (to_one, early.id, "no", "", False),
            ]
            assert other.answers(unread) == []

    def test_events_can_be_read_later(self, open_index: Opener) -> None:
        with open_index() as index, open_index() as other:
            run = index.begin(info_of())
            run.tell("said", {"text": "one"})
            run.tell("retried", {"key": key_of(1).hex(), "attempt": 2})
            run.commit([row_of(1)])
            run.tell("said", {"text": "two"})
            first, second = other.events(run.id)
            assert (first.kind, first.data, first.run) == ("said", {"text": "one"}, run.id)
            assert second.data["attempt"] == 2
            run.heartbeat()
            assert [event.data for event in other.events(run.id, after=second.id)] == [{"text": "two"}]
            run.tell("said", {"text": "end"})
            run.finish("done", {})
            assert other.events(run.id)[-1].data == {"text": "end"}
            assert other.events(run.id + 1) == []

    def test_what_workers_are_at_is_shown(self, open_index: Opener) -> None:
        shown = [
            Activity("host/1", key_of(1), 5.0, 2.0, 10.0, {"loss": 0.5}, "waits for step load('x')", "x=1"),
            Activity("host/2", key_of(2), 6.0),
        ]
        with open_index() as index, open_index() as other:
            run = index.begin(info_of())
            assert other.activity(run.id) == (0.0, [], None)
            run.show(shown)
            run.heartbeat()
            told, found, standing = other.activity(run.id)
            assert (told > 0, found, standing) == (True, shown, None)
            run.finish("done", {})
            assert other.activity(run.id) == (0.0, [], None)

    def test_how_far_a_run_is_is_written_with_an_answer_at_once(self, open_index: Opener) -> None:
        standing = Standing(10, 3, 2, 1, 4, 8, 0.5, 12.0, 3.0)
        with open_index() as index, open_index() as other:
            run = index.begin(info_of())
            for shown in (standing, standing._replace(eta=None, paused="ada@node7")):
                run.show([], shown)
                run.tell("said", {"text": shown.paused})
                run.answer(index.send(Command("pause", run.id)), "paused", undo="resume")
                assert other.activity(run.id)[2] == shown
            assert [event.data["text"] for event in other.events(run.id)] == ["", "ada@node7"]
            run.finish("done", {})
            assert other.activity(run.id)[2] is None
