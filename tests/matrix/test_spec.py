"""What is wrong with a matrix is said before anything runs: where, what, and what would be right."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.matrix import Matrix, generate_configurations

GRID: dict[str, list[Any]] = {"alpha": [0.1, 1.0], "model": ["svc", "tree"]}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"parameter": GRID}, "unknown key 'parameter'. Did you mean 'parameters'?"),
        ({"settings": {}}, "it must contain a 'parameters' key"),
        ({"parameters": [1]}, "parameters: a dict is needed, got [1] (list)"),
        ({"parameters": {"a": "abc"}},
         "parameters['a']: a list of values is needed, got the str 'abc'. Write 'a': ['abc']."),
        ({"parameters": {"a": b"abc"}}, "Write 'a': [b'abc']."),
        ({"parameters": {"a": 3}}, "parameters['a']: a list of values is needed, got the int 3. Write 'a': [3]."),
        ({"parameters": {"a": []}}, "parameters['a']: the list is empty"),
        ({"parameters": {"settings": [1]}}, "'settings' is a reserved parameter name"),
        ({"parameters": {"repeat": [1]}}, "use 'repeats'"),
        ({"parameters": {"asdict": [1]}}, "'asdict' is a reserved parameter name"),
        ({"parameters": {"_dict": [1]}}, "reserved"),
        ({"parameters": {3: [1]}}, "a name must be a string, got 3 (int). Write '3'."),
        ({"parameters": {"": [1]}}, "must not be empty"),
        ({"parameters": GRID, "settings": [1]}, "settings: a dict is needed"),
        ({"parameters": GRID, "settings": {1: 2}}, "settings: a name must be a string"),
        ({"parameters": GRID, "exclude": {"model": "svc"}}, "exclude: a list of rules is needed, got the dict"),
        ({"parameters": GRID, "exclude": [{"modle": "svc"}]},
         "exclude[0]: unknown parameter 'modle'. Did you mean 'model'?"),
        ({"parameters": GRID, "exclude": [{}]}, "exclude[0]: an empty rule would exclude every task"),
        ({"parameters": GRID, "exclude": ["svc"]}, "exclude[0]: a rule is a dict or a callable"),
        ({"parameters": GRID, "include": [{"alhpa": 3}]},
         "include[0]: unknown parameter 'alhpa'. Did you mean 'alpha'?"),
        ({"parameters": GRID, "include": [3]}, "include[0]: a dict is needed"),
        ({"parameters": GRID, "include": [{"get": 3}]}, "reserved"),
        ({"parameters": GRID, "when": {"alpah": {"model": "svc"}}},
         "when: unknown parameter 'alpah'. Did you mean 'alpha'?"),
        ({"parameters": GRID, "when": {"alpha": {"mdl": 1}}}, "when['alpha']: unknown parameter 'mdl'"),
        ({"parameters": GRID, "when": {"alpha": {}}}, "an empty condition holds everywhere"),
        ({"parameters": GRID, "when": {"alpha": []}}, "there is no condition"),
        ({"parameters": GRID, "when": {"alpha": {"model": []}}}, "so it never holds"),
        ({"parameters": GRID, "when": {"alpha": [3]}}, "when['alpha'][0]: a condition is a dict or a callable"),
        ({"parameters": {"a": [1], "b": [1, 2]}, "zip": [["a", "b"]]}, "'a' has 1, 'b' has 2"),
        ({"parameters": GRID, "zip": ["alpha"]}, "Write [['alpha']]"),
        ({"parameters": GRID, "zip": [["alpha", "model"], ["model"]]}, "zip[1]: 'model' is in zip[0] already"),
        ({"parameters": GRID, "zip": [["alpha", "modell"]]}, "Did you mean 'model'?"),
        ({"parameters": GRID, "defaults": {"aplha": 0}},
         "defaults: unknown parameter or setting 'aplha'. Did you mean"),
        ({"parameters": GRID, "volatile": "alpha"}, "Write ['alpha']"),
        ({"parameters": GRID, "settings": {"device": 0}, "volatile": ["devise"]}, "Did you mean 'device'?"),
        ({"parameters": GRID, "repeats": 0}, "a whole number from 1 on is needed, got 0"),
        ({"parameters": GRID, "repeats": True}, "a whole number"),
        ({"parameters": GRID, "repeats": 2.5}, "a whole number"),
        ({"parameters": GRID, "dependencies": "first"}, "Write ['first']"),
    ],
)  # fmt: skip
def test_a_wrong_matrix_says_where_what_and_what_would_be_right(
    declared: dict[str, Any], message: str
) -> None:
    with pytest.raises(MatrixError) as caught:
        Matrix.of(declared)
    assert message in str(caught.value)


def test_a_matrix_that_is_no_dict_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="matrix"):
        generate_configurations([("a", 1)])  # type: ignore[arg-type]  # the fault under test
    with pytest.raises(TypeError, match="matrix"):
        generate_configurations("parameters")  # type: ignore[arg-type]  # the fault under test


def test_an_endless_iterable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import itertools

    monkeypatch.setattr("memento.matrix.values.MAX_VALUES", 100)
    with pytest.raises(MatrixError, match="endless"):
        Matrix({"a": itertools.count()})


def test_an_iterable_that_raises_is_named() -> None:
    def broken() -> Any:
        yield 1
        raise OSError("disk gone")

    with pytest.raises(MatrixTypeError, match=r"parameters\['a'\]: reading it raised OSError: disk gone"):
        Matrix({"a": broken()})


@pytest.mark.parametrize(
    "values",
    [range(3), iter([0, 1, 2]), (i for i in range(3)), np.arange(3), {0: 1, 1: 1, 2: 1}.keys(), {2, 1, 0}],
)
def test_any_iterable_gives_values(values: Any) -> None:
    matrix = Matrix({"a": values})
    assert [c.a for c in matrix.configs] == [0, 1, 2]
    assert len(matrix) == 3


def test_the_users_dicts_stay_as_they_are() -> None:
    parameters = {"a": [1, 2]}
    declared: dict[str, Any] = {"parameters": parameters, "settings": {"s": 1}, "exclude": [{"a": 1}]}
    matrix = Matrix.of(declared)
    matrix.with_parameter("b", [1])
    matrix.settings["t"] = 2
    assert len(matrix) == 1
    assert declared == {"parameters": {"a": [1, 2]}, "settings": {"s": 1}, "exclude": [{"a": 1}]}
    assert declared["parameters"] is parameters


def test_optional_keys_may_be_none_as_an_empty_key_in_yaml_is() -> None:
    keys = (
        "settings",
        "exclude",
        "include",
        "when",
        "zip",
        "defaults",
        "volatile",
        "repeats",
        "id",
        "dependencies",
    )
    assert len(Matrix.of({"parameters": GRID, **dict.fromkeys(keys)})) == 4


@pytest.mark.parametrize(
    ("exclude", "warning"),
    [
        ([{"alpha": 0.11}], "exclude[0] matches nothing: 'alpha' is never 0.11. Nearest: 0.1"),
        ([{"model": "scv"}], "'model' is never 'scv'. Nearest: 'svc'"),
        (
            [{"model": ["scv", "tre"]}],
            "exclude[0] matches nothing: 'model' is never 'scv', 'tre'. Nearest: 'svc'",
        ),
        ([lambda c: c.alpha > 5], "exclude[0] matches nothing"),
    ],
)
def test_a_rule_that_matches_nothing_is_a_warning(exclude: list[Any], warning: str) -> None:
    matrix = Matrix(GRID, exclude=exclude)
    assert len(matrix) == 4
    assert len(matrix.warnings) == 1
    assert warning in matrix.warnings[0]


def test_a_rule_about_a_conditional_parameter_matches_only_where_it_is() -> None:
    matrix = Matrix(GRID, when={"alpha": {"model": "svc"}}, exclude=[{"model": "tree", "alpha": 1.0}])
    assert len(matrix) == 3
    assert "never come together" in matrix.warnings[0]


def test_a_condition_that_never_holds_is_a_warning() -> None:
    matrix = Matrix(GRID, when={"alpha": {"model": "tre"}})
    assert len(matrix) == 2
    assert matrix.warnings == ["when['alpha']: 'model' is never 'tre'. Nearest: 'tree'."]


def test_a_value_listed_twice_is_a_warning() -> None:
    assert "lists 1 twice" in Matrix({"a": [1, 2, 1]}).warnings[0]
    assert Matrix({"a": [1, 1.0, True]}).warnings == []


def test_a_good_matrix_has_no_warnings() -> None:
    assert Matrix(GRID, exclude=[{"alpha": 0.1, "model": "svc"}], repeats=2).warnings == []


def test_a_set_has_the_same_order_in_every_process() -> None:
    code = (
        "from memento.matrix.matrix import Matrix\n"
        "m = Matrix({'a': {'x', 'y', 'zebra', 'b'}, 'b': {(1, 'a'), (2, 'b'), 'c', None}})\n"
        "print([c.asdict() for c in m.configs])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=300,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(printed) == 1


def test_a_warning_names_the_matrix() -> None:
    assert Matrix({"a": [1]}, exclude=[{"a": 2}], id="fit").warnings == [
        "matrix 'fit': exclude[0] matches nothing: 'a' is never 2. Values: 1."
    ]


def test_a_setting_that_stands_for_a_parameter_is_its_default() -> None:
    grids: dict[str, Any] = {"parameters": [{"a": [1]}, {"a": [1], "d": [0, 5]}], "defaults": {"d": 0}}
    with pytest.raises(MatrixError, match=r"defaults\['d'\]: it is 0, and tasks .* have the setting 5"):
        Matrix.of({**grids, "settings": {"d": 5}})
    assert Matrix.of({**grids, "settings": {"d": 0}}).settings == {"d": 0}
    assert Matrix.of({**grids, "settings": {"d": 5}, "volatile": ["d"]}).settings == {"d": 5}
