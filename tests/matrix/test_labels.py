"""Values with labels: what a mapping under a parameter means, and where labels name values."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.config import Config
from memento.errors import MatrixError
from memento.matrix.labels import Labelled, labels_of
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks

MOONS = (np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
IRIS = (np.ones((3, 2)), np.array([1, 1, 0]))
DATASETS = {"moons": MOONS, "iris": IRIS, "digits": 64}

plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
names = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() and text.encode("utf-8", "ignore"))


def _keys(matrix: dict[str, Any]) -> set[bytes]:
    return set(KeyedTasks(Matrix.of(matrix), "lab:train").each_key())


def _datasets(matrix: dict[str, Any]) -> list[Any]:
    labels = {id(value): label for label, value in DATASETS.items()}
    return [labels.get(id(c.dataset), c.dataset) for c in Matrix.of(matrix).configs]


@given(st.dictionaries(names, plain, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_labels_are_no_part_of_keys_in_any_order(labels: dict[str, Any], random: Any) -> None:
    items = list(labels.items())
    random.shuffle(items)
    unlabelled = {"parameters": {"a": [1, 2], "b": list(labels.values())}}
    assert _keys({"parameters": {"b": dict(items), "a": {"one": 1, "two": 2}}}) == _keys(unlabelled)


def test_the_value_itself_is_in_the_configuration() -> None:
    assert [c.dataset for c in Matrix({"dataset": DATASETS}).configs] == [MOONS, IRIS, 64]
    assert Matrix({"dataset": {"one": {"a": 1}}}).config(0).dataset == {"a": 1}


def test_settings_that_are_dicts_are_values() -> None:
    assert Matrix({"a": [1]}, settings={"net": {"x": 1}}).config(0).settings["net"] == {"x": 1}


@pytest.mark.parametrize(
    "rules",
    [
        {"exclude": [{"dataset": "moons"}]},
        {"exclude": [{"dataset": MOONS}]},
        {"when": {"C": {"dataset": ["iris", "digits"]}}, "exclude": [{"dataset": "moons"}]},
    ],
)
def test_rules_name_values_by_label_and_by_value(rules: dict[str, Any]) -> None:
    found = _datasets({"parameters": {"dataset": DATASETS, "C": [1, 2]}, **rules})
    assert found == ["iris", "iris", "digits", "digits"]


def test_conditions_name_values_by_label() -> None:
    matrix = Matrix({"dataset": DATASETS, "C": [1, 2]}, when={"C": {"dataset": ["moons", 64]}})
    assert [("C" in c, c.dataset is MOONS) for c in matrix.configs] == [
        *[(True, True)] * 2, (False, False), *[(True, False)] * 2,
    ]  # fmt: skip


def test_single_tasks_and_defaults_name_values_by_label() -> None:
    parameters = {"dataset": DATASETS, "C": [1]}
    by_label = {"parameters": parameters, "include": [{"dataset": "moons", "C": 5}]}
    by_value = {"parameters": parameters, "include": [{"dataset": MOONS, "C": 5}]}
    assert _keys(by_label) == _keys(by_value)
    assert len(Matrix.of(by_label)) == 4
    assert _keys({**by_label, "defaults": {"dataset": "iris"}}) == _keys(
        {**by_label, "defaults": {"dataset": IRIS}}
    )


def test_a_value_that_is_that_very_text_comes_before_a_label() -> None:
    values = {"a": "b", "b": "c"}
    assert Matrix({"x": values}, exclude=[{"x": "b"}]).config(0).x == "c"
    assert Matrix({"x": values, "y": [0]}, include=[{"x": "b", "y": 1}]).config(2).x == "b"
    assert Matrix({"x": values}, exclude=[{"x": "a"}]).config(0).x == "c"


def test_labelled_values_advance_together() -> None:
    matrix = Matrix(
        {"dataset": {"moons": MOONS, "iris": IRIS}, "noise": [0.1, 0.2]}, zip=[["dataset", "noise"]]
    )
    assert [(c.dataset is MOONS, c.noise) for c in matrix.configs] == [(True, 0.1), (False, 0.2)]


def test_an_unknown_label_is_answered_by_the_nearest() -> None:
    matrix = Matrix({"dataset": DATASETS}, exclude=[{"dataset": "mons"}])
    assert matrix.warnings == ["exclude[0] matches nothing: 'dataset' is never 'mons'. Nearest: 'moons'."]
    with pytest.raises(MatrixError, match=r"include\[0\]\['dataset'\]: .*Did you mean 'moons'"):
        Matrix({"dataset": DATASETS}, include=[{"dataset": "mons"}])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({1: "a"}, "a label is a text, got 1 (int). Write '1': ..."),
        ({None: 1}, "Write 'None': ..."),
        ({0.1: 1}, "Write '0.1': ..., or [{...}] for one value that is a dict"),
        ({"": 1}, "a label must not be empty"),
        ({" ": 1}, "a label must not be empty"),
        ({"\ud800": 1}, "no Unicode text"),
        ({}, "the list is empty"),
    ],
)
def test_what_is_no_label_says_what_to_write(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(MatrixError) as caught:
        Matrix({"size": values})
    assert message in str(caught.value)
    assert str(caught.value).startswith("parameters['size']: ")


def test_two_labels_of_one_value_are_said() -> None:
    matrix = Matrix({"x": {"a": 1, "b": 1}})
    assert matrix.warnings == [
        "parameters['x']: 'a' and 'b' are labels of one value: both stand for the same task, which is shown as 'a'."
    ]
    assert len(set(KeyedTasks(matrix, "e").each_key())) == 1


def test_labels_go_along_with_the_values_of_a_matrix() -> None:
    matrix = Matrix({"dataset": DATASETS, "C": [1, 2]})
    for again in (
        Matrix(matrix.parameters),
        Matrix.of({"parameters": matrix.parameters}),
        matrix.with_parameter("more", [1, 2]),
        copy.deepcopy(matrix),
        pickle.loads(pickle.dumps(matrix)),
    ):
        assert labels_of(again.parameters["dataset"]) == ("moons", "iris", "digits")
        assert labels_of(again.parameters["C"]) == ()
    assert repr(Labelled([1, 2], ["a", ""])) == "{'a': 1, 1: 2}"


def test_the_mapping_stays_as_it_is() -> None:
    declared = {"parameters": {"x": {"a": 1, "b": 2}}, "include": [{"x": "b"}]}
    before = copy.deepcopy(declared)
    Matrix.of(declared).table()
    assert declared == before


YAML = "parameters:\n  f: {sine: !py math:sin, five: 5}\n  C: {small: 0.1}\nexclude: [{f: five}]"
TOML = """
[parameters.f]
sine = "!py math:sin"
five = 5
[parameters.C]
small = 0.1
[[exclude]]
f = "five"
"""
JSON = """{
  "parameters": {"f": {"sine": "!py math:sin", "five": 5}, "C": {"small": 0.1}},
  "exclude": [{"f": "five"}]
}"""


@pytest.mark.parametrize(("name", "text"), [("m.yaml", YAML), ("m.toml", TOML), ("m.json", JSON)])
def test_mappings_in_files_are_labels_too(tmp_path: Path, name: str, text: str) -> None:
    import math

    (tmp_path / name).write_text(text)
    matrix = Matrix.load(tmp_path / name)
    assert list(matrix.configs) == [Config(f=math.sin, C=0.1)]
    assert [labels_of(values) for values in matrix.parameters.values()] == [("sine", "five"), ("small",)]


def test_a_number_as_label_in_a_file_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("parameters:\n  size: {1: 10, 2: 20}")
    with pytest.raises(MatrixError, match=r"m.yaml: parameters\['size'\]: .*Write '1'"):
        Matrix.load(tmp_path / "m.yaml")


def test_a_value_of_two_labels_in_two_grids_is_known_by_both() -> None:
    grids: list[Any] = [{"size": {"small": 10, "large": 99}}, {"size": {"little": 10}, "C": [1]}]
    rules = {"exclude": [{"size": "little", "C": 1}], "include": [{"size": "little", "C": 5}]}
    configs = Matrix.of({"parameters": grids, **rules}).configs
    assert [dict(config) for config in configs] == [{"size": 10}, {"size": 99}, {"size": 10, "C": 5}]
    assert "little" not in str(configs[2])
