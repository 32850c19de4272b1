"""What every index must do, as tests that an index's author runs.

Knows: the contract. May not know: how an index keeps anything.

Subclass `IndexContract` in a test module and override the fixture `open_index`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from memento.errors import StoreUnwritable
from memento.index.contract import Index
from memento.index.declared_values import Declared, Item
from memento.index.lease import UNSEEN_SECONDS, Leases
from memento.index.run_contract import Run
from memento.index.types import CannotRename, Names
from memento.keys.task_key import renamed_keys
from memento.records import (
    DONE,
    FAILED,
    Encoded,
    LogSlice,
)
from memento.testing.index_records import Opener as Opener
from memento.testing.index_records import data_of
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of
from memento.testing.index_runs import RunsContract


class IndexContract(RunsContract):
    """Promises of an index. Override `open_index` with a function that opens the same one each time, empty at first."""

    @pytest.fixture
    def pass_time(self) -> Callable[[Stopped, float], None]:
        """Return what lets so many seconds pass; where an index has a clock of its own, override it."""

        def passed(clock: Stopped, seconds: float) -> None:
            clock.time += seconds

        return passed

    # --- leases and fences -----------------------------------------------------------------------------

    def test_the_lease_of_a_dead_run_falls(self, open_index: Opener) -> None:
        with open_index() as index:
            dead = Deaths(index)
            one, two = index.begin(info_of(pid=101)), index.begin(info_of(pid=102))
            one.claim([key_of(1)])
            assert two.claim([key_of(1)]).elsewhere == two.waiting([key_of(1)]) == [key_of(1)]
            dead.add(101)
            assert two.waiting([key_of(1)]) == []
            assert two.claim([key_of(1)]).granted == [key_of(1)]

    def test_a_lease_that_nobody_can_look_up_falls_when_its_heartbeat_stops(
        self, open_index: Opener, pass_time: Callable[[Stopped, float], None]
    ) -> None:
        clock = Stopped()
        with open_index(clock=clock) as index:
            far, near = index.begin(info_of(boot_id="elsewhere", host="far")), index.begin(info_of())
            far.claim([key_of(1)])
            for _ in range(int(2 * UNSEEN_SECONDS / 10)):
                far.heartbeat()
                assert near.claim([key_of(1)]).elsewhere == [key_of(1)]
                pass_time(clock, 10.0)
            for _ in range(int(UNSEEN_SECONDS / 10) + 1):
                near.claim([key_of(1)])
                pass_time(clock, 10.0)
            assert near.claim([key_of(1)]).granted == [key_of(1)]

    def test_a_late_commit_is_dropped_where_the_task_is_done_and_taken_where_it_is_not(
        self, open_index: Opener
    ) -> None:
        with open_index() as index:
            dead = Deaths(index)
            lost, other = index.begin(info_of(pid=101)), index.begin(info_of(pid=102))
            lost.claim([key_of(1), key_of(2)])
            dead.add(101)
            assert other.claim([key_of(1), key_of(2)]).granted == [key_of(1), key_of(2)]
            first = other.commit([row_of(1, value=b"1")]).ids[key_of(1)]
            late = lost.commit([row_of(1, value=b"2"), row_of(2, value=b"2")])
            assert list(late.ids) == [key_of(2)]
            assert late.superseded[key_of(1)].id == first
            assert list(other.commit([row_of(2, value=b"3")]).superseded) == [key_of(2)]
            values = {r.key: data_of(r) for r in index.recent()}
            assert values == {key_of(1): b"1", key_of(2): b"2"}

    def test_of_many_runs_one_gets_each_task(self, open_index: Opener) -> None:
        keys = [key_of(n) for n in range(60)]
        granted: list[bytes] = []

        def work(run: Run) -> None:
            for start in range(0, len(keys), 3):
                claim = run.claim(keys[start : start + 3])
                granted.extend(claim.granted)
                run.commit([row_of(keys.index(key)) for key in claim.granted])

        with open_index() as index, open_index() as other:
            runs = [(index, other)[n % 2].begin(info_of()) for n in range(4)]
            threads = [threading.Thread(target=work, args=(run,)) for run in runs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(granted) == sorted(keys)
            assert index.experiments() == [(EXPERIMENT, len(keys), 0)]

    def test_a_status_follows_from_the_lease(self, open_index: Opener) -> None:
        with open_index() as index:
            dead = Deaths(index)
            ended, killed, alive = (index.begin(info_of(pid=100 + n)) for n in (1, 2, 3))
            ended.finish("failed", {"done": 1, "failed": 1})
            killed.claim([key_of(1)])
            alive.claim([key_of(2)])
            assert [run.status for run in index.runs()] == ["running", "running", "failed"]
            dead.add(102)
            assert [run.status for run in index.runs()] == ["running", "died", "failed"]
            assert [owner.run for owner in index.living().runs] == [alive.id]
            assert index.living().claimed == {key_of(2): alive.id}
            index.begin(info_of(pid=104))  # takes the lease of the dead
            died = index.run(killed.id)
            assert died is not None
            assert (died.status, died.ended) == ("died", died.heartbeat)
            assert [run.id for run in index.runs(limit=2)] == [alive.id + 1, alive.id]
            assert index.run(10**6) is None

    def test_a_run_that_slept_takes_its_lease_again(self, open_index: Opener) -> None:
        with open_index() as index:
            dead = Deaths(index)
            slept = index.begin(info_of(pid=101))
            dead.add(101)
            index.begin(info_of(pid=102))
            dead.discard(101)
            slept.heartbeat()
            assert index.runs()[1].status == "running"

    def test_what_a_run_did_is_counted_where_it_did_not_tell(self, open_index: Opener) -> None:
        with open_index() as index:
            silent, told = index.begin(info_of(), cached=3), index.begin(info_of())
            silent.commit([row_of(1), row_of(2, failed="no")])
            told.finish("done", {"done": 7, "failed": 0, "cached": 1})
            counts = [run.counts for run in index.counted(index.runs())]
            assert counts == [
                {"done": 7, "failed": 0, "cached": 1},
                {"cached": 3, "done": 1, "failed": 1},
            ]

    # --- maintenance -----------------------------------------------------------------------------------

    def test_what_failed_may_be_tried_again_and_stays_known(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit([row_of(1), row_of(2, failed="a"), row_of(3, failed="b")])
            assert [record.key for record in index.retry([key_of(1), key_of(2)], None)] == [key_of(2)]
            assert index.retry(None, "unknown") == []
            assert [record.key for record in index.retry(None, EXPERIMENT)] == [key_of(3)]
            assert [known.key for known in index.known(EXPERIMENT)] == [key_of(1)]
            assert [attempt.status for attempt in index.attempts(key_of(2))] == [FAILED]

    def test_what_was_set_back_is_listed_until_it_has_a_row_or_is_forgotten(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit(
                [row_of(1), row_of(2, failed="a"), row_of(3, failed="b")],
                [(key_of(4), row_of(4, failed="c"))],
            )
            index.retry(None, None)
            assert index.set_back() == []  # a live run may be at them
            run.finish("failed", {})
            assert [one.key for one in index.set_back()] == [key_of(4), key_of(2), key_of(3)]
            assert index.set_back(EXPERIMENT)[1][1:3] == (EXPERIMENT, run.id)
            assert index.set_back("unknown") == []
            index.begin(info_of()).commit([row_of(2)])
            index.forget([key_of(4)])
            assert [one.key for one in index.set_back()] == [key_of(3)]

    def test_a_row_is_discarded_once(self, open_index: Opener) -> None:
        with open_index() as index:
            number = index.begin(info_of()).commit([row_of(1), row_of(2)]).ids[key_of(1)]
            assert index.has(number)
            assert index.discard([number, 10**9]) == [number]
            assert index.discard([number]) == []
            assert not index.has(number)
            assert [record.key for record in index.recent()] == [key_of(2)]

    def test_a_rename_takes_rows_and_notes_folders(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of("old"))
            run.declare([Declared("n", ["1", "2"], {})], key_of(2) + key_of(1), False)
            run.commit([row_of(1), row_of(2)], [(key_of(1), row_of(1, failed="first", started=1.0))])
            with pytest.raises(CannotRename, match="is at work"):
                index.rename("old", "new", set())
            run.finish("done", {})
            with pytest.raises(CannotRename, match="no experiment"):
                index.rename("unknown", "new", set())
            with pytest.raises(CannotRename, match="already"):
                index.rename("old", "old", set())
            assert index.rename("old", "new", {key_of(1)}) == (2, 0)
            (new,) = [k.key for k in index.known("new") if index.record(k.id).params == '{"n": 1}']
            assert new == renamed_keys(key_of(1), "old", "new")
            assert index.experiments() == [("new", 2, 0)]
            assert [attempt.status for attempt in index.attempts(new)] == [FAILED, DONE]
            assert [name for name, _ in index.axes("new")] == ["n"]
            assert index.moves() == [(key_of(1), new)]
            index.moved([key_of(1)])
            assert index.moves() == []
            assert index.faults() == []
            assert [row.fault for row in index.check()] == ["", ""]

    def test_labels_are_those_of_the_latest_declaration(self, open_index: Opener) -> None:
        with open_index() as index:
            small, large = Item("1", label="small"), Item("2", label="large")
            index.begin(info_of()).declare([Declared("x", ["1", "2"], {0: small, 1: large})], b"", True)
            assert index.labels(EXPERIMENT) == {"x": {"1": "small", "2": "large"}}
            index.relabel(EXPERIMENT, [Declared("x", ["2"], {0: large._replace(label="small")})])
            assert index.labels(EXPERIMENT) == {"x": {"2": "small"}}
            index.relabel(EXPERIMENT, [Declared("x", ["2"], {})])
            assert index.labels(EXPERIMENT) == index.labels("unknown") == {}
            assert index.axes(EXPERIMENT) == [("x", [(1, None), (2, None)])]

    def test_a_rename_keeps_what_the_new_name_has(self, open_index: Opener) -> None:
        with open_index() as index:
            theirs = renamed_keys(key_of(1), "old", "new")
            for name, row in (
                ("old", row_of(1)),
                ("old", row_of(2)),
                ("new", row_of(1)._replace(key=theirs)),
            ):
                run = index.begin(info_of(name))
                run.commit([row])
                run.finish("done", {})
            assert index.rename("old", "new", set()) == (1, 1)
            assert index.experiments() == [("old", 1, 0), ("new", 2, 0)]

    def test_what_rows_name_is_told(self, open_index: Opener) -> None:
        ref, log = "ab/" + "ab" * 16 + ".npy", LogSlice("run/worker.log", 0, 9)
        value = Encoded("npy", None, ref, 100, "numpy:ndarray")
        with open_index() as index:
            run = index.begin(info_of())
            failed = row_of(3, failed="no", log=LogSlice("run/attempt.log", 0, 5))
            ids = run.commit(
                [row_of(1, value=value, log=log), row_of(2, failed="no")], [(key_of(3), failed)]
            ).ids
            files = {ref, "run/worker.log", "run/attempt.log", "run/other.log"}
            names = index.names({key_of(1), key_of(2), key_of(9)}, files)
            assert names == Names(
                ids[key_of(2)],
                files - {"run/other.log"},
                {key_of(1): ids[key_of(1)]},
                {key_of(1), key_of(2)},
                {},
            )
            run.commit([row_of(9)])
            assert index.names({key_of(1), key_of(9)}, files, after=names.last).known == {key_of(9)}
            assert index.ids_of_file(ref) == index.ids_of_file(None) == [ids[key_of(1)]]
            assert index.ids_of_file("other") == []
            assert index.log_ends() == {"run/worker.log": 9, "run/attempt.log": 5}
            index.forget_log("run/worker.log", 4)
            assert index.record(ids[key_of(1)]).log is None

    def test_the_steps_that_tasks_used_are_kept_and_told(self, open_index: Opener) -> None:
        one, other = b"\0" * 16, b"\xff" * 16
        with open_index() as index:
            run = index.begin(info_of())
            used = [None, (one,), (other, one)]
            rows = [row_of(n, steps=steps) for n, steps in enumerate(used)]
            ids = run.commit([*rows, row_of(3, failed="no", steps=(other,))]).ids
            assert [index.record(ids[key_of(n)]).steps for n in range(4)] == [
                (),
                (one,),
                (other, one),
                (other,),
            ]
            told = index.names((), ())
            assert told.steps == {one: 2, other: 2}
            index.forget([key_of(1)])
            assert index.names((), ()).steps == {one: 1, other: 2}
            run.commit([row_of(9, steps=(one,))])
            assert index.names((), (), after=told.last).steps == {one: 1}

    def test_a_whole_index_has_no_faults(self, open_index: Opener) -> None:
        with open_index() as index:
            index.begin(info_of()).commit([row_of(1, artifacts=("a.txt",)), row_of(2, failed="no")])
            assert (index.faults(), index.strays(), index.strays(remove=True)) == ([], 0, 0)
            assert [(row.key, row.fault, row.artifacts) for row in index.check()] == [
                (key_of(1).hex(), "", ("a.txt",)),
                (key_of(2).hex(), "", ()),
            ]

    def test_an_exclusive_section_tells_who_lives_and_keeps_others_out(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.claim([key_of(2)])
            number = run.commit([row_of(1)]).ids[key_of(1)]
            with index.exclusive() as living:
                assert ([owner.run for owner in living.runs], living.claimed) == (
                    [run.id],
                    {key_of(2): run.id},
                )
                assert index.has(number)
                began: list[Run] = []
                other = threading.Thread(target=lambda: began.append(index.begin(info_of())))
                other.start()
                other.join(0.2)
                assert not began
            other.join()
            assert began

    def test_rows_that_a_living_run_may_count_on_are_not_discarded(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            number = run.commit([row_of(1)]).ids[key_of(1)]
            assert index.discard([number], unless_living=True) == []
            run.finish("done", {})
            assert index.discard([number, 99], unless_living=True) == [number]
            assert not index.has(number)

    def test_what_rows_name_is_told_as_if_some_were_gone(self, open_index: Opener) -> None:
        with open_index() as index:
            ids = index.begin(info_of()).commit([row_of(1), row_of(2, steps=(b"1" * 16,))]).ids
            keys = {key_of(1), key_of(2)}
            names = index.names(keys, (), without={ids[key_of(2)]})
            assert (names.known, names.done, names.steps) == ({key_of(1)}, {key_of(1): ids[key_of(1)]}, {})
            assert names.last == ids[key_of(2)]

    def test_an_index_that_is_open_for_reading_is_not_written(self, open_index: Opener) -> None:
        with open_index() as index:
            number = index.begin(info_of()).commit([row_of(1)]).ids[key_of(1)]
        with open_index(readonly=True) as index:
            with pytest.raises(StoreUnwritable):
                index.begin(info_of())
            with pytest.raises(StoreUnwritable):
                index.discard([number])
            assert index.record(number).key == key_of(1)


class Stopped:
    """A clock that stands until it is moved."""

    time = 1_700_000_000.0

    def now(self) -> float:
        """UTC seconds."""
        return self.time

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.time - 1_600_000_000.0


class Deaths(set[int]):
    """The pids, as an index sees them, of processes that have ended; all others live."""

    def __init__(self, index: Index) -> None:
        super().__init__()
        index.leases = Leases(Stopped(), alive=lambda pid, started: pid not in self)
