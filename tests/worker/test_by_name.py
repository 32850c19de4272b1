"""A function gets what it takes by name, and a call costs next to nothing."""

from __future__ import annotations

from typing import Any

from memento import Config
from memento.config import Deferred
from memento.worker.by_name import ByName, calling


class Result(Deferred):
    def __init__(self) -> None:
        self.loads = 0

    def load(self) -> object:
        self.loads += 1
        return "loaded"


def test_a_function_of_a_context_and_a_config_is_called_itself() -> None:
    def experiment(context: Any, config: Any) -> None: ...

    assert calling(experiment, None) is experiment


def test_only_what_is_taken_is_loaded_and_once() -> None:
    taken, left = Result(), Result()
    config = Config.build({"taken": taken, "left": left}, {})

    def train(taken: str, config: Config) -> tuple[str, str]:
        return taken, config.taken

    call = calling(train, ByName(("taken",), config="config"))
    assert call(None, config) == ("loaded", "loaded")  # type: ignore[arg-type]  # nobody asks for a context
    assert (taken.loads, left.loads) == (1, 0)


def test_arguments_by_place_that_a_task_lacks_have_the_functions_own_defaults() -> None:
    default = object()

    def train(a: Any = default, b: Any = 2, /) -> tuple[Any, Any]:
        return a, b

    call = calling(train, ByName(("a", "b"), positional=("a", "b"), absent=("a", "b")))
    assert call(None, Config(b=5)) == (default, 5)  # type: ignore[arg-type]  # nobody asks for a context


def test_all_that_is_left_is_parameters_before_settings() -> None:
    config = Config.build({"lr": 1, "up": Result()}, {"lr": 0, "folds": 5})
    call = calling(lambda **rest: rest, ByName(None))
    assert call(None, config) == {"lr": 1, "up": "loaded", "folds": 5}  # type: ignore[arg-type]
