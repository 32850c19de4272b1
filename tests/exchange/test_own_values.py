"""A table that Memento exported brings back what tasks returned: exactly, or it says that it does not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.exchange.exported_tasks import Exported
from memento.exchange.imported_results import same
from memento.exchange.read_csv import read_csv
from memento.exchange.roles import Asked, roles_of
from memento.exchange.rows_to_results import with_matrix
from memento.exchange.source_rows import Source
from memento.exchange.table_columns import table_of_tasks
from memento.exchange.table_files import write_text
from memento.matrix.matrix import Matrix
from memento.matrix.values import token
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import DONE
from tests.cli.calling import memento
from tests.exchange.making import task
from tests.exchange.test_imported_results import NAME, prepared_of, run, taken

TEXTS = st.sampled_from(
    [
        *"fine 1 1.0 nan NaN -Infinity true None null a,b 'q' [1] [1 {} {a =1 '=1 - née 0f done".split(),
        *["", " ", " x", "a\nb\r", '"q"', "\0", "3 B", "list, 3 kB"],
    ]
)
NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, 2.8e16, 1e-310])
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(10**30), 10**30) | NUMBERS | TEXTS
# What a table calls its own columns, and what it puts in front of a name that is taken.
NAMES = st.sampled_from(
    [
        *"a b acc key experiment status value metrics runtime memory start_time attempts error was_cached".split(),
        *"value.a metric.a value.metric.a metric.metric.a value.value metric.metrics a.b settings.a".split(),
        *"result.status result.result.status result.key result.value settings.x metric result 1 a,b =a '=a".split(),
        *["Unnamed: 0", " a", "a ", "\n", "a;b;;;;;;;;;;;;;;;;;"],
    ]
)
NAMES_OF_RESULTS = NAMES | st.sampled_from(["", "settings", "repeat", "\0"])
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES_OF_RESULTS, inner, max_size=3),
    max_leaves=6,
)
FLAT = st.dictionaries(NAMES_OF_RESULTS, SCALARS, max_size=3)
RETURNED = PLAIN | FLAT | st.dictionaries(NAMES_OF_RESULTS, SCALARS | FLAT, max_size=2)
RECORDED = st.dictionaries(NAMES_OF_RESULTS, NUMBERS, max_size=2)
DECLARED = st.one_of(
    st.integers(-9, 9), st.booleans(), st.none(), st.sampled_from(["b", "1", "x y", "", "=1"])
)


@st.composite
def experiments(draw: st.DrawFn, name: str) -> tuple[KeyedTasks, list[Exported]]:
    """Draw an experiment with a task for each value of its parameters, most of them done."""
    names = draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    values = st.lists(DECLARED, min_size=1, max_size=2, unique_by=token)
    matrix = Matrix.of(
        {
            "parameters": {name: draw(values) for name in names},
            "settings": draw(st.dictionaries(NAMES, st.integers(0, 3), max_size=1)),
            "repeats": draw(st.sampled_from([1, 1, 2])),
        }
    )
    tasks = KeyedTasks(matrix, name)
    made = []
    for number in range(len(matrix)):
        one = task(
            number + 1,
            draw(RETURNED),
            experiment=name,
            parameters={name: getattr(matrix.config(number), name) for name in names},
            settings=matrix.settings,
            metrics=draw(RECORDED),
            repeat=number % matrix.repeats if matrix.repeats > 1 else None,
            status=draw(st.sampled_from(["done", "done", "failed"])),
            key=tasks.key(number),
        )
        made.append(one)
    return tasks, made


def written_and_read(tasks: list[Exported]) -> Source:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "results.csv")
        with open(path, "w", encoding="utf-8", newline="") as stream:
            write_text(table_of_tasks(tasks, to_read_back=True), "csv", stream)
        return read_csv(path)


@pytest.mark.slow
@given(experiments("a.py:train"), st.none() | experiments("b.py:train"))
def test_what_a_table_has_is_read_back_as_it_was(one: Any, other: Any) -> None:
    both = [one] if other is None else [one, other]
    source = written_and_read([task for _, made in both for task in made])
    for tasks, made in both:
        roles = roles_of(source, Asked(), tasks.matrix.table().names, tasks.matrix.settings)
        prepared = with_matrix(source, roles, tasks.matrix, tasks.experiment)
        found = {result.number: result for result in prepared.results}
        done = {number: task for number, task in enumerate(made) if task.record.status == DONE}
        assert found.keys() == done.keys(), (prepared.left_out, prepared.unmatched)
        for number, result in found.items():
            assert same(result.value, done[number].value), (result.value, done[number].value)
            assert same(result.metrics, done[number].metrics), (result.metrics, done[number].metrics)


def test_rows_of_another_experiment_and_with_a_parameter_that_is_none_here_are_no_tasks() -> None:
    one = task(1, 0.5, experiment=NAME, parameters={"a": 1, "gone": 2})
    other = task(2, 0.7, experiment="b.py:train", parameters={"a": 1})
    matrix = {"parameters": {"a": [1]}}
    prepared = prepared_of(written_and_read([one, other]), matrix)
    assert prepared.results == []
    assert prepared.unmatched == {
        "it has gone=2, which is no parameter here": ["line 2"],
        "it is of the experiment b.py:train": ["line 3"],
    }
    renamed = prepared_of(written_and_read([other]), matrix)
    assert [result.value for result in renamed.results] == [0.7]


def exported(here: Path, matrix: Any, pairs: list[tuple[Any, dict[str, float]]]) -> tuple[Any, Path]:
    def train(context: Any, config: Any) -> Any:
        value, metrics = pairs[config.a]
        context.record(metrics)
        return value

    first = run(here / "here", matrix, train)
    told = memento("export", "-o", here / "results.csv", "--store", here / "here")
    assert told.code == 0, told.err
    return first, here / "results.csv"


@pytest.mark.slow
@settings(max_examples=10)
@given(st.lists(st.tuples(RETURNED, RECORDED), min_size=1, max_size=4))
def test_what_a_task_returned_and_recorded_comes_back_apart_and_as_it_was(
    pairs: list[tuple[Any, dict[str, float]]],
) -> None:
    matrix = {"parameters": {"a": range(len(pairs))}}
    with tempfile.TemporaryDirectory() as name:
        first, table = exported(Path(name), matrix, pairs)
        taken(Path(name) / "there", read_csv(table), matrix)
        again = run(Path(name) / "there", matrix)
        for one, other in zip(first, again, strict=True):
            assert same(one.inner, other.inner)
            assert same(last_of(one), last_of(other))


def last_of(result: Any) -> dict[str, float]:
    return {name: float(frame["y"].iloc[-1]) for name, frame in result.metrics.items()}


def test_a_table_brings_metrics_and_results_apart(tmp_path: Path) -> None:
    pairs: list[tuple[Any, dict[str, float]]] = [
        (0.5, {"acc": 1.0}),
        (None, {"acc": 2.0}),
        ({"acc": 0.25, "test": {"f1": 0.5}}, {"acc": 3.0}),
        ("1", {}),
        ({"key": False}, {}),  # the table's own columns are then called result.key and result.status
        ({"status": "fine"}, {}),
        ({"value": " x"}, {}),
    ]
    matrix = {"parameters": {"a": range(7)}}
    _, table = exported(tmp_path, matrix, pairs)
    taken(tmp_path / "there", read_csv(table), matrix)
    again = run(tmp_path / "there", matrix)
    assert [(one.inner, last_of(one)) for one in again] == pairs


@pytest.mark.parametrize(
    "value",
    [np.arange(10_000), "x" * 50_000, {1: 2}, {1, 2}, 1j, b"ab", {"acc": 0.5, "all": {1, 2}}, "\ud800"],
)
def test_what_a_table_only_describes_is_left_out_and_never_taken_for_the_result(
    tmp_path: Path, value: Any
) -> None:
    matrix = {"parameters": {"a": [0]}}
    _, table = exported(tmp_path, matrix, [(value, {"loss": 0.5})])
    prepared = prepared_of(read_csv(table), matrix)
    assert prepared.results == []
    assert list(prepared.left_out) == [
        "what it returned is no plain data, or large: `memento merge` takes it in"
    ]
