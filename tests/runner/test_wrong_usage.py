"""What is no experiment, no provider or no matrix is refused before anything runs, with the right line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Matrix, Memento
from memento.errors import MatrixError

MATRIX: dict[str, Any] = {"parameters": {"lr": [0.1], "hidden": [3]}, "settings": {"folds": 5}}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir()), "something was begun"


def train(context: Any, config: Any) -> int:
    return 1


class Trainer:
    def fit(self, context: Any, config: Any) -> int:
        return 1


@pytest.mark.parametrize(
    ("func", "line"),
    [
        (Trainer, "Memento(Trainer(...).fit)"),
        (Trainer.fit, "Memento(Trainer(...).fit)"),
        (int, "int is a class"),
        ("train", "Memento(train), without quotes."),
        (
            "exp.py",
            "`from exp import func`, then Memento(func); or on the command line `memento run exp.py:func",
        ),
        (Path("exp.py"), "`memento run exp.py:func matrix.yaml`."),
        ("exp.py:train", "`from exp import train`, then Memento(train)"),
        ("pkg.mod:train", "`from pkg.mod import train`, then Memento(train)"),
        ("grid.yaml", "That is a matrix: Memento(func).run('grid.yaml')."),
        (Memento(train), "Write run(matrix) on that"),
        (train(None, None), "Memento(func), not Memento(func(...))."),
        (None, "Memento(func), not Memento(func(...))."),
        (MATRIX, "Memento(func).run(matrix)."),
        (Matrix({"x": [1]}), "Memento(func).run(matrix)."),
    ],
)
def test_what_is_no_experiment_is_answered_by_the_right_line(func: Any, line: str) -> None:
    with pytest.raises(TypeError) as told:
        Memento(func)
    assert line in str(told.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("to_frame", "results have it. Write Memento(train).run(matrix).to_frame()."),
        ("failures", "Write Memento(train).run(matrix).failures."),
        ("fit", "Write Memento(train).run(matrix)."),
        ("runall", "Did you mean run_all?"),
        ("colour", "To run it write Memento(train).run(matrix)."),
    ],
)
def test_what_a_memento_does_not_have_is_answered_by_the_right_line(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(Memento(train), name)
    assert line in str(told.value)
    assert not hasattr(Memento(train), "__deepcopy__")


@pytest.mark.parametrize("given", [(MATRIX,), (), (Matrix({"x": [1]}),)])
def test_a_memento_is_run_and_not_called(given: Any) -> None:
    with pytest.raises(TypeError, match=r"Write Memento\(train\)\.run\(matrix\)\."):
        Memento(train)(*given)  # type: ignore[operator]  # what people try


@pytest.mark.parametrize(
    ("provider", "line"),
    [
        (MATRIX, "Write Memento(train).run(matrix)."),
        ({"lr": [0.1]}, "Write Memento(train).run(matrix)."),
        ([MATRIX], "Write Memento(train).run(matrix)."),
        ("matrix.yaml", "Write Memento(train).run(matrix)."),
        (Path("matrix.yaml"), "Write Memento(train).run(matrix)."),
        (Matrix({"x": [1]}), "Write Memento(train).run(matrix)."),
        (4, "Write Memento(train, num_workers=4)."),
        ("threads", "Write Memento(train, executor='threads')."),
        (memento.ConsoleNotificationProvider, "Write Memento(train, ConsoleNotificationProvider())."),
        (object(), "a subclass of memento.NotificationProvider"),
    ],
)
def test_what_is_no_provider_is_answered_by_the_right_line(provider: Any, line: str) -> None:
    with pytest.raises(TypeError) as told:
        Memento(train, provider)
    assert line in str(told.value)


def test_a_provider_is_whatever_hears() -> None:
    class Hears:
        def on_event(self, event: object) -> None:
            pass

    Memento(train, Hears())  # type: ignore[arg-type]  # it need not inherit
    Memento(train, memento.ConsoleNotificationProvider(), 2)


class Plain:
    def run(self, lr: float, hidden: int, data: Any) -> int:
        return 1

    def __call__(self, context: Any, hiden: int) -> int:
        return 1


def with_data(context: Any, config: Any, data: Any) -> int:
    return 1


@pytest.mark.parametrize(
    ("func", "line"),
    [
        (lambda lr, hiden: 1, "nothing provides 'hiden'. Did you mean 'hidden'?"),
        (lambda lr, hidden, fold: 1, "nothing provides 'fold'. Did you mean 'folds'?"),
        (lambda lr, hidden, seed: 1, "Write def func(context, ...) and read context.seed."),
        (lambda lr, hidden, rng: 1, "read context.rng."),
        (lambda lr, hidden, settings: 1, "read config.settings."),
        (lambda params: 1, "def func(config), or def func(**params)."),
        (lambda lr, hidden, c: 1, "Write def func(context, ...)."),
        (Plain().run, "Memento(functools.partial(run, data=...))"),
        (with_data, "a default: def with_data(context, config, data=...)"),
        (Plain(), "no parameter or setting is called 'hiden'. Did you mean 'hidden'?"),
        (lambda lrr, hiden: 1, "no parameter or setting is called 'hiden'. Did you mean 'hidden'?"),
        (lambda config, other: 1, "nothing provides 'other'."),
        (
            lambda hidden, rate: 1,
            "nothing provides 'rate', and it does not take 'lr', 'folds', which the matrix has. Call the same",
        ),
        (lambda: 1, "parameters['lr']: <lambda>() does not take it"),
        (lambda context: 1, "Write def func(context, lr), or leave it out."),
        (lambda lr, hiden=3: 1, "parameters['hidden']: <lambda>(lr, hiden) does not take it"),
        (lambda lr, hiden=3: 1, "Did you mean 'hiden'?"),
        (lambda lr, epochs=3: 1, "Write def func(lr, hidden, epochs), or leave it out."),
        (lambda lr, hidden, fold=3: 1, "settings['folds']: <lambda>(lr, hidden, fold) does not take it. Did"),
    ],
)
def test_an_argument_that_nothing_provides_or_a_parameter_that_nobody_takes_is_refused(
    func: Any, line: str
) -> None:
    for dry_run in (False, True):
        with pytest.raises(TypeError) as told:
            Memento(func).run(MATRIX, dry_run=dry_run)
        assert line in str(told.value)
    runs = Memento(func)
    runs.add_matrix({**MATRIX, "id": "a"})
    with pytest.raises(TypeError) as told:
        runs.run_all()
    assert line in str(told.value)


@pytest.mark.parametrize("given", [MATRIX, [1], "yes"])
def test_a_second_matrix_is_no_flag(given: Any) -> None:
    with pytest.raises(TypeError, match=r"dry_run must be True or False.*run_all\(\)"):
        Memento(train).run(MATRIX, given)


def test_a_number_of_workers_is_no_flag() -> None:
    with pytest.raises(TypeError, match=r"Memento\(func, num_workers=4\)"):
        Memento(train).run(MATRIX, 4)  # type: ignore[arg-type]  # what is meant


@pytest.mark.parametrize(
    "func",
    [
        lambda context, params: 1,
        lambda a, b: 1,
        lambda *both: 1,
        lambda context, config, rate=3: 1,  # a default of its own
        functools.partial(with_data, data=1),
        Trainer().fit,
    ],
    ids=["params", "any", "star", "default", "partial", "method"],
)
def test_what_takes_a_context_and_a_config_by_other_names_runs(func: Any, tmp_path: Path) -> None:
    matrix = {"parameters": {"lr": [1], "params": [2]}}
    store = tmp_path.parent / f"{tmp_path.name}-store"
    results = Memento(func, executor="serial", store=store, name="any", progress=False).run(matrix)
    assert results is not None
    assert [result.inner for result in results] == [1]


@pytest.mark.parametrize(
    ("name", "executor"),
    [("loky", "processes"), ("Threading", "threads"), ("sequential", "serial"), ("proceses", "processes")],
)
def test_executors_of_other_tools_are_answered_by_ours(name: str, executor: str) -> None:
    with pytest.raises(ValueError, match=f"Did you mean '{executor}'"):
        Memento(train, executor=name)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"num_workers": -1}, "leave it out to use all cores"),
        ({"num_workers": 1.5}, "must be a whole number"),
        ({"timeout": "10 parsecs"}, "timeout must be seconds or a text like '90s', '10min' or '1h30m'"),
        ({"timeout": True}, "timeout must be a number, or a text like '10min'"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"memory_limit": "much"}, "memory_limit must be bytes or a text like '4GB'"),
        ({"name": 3}, "name must be a text"),
    ],
)
def test_options_say_what_they_take(option: dict[str, Any], problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        Memento(train, **option)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_matrix_that_takes_the_results_of_others_is_not_run_alone(dry_run: bool) -> None:
    with pytest.raises(MatrixError, match=r"results of 'clean' are not there .* call run_all\(\)"):
        Memento(train).run({**MATRIX, "id": "fit", "dependencies": ["clean"]}, dry_run=dry_run)


def test_a_stage_that_nobody_has_is_told_before_what_the_function_takes() -> None:
    runs = Memento(lambda lr, features: lr)
    runs.add_matrix({"id": "features", "parameters": {"lr": [1], "features": [1]}})
    runs.add_matrix({"id": "fit", "dependencies": ["feature"], "parameters": {"lr": [1]}})
    with pytest.raises(MatrixError, match=r"no matrix has the id 'feature'\. Did you mean 'features'\?"):
        runs.run_all()
