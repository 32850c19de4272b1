"""A call with an argument that it does not have says what to write instead."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Matrix, Memento
from memento.matrix.arguments import FLAGS, OPTIONS

MATRIX = {"parameters": {"x": [1]}}


def train(context: Any, config: Any) -> int:
    raise AssertionError("nothing may run")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_tables_know_the_arguments_that_there_are() -> None:
    assert tuple(inspect.signature(Memento).parameters)[1:] == OPTIONS
    assert tuple(inspect.signature(Memento.run).parameters)[2:] == FLAGS


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"n_jobs": 4}, "Write num_workers=4."),
        ({"workers": 3}, "Write num_workers=3."),
        ({"max_workers": 2}, "Write num_workers=2."),
        ({"n_jobs": -1}, "Leave it out: by default all cores are used"),
        ({"backend": "loky"}, "Write executor='processes'"),
        ({"launcher": "joblib"}, "Write executor='processes'"),
        ({"cache_dir": "results"}, "Write store='results'."),
        ({"output_dir": "results"}, "Write store='results'."),
        ({"verbose": 0}, "Write progress=False."),
        ({"max_retries": 3}, "Write retries=3."),
        ({"timeout_min": 10}, r"Write timeout='10min' \(or seconds\)."),
        ({"mem_gb": 4}, "Write memory_limit='4GB'."),
        ({"gpus": 1}, "Write gpus_per_task=1."),
        ({"maxtasksperchild": 1}, "Write max_tasks_per_worker=1."),
        ({"random_state": 0}, "Write context.seed"),
        ({"experiment": train}, r"Give the experiment first: Memento\(train\)."),
        ({"matrix": MATRIX}, r"Write Memento\(func\).run\(matrix\)."),
        ({"parameters": {"lr": [1]}}, r"Write Memento\(func\).run\({'parameters': {'lr': \[1\]}}\)."),
        ({"lr": [1]}, r"Values to try .*Memento\(func\).run\({'parameters': {'lr': \[1\]}}\)."),
        ({"force_run": True}, r"It belongs to run: Memento\(func\).run\(matrix, force_run=True\)."),
        ({"overwrite": True}, r"It belongs to run: Memento\(func\).run\(matrix, force_run=True\)."),
        ({"repeats": 5}, r"It is a key of the matrix: run\({'parameters': {...}, 'repeats': 5}\)."),
        ({"num_worker": 3}, "Did you mean 'num_workers'?"),
        ({"retrys": 3}, "Did you mean 'retries'?"),
        ({"colour": "red"}, "It has: 'func', 'notification_provider', 'num_workers'"),
    ],
)
def test_words_of_other_tools_are_answered_by_ours(given: dict[str, Any], line: str) -> None:
    (name,) = given
    with pytest.raises(TypeError, match=rf"Memento\(\) has no argument '{name}'. {line}"):
        Memento(train, **given)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"n_jobs": 4}, r"It belongs to Memento: Memento\(func, num_workers=4\)"),
        ({"num_workers": 4}, r"It belongs to Memento: Memento\(func, num_workers=4\)"),
        ({"store": "results"}, r"It belongs to Memento: Memento\(func, store='results'\)"),
        ({"force": True}, "Write force_run=True."),
        ({"rerun": True}, "Write force_run=True."),
        ({"dryrun": True}, "Did you mean 'dry_run'?"),
        ({"settings": {"a": 1}}, "It is a key of the matrix"),
    ],
)
@pytest.mark.parametrize("call", ["run", "run_all"])
def test_what_belongs_elsewhere_is_said_to(call: str, given: dict[str, Any], line: str) -> None:
    (name,) = given
    with pytest.raises(TypeError, match=rf"{call}\(\) has no argument '{name}'. {line}"):
        Memento(train).run(MATRIX, **given) if call == "run" else Memento(train).run_all(**given)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: Memento(train).run(MATRIX, lr=[0.1]), "{'parameters': {'lr': [0.1]}}"),  # type: ignore[call-arg]
        (lambda: Memento(train).run(parameters={"lr": [1]}), "Write run({'parameters': {'lr': [1]}})."),  # type: ignore[call-arg]
        (lambda: Memento(train).run(parameters=MATRIX), "Write run(matrix)."),  # type: ignore[call-arg]
        (lambda: Matrix({}, lr=[0.1]), "{'parameters': {'lr': [0.1]}}"),  # type: ignore[call-arg]
        (lambda: Matrix({}, settngs={}), "Did you mean 'settings'?"),  # type: ignore[call-arg]
        (lambda: Matrix(params={}), "Did you mean 'parameters'?"),  # type: ignore[call-arg]
        (lambda: memento.load(folder="results"), "Write load('results')."),  # type: ignore[call-arg]
        (lambda: memento.load(name="train"), "Write load(..., experiment='train')."),  # type: ignore[call-arg]
        (lambda: Memento(train).run(), "run() needs a matrix: run({'parameters'"),  # type: ignore[call-arg]
        (lambda: Memento(), "Memento() needs the experiment: Memento(func)"),  # type: ignore[call-arg]
        (lambda: Matrix(), "Matrix() needs the parameters: Matrix({"),
        (lambda: Memento(train).run_all(), "there are none"),
        (lambda: Memento(train).add_matrix(), "add_matrix() needs a matrix"),  # type: ignore[call-arg]
        (
            lambda: Memento(train).add_matrix(MATRIX, id="a"),  # type: ignore[call-arg]
            "It is a key of the matrix: add_matrix({'parameters': {...}, 'id': 'a'}).",
        ),
        (lambda: Memento(train).add_matrix(MATRIX, train), "'parameters': {'step': [train], ...}"),  # type: ignore[call-arg]
        (lambda: Memento(train).add_matrix(MATRIX, func=train), "'parameters': {'step': [train], ...}"),  # type: ignore[call-arg]
    ],
    ids=map(str, range(16)),
)
def test_every_call_says_the_right_line(call: Any, line: str) -> None:
    with pytest.raises(TypeError) as told:
        call()
    assert line in str(told.value)


def test_what_is_explained_looks_as_it_did() -> None:
    assert Memento.run.__name__ == "run"
    assert str(inspect.signature(Matrix)).startswith("(parameters: ")
    assert len(Matrix(parameters={"x": [1, 2]})) == 2
    assert not list(Path.cwd().iterdir())
