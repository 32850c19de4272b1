"""What every index must do with rows: keep them as they are, and give them back one by one and in bulk.

Knows: the contract. May not know: how an index keeps anything. `memento.testing.index_contract` has the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from memento.index.contract import Index
from memento.index.declared_values import Declared
from memento.index.types import Stored
from memento.index.versions import Versions
from memento.records import (
    DONE,
    FAILED,
    CodeVersion,
    Encoded,
    LogSlice,
    Series,
    TaskRecord,
    TaskRow,
    Warned,
)
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of

Opener = Callable[..., Index]


class RecordsContract:
    """Promises of an index. Override `open_index` with a function that opens the same one each time, empty at first."""

    @pytest.fixture
    def open_index(self) -> Opener:
        """Return a function that opens one index, which is new for each test; it takes `readonly` and `clock`."""
        raise NotImplementedError("override `open_index`")

    def test_what_was_committed_is_read_back_as_it_was(self, open_index: Opener) -> None:
        outcome: dict[str, Any] = {
            "artifacts": ("model.bin",),
            "log": LogSlice("worker.log", 3, 9),
            "metrics": (Series("loss", 1, 0.5, 0.5, 0.5, struct.pack("<2d", 1, 0.5)),),
        }
        row = row_of(1, **outcome)
        with open_index() as index:
            run = index.begin(info_of())
            number = run.commit([row]).ids[row.key]
        with open_index() as index:
            record = index.record(number)
            assert (record.key, record.params, record.repeat, record.code) == (row.key, row.params, 0, 1)
            assert (record.experiment, record.settings, record.run) == (EXPERIMENT, '{"n_fold": 5}', run.id)
            for name in (
                "status",
                "attempt",
                "started",
                "runtime",
                "cpu_time",
                "memory",
                "virtual",
                "worker",
            ):
                assert getattr(record, name) == getattr(row.outcome, name)
            assert (record.value, record.artifacts, record.log) == (
                row.outcome.value,
                ("model.bin",),
                outcome["log"],
            )
            (lasts,) = index.last_metrics([number])
            assert {name: (ids.tolist(), last.tolist()) for name, (ids, last) in lasts.items()} == {
                "loss": ([number], [0.5])
            }

    def test_a_failure_is_kept_with_all_that_explains_it(self, open_index: Opener) -> None:
        row = row_of(1, failed="broken")
        with open_index() as index:
            number = index.begin(info_of()).commit([row]).ids[row.key]
            assert index.record(number).failure == row.outcome.failure

    def test_what_a_task_warned_of_is_kept_and_found(self, open_index: Opener) -> None:
        text = '[["UserWarning", "odd \\u2026", "science.py:3", 2]]'
        with open_index() as index:
            run = index.begin(info_of())
            ids = run.commit([row_of(1), row_of(2, warnings=text), row_of(3, failed="no", warnings=text)]).ids
            expected = (Warned("UserWarning", "odd …", "science.py:3", 2),)
            found = [record.warnings for record in index.records([ids[key_of(n)] for n in (1, 2, 3)])]
            assert found == [(), expected, expected]
            assert index.warnings(0, 2**40) == {ids[key_of(n)]: expected for n in (2, 3)}
            assert index.warnings(0, ids[key_of(1)]) == {}

    def test_that_nothing_was_returned_is_known(self, open_index: Opener) -> None:
        nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
        with open_index() as index:
            run = index.begin(info_of())
            series = Series("loss", 1, 0.0, 0.0, 0.0, bytes(16))
            rows = [row_of(n) for n in range(3)]
            rows = [row._replace(outcome=row.outcome._replace(value=nothing)) for row in rows]
            rows.append(row_of(3, failed="no"))
            rows.append(row_of(4))
            rows.append(row_of(5, metrics=(series,)))
            ids = run.commit(rows).ids
            empty = [ids[key_of(n)] for n in range(4)]
            assert index.all_returned_nothing(empty) == 3
            assert index.all_returned_nothing(empty[3:]) == 0
            assert index.all_returned_nothing([*empty, ids[key_of(4)]]) == 0
            assert index.all_returned_nothing([-1, *empty, ids[key_of(5)]]) == 0

    def test_values_of_any_size_come_back(self, open_index: Opener) -> None:
        texts = [b'"' + b"x" * size + b'"' for size in (0, 253, 254, 255, 10_000)]
        with open_index() as index:
            rows = [row_of(i, value=text) for i, text in enumerate(texts)]
            ids = index.begin(info_of()).commit(rows).ids
            records = index.records([ids[row.key] for row in rows])
            assert [data_of(record) for record in records] == texts

    def test_known_tells_each_task_once(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit([row_of(1, failed="first time"), row_of(2)])
            run.commit([row_of(1), row_of(3)])
            assert sorted((k.key, k.status) for k in index.known(EXPERIMENT)) == [
                (key_of(n), DONE) for n in (1, 2, 3)
            ]
            assert list(index.known("another:experiment")) == []

    def test_records_come_in_the_order_asked_for_and_without_those_that_are_gone(
        self, open_index: Opener
    ) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            ids = run.commit([row_of(n) for n in range(50)]).ids
            wanted = [ids[key_of(n)] for n in (40, 3, 17)]
            assert [record.id for record in index.records([*wanted, 10**9])] == wanted

    def test_a_task_that_failed_and_then_succeeded_remembers_both_attempts(self, open_index: Opener) -> None:
        with open_index() as index:
            index.begin(info_of()).commit([row_of(1, failed="once", started=1.0)])
            again = index.begin(info_of())
            again.previous = {known.key: known.id for known in index.known(EXPERIMENT)}
            retried = row_of(1, failed="twice", started=2.0, attempt=1)
            again.commit([row_of(1, started=3.0, attempt=2)], [(key_of(1), retried)])
            attempts = index.attempts(key_of(1))
            assert [(a.status, a.failure.message if a.failure else "") for a in attempts] == [
                (FAILED, "once"),
                (FAILED, "twice"),
                (DONE, ""),
            ]

    def test_a_failure_does_not_replace_a_result(self, open_index: Opener) -> None:
        with open_index() as index:
            first = index.begin(info_of()).commit([row_of(1)]).ids[key_of(1)]
            again = index.begin(info_of())
            again.previous = {key_of(1): first}
            assert again.commit([row_of(1, failed="now broken", started=1.8e9)]).ids == {key_of(1): first}
            assert [(k.id, k.status) for k in index.known(EXPERIMENT)] == [(first, DONE)]
            assert [a.status for a in index.attempts(key_of(1))] == [DONE, FAILED]

    def test_a_result_that_is_computed_again_replaces_the_older_one(self, open_index: Opener) -> None:
        with open_index() as index:
            first = index.begin(info_of()).commit([row_of(1, value=b"1")]).ids[key_of(1)]
            again = index.begin(info_of())
            again.previous = {key_of(1): first}
            second = again.commit([row_of(1, value=b"2")]).ids[key_of(1)]
            assert [k.id for k in index.known(EXPERIMENT)] == [second]
            assert data_of(index.record(second)) == b"2"

    def test_a_task_is_claimed_by_one_run_only(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            assert one.claim([key_of(1), key_of(2)]).granted == [key_of(1), key_of(2)]
            claim = two.claim([key_of(2), key_of(3)])
            assert (claim.granted, claim.elsewhere, claim.finished) == ([key_of(3)], [key_of(2)], [])

    def test_a_run_hears_once_what_others_finished(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            one.claim([key_of(1)])
            one.commit([row_of(1)])
            assert [known.key for known in two.news()] == [key_of(1)]
            assert two.news() == []
            assert one.news() == []

    def test_a_task_that_another_run_finished_is_not_granted(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            one.claim([key_of(1)])
            one.commit([row_of(1)])
            two.news()
            claim = two.claim([key_of(1), key_of(2)])
            assert ([k.key for k in claim.finished], claim.granted) == ([key_of(1)], [key_of(2)])

    def test_what_a_run_finished_between_a_plan_and_its_run_is_news(self, open_index: Opener) -> None:
        with open_index() as index, open_index() as other:
            assert list(index.known(EXPERIMENT)) == []
            other.begin(info_of()).commit([row_of(1)])
            assert [known.key for known in index.begin(info_of()).news()] == [key_of(1)]

    def test_the_first_of_two_results_wins(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            first = one.commit([row_of(1, value=b"1")]).ids[key_of(1)]
            late = two.commit([row_of(1, value=b"2"), row_of(2)])
            assert late.superseded[key_of(1)].id == first
            assert list(late.ids) == [key_of(2)]
            assert data_of(index.record(first)) == b"1"

    def test_released_tasks_can_be_claimed_by_others(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            one.claim([key_of(1), key_of(2), key_of(3)])
            one.commit([row_of(1)])
            one.release([key_of(2)])
            assert two.waiting([key_of(2), key_of(3)]) == [key_of(3)]
            assert two.claim([key_of(2), key_of(3)]).granted == [key_of(2)]

    def test_a_finished_run_holds_no_claims(self, open_index: Opener) -> None:
        with open_index() as index:
            one, two = index.begin(info_of()), index.begin(info_of())
            one.claim([key_of(1)])
            one.finish("interrupted", {"done": 0})
            assert two.claim([key_of(1)]).granted == [key_of(1)]
            assert [(r.status, r.counts) for r in index.runs()][1] == ("interrupted", {"done": 0})

    def test_forgotten_tasks_are_as_if_they_had_never_run(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit([row_of(1), row_of(2)], [(key_of(1), row_of(1, failed="first"))])
            assert index.forget([key_of(1)]) == 1
            assert [k.key for k in index.known(EXPERIMENT)] == [key_of(2)]
            assert index.attempts(key_of(1)) == []

    def test_tasks_are_found_by_the_beginning_of_their_key(self, open_index: Opener) -> None:
        with open_index() as index:
            index.begin(info_of()).commit([row_of(0x1234), row_of(0x12FF), row_of(0x2000)])
            assert [r.key for r in index.find("12")] == [key_of(0x1234), key_of(0x12FF)]
            assert [r.key for r in index.find(key_of(0x2000).hex())] == [key_of(0x2000)]

    def test_code_versions_are_kept_once(self, open_index: Opener) -> None:
        version = CodeVersion(b"d" * 16, {"science:experiment": ("0a", "return 1")})
        with open_index() as index:
            number = index.begin(info_of()).code(version)
        with open_index() as index:
            assert index.begin(info_of()).code(version) == number
            assert index.codes([number]) == {number: version}

    # --- reading in bulk -------------------------------------------------------------------------------

    @pytest.mark.parametrize("seed", range(3))
    def test_what_is_read_in_bulk_is_what_is_read_one_by_one(self, open_index: Opener, seed: int) -> None:
        random = Random(seed)
        rows = [_any_row(random, number) for number in range(300)]
        with open_index() as index:
            run = index.begin(info_of())
            for start in range(0, len(rows), 70):
                run.commit(rows[start : start + 70])
            index.discard(random.sample(index.ids(), 40))
            ids = sorted(index.ids())
            wanted = sorted(random.sample(ids, 150))
            columns = map(_joined, zip(*index.known_columns(EXPERIMENT), strict=True))
            assert list(zip(*columns, strict=True)) == [
                (k.key, k.id, int(k.status == DONE), k.code) for k in index.known(EXPERIMENT)
            ]
            records = {record.id: record for record in index.records(wanted)}
            assert [index.record(number) for number in wanted] == list(records.values())
            _compare_outlines(index, wanted, records)
            written = {number: more for number, *more in index.written(wanted)}
            assert all(written[r.id] == [r.params, r.settings] for r in records.values())
            lasts = {
                (name, number): last
                for piece in index.last_metrics(wanted)
                for name, (numbers, values) in piece.items()
                for number, last in zip(numbers.tolist(), values.tolist(), strict=True)
            }
            single = {(n, r.id): y[-1] for r in records.values() for n, (_, y) in index.metrics(r).items()}
            assert lasts == single
            curves = dict(index.curves(wanted))
            assert list(curves) == sorted({number for _, number in single})
            assert {
                (n, number): y[-1] for number, told in curves.items() for n, (_, y) in told.items()
            } == single
            everything = {record.id: record.warnings for record in index.records(ids) if record.warnings}
            assert index.warnings(ids[0], ids[-1]) == everything
            assert index.parameters([r.key for r in records.values()]) == {
                r.key: r.params for r in records.values()
            }

    def test_tasks_are_listed_from_the_newest(self, open_index: Opener) -> None:
        with open_index() as index:
            index.begin(info_of()).commit([row_of(1), row_of(2, failed="no"), row_of(3, runtime=2.0)])
            index.begin(info_of("other:one"))
            assert index.experiments() == [(EXPERIMENT, 2, 1), ("other:one", 0, 0)]
            assert [r.key for r in index.recent(limit=2)] == [key_of(3), key_of(2)]
            assert [r.key for r in index.recent(EXPERIMENT, status=DONE)] == [key_of(3), key_of(1)]
            assert index.recent("unknown") == []
            assert index.runtimes(EXPERIMENT, 10) == [('{"n": 3}', 2.0), ('{"n": 1}', 0.25)]
            assert [found[:2] for found in index.latest_of_others("other:one", 1)] == [
                (key_of(3), EXPERIMENT)
            ]
            assert index.latest_of_others(EXPERIMENT, 10) == []
            with pytest.raises(KeyError):
                index.record(10**9)
            with pytest.raises(ValueError, match="no beginning of a key"):
                index.find("xyz")

    # --- parameters and versions -----------------------------------------------------------------------

    def test_parameters_and_their_order_are_kept(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            keys = [key_of(2), key_of(1)]
            assert run.declare([Declared("x", ["1", "2"], {})], b"".join(keys), False) == [["1", "2"]]
            assert index.axes(EXPERIMENT) == [("x", [(1, None), (2, None)])]
            assert index.order(EXPERIMENT) == b"".join(key[:8] for key in keys)
            run.declare([Declared("x", ["2", "3"], {}), Declared("y", ['"a"'], {})], b"".join(keys), True)
            found = {name: [value for value, _ in values] for name, values in index.axes(EXPERIMENT)}
            assert found == {"x": [1, 2, 3], "y": ["a"]}
            assert index.order(EXPERIMENT) == b""
            assert index.axes("unknown") == []

    def test_changes_of_code_are_noted_and_adopted(self, open_index: Opener) -> None:
        a, b = (CodeVersion(name * 16, {"f": (name.decode(), "")}) for name in (b"a", b"b"))
        with open_index() as index:
            versions = Versions(index, EXPERIMENT)
            (old,) = versions.note([a.digest], [], lambda _: a)
            (new,) = versions.note([b.digest], [(old, 0)], lambda _: b)
            assert versions.pending() == Versions(index, EXPERIMENT).pending() == [(old, new)]
            versions.adopt([(old, new)], "me@here", 1, 2)
            again = Versions(index, EXPERIMENT)
            assert again.pending() == []
            assert again.counting_as(b.digest) == {old, new}
            assert [(x.code, x.present, x.who, x.verified, x.results) for x in again.adoptions()] == [
                (old, new, "me@here", 1, 2)
            ]
            assert index.codes_seen([old])[old][1] is None
            run = index.begin(info_of())
            run.commit([row_of(1, code=new)])
            assert index.results_of_codes(EXPERIMENT) == {new: 1}
            mixed = run.mixed_code(new, [a.digest])
            assert index.codes([mixed])[mixed].mixed
            assert index.codes([mixed])[mixed].functions.keys() == {"f"}


def data_of(record: TaskRecord) -> bytes | None:
    """Return the content of a value that stands in its row."""
    return None if record.value is None else record.value.data


def _joined(pieces: Any) -> list[Any]:
    return [one for piece in pieces for one in piece]


def _any_row(random: Random, number: int) -> TaskRow:
    """Make a row: done or failed, with values of many kinds, or of one for a while."""
    if random.random() < 0.1:
        return row_of(number, failed="no", memory=random.choice([None, 5]))
    data = b"float64 %r" % random.random() if number < 100 else b"%d" % number
    kind, name = ("npscalar", "numpy:float64") if number < 100 else ("json", "builtins:int")
    if number > 200 and random.random() < 0.5:
        kind, name, data = "bytes", "builtins:bytes", b"x" * random.choice([1, 300])
    more: dict[str, Any] = {"value": Encoded(kind, data, None, len(data), name)}
    if random.random() < 0.1:
        ref = f"3f/3f{number:030x}.npy"
        more["value"] = Encoded("npy", None, ref, 10**6, "numpy:ndarray", '{"what": "array 125000 float64"}')
    if random.random() < 0.2:
        curve = bytes(8) + struct.pack("<d", float(number))
        more["metrics"] = (Series("loss", 1, float(number), float(number), float(number), curve),)
    if random.random() < 0.2:
        more["warnings"] = '[["UserWarning", "odd", "science.py:3", 2]]'
    return row_of(number, cpu_time=random.choice([None, 0.1]), runtime=random.random(), **more)


def _compare_outlines(index: Index, wanted: list[int], records: dict[int, Any]) -> None:
    """Compare columns with records."""
    seen: list[int] = []
    for piece in index.outlines(wanted, values=True):
        stored = Stored._make(piece.values or ())
        assert piece.ids.tolist() == sorted(piece.ids.tolist())
        for place, number in enumerate(piece.ids.tolist()):
            record = records[number]
            seen.append(number)
            assert (bool(piece.done[place]), piece.failures.get(number) is None) == (
                record.status == DONE,
                record.failure is None,
            )
            facts = (piece.started[place], piece.runtime[place], piece.cpu_time[place], piece.memory[place])
            measured = (record.started, record.runtime, record.cpu_time, record.memory)
            assert [None if x != x else x for x in facts] == list(measured)
            assert int(piece.metrics[place]) == len(index.metrics(record))
            value = (stored.formats[place], stored.data[place], stored.refs[place], stored.shown[place])
            known = record.value
            assert value == ((None,) * 4 if known is None else (*known[:3], known.shown))
    assert sorted(seen) == wanted
    plain = list(index.outlines(wanted))
    assert [number for piece in plain for number in piece.ids.tolist()] == wanted
    assert all(piece.values is None for piece in plain)
