"""What tasks warned of is summed up by what it says and where, with what the tasks have in common."""

from __future__ import annotations

from memento.records import MEMORY, TIMEOUT, Warned
from memento.results.results import Results
from tests.results.fakes import FakeMatrix, failure, results_of

DIVIDE = Warned("RuntimeWarning", "invalid value encountered in divide", "train.py:19", 1)
SLOW = Warned("UserWarning", "did not converge in 100 steps", "train.py:24", 3)


def warned(*told: tuple[Warned, ...]) -> Results:
    """Six tasks: two models, three times; the last has failed."""
    results, store = results_of(FakeMatrix(model=["SVC", "tree"], n=[1, 2, 3]), [1, 2, 3, 4, 5, failure()])
    for number, warnings in enumerate(told):
        store.kept[number + 1] = store.kept[number + 1]._replace(warnings=warnings)
    return results


def test_a_group_says_how_many_tasks_warned_and_what_they_have_in_common() -> None:
    results = warned(
        (DIVIDE,), (DIVIDE, SLOW), (DIVIDE,), (), (SLOW._replace(message="did not converge in 7 steps"),)
    )
    first, second = results.warnings
    assert (first.title, first.count, first.times) == (
        "RuntimeWarning: invalid value encountered in divide (train.py:19)",
        3,
        3,
    )
    assert first.rule == "all 3 have model=SVC, no other task has it"
    assert first.config == "model=SVC, n=1"
    assert (second.title, second.count, second.times) == (
        "UserWarning: did not converge in … steps (train.py:24)",
        2,
        6,
    )
    assert "3 tasks warned: RuntimeWarning: invalid value encountered in divide (train.py:19)" in str(
        results.warnings
    )


def test_a_task_that_warns_often_is_one_task() -> None:
    results = warned((SLOW, SLOW._replace(message="did not converge in 9 steps")))
    (group,) = results.warnings
    assert (group.count, group.times) == (1, 6)


def test_one_warning_at_two_lines_is_two_groups() -> None:
    assert len(warned((SLOW, SLOW._replace(place="train.py:7"))).warnings) == 2


def test_tasks_that_failed_are_counted_too_and_each_result_has_its_own() -> None:
    results = warned((), (), (), (), (), (DIVIDE,))
    assert results[5].warnings == (DIVIDE,)
    assert results[0].warnings == ()
    assert [group.count for group in results.warnings] == [1]


def test_a_part_of_the_results_has_the_warnings_of_its_tasks() -> None:
    results = warned((DIVIDE,), (), (), (DIVIDE,))
    assert [group.count for group in results.filter(model="tree").warnings] == [1]
    assert str(warned().warnings) == "No task warned."


def test_a_report_of_many_warnings_is_bounded() -> None:
    results = warned(
        tuple(DIVIDE._replace(message=f"{chr(97 + n % 26) * (n + 1)} is odd") for n in range(80))
    )
    assert len(str(results.warnings).splitlines()) == 101
    assert str(results.warnings).endswith("and 30 other warnings")


def test_what_ran_out_of_memory_or_time_is_told_with_the_line_that_gives_it_more() -> None:
    killed = failure("it used more memory than memory_limit=1 GB, and was ended", kind=MEMORY)
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, killed])
    assert "    again, with more memory: memento retry --failed --memory-limit SIZE" in str(results.failures)
    results, _ = results_of(
        FakeMatrix(n=[1, 2]), [1, failure("it ran longer than timeout=1 s", kind=TIMEOUT)]
    )
    assert "    again, with more time: memento retry --failed --timeout TIME" in str(results.failures)
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, failure()])
    assert "again, with" not in str(results.failures)
