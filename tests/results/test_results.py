"""A list of results in the matrix's order that reads in bulk and loads what is touched."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path

import pytest

from memento.config import Config
from memento.errors import NotAStore, PayloadDamaged, WorkerDied
from memento.records import DIED
from memento.results.result import MemoryUsage, Result, local_time
from memento.results.results import Results
from tests.results.fakes import MISSING, START, FakeMatrix, FakeStore, failure, key_of, results_in, results_of


def grid() -> FakeMatrix:
    return FakeMatrix(model=[dict, list], C=[1, 10])


def test_results_stand_in_the_matrix_order() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4])
    assert [(r.config.model, r.config.C, r.inner) for r in results] == [
        (dict, 1, 1),
        (dict, 10, 2),
        (list, 1, 3),
        (list, 10, 4),
    ]
    assert (len(results), results[-1].inner, [r.inner for r in reversed(results)]) == (4, 4, [4, 3, 2, 1])


def test_a_slice_is_results_too() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4])
    part = results[1:3]
    assert isinstance(part, Results)
    assert [r.inner for r in part] == [2, 3]
    assert [r.inner for r in results[::-2]] == [4, 2]


def test_an_index_that_is_not_there_is_an_index_error() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4])
    with pytest.raises(IndexError, match="4 results"):
        results[4]


def test_results_add_up_to_lists_as_in_1_2_0() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4])
    assert [r.inner for r in results + results[:1]] == [1, 2, 3, 4, 1]
    before: list[object] = [0]
    assert len(before + results) == 5


def test_no_value_is_loaded_before_it_is_touched() -> None:
    results, store = results_of(grid(), [1, 2, 3, 4])
    everything = list(results)
    assert (store.reads, store.loads) == (1, 0)
    assert everything[2].inner == 3
    assert everything[2].inner == 3
    assert store.loads == 1


@pytest.mark.slow
def test_many_tasks_are_read_in_few_bulks() -> None:
    matrix = FakeMatrix(n=list(range(25_000)))
    results, store = results_of(matrix, list(range(25_000)))
    assert sum(1 for _ in results) == 25_000
    assert (store.reads, store.loads, matrix.configs_made) == (3, 0, 0)


def test_two_tasks_may_share_a_row() -> None:
    _, store = results_of(grid(), [1, 2, 3, 4])
    shared = results_in(store, grid(), key_of(0) * 4, [1, 1, 1, 1])
    assert [r.inner for r in shared] == [1, 1, 1, 1]
    assert shared.to_frame()["value"].tolist() == [1, 1, 1, 1]


def test_a_failed_task_has_no_value_but_a_reason() -> None:
    results, _ = results_of(grid(), [1, failure("bad"), 3, 4])
    result = results[1]
    assert (result.status, result.inner) == ("failed", None)
    assert result.failure is not None
    assert str(result.error) == "ValueError: bad"


def test_a_task_that_was_not_run_is_missing() -> None:
    results, _ = results_of(grid(), [1, MISSING, 3, 4])
    result = results[1]
    assert (result.status, result.inner, result.error, result.metrics) == ("missing", None, None, {})
    assert (result.start_time, result.runtime, result.artifacts, result.log) == (None, None, {}, "")


def test_a_result_tells_how_its_task_went() -> None:
    results, store = results_of(grid(), [1, 2, 3, 4], {"loss": [4, 3, 2, 1]})
    result = results[1]
    assert result.start_time == local_time(START + 1)
    assert result.start_time.tzinfo is None
    assert result.runtime == timedelta(seconds=3)
    assert result.cpu_time == timedelta(seconds=1.5)
    assert result.memory == MemoryUsage(virtual_peak=4096, hardware_peak=1024)
    assert result.key == key_of(1).hex()
    assert result.metrics["loss"].to_dict("list") == {"x": [0.0, 1.0], "y": [0.0, 3.0]}
    assert result.artifacts == {"model.bin": store.path / "artifacts" / result.key / "model.bin"}
    assert result.log == "epoch 1\n"
    assert [attempt.number for attempt in result.attempts] == [1]
    assert result.was_cached is False


def test_a_result_can_be_built_by_hand_as_in_1_2_0() -> None:
    when = local_time(START)
    result = Result(Config(n=1), 5, {}, when, timedelta(seconds=1), None, MemoryUsage(1, 2), was_cached=True)
    assert (result.config.n, result.inner, result.metrics, result.was_cached) == (1, 5, {}, True)
    assert (result.status, result.error, result.attempts, result.log) == ("done", None, (), "")


def test_a_pickled_result_takes_everything_with_it() -> None:
    results, _ = results_of(grid(), [1, failure(), 3, 4], {"loss": [4, 3, 2, 1]})
    done, failed = pickle.loads(pickle.dumps([results[0], results[1]]))
    assert (done.inner, done.config, done.status) == (1, results[0].config, "done")
    assert done.metrics["loss"]["y"].tolist() == [0.0, 4.0]
    assert (failed.status, str(failed.error), failed.inner) == ("failed", "ValueError: bad shape", None)


def test_a_damaged_value_names_its_task_and_the_remedy() -> None:
    damage = PayloadDamaged("/store/payloads/ab", "it is torn")
    results, store = results_of(grid(), [1, damage, 3, 4])
    with pytest.raises(PayloadDamaged, match=r"model=dict, C=10.*torn.*Run the experiment again"):
        results[1].inner  # noqa: B018 - touching it is the point
    assert store.discarded == [2]


def test_a_value_that_cannot_be_loaded_hides_no_other() -> None:
    damage = PayloadDamaged("/store/payloads/ab", "it is torn")
    results, store = results_of(grid(), [1, damage, 3, 4], {"acc": [1, 4, 2, 3]})
    frame = results.to_frame()
    assert frame["value"].tolist()[0] == 1
    assert repr(frame["value"][1]) == "<unreadable numpy:ndarray: it is torn; written by Python 3.9, run 1>"
    assert results.best("acc").config.C == 10
    assert len(results.filter(C=10)) == 2
    assert "model=dict, C=10" in repr(results[1])
    assert "dict   10" in repr(results)
    with pytest.warns(UserWarning, match="1 value cannot be loaded here"):
        assert results.best().inner == 4
    with pytest.warns(UserWarning, match="1 value cannot be loaded here"):
        assert results.summary("model")["n"].tolist() == [1, 2]
    assert store.discarded == []


def test_best_on_a_metric_pivots_and_filters_load_no_values() -> None:
    results, store = results_of(grid(), [1, 2, 3, 4], {"acc": [1, 4, 2, 3]})
    results.best("acc")
    results.pivot("model", "C", "acc")
    results.summary(value="acc")
    results.filter(C=10)
    assert store.loads == 0


def test_results_of_a_store_that_is_gone_say_so() -> None:
    results, store = results_of(grid(), [1, PayloadDamaged("/store/payloads/ab", "it is gone"), 3, 4])
    store.is_gone = True
    with pytest.raises(NotAStore, match=r"model=dict, C=10.*memento.load\('new/place'\)"):
        results[1].inner  # noqa: B018 - touching it is the point
    assert store.discarded == []


def test_a_metric_that_was_not_recorded_is_answered_by_those_that_were() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4], {"loss": [4, 3, 2, 1]})
    metrics = results[1].metrics
    with pytest.raises(KeyError, match=r"there is no metric 'lss'; there are: loss\. Did you mean 'loss'\?"):
        metrics["lss"]
    assert metrics.get("lss") is None
    assert type(pickle.loads(pickle.dumps(metrics))) is dict


def test_a_death_of_the_process_is_told_with_its_last_words() -> None:
    died = failure("killed by SIGSEGV", kind=DIED, type="SIGSEGV", traceback="", output="loading\n")
    results, _ = results_of(grid(), [1, died, 3, 4])
    error = results[1].error
    assert isinstance(error, WorkerDied)
    assert str(error) == "killed by SIGSEGV"
    assert "loading" in str(error.__cause__)


def test_errors_carry_their_task() -> None:
    results, _ = results_of(grid(), [failure("one"), 2, 3, failure("two")])
    errors = results.errors()
    assert [str(error) for error in errors] == ["ValueError: one", "ValueError: two"]
    assert [(vars(e)["key"], vars(e)["attempt"], vars(e)["config"].C) for e in errors] == [
        (key_of(0).hex(), 1, 1),
        (key_of(3).hex(), 1, 10),
    ]
    assert "model=list, C=10" in errors[1].__notes__[0]  # type: ignore[attr-defined]  # PEP 678, from 3.11


def test_failures_are_grouped_with_what_they_have_in_common() -> None:
    values = [failure("shape (3, 4)"), failure("shape (7, 1)"), 3, 4]
    results, _ = results_of(grid(), values)
    (group,) = results.failures
    assert group.title == "ValueError: shape (…) (experiment.py:24)"
    assert group.rule == "both have model=dict, no success has it"
    assert group.keys == (key_of(0).hex(), key_of(1).hex())
    assert [r.key for r in results.failures.results] == list(group.keys)


def test_only_the_first_failure_of_a_cause_is_named_by_its_configuration() -> None:
    matrix = FakeMatrix(a=list(range(100)), b=[1, 2])
    results, _ = results_of(matrix, [failure(location=f"lib.py:{number % 3}") for number in range(200)])
    assert [group.config for group in results.failures] == ["a=0, b=1", "a=0, b=2", "a=1, b=1"]
    assert matrix.configs_made == 3


def test_without_a_success_failures_are_set_apart_from_other_failures() -> None:
    other = failure("other", location="lib.py:3")
    results, _ = results_of(grid(), [failure(), failure(), other, other])
    assert [group.rule for group in results.failures] == [
        "both have model=dict, no other failure has it",
        "both have model=list, no other failure has it",
    ]


def test_the_report_says_what_failed_why_and_what_to_type() -> None:
    results, _ = results_of(grid(), [failure(), failure(), 3, 4])
    report = str(results.failures)
    assert report.splitlines() == [
        "2 of 4 tasks failed, from one cause; 2 succeeded and are kept.",
        "",
        "2 tasks: ValueError: bad shape (experiment.py:24) - both have model=dict, no success has it",
        "    first: model=dict, C=1",
        "    key 000000000000, attempt 1",
        "    Traceback (most recent call last):",
        '      File "experiment.py", line 24, in run',
        "    ValueError: bad",
        "    more: memento show 000000000000 --store /nowhere",
    ]


def test_what_to_type_names_a_store_that_is_not_found_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMENTO_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    results, store = results_of(grid(), [failure(), 1, 2, 3])
    store.location = tmp_path / "my results"
    assert str(results.failures).endswith(f"memento show 000000000000 --store '{tmp_path / 'my results'}'")
    store.path = store.location = tmp_path / "memento-store"
    store.path.mkdir()
    assert str(results.failures).endswith("memento show 000000000000")


def test_without_failures_there_is_no_report() -> None:
    results, _ = results_of(grid(), [1, 2, 3, 4])
    assert len(results.failures) == 0
    assert str(results.failures) == "No task failed."


def replace_row(store: FakeStore, old: int, new: int, value: object) -> None:
    """Do what a later run does that computes a task again."""
    made = store.kept.pop(old)
    store.kept[new] = made._replace(id=new, status="done", failure=None)
    store.contents[new] = value


def test_a_task_that_a_later_run_computed_again_shows_its_new_result() -> None:
    results, store = results_of(grid(), [failure(), 2, 3, 4])
    replace_row(store, 1, 50, "new")
    assert (results[0].inner, results[0].status) == ("new", "done")
    replace_row(store, 3, 51, "newer")
    assert [r.inner for r in results] == ["new", 2, "newer", 4]
    replace_row(store, 4, 52, "newest")
    assert results.to_frame()["value"].tolist() == ["new", 2, "newer", "newest"]


def test_a_task_that_was_forgotten_is_missing() -> None:
    results, store = results_of(grid(), [1, 2, 3, 4])
    del store.kept[2]
    assert [r.status for r in results] == ["done", "missing", "done", "done"]
    assert results.to_frame()["status"].tolist() == ["done", "missing", "done", "done"]


def test_tasks_that_share_a_key_are_all_counted() -> None:
    _, store = results_of(grid(), [failure(), 2, 3, 4])
    keys = key_of(0) * 2 + key_of(2) + key_of(3)
    shared = results_in(store, grid(), keys, [1, 1, 3, 4])
    assert [(group.count, group.rule) for group in shared.failures] == [
        (2, "both have model=dict, no success has it")
    ]
