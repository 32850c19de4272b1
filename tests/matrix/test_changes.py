"""A file's values can be replaced without an edit: one value, a list of several, a range, a setting."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest

from memento.errors import MatrixError
from memento.matrix.changes import parse_changes, with_changes
from memento.matrix.matrix import Matrix

FILE = """\
parameters:
  - {lr: [0.1, 1], model: [svc]}
  - {model: [tree], depth: [1, 2]}
settings: {n_fold: 5, model: x}
"""


@pytest.mark.parametrize(
    ("texts", "tasks"),
    [
        (["lr=3"], [{"lr": 3, "model": "svc"}, {"model": "tree", "depth": 1}, {"model": "tree", "depth": 2}]),
        (["lr=[1e-3]", "depth = 7"], [{"lr": 0.001, "model": "svc"}, {"model": "tree", "depth": 7}]),
        (["lr={start: 0, stop: 2}", "depth=null"],
         [{"lr": 0, "model": "svc"}, {"lr": 1, "model": "svc"}, {"model": "tree", "depth": None}]),
        (["model=a=b", "lr='1'", "depth=[[1]]"], [{"lr": "1", "model": "a=b"}, {"model": "a=b", "depth": [1]}]),
    ],
)  # fmt: skip
def test_values_of_a_file_are_replaced(texts: list[str], tasks: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(FILE)
    matrix = Matrix.load(path, parse_changes(texts))
    assert [config.asdict() for config in matrix.configs] == tasks
    assert matrix.settings["n_fold"] == 5


def test_settings_and_repeats_are_replaced_as_they_are() -> None:
    declared = {"parameters": {"a": [1]}, "settings": {"sizes": [1, 2]}}
    changed = with_changes(declared, {"sizes": [3], "repeats": 2})
    assert changed == {"parameters": {"a": [1]}, "settings": {"sizes": [3]}, "repeats": 2}
    assert declared == {"parameters": {"a": [1]}, "settings": {"sizes": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lrr=1", "the matrix has no such parameter or setting. Did you mean 'lr'?"),
        ("lr", "there is no value. Write NAME=VALUE."),
        ("lr=", "there is no value."),
        ("=3", "there is no name."),
        ("lr=0.1,1", "several values are a list. Write 'lr=[0.1,1]'."),
        ("lr=[", "it is not YAML"),
        ("lr=[]", "parameters[0]['lr']: the list is empty"),
        ("repeats=x", "a whole number from 1 on is needed, got 'x'."),
    ],
)
def test_a_wrong_change_says_what_would_be_right(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(FILE)
    with pytest.raises(MatrixError) as told:
        Matrix.load(path, parse_changes([text]))
    assert message in str(told.value)


def test_labels_of_the_file_mean_their_values() -> None:
    grids: list[dict[str, Any]] = [
        {"data": {"moons": [1, 2], "iris": "path", "one": 1}},
        {"data": {"digits": 3}, "n": [1]},
    ]
    one = Matrix.of(with_changes({"parameters": grids}, {"data": "moons"}))
    assert [(c["data"], str(c)) for c in one.configs] == [
        ([1, 2], "{'data': 'moons'}"),
        ([1, 2], "{'data': 'moons', 'n': '1'}"),
    ]
    several = with_changes({"parameters": grids[0]}, {"data": ["iris", "path", 1, 7]})["parameters"]["data"]
    assert (tuple(several), several.labels) == (("path", "path", 1, 7), ("iris", "", "", ""))
    with pytest.raises(MatrixError, match="Did you mean 'moons'"):
        with_changes({"parameters": grids}, {"data": "moon"})
    with pytest.raises(MatrixError, match="no value is called 'log'"):  # a range has no labels
        with_changes({"parameters": {"lr": {"log": [1, 4], "num": 3}}}, {"lr": "log"})


def test_a_text_means_the_value_that_is_called_so() -> None:
    declared = {"parameters": [{"model": [OrderedDict, Counter], "n": [1]}, {"model": [math.hypot]}]}

    def models(given: Any) -> list[Any]:
        return list(with_changes(declared, {"model": given})["parameters"][1]["model"])

    assert models("Counter") == models("collections:Counter") == [Counter]
    assert models(["hypot", "OrderedDict"]) == [math.hypot, OrderedDict]
    named = with_changes({"parameters": {"m": {"fast": Counter}}}, {"m": ["Counter", "fast"]})
    assert list(named["parameters"]["m"]) == [Counter, Counter]


@pytest.mark.parametrize(
    ("values", "text", "message"),
    [
        ([OrderedDict, Counter], "Countr", "no value is called 'Countr'. Did you mean 'Counter'?"),
        ({"fast": Counter, "slow": OrderedDict}, "zzz", "Values: 'fast', 'slow', 'Counter', 'OrderedDict'."),
        ([0.1, 1], "abc", "no value is called 'abc'. Values: '0.1', '1'."),
        ([type("Counter", (), {}), Counter], "Counter", "2 values are called"),
    ],
)
def test_a_text_that_names_no_value_is_wrong_where_values_are_no_texts(
    values: Any, text: str, message: str
) -> None:
    with pytest.raises(MatrixError) as told:
        with_changes({"parameters": {"model": values}}, {"model": [text]})
    assert message in str(told.value)


def test_a_new_text_stands_among_texts() -> None:
    declared = {"parameters": {"data": ["iris", Counter, "Counter"]}}
    assert list(with_changes(declared, {"data": ["irsi", "Counter"]})["parameters"]["data"]) == [
        "irsi",
        "Counter",
    ]
