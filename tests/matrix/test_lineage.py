"""The key `dependencies` in its forms, and what upstream tasks' parameters are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.config import Deferred
from memento.errors import MatrixError
from memento.matrix.lineage import LACKING, marks, parse_dependencies, upstream_values
from memento.matrix.matrix import Matrix


class Result(Deferred):
    """A task's result, which nobody may load."""

    def __init__(self, key: bytes = b"k", /, **parameters: Any) -> None:
        self.key, self._parameters = key, parameters

    def origin(self) -> dict[str, Any]:
        return self._parameters

    def load(self) -> Any:
        raise AssertionError("it was loaded")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["a", 2], (("a", 2), {})),
        ({"a": None, "b": {}}, (("a", "b"), {})),
        ({"a": {"on": ["x", "y.z", "x"]}, 2: {"on": ()}}, (("a", 2), {"a": ("x", "y.z"), 2: ()})),
    ],
)
def test_dependencies_are_a_list_or_say_how_they_are_joined(given: Any, meant: Any) -> None:
    assert parse_dependencies(given) == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": {"onn": ["x"]}}, "dependencies['a']: unknown key 'onn'. Did you mean 'on'?"),
        ({"a": {"by": ["x"]}}, "dependencies['a']: unknown key 'by'. Keys: 'on'."),
        ({"a": ["x"]}, "dependencies['a']: a dict is needed, got ['x']. Write {'a': {'on': ['x']}}."),
        ({"a": "x"}, "Write {'a': {'on': ['x']}}."),
        ({"a": {"on": "x"}}, "dependencies['a']['on']: a list of parameters' names is needed, got the str 'x'."),
        ({"a": {"on": [1]}}, "dependencies['a']['on']: a name is a text, got 1."),
        ("a", "dependencies: a list of ids is needed, got the str 'a'. Write ['a']."),
    ],
)  # fmt: skip
def test_a_wrong_form_is_an_error_that_says_what_is_right(given: Any, message: str) -> None:
    with pytest.raises(MatrixError) as caught:
        Matrix({"p": [1]}, dependencies=given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.yaml", "parameters: {p: [1]}\ndependencies: {a: {on: [x, b.y]}, c: }\n"),
        ("m.toml", '[parameters]\np = [1]\n[dependencies.a]\non = ["x", "b.y"]\n[dependencies.c]\n'),
        ("m.json", '{"parameters": {"p": [1]}, "dependencies": {"a": {"on": ["x", "b.y"]}, "c": {}}}'),
    ],
)
def test_files_say_it_as_dicts_do(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    matrix = Matrix.load(tmp_path / name)
    assert matrix.dependencies == ("a", "c")
    assert matrix.spec.on == {"a": ("x", "b.y")}


def found(own: str, values: list[Any], name: str) -> list[Any] | None:
    there = upstream_values(own, values, name)
    return there[0] if there else None


def test_values_are_found_at_every_depth_and_under_names_with_dots() -> None:
    base = Result(n=1, **{"a.b": 2})
    assert found("up", [Result(x=3, base=base)], "up.x") == [3]
    assert found("up", [Result(x=3, base=base)], "up.base.n") == [1]
    assert found("up", [Result(x=3, base=base)], "up.base.a.b") == [2]
    assert found("up", [Result(base=base)], "up.base") == [base]
    assert found("up.down", [Result(n=1)], "up.down.n") == [1]
    assert found("up", [Result(), Result(x=0)], "up.x") == [LACKING, 0]
    assert found("up", [Result(), 7], "up.x") is None
    assert found("up", [Result(x=1)], "upper.x") is None


def test_marks_are_equal_where_keys_are_and_load_nothing() -> None:
    one = Result(b"1", n=1)
    values = [1, 1.0, True, np.int64(1), np.arange(3), np.arange(3), one, Result(b"1"), Result(b"2"), LACKING]
    told = marks(values)
    first = [told.index(mark) for mark in told]
    assert first == [0, 1, 2, 0, 4, 4, 6, 6, 8, 9]
