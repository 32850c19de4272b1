"""A run over a sample of its matrix computes, keeps and returns that sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Memento
from memento.events import Event, Said

MATRIX = {"parameters": {"a": list(range(20)), "b": list(range(10))}, "repeats": 2}
computed: list[Any] = []


def experiment(context: Any, config: Any) -> Any:
    computed.append((config.a, config.b, config.repeat))
    return config.a * 10 + config.b


def staged(context: Any, config: Any) -> Any:
    if "base" not in config:
        return config.a
    return config.base + config.k


def runs(store: Path, function: Any = experiment, executor: str = "serial", **options: Any) -> Memento:
    computed.clear()
    return Memento(function, store=store, executor=executor, progress=False, **options)


@pytest.mark.slow
def test_a_larger_sample_keeps_what_is_done(tmp_path: Path) -> None:
    one = runs(tmp_path / "s").run(MATRIX, sample=40)
    assert one is not None
    assert len(one) == len(computed) == 40
    two = runs(tmp_path / "s").run(MATRIX, sample=100)
    assert two is not None
    assert (len(two), len(computed)) == (100, 60)
    assert [result.inner for result in two] == [r.config.a * 10 + r.config.b for r in two]
    whole = runs(tmp_path / "s").run(MATRIX)
    assert whole is not None
    assert (len(whole), len(computed)) == (400, 300)
    assert [r.key for r in whole if r.key in {r.key for r in two}] == [r.key for r in two], "in its order"


def test_a_sample_of_all_runs_may_be_another_for_one(tmp_path: Path) -> None:
    sampled = runs(tmp_path / "s", sample=0.1)
    one, other, again = sampled.run(MATRIX), sampled.run(MATRIX, sample=20), sampled.run(MATRIX, sample=1.0)
    assert [len(each or ()) for each in (one, other, again)] == [40, 20, 400]
    assert len(computed) == 400
    with pytest.raises(ValueError, match="write sample=2"):
        runs(tmp_path / "s", sample=2.0)


def test_what_is_done_beside_the_sample_is_not_among_its_results(tmp_path: Path) -> None:
    runs(tmp_path / "s").run(MATRIX)
    results = runs(tmp_path / "s").run(MATRIX, sample=0.1)
    assert results is not None
    assert (len(results), len(computed)) == (40, 0)
    frame = results.to_frame()
    assert sorted(frame["a"].unique()) == list(range(20)), "twenty configurations: one for each value"
    assert frame["b"].value_counts().max() <= 2 * 4
    assert len(memento.load(tmp_path / "s")) == 400


def test_a_dry_run_and_a_run_say_of_how_many(tmp_path: Path) -> None:
    heard: list[Event] = []
    runs(tmp_path / "s", listeners=[heard.append]).run(MATRIX, sample=40, dry_run=True)
    runs(tmp_path / "s", listeners=[heard.append]).run(MATRIX, sample=40)
    said = "\n".join(event.text for event in heard if isinstance(event, Said))
    assert "40 of 400 configurations (sample): 0 cached, 0 failed before, 40 new" in said
    assert "A sample: 40 of 400 tasks." in said


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_sample_runs_on_every_executor(executor: str, tmp_path: Path) -> None:
    results = runs(tmp_path / "s", executor=executor, num_workers=2).run(MATRIX, sample=20)
    assert results is not None
    assert [result.inner for result in results] == [r.config.a * 10 + r.config.b for r in results]


def test_each_matrix_of_several_is_sampled(tmp_path: Path) -> None:
    every = runs(tmp_path / "s", staged)
    every.add_matrix({"id": "base", "parameters": {"a": list(range(30))}})
    every.add_matrix({"id": "next", "dependencies": ["base"], "parameters": {"k": [100, 200, 300]}})
    results: Any = every.run_all(sample=6)
    assert {name: len(found) for name, found in results.items()} == {"base": 6, "next": 6}
    of = {r.inner for r in results["base"]}
    assert {r.inner % 100 for r in results["next"]} <= of
    again: Any = every.run_all(sample=9)
    assert {r.key for r in results["base"]} <= {r.key for r in again["base"]}


def test_a_sample_of_what_depends_on_failed_tasks_is_of_what_can_run(tmp_path: Path) -> None:
    def fails(context: Any, config: Any) -> Any:
        if "base" not in config and "next" not in config and config.a % 2:
            raise ValueError("odd")
        return 1

    every = runs(tmp_path / "s", fails, on_error="return")
    every.add_matrix({"id": "base", "parameters": {"a": list(range(10))}})
    every.add_matrix({"id": "next", "dependencies": ["base"], "parameters": {"k": list(range(10))}})
    every.add_matrix({"id": "last", "dependencies": ["next"], "parameters": {"m": [1, 2]}})
    results: Any = every.run_all(sample=10)
    assert {name: [r.status for r in found].count("done") for name, found in results.items()} == {
        "base": 5, "next": 10, "last": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (0, "sample=200"), (-1, "sample=200"), (1.5, "sample=200"), (200.0, "write sample=200"), (True, "got True"),
        ("10", "got '10'"), ([1], "a share"),
    ],
)  # fmt: skip
def test_what_is_no_number_of_tasks_is_refused(sample: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        runs(tmp_path / "s").run(MATRIX, sample=sample)


def test_other_words_for_it_are_answered(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Write sample=20\."):
        runs(tmp_path / "s").run(MATRIX, n_iter=20)  # type: ignore[call-arg]
