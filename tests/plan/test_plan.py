"""A plan runs what has no good result, once a key, and says why."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import Past, Plan, expected_costs, make_plan
from memento.plan.runtime_forecast import Model
from memento.records import DONE, Encoded, Known
from memento.store.upstream import UpstreamValue

CODE = 7


def tasks_of(values: list[Any]) -> KeyedTasks:
    return KeyedTasks(Matrix.of({"parameters": {"a": values}}), "exp:train")


def past_of(rows: Iterable[Known]) -> Past:
    return Past([([row.key], [row.id], [row.status == DONE], [row.code]) for row in rows])


def known(tasks: KeyedTasks, rows: dict[int, tuple[str, int]]) -> Past:
    return past_of(Known(tasks.key(n), 100 + n, status, code, 1.0) for n, (status, code) in rows.items())


def upstream(row: int) -> UpstreamValue:
    return UpstreamValue(bytes([row]) * 16, "somewhere", Encoded("json", b"1", None, 1, "builtins:int"), row)


PARAMETERS = {"a": [1, 2, 3], "b": [1, 2, 2], "up": [upstream(4), 5, upstream(30)], "device": ["cpu", "gpu"]}


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Grids and what is none, with and without values that two tasks share."""
    names = draw(st.lists(st.sampled_from([*PARAMETERS]), min_size=1, unique=True))
    declared: dict[str, Any] = {
        "parameters": {name: PARAMETERS[name] for name in names},
        "repeats": draw(st.integers(1, 2)),
        "volatile": ["device"] if "device" in names and draw(st.booleans()) else [],
    }
    if {"a", "b"} <= set(names):
        declared["exclude"] = draw(
            st.sampled_from([[], [{"a": 1, "b": 2}], [{"a": 3}], [lambda c: c.a == c.get("b")]])
        )
        declared["zip"] = draw(st.sampled_from([[], [["a", "b"]]]))
        if not declared["zip"] and draw(st.booleans()):
            declared |= {"when": {"b": {"a": 2}}, "defaults": {"b": 1}}
    return Matrix.of(declared)


stored = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["done", "failed"]), st.sampled_from([CODE, 8, 9])),
    max_size=40,
)


def newest_upstream(tasks: KeyedTasks, number: int) -> int:
    values = tasks.matrix.config(number)._dict.values()
    return max((v.row for v in values if isinstance(v, UpstreamValue)), default=-1)


@pytest.mark.slow
@given(matrix=matrices(), rows=stored, force=st.booleans(), rerun=st.booleans())
def test_a_plan_says_of_each_task_what_a_look_up_one_by_one_says(
    matrix: Matrix, rows: list[tuple[int, str, int]], force: bool, rerun: bool
) -> None:
    tasks = KeyedTasks(matrix, "exp:train")
    past = [
        Known(tasks.key(n) if n < len(tasks) else n.to_bytes(16, "big"), row, status, code, 1.0)
        for row, (n, status, code) in enumerate(rows)
    ]
    plan = make_plan(tasks, past_of(past), current=[{CODE}], force_run=force, rerun_changed=rerun)

    latest = {known.key: known for known in past}
    todo: dict[bytes, int] = {}
    twins: dict[int, list[int]] = {}
    stale: Counter[tuple[int, int]] = Counter()
    for number in range(len(tasks)):
        key = tasks.key(number)
        known = latest.get(key)
        assert plan.rows[number] == (-1 if known is None else known.id)
        done = known is not None and known.status == "done"
        changed = known is not None and done and known.code != CODE
        outdated = known is not None and done and known.id < newest_upstream(tasks, number)
        if known is not None and changed:
            stale[known.code, 0] += 1
        usable = done and not force and not outdated and not (rerun and changed)
        assert plan.cached[number] == usable
        if known is None:
            reason = "new"
        elif not done:
            reason = "failed before"
        elif outdated:
            reason = "what it depends on was computed again"
        elif changed:
            reason = "cached, computed by an older version of the code" if usable else "its code has changed"
        else:
            reason = "cached" if usable else "to be computed again"
        assert plan.reason(number) == reason
        if not usable:
            first = todo.setdefault(key, number)
            if first != number:
                twins.setdefault(first, []).append(number)
    assert list(plan.todo) == list(todo.values())
    assert plan.twins == twins
    assert plan.previous == {key: latest[key].id for key in todo if key in latest}
    assert plan.stale_codes == stale
    assert plan.hits == sum(plan.cached)


@pytest.mark.slow
@given(matrix=matrices(), data=st.data())
def test_a_task_is_expected_to_take_what_its_values_say_one_by_one(
    matrix: Matrix, data: st.DataObject
) -> None:
    tasks = KeyedTasks(matrix, "exp:train")
    effects = [
        data.draw(st.lists(st.floats(-3, 3), min_size=len(values), max_size=len(values)))
        for values in tasks.table.values
    ]
    numbers = data.draw(st.lists(st.integers(0, len(tasks) - 1), unique=True, min_size=1))
    unseen = [[0.0 for _ in values] for values in tasks.table.values]
    found = expected_costs(tasks, Model(0.5, effects, 2.0, unseen), numbers)
    assert found is not None
    costs, longest = found
    assert longest.tolist() == [2.0 * cost for cost in costs]
    for number in range(len(tasks)):
        logs = [effects[i][slot] for i, slot in enumerate(tasks.slots(number)) if slot >= 0]
        assert costs[number] == pytest.approx(math.exp(0.5 + sum(logs)) if number in numbers else 0.0)


def test_a_result_older_than_what_it_was_computed_from_is_computed_again() -> None:
    tasks = tasks_of([upstream(99), upstream(200), 3])
    plan = make_plan(tasks, known(tasks, dict.fromkeys(range(3), ("done", CODE))), current=[{CODE}])
    assert list(plan.cached) == [1, 0, 1]
    assert plan.reason(1) == "what it depends on was computed again"
    assert plan.previous == {tasks.key(1): 101}


def test_rows_of_other_tasks_change_nothing() -> None:
    tasks, others = tasks_of([1, 2]), tasks_of([3, 4, 5])
    plan = make_plan(tasks, known(others, dict.fromkeys(range(3), ("done", CODE))), current=[{CODE}])
    assert plan.todo.tolist() == [0, 1]


def test_keys_that_share_their_first_half_are_told_apart() -> None:
    tasks = tasks_of([1, 2])
    first = tasks.key(0)
    twin = first[:8] + bytes(8)
    past = past_of([Known(twin, 1, "done", CODE, 1.0), Known(first, 2, "done", CODE, 1.0)])
    plan = make_plan(tasks, past, current=[{CODE}])
    assert plan.rows.tolist() == [2, -1]


def test_tasks_of_one_key_run_once_and_share_the_result() -> None:
    matrix = Matrix.of({"parameters": {"a": [1, 2], "device": ["cpu", "gpu"]}, "volatile": ["device"]})
    plan = make_plan(KeyedTasks(matrix, "exp:train"), Past(), current=[{CODE}])
    assert plan.todo.tolist() == [0, 2]
    assert plan.twins == {0: [1], 2: [3]}


def test_what_takes_longest_starts_first_and_equal_ones_stay_in_order() -> None:
    tasks = tasks_of([1, 2, 3, 4])
    costs = array("d", [1.0, 5.0, 1.0, 9.0])
    plan = make_plan(tasks, Past(), current=[{CODE}], costs=lambda _: (costs, costs))
    assert plan.todo.tolist() == [3, 1, 0, 2]
    assert plan.forecast == 16.0


def test_reasons_tell_new_failed_cached_and_changed_apart() -> None:
    tasks = tasks_of([1, 2, 3, 4])
    past = known(tasks, {0: ("done", CODE), 1: ("failed", CODE), 2: ("done", 8)})

    def reasons(plan: Plan) -> list[str]:
        return [plan.reason(n) for n in range(4)]

    warn = reasons(make_plan(tasks, past, current=[{CODE}]))
    assert warn == ["cached", "failed before", "cached, computed by an older version of the code", "new"]
    rerun = reasons(make_plan(tasks, past, current=[{CODE}], rerun_changed=True))
    assert rerun[2] == "its code has changed"


def test_stale_results_are_counted_by_the_version_that_computed_them() -> None:
    tasks = tasks_of([1, 2, 3])
    past = known(tasks, {0: ("done", 8), 1: ("done", 8), 2: ("done", CODE)})
    assert make_plan(tasks, past, current=[{CODE}]).stale_codes == {(8, 0): 2}


def test_of_two_rows_of_one_key_the_later_counts() -> None:
    tasks = tasks_of([1, 2])
    key = tasks.key(0)
    past = past_of([Known(key, 1, "failed", CODE, 1.0), Known(key, 2, "done", CODE, 1.0)])
    plan = make_plan(tasks, past, current=[{CODE}])
    assert plan.rows.tolist() == [2, -1]
    assert list(plan.cached) == [1, 0]


def test_nothing_is_forecast_where_nothing_is_to_be_done() -> None:
    tasks = tasks_of([1])

    def costs(numbers: Any) -> Any:
        raise AssertionError("asked for a forecast of nothing")

    assert make_plan(tasks, known(tasks, {0: ("done", CODE)}), current=[{CODE}], costs=costs).forecast is None
