"""A grid from end to end through the public class, in this process."""

from __future__ import annotations

import functools
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import AggregateException, CacheMiss, Config, Context, CyclicDependency, Memento, Results
from memento.executors.processes import Processes
from memento.executors.serial import Serial
from memento.worker.work import Work

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.clear()


def square(context: Context, config: Config) -> int:
    CALLS.append(config.x)
    context.record({"half": config.x / 2})
    return int(config.x**2)


def count_or_pass_on(context: Context, config: Config) -> Any:
    CALLS.append(config.asdict())
    return config.asdict().get("up", len(CALLS))


def fail_at_three(context: Context, config: Config) -> int:
    CALLS.append(config.x)
    if config.x == 3:
        raise ValueError(f"three is too much: {config.x}")
    return int(config.x)


def pass_on(context: Context, config: Config) -> Any:
    CALLS.append(config.asdict())
    return config.asdict()


def serial(func: Any, **options: Any) -> Memento:
    return Memento(func, executor="serial", progress=False, **{"store": "store", **options})


def run(func: Any, matrix: Any, **options: Any) -> Results:
    results = serial(func, **options).run(matrix)
    assert results is not None
    return results


def grid(*xs: Any) -> dict[str, Any]:
    return {"parameters": {"x": list(xs)}}


def test_results_come_in_the_matrix_order_with_their_metrics() -> None:
    results = run(square, grid(1, 2, 3))
    assert [r.inner for r in results] == [1, 4, 9]
    assert [r.config.x for r in results] == [1, 2, 3]
    assert [r.metrics["half"]["y"].tolist() for r in results] == [[0.5], [1.0], [1.5]]


def test_a_second_run_computes_nothing() -> None:
    run(square, grid(1, 2, 3))
    again = run(square, grid(1, 2, 3))
    assert CALLS == [1, 2, 3]
    assert [r.inner for r in again] == [1, 4, 9]
    assert all(r.was_cached for r in again)


def test_a_grid_that_grows_computes_only_what_is_new() -> None:
    run(square, grid(1, 2))
    grown = run(square, grid(1, 2, 3))
    assert CALLS == [1, 2, 3]
    assert [r.was_cached for r in grown] == [True, True, False]


def test_force_run_computes_everything_again() -> None:
    run(square, grid(1, 2))
    results = serial(square).run(grid(1, 2), force_run=True)
    assert results is not None
    assert sorted(CALLS) == [1, 1, 2, 2]  # the one that took longer comes first
    assert not any(r.was_cached for r in results)


def test_a_result_stays_when_computing_it_again_fails_and_the_failure_is_said() -> None:
    def fail_when_told(context: Context, config: Config) -> int:
        if Path("fail").exists():
            raise ValueError("told to fail")
        return 7

    run(fail_when_told, grid(1), name="exp")
    Path("fail").touch()
    with pytest.raises(AggregateException, match="told to fail") as caught:
        serial(fail_when_told, name="exp").run(grid(1), force_run=True)
    assert len(caught.value.exceptions) == 1
    assert [r.inner for r in run(fail_when_told, grid(1), name="exp")] == [7]


def test_experiments_made_with_different_things_do_not_share_results() -> None:
    def scaled(context: Context, config: Config, factor: int = 1) -> int:
        return int(config.x * factor)

    for factor in (1, 10):
        assert [r.inner for r in run(functools.partial(scaled, factor=factor), grid(2))] == [2 * factor]
        assert [r.inner for r in run(lambda c, g, factor=factor: g.x * factor, grid(3))] == [3 * factor]


def test_force_cache_names_the_first_configuration_that_is_missing() -> None:
    run(square, grid(1))
    with pytest.raises(CacheMiss, match="'x': '2'"):
        serial(square).run(grid(1, 2), force_cache=True)
    assert CALLS == [1]


def test_a_failure_raises_at_the_end_and_the_others_are_kept() -> None:
    with pytest.raises(AggregateException, match="three is too much") as caught:
        run(fail_at_three, grid(1, 3, 5))
    assert [type(e) for e in caught.value.exceptions] == [ValueError]
    assert [r.inner for r in caught.value.results] == [1, None, 5]
    assert "fail_at_three" in str(caught.value)


def test_with_on_error_return_failures_come_back_as_results() -> None:
    results = run(fail_at_three, grid(1, 3), on_error="return")
    assert [r.status for r in results] == ["done", "failed"]
    assert "ValueError" in str(results.failures)


def test_only_what_failed_runs_again() -> None:
    run(fail_at_three, grid(1, 3, 5), on_error="return")
    CALLS.clear()
    run(fail_at_three, grid(1, 3, 5), on_error="return")
    assert CALLS == [3]


def test_a_dry_run_computes_nothing_and_logs_each_configuration(caplog: pytest.LogCaptureFixture) -> None:
    run(square, grid(1))
    with caplog.at_level(logging.INFO, "memento"):
        assert serial(square).run(grid(1, 2), dry_run=True) is None
    assert CALLS == [1]
    assert "{'x': '2'}: new" in caplog.text
    assert "1 cached" in caplog.text


def test_results_can_be_opened_without_running_anything() -> None:
    run(square, grid(1, 2))
    loaded = memento.load("store")
    assert sorted(r.inner for r in loaded) == [1, 4]


def test_repeats_have_their_own_seed_and_number() -> None:
    def draw(context: Context, config: Config) -> tuple[int, int]:
        return config.repeat, context.seed

    results = run(draw, {"parameters": {"x": [1]}, "repeats": 3})
    assert [r.inner[0] for r in results] == [0, 1, 2]
    assert len({r.inner[1] for r in results}) == 3


def test_tasks_see_settings_and_cannot_change_them_for_each_other() -> None:
    def append(context: Context, config: Config) -> list[int]:
        config.settings["seen"].append(config.x)
        return list(config.settings["seen"])

    results = run(append, {**grid(1, 2), "settings": {"seen": []}})
    assert [r.inner for r in results] == [[1], [2]]


def test_a_parameter_changed_in_place_is_as_before_for_the_next_task() -> None:
    def append(context: Context, config: Config) -> list[int]:
        config.data.append(config.x)
        return list(config.data)

    data = [0]
    results = run(append, {"parameters": {"data": [data], "x": [1, 2]}})
    assert [r.inner for r in results] == [[0, 1], [0, 2]]
    assert data == [0]


def test_a_coroutine_function_is_awaited() -> None:
    async def wait(context: Context, config: Config) -> int:
        return int(config.x + 1)

    assert [r.inner for r in run(wait, grid(1))] == [2]


def test_the_store_can_be_moved(tmp_path: Path) -> None:
    run(square, grid(1), store=tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert [r.was_cached for r in run(square, grid(1), store=tmp_path / "there")] == [True]


def test_retries_are_counted_and_kept() -> None:
    def second_time(context: Context, config: Config) -> int:
        if context.attempt == 1:
            raise OSError("not yet")
        return context.attempt

    (result,) = run(second_time, grid(1), retries=memento.Retry(1, delay=0.0))
    assert result.inner == 2
    assert [attempt.status for attempt in result.attempts] == ["failed", "done"]


class TestSeveralMatrices:
    @staticmethod
    def linked() -> Memento:
        runs = serial(pass_on)
        runs.add_matrix({"id": 2, "dependencies": [1], "parameters": {"k": ["a"]}})
        runs.add_matrix({"id": 1, "dependencies": [], "parameters": {"k": [1, 2, 3]}})
        return runs

    def test_a_downstream_task_gets_its_upstream_result(self) -> None:
        results: Any = self.linked().run_all()
        assert results is not None
        assert [r.inner["1"]["k"] for r in results[2]] == [1, 2, 3]
        assert [r.inner["k"] for r in results[2]] == ["a"] * 3

    def test_the_second_time_nothing_is_computed(self) -> None:
        self.linked().run_all()
        count = len(CALLS)
        again: Any = self.linked().run_all()
        assert again is not None
        assert len(CALLS) == count == 6
        assert all(r.was_cached for results in again.values() for r in results)

    def test_what_was_computed_from_a_result_that_is_no_more_is_computed_again(self) -> None:
        def linked() -> Any:
            runs = serial(count_or_pass_on)
            runs.add_matrix({"id": "up", "parameters": {"x": [1]}})
            runs.add_matrix({"id": "down", "parameters": {"y": [1]}, "dependencies": ["up"]})
            return runs.run_all()

        first = linked()["up"][0].inner
        serial(count_or_pass_on).run({"parameters": {"x": [1]}}, force_run=True)
        again = linked()
        assert again["up"][0].inner > first
        assert again["down"][0].inner == again["up"][0].inner
        assert linked()["down"][0].was_cached

    def test_the_users_matrices_are_not_changed(self) -> None:
        matrix = {"id": 2, "dependencies": [1], "parameters": {"k": ["a"]}}
        runs = serial(square)
        runs.add_matrix(matrix)
        assert matrix == {"id": 2, "dependencies": [1], "parameters": {"k": ["a"]}}

    def test_a_dry_run_says_what_would_run_and_returns_none(self) -> None:
        assert self.linked().run_all(dry_run=True) is None
        assert CALLS == []

    def test_what_depends_on_nothing_is_not_run_and_the_rest_is(self) -> None:
        runs = serial(fail_at_three, on_error="return")
        runs.add_matrix({"id": "up", "dependencies": [], "parameters": {"x": [3]}})
        runs.add_matrix({"id": "down", "dependencies": ["up"], "parameters": {"x": [1]}})
        runs.add_matrix({"id": "lower", "dependencies": ["down"], "parameters": {"x": [1]}})
        runs.add_matrix({"id": "alone", "dependencies": [], "parameters": {"x": [5]}})
        results: Any = runs.run_all()
        assert results is not None
        assert results["down"] is results["lower"] is None
        assert [r.status for r in results["up"]] == ["failed"]
        assert [r.inner for r in results["alone"]] == [5]

    def test_failures_of_several_matrices_are_raised_together_at_the_end(self) -> None:
        runs = serial(fail_at_three)
        runs.add_matrix({"id": "up", "dependencies": [], "parameters": {"x": [3, 4]}})
        runs.add_matrix({"id": "down", "dependencies": ["up"], "parameters": {"x": [3]}})
        with pytest.raises(AggregateException) as caught:
            runs.run_all()
        assert len(caught.value.exceptions) == 2
        assert CALLS == [3, 4, 3]

    def test_a_circle_is_an_error_that_shows_it(self) -> None:
        runs = serial(square)
        runs.add_matrix({"id": "a", "dependencies": ["b"], "parameters": {"x": [1]}})
        runs.add_matrix({"id": "b", "dependencies": ["a"], "parameters": {"x": [1]}})
        with pytest.raises(CyclicDependency, match=r"'a' -> 'b'|'b' -> 'a'"):
            runs.run_all()


class TestCodeChanges:
    @staticmethod
    def version(body: str) -> Any:
        import linecache

        source = f"def experiment(context, config):\n    CALLS.append(config.x)\n    return {body}\n"
        name = f"<version {body}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        scope = {"CALLS": CALLS, "__name__": __name__}
        exec(compile(source, name, "exec"), scope)
        return scope["experiment"]

    def test_by_default_results_of_older_code_are_used_and_it_is_said(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        run(self.version("config.x"), grid(1), name="exp")
        with caplog.at_level(logging.WARNING, "memento"):
            results = run(self.version("config.x + 1"), grid(1), name="exp")
        assert [r.inner for r in results] == [1]
        assert "older version of the code" in caplog.text

    def test_rerun_computes_them_again(self) -> None:
        run(self.version("config.x"), grid(1), name="exp")
        results = run(self.version("config.x + 1"), grid(1), name="exp", on_code_change="rerun")
        assert [r.inner for r in results] == [2]

    @pytest.mark.parametrize("policy", ["warn", "rerun", "ignore"])
    def test_what_a_run_takes_of_another_with_other_code_is_said(
        self, caplog: pytest.LogCaptureFixture, policy: Any
    ) -> None:
        other = functools.partial(run, self.version("config.x"), grid(1), name="exp")

        class Meanwhile(Serial):
            def start(self, work: Work) -> None:
                other()  # after this run has planned to compute it
                super().start(work)

        caplog.set_level(logging.WARNING, "memento")
        mine = Memento(
            self.version("config.x + 1"),
            name="exp",
            executor=Meanwhile(),
            store="store",
            progress=False,
            on_code_change=policy,
        )
        results = mine.run(grid(1, 2))
        assert results is not None
        assert [r.inner for r in results] == [1, 3]
        told = "1 result was computed meanwhile by another run, with another version of the code and is used as it is"
        assert (told in caplog.text) == (policy != "ignore")
        assert ("+    return config.x + 1" in caplog.text) == (policy != "ignore")

    def test_ignore_says_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        run(self.version("config.x"), grid(1), name="exp")
        with caplog.at_level(logging.WARNING, "memento"):
            run(self.version("config.x + 1"), grid(1), name="exp", on_code_change="ignore")
        assert "older version" not in caplog.text


def test_what_cannot_be_sent_to_workers_is_named_before_anything_runs() -> None:
    lock = threading.Lock()

    def locked(context: Context, config: Config) -> bool:
        return lock.locked()

    def fresh(func: Any, matrix: Any, name: str) -> None:
        Memento(func, executor=Processes(1, copy=False), name=name, progress=False).run(matrix)

    with pytest.raises(memento.MementoError, match=r"the experiment .*locked.* cannot be sent to workers"):
        fresh(locked, grid(1), "locked")
    with pytest.raises(memento.MementoError, match=r"settings\['lock'\] cannot be sent to workers"):
        fresh(square, {**grid(1), "settings": {"lock": lock}, "volatile": ["lock"]}, "square")
    assert CALLS == []


def test_a_value_that_cannot_be_sent_names_its_parameter() -> None:
    matrix = {"parameters": {"x": [1], "lock": [threading.Lock()]}, "volatile": ["lock"]}
    with pytest.raises(memento.MementoError, match=r"parameter 'lock'.* cannot be sent to workers"):
        Memento(square, executor="processes", progress=False).run(matrix)
    assert [result.inner for result in run(square, matrix)] == [1]  # in this process nothing needs to be sent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "explode"}, "on_error must be one of"),
        ({"order": "random"}, "order must be one of"),
        ({"on_code_change": "maybe"}, "on_code_change must be one of"),
        ({"num_workers": 0}, "num_workers must be more than 0"),
        ({"timeout": -1}, "timeout must be more than 0"),
        ({"memory_limit": "lots"}, "memory_limit must be bytes"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Memento(square, **options)


def takes_more(context: Context, config: Config, data: list[int]) -> int:
    return len(data)


class TakesNothing:
    pass


@pytest.mark.parametrize(
    ("func", "message"),
    [
        ("square", "func must be a function, got the text 'square'"),
        (TakesNothing, "TakesNothing is a class"),
    ],
)
def test_what_would_fail_in_every_task_is_refused_before_any(func: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Memento(func)


def test_what_a_task_would_lack_is_told_before_any() -> None:
    with pytest.raises(TypeError, match=r"nothing provides 'data'.*functools\.partial"):
        run(takes_more, grid(1))


@pytest.mark.parametrize(
    "func",
    [functools.partial(takes_more, data=[1]), lambda *_: 0, lambda a, b, c=1: 0, max],
    ids=["partial", "any", "default", "of C"],
)
def test_what_can_be_called_with_two_values_is_taken(func: Any) -> None:
    Memento(func)


@pytest.mark.parametrize("timeout", ["ten", "10 parsecs", True, [1]])
def test_a_timeout_is_a_time(timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"timeout must be .* a text like .*'10min'.*, got"):
        Memento(square, timeout=timeout)


def test_an_unknown_executor_is_refused_before_anybody_asks_for_it() -> None:
    with pytest.raises(ValueError, match="Did you mean 'processes'"):
        Memento(square, executor="proceses")
