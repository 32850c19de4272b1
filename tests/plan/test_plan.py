"""A plan runs what has no good result, once a key, and says why."""

from __future__ import annotations

from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memento.matrix import Matrix
from memento.plan import KeyedTasks, Past, Plan, make_plan
from memento.plan.plan import FAILED
from memento.store.records import Encoded, Known
from memento.store.upstream import UpstreamValue

CODE = 7


def tasks_of(values: list[Any]) -> KeyedTasks:
    return KeyedTasks(Matrix.of({"parameters": {"a": values}}), "exp:train")


def known(tasks: KeyedTasks, rows: dict[int, tuple[str, int]]) -> Past:
    return Past.of(Known(tasks.key(n), 100 + n, status, code, 1.0) for n, (status, code) in rows.items())


rows = st.dictionaries(
    st.integers(0, 19), st.tuples(st.sampled_from(["done", "failed"]), st.sampled_from([CODE, 8]))
)


@given(rows=rows, force=st.booleans(), rerun=st.booleans())
def test_a_plan_says_of_each_task_what_a_look_up_one_by_one_says(
    rows: dict[int, tuple[str, int]], force: bool, rerun: bool
) -> None:
    tasks = tasks_of(list(range(20)))
    plan = make_plan(tasks, known(tasks, rows), code=CODE, force_run=force, rerun_changed=rerun)
    for number in range(20):
        status, code = rows.get(number, ("", CODE))
        usable = status == "done" and not force and not (rerun and code != CODE)
        assert bool(plan.cached[number]) == usable
        assert (number in plan.todo) != usable
        assert plan.rows[number] == (100 + number if status else -1)
        assert (plan.states[number] == FAILED) == (status == "failed")
    assert plan.previous == {tasks.key(n): 100 + n for n in rows if n in plan.todo}


def test_a_result_older_than_what_it_was_computed_from_is_computed_again() -> None:
    def upstream(key: bytes, row: int) -> UpstreamValue:
        return UpstreamValue(key, "somewhere", Encoded("json", b"1", None, 1, "builtins:int"), row)

    tasks = tasks_of([upstream(b"old" + bytes(13), 99), upstream(b"new" + bytes(13), 500), 3])
    plan = make_plan(tasks, known(tasks, dict.fromkeys(range(3), ("done", CODE))), code=CODE)
    assert list(plan.cached) == [1, 0, 1]
    assert plan.reason(1) == "what it depends on was computed again"
    assert plan.previous == {tasks.key(1): 101}


def test_rows_of_other_tasks_change_nothing() -> None:
    tasks, others = tasks_of([1, 2]), tasks_of([3, 4, 5])
    plan = make_plan(tasks, known(others, dict.fromkeys(range(3), ("done", CODE))), code=CODE)
    assert plan.todo.tolist() == [0, 1]


def test_keys_that_share_their_first_half_are_told_apart() -> None:
    tasks = tasks_of([1, 2])
    first = tasks.key(0)
    twin = first[:8] + bytes(8)
    past = Past.of([Known(twin, 1, "done", CODE, 1.0), Known(first, 2, "done", CODE, 1.0)])
    plan = make_plan(tasks, past, code=CODE)
    assert plan.rows.tolist() == [2, -1]


def test_tasks_of_one_key_run_once_and_share_the_result() -> None:
    matrix = Matrix.of({"parameters": {"a": [1, 2], "device": ["cpu", "gpu"]}, "volatile": ["device"]})
    plan = make_plan(KeyedTasks(matrix, "exp:train"), Past.of([]), code=CODE)
    assert plan.todo.tolist() == [0, 2]
    assert plan.twins == {0: [1], 2: [3]}


def test_what_takes_longest_starts_first_and_equal_ones_stay_in_order() -> None:
    tasks = tasks_of([1, 2, 3, 4])
    plan = make_plan(tasks, Past.of([]), code=CODE, costs=lambda _: array("d", [1.0, 5.0, 1.0, 9.0]))
    assert plan.todo.tolist() == [3, 1, 0, 2]
    assert plan.forecast == 16.0


def test_reasons_tell_new_failed_cached_and_changed_apart() -> None:
    tasks = tasks_of([1, 2, 3, 4])
    past = known(tasks, {0: ("done", CODE), 1: ("failed", CODE), 2: ("done", 8)})

    def reasons(plan: Plan) -> list[str]:
        return [plan.reason(n) for n in range(4)]

    warn = reasons(make_plan(tasks, past, code=CODE))
    assert warn == ["cached", "failed before", "cached, computed by an older version of the code", "new"]
    rerun = reasons(make_plan(tasks, past, code=CODE, rerun_changed=True))
    assert rerun[2] == "its code has changed"


def test_stale_results_are_counted_by_the_version_that_computed_them() -> None:
    tasks = tasks_of([1, 2, 3])
    past = known(tasks, {0: ("done", 8), 1: ("done", 8), 2: ("done", CODE)})
    assert make_plan(tasks, past, code=CODE).stale_codes == {8: 2}


def test_of_two_rows_of_one_key_the_later_counts() -> None:
    tasks = tasks_of([1, 2])
    key = tasks.key(0)
    past = Past.of([Known(key, 1, "failed", CODE, 1.0), Known(key, 2, "done", CODE, 1.0)])
    plan = make_plan(tasks, past, code=CODE)
    assert plan.rows.tolist() == [2, -1]
    assert list(plan.cached) == [1, 0]


def test_nothing_is_forecast_where_nothing_is_to_be_done() -> None:
    tasks = tasks_of([1])

    def costs(numbers: Any) -> Any:
        raise AssertionError("asked for a forecast of nothing")

    assert make_plan(tasks, known(tasks, {0: ("done", CODE)}), code=CODE, costs=costs).forecast is None
