"""What every store must do, as tests that a store's author runs.

Knows: the public face of a store and its runs. May not know: how a store keeps anything.

Subclass `StoreContract` in a test module and override the fixture `open_store`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memento.records import (
    DONE,
    FAILED,
    RAISED,
    CodeVersion,
    Encoded,
    Failure,
    LogSlice,
    Outcome,
    RunInfo,
    Series,
    TaskRow,
    Warned,
)

EXPERIMENT = "science:experiment"


def key_of(number: int) -> bytes:
    """Return a key for tests."""
    return number.to_bytes(2, "big") * 8


def info_of(experiment: str = EXPERIMENT, **fields: Any) -> RunInfo:
    """Describe a run of this process."""
    import os

    from memento import system

    known: dict[str, Any] = {
        "experiment": experiment,
        "tasks": 10,
        "settings": '{"n_fold": 5}',
        "matrix_id": "",
        "host": system.hostname(),
        "pid": os.getpid(),
        "process_started": system.process_start(os.getpid()) or "",
        "boot_id": system.boot_identity(),
        "argv": ("science.py", "--fast"),
        "provenance": {"python": "3"},
    }
    return RunInfo(**{**known, **fields})


def row_of(number: int, *, value: bytes = b"1.5", failed: str = "", code: int = 1, **fields: Any) -> TaskRow:
    """Return how a task ended: done with a JSON value, or failed with a message."""
    failure = Failure(RAISED, "ValueError", failed, "Traceback ...", "science.py:3", b"pickled", "last words")
    known: dict[str, Any] = {
        "number": number,
        "status": FAILED if failed else DONE,
        "attempt": 1,
        "started": 1_700_000_000.0 + number,
        "runtime": 0.25,
        "cpu_time": 0.2,
        "memory": 1_000,
        "virtual": None,
        "worker": "host/1",
        "value": None if failed else Encoded("json", value, None, len(value), "builtins:float"),
        "metrics": (),
        "artifacts": (),
        "log": None,
        "failure": failure if failed else None,
    }
    return TaskRow(key_of(number), f'{{"n": {number}}}', 0, code, Outcome(**{**known, **fields}))


class StoreContract:
    """Promises of a store. Override `open_store` with a function that opens the same empty store each time."""

    @pytest.fixture
    def open_store(self) -> Callable[..., Any]:
        """Return a function that opens one store, which is new for each test."""
        raise NotImplementedError("override `open_store`")

    def test_what_was_committed_is_read_back_as_it_was(self, open_store: Callable[..., Any]) -> None:
        outcome: dict[str, Any] = {
            "artifacts": ("model.bin",),
            "log": LogSlice("worker.log", 3, 9),
            "metrics": (Series("loss", 1, 0.5, 0.5, 0.5, b"\0" * 16),),
        }
        row = row_of(1, **outcome)
        with open_store() as store:
            run = store.begin(info_of())
            number = run.commit([row]).ids[row.key]
        with open_store() as store:
            record = store.record(number)
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
            (lasts,) = store.last_metrics([number])
            assert {name: (ids.tolist(), last.tolist()) for name, (ids, last) in lasts.items()} == {
                "loss": ([number], [0.5])
            }

    def test_a_failure_is_kept_with_all_that_explains_it(self, open_store: Callable[..., Any]) -> None:
        row = row_of(1, failed="broken")
        with open_store() as store:
            number = store.begin(info_of()).commit([row]).ids[row.key]
            assert store.record(number).failure == row.outcome.failure

    def test_what_a_task_warned_of_is_kept_and_found(self, open_store: Callable[..., Any]) -> None:
        text = '[["UserWarning", "odd \\u2026", "science.py:3", 2]]'
        with open_store() as store:
            run = store.begin(info_of())
            ids = run.commit([row_of(1), row_of(2, warnings=text), row_of(3, failed="no", warnings=text)]).ids
            expected = (Warned("UserWarning", "odd …", "science.py:3", 2),)
            found = [record.warnings for record in store.records([ids[key_of(n)] for n in (1, 2, 3)])]
            assert found == [(), expected, expected]
            assert store.warnings(0, 2**40) == {ids[key_of(n)]: expected for n in (2, 3)}
            assert store.warnings(0, ids[key_of(1)]) == {}

    def test_that_nothing_was_returned_is_known(self, open_store: Callable[..., Any]) -> None:
        nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
        with open_store() as store:
            run = store.begin(info_of())
            series = Series("loss", 1, 0.0, 0.0, 0.0, bytes(16))
            rows = [row_of(n) for n in range(3)]
            rows = [row._replace(outcome=row.outcome._replace(value=nothing)) for row in rows]
            rows.append(row_of(3, failed="no"))
            rows.append(row_of(4))
            rows.append(row_of(5, metrics=(series,)))
            ids = run.commit(rows).ids
            empty = [ids[key_of(n)] for n in range(4)]
            assert store.all_returned_nothing(empty) == 3
            assert store.all_returned_nothing(empty[3:]) == 0
            assert store.all_returned_nothing([*empty, ids[key_of(4)]]) == 0
            assert store.all_returned_nothing([-1, *empty, ids[key_of(5)]]) == 0

    def test_values_of_any_size_come_back(self, open_store: Callable[..., Any]) -> None:
        texts = [b'"' + b"x" * size + b'"' for size in (0, 253, 254, 255, 10_000)]
        with open_store() as store:
            rows = [row_of(i, value=text) for i, text in enumerate(texts)]
            ids = store.begin(info_of()).commit(rows).ids
            records = store.records([ids[row.key] for row in rows])
            assert [record.value.data for record in records] == texts

    def test_known_tells_each_task_once(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            run = store.begin(info_of())
            run.commit([row_of(1, failed="first time"), row_of(2)])
            run.commit([row_of(1), row_of(3)])
            assert sorted((k.key, k.status) for k in store.known(EXPERIMENT)) == [
                (key_of(n), DONE) for n in (1, 2, 3)
            ]
            assert list(store.known("another:experiment")) == []

    def test_records_come_in_the_order_asked_for_and_without_those_that_are_gone(
        self, open_store: Callable[..., Any]
    ) -> None:
        with open_store() as store:
            run = store.begin(info_of())
            ids = run.commit([row_of(n) for n in range(50)]).ids
            wanted = [ids[key_of(n)] for n in (40, 3, 17)]
            assert [record.id for record in store.records([*wanted, 10**9])] == wanted

    def test_a_task_that_failed_and_then_succeeded_remembers_both_attempts(
        self, open_store: Callable[..., Any]
    ) -> None:
        with open_store() as store:
            store.begin(info_of()).commit([row_of(1, failed="once", started=1.0)])
            again = store.begin(info_of())
            again.previous = {known.key: known.id for known in store.known(EXPERIMENT)}
            retried = row_of(1, failed="twice", started=2.0, attempt=1)
            again.commit([row_of(1, started=3.0, attempt=2)], [(key_of(1), retried)])
            attempts = store.attempts(key_of(1))
            assert [(a.status, a.failure.message if a.failure else "") for a in attempts] == [
                (FAILED, "once"),
                (FAILED, "twice"),
                (DONE, ""),
            ]

    def test_a_failure_does_not_replace_a_result(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            first = store.begin(info_of()).commit([row_of(1)]).ids[key_of(1)]
            again = store.begin(info_of())
            again.previous = {key_of(1): first}
            assert again.commit([row_of(1, failed="now broken", started=1.8e9)]).ids == {key_of(1): first}
            assert [(k.id, k.status) for k in store.known(EXPERIMENT)] == [(first, DONE)]
            assert [a.status for a in store.attempts(key_of(1))] == [DONE, FAILED]

    def test_a_result_that_is_computed_again_replaces_the_older_one(
        self, open_store: Callable[..., Any]
    ) -> None:
        with open_store() as store:
            first = store.begin(info_of()).commit([row_of(1, value=b"1")]).ids[key_of(1)]
            again = store.begin(info_of())
            again.previous = {key_of(1): first}
            second = again.commit([row_of(1, value=b"2")]).ids[key_of(1)]
            assert [k.id for k in store.known(EXPERIMENT)] == [second]
            assert store.record(second).value.data == b"2"

    def test_a_task_is_claimed_by_one_run_only(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            assert one.claim([key_of(1), key_of(2)]).granted == [key_of(1), key_of(2)]
            claim = two.claim([key_of(2), key_of(3)])
            assert (claim.granted, claim.elsewhere, claim.finished) == ([key_of(3)], [key_of(2)], [])

    def test_a_run_hears_once_what_others_finished(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            one.claim([key_of(1)])
            one.commit([row_of(1)])
            assert [known.key for known in two.news()] == [key_of(1)]
            assert two.news() == []
            assert one.news() == []

    def test_a_task_that_another_run_finished_is_not_granted(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            one.claim([key_of(1)])
            one.commit([row_of(1)])
            two.news()
            claim = two.claim([key_of(1), key_of(2)])
            assert ([k.key for k in claim.finished], claim.granted) == ([key_of(1)], [key_of(2)])

    def test_what_a_run_finished_between_a_plan_and_its_run_is_news(
        self, open_store: Callable[..., Any]
    ) -> None:
        with open_store() as store, open_store() as other:
            assert list(store.known(EXPERIMENT)) == []
            other.begin(info_of()).commit([row_of(1)])
            assert [known.key for known in store.begin(info_of()).news()] == [key_of(1)]

    def test_the_first_of_two_results_wins(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            first = one.commit([row_of(1, value=b"1")]).ids[key_of(1)]
            late = two.commit([row_of(1, value=b"2"), row_of(2)])
            assert late.superseded[key_of(1)].id == first
            assert list(late.ids) == [key_of(2)]
            assert store.record(first).value.data == b"1"

    def test_released_tasks_can_be_claimed_by_others(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            one.claim([key_of(1), key_of(2), key_of(3)])
            one.commit([row_of(1)])
            one.release([key_of(2)])
            assert two.waiting([key_of(2), key_of(3)]) == [key_of(3)]
            assert two.claim([key_of(2), key_of(3)]).granted == [key_of(2)]

    def test_a_finished_run_holds_no_claims(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            one, two = store.begin(info_of()), store.begin(info_of())
            one.claim([key_of(1)])
            one.finish("interrupted", {"done": 0})
            assert two.claim([key_of(1)]).granted == [key_of(1)]
            assert [(r.status, r.counts) for r in store.runs()][1] == ("interrupted", {"done": 0})

    def test_forgotten_tasks_are_as_if_they_had_never_run(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            run = store.begin(info_of())
            run.commit([row_of(1), row_of(2)], [(key_of(1), row_of(1, failed="first"))])
            assert store.forget([key_of(1)]) == 1
            assert [k.key for k in store.known(EXPERIMENT)] == [key_of(2)]
            assert store.attempts(key_of(1)) == []

    def test_tasks_are_found_by_the_beginning_of_their_key(self, open_store: Callable[..., Any]) -> None:
        with open_store() as store:
            store.begin(info_of()).commit([row_of(0x1234), row_of(0x12FF), row_of(0x2000)])
            assert [r.key for r in store.find("12")] == [key_of(0x1234), key_of(0x12FF)]
            assert [r.key for r in store.find(key_of(0x2000).hex())] == [key_of(0x2000)]

    def test_code_versions_are_kept_once(self, open_store: Callable[..., Any]) -> None:
        version = CodeVersion(b"d" * 16, {"science:experiment": ("0a", "return 1")})
        with open_store() as store:
            number = store.begin(info_of()).code(version)
        with open_store() as store:
            assert store.begin(info_of()).code(version) == number
            assert store.codes([number]) == {number: version}
