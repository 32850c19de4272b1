"""Tasks come in the plan's order, unless somebody has asked otherwise; none comes twice, none is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memento.runner.queue import TaskQueue


def all_of(queue: TaskQueue, now: float = 1e9) -> list[int]:
    numbers: list[int] = []
    while not queue.is_empty:
        numbers += queue.take(3, now)
    return numbers


def test_tasks_come_in_the_plans_order() -> None:
    queue = TaskQueue([4, 2, 0])
    assert all_of(queue) == [4, 2, 0]
    assert queue.take(1, 0.0) == []


def test_those_put_first_come_in_the_order_in_which_they_were_named() -> None:
    queue = TaskQueue(range(6))
    assert queue.take(1, 0.0) == [0]
    assert queue.put_first([5, 0, 3]) == [5, 3]
    assert queue.put_first([4]) == [4]
    assert all_of(queue) == [4, 5, 3, 1, 2]


def test_what_is_given_back_comes_after_what_was_put_first_and_before_the_rest() -> None:
    queue = TaskQueue(range(6))
    queue.take(2, 0.0)
    queue.put_first([5])
    queue.give_back([0, 1])
    assert all_of(queue) == [5, 0, 1, 2, 3, 4]


def test_what_waits_for_its_time_comes_when_it_is_due() -> None:
    queue = TaskQueue([1])
    queue.delay(7, due=5.0)
    assert queue.take(9, 4.9) == [1]
    assert (queue.is_empty, queue.due) == (False, 5.0)
    assert queue.take(9, 5.0) == [7]
    assert queue.due is None


def test_what_is_dropped_comes_no_more_wherever_it_stands() -> None:
    queue = TaskQueue(range(6))
    queue.take(2, 0.0)
    queue.give_back([0])
    queue.delay(1, due=5.0)
    queue.put_first([4])
    assert sorted(queue.drop([0, 1, 4, 5, 99])) == [0, 1, 4, 5]
    assert all_of(queue) == [2, 3]


STEPS = st.tuples(st.sampled_from(["take", "first", "drop", "back", "delay"]), st.sets(st.integers(0, 9)))


@given(st.lists(STEPS))
def test_every_task_comes_once_however_they_are_moved(steps: list[tuple[str, set[int]]]) -> None:
    queue, out, dropped = TaskQueue(range(10)), set[int](), set[int]()
    for step, numbers in steps:
        if step == "take":
            taken = queue.take(len(numbers), 0.0)
            assert len(taken) == len(set(taken)) <= len(numbers)
            assert not out.intersection(taken)
            out.update(taken)
        elif step == "first":
            queue.put_first(numbers)
        elif step == "drop":
            dropped.update(queue.drop(numbers))
        elif step == "back":
            queue.give_back(numbers & out)
            out -= numbers
        else:
            for number in numbers & out:
                queue.delay(number, 1.0)
            out -= numbers
    rest = all_of(queue)
    assert len(rest) == len(set(rest))
    assert {*rest, *out, *dropped} == set(range(10))
    assert not {*rest}.intersection(out | dropped)
