"""A list of grids is the union of their products, as a plain walk over all of them finds it."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import MatrixError
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks

NAMES = ("a", "b", "c", "d")
VALUES = [0, 1, 1.0, "x", [0, 1]]  # a list among them, and values that are equal and not the same


def shown(matrix: Matrix) -> list[dict[str, Any]]:
    return [config.asdict() for config in matrix.configs]


def marked(value: Any) -> str:
    return repr(value)


def holds(rule: dict[str, Any], task: dict[str, Any], values: dict[str, list[Any]]) -> bool:
    """Tell whether a task has all that a rule names; a list means any of its values, unless it is one itself."""
    for name, wanted in rule.items():
        known = [marked(value) for value in values[name]]
        several = isinstance(wanted, list) and marked(wanted) not in known
        accepted = [marked(one) for one in (wanted if several else [wanted])]
        if name not in task or marked(task[name]) not in accepted:
            return False
    return True


def naive(declared: dict[str, Any]) -> list[dict[str, Any]]:
    values: dict[str, list[Any]] = {}
    for grid in declared["parameters"]:
        for name, own in grid.items():
            values.setdefault(name, []).extend(own)
    tasks: list[dict[str, Any]] = []
    for grid in declared["parameters"]:
        for slots in itertools.product(*(range(len(own)) for own in grid.values())):
            place = dict(zip(grid, slots, strict=True))
            members = [n for group in declared["zip"] for n in group if n in grid]
            if len({place[n] for n in members}) > 1:
                continue
            task = {name: grid[name][slot] for name, slot in place.items()}
            for name, condition in declared["when"].items():
                if name in task and not holds(condition, task, values):
                    del task[name]
            if not any(holds(rule, task, values) for rule in declared["exclude"]):
                tasks.append(task)
    tasks += declared["include"]
    told: dict[Any, dict[str, Any]] = {}
    for task in tasks:
        told.setdefault(tuple(sorted((name, marked(value)) for name, value in task.items())), task)
    return [task for task in told.values() for _ in range(declared["repeats"])]


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    column = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique_by=marked)
    names = st.lists(st.sampled_from(NAMES), unique=True, max_size=3)
    grids = [{name: draw(column) for name in draw(names)} for _ in range(draw(st.integers(1, 4)))]
    there = sorted({name for grid in grids for name in grid})
    if not there:
        grids[0]["a"] = draw(column)
        there = ["a"]
    groups = []
    if len(there) > 1 and draw(st.booleans()):
        first, second = there[:2]
        for grid in grids:
            if first in grid and second in grid:
                grid[second] = [f"{second}{i}" for i in range(len(grid[first]))]
        groups = [[first, second]]
    value = st.sampled_from(VALUES) | st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)
    rule = st.dictionaries(st.sampled_from(there), value, min_size=1, max_size=3)
    when = {}
    if len(there) > 2 and draw(st.booleans()):
        when = {there[2]: {there[0]: draw(value)}}
    task = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=3)
    return {
        "parameters": grids,
        "zip": groups,
        "when": when,
        "exclude": draw(st.lists(rule, max_size=2)),
        "include": draw(st.lists(task, max_size=2)),
        "repeats": draw(st.integers(1, 2)),
    }


def plain(tasks: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(task, sort_keys=True) for task in tasks]


@pytest.mark.slow
@settings(deadline=None)
@given(matrices())
def test_a_list_of_grids_has_the_tasks_that_a_plain_walk_finds(declared: dict[str, Any]) -> None:
    expected = naive(declared)
    if not expected:
        with pytest.raises(MatrixError, match="nothing is left"):
            len(Matrix.of(declared))
        return
    matrix = Matrix.of(declared)
    found = shown(matrix)
    if declared["when"]:  # where a parameter is absent the task comes first among its like
        assert sorted(plain(found)) == sorted(plain(expected))
    else:
        assert plain(found) == plain(expected)
    table = matrix.table()
    slots = [table.slots(row) for row in range(table.rows)]
    assert table.columns.tolist() == slots
    assert [table.row(row) for row in range(table.rows) for _ in range(table.repeats)] == found


@pytest.mark.slow
@settings(deadline=None)
@given(matrices())
def test_keys_are_those_of_the_same_tasks_declared_one_by_one(declared: dict[str, Any]) -> None:
    tasks = naive(declared)
    if not tasks:
        return
    keys = KeyedTasks(Matrix.of(declared), "e").keys
    single = KeyedTasks(
        Matrix(include=naive({**declared, "repeats": 1}), repeats=declared["repeats"]), "e"
    ).keys
    cut = [{both[i : i + 16] for i in range(0, len(both), 16)} for both in (keys, single)]
    assert cut[0] == cut[1]
    assert len(keys) == len(single) == 16 * len(cut[0])


def toml(value: Any) -> str:
    """Write plain values as TOML does, in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {toml(one)}' for name, one in value.items())}}}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


@pytest.mark.slow
@settings(deadline=None)
@given(matrices())
def test_every_format_gives_the_same_matrix(declared: dict[str, Any]) -> None:
    lines = [f"{key} = {toml(value)}" for key, value in declared.items()]
    texts = {"json": json.dumps(declared), "yaml": json.dumps(declared, indent=1), "toml": "\n".join(lines)}
    with tempfile.TemporaryDirectory() as folder:
        for suffix, text in texts.items():
            path = Path(folder) / f"m.{suffix}"
            path.write_text(text)
            assert Matrix.of(path).spec == Matrix.of(declared).spec == Matrix(**declared).spec


GRIDS: list[dict[str, list[Any]]] = [
    {"model": ["svc"], "C": [1, 10], "seed": [0, 1]},
    {"model": ["tree"], "depth": [3], "seed": [0, 1]},
]
YAML = """\
parameters:
  - {model: [svc], C: [1, 10], seed: [0, 1]}
  - {model: [tree], depth: [3], seed: [0, 1]}
exclude: [{C: [1, 100], seed: 1}]
"""
TOML = """\
exclude = [{C = [1, 100], seed = 1}]
[[parameters]]
model = ["svc"]
C = [1, 10]
seed = [0, 1]
[[parameters]]
model = ["tree"]
depth = [3]
seed = [0, 1]
"""


def test_files_and_python_give_the_same_tasks(tmp_path: Path) -> None:
    expected = [
        {"model": "svc", "C": 1, "seed": 0}, {"model": "svc", "C": 10, "seed": 0}, {"model": "svc", "C": 10, "seed": 1},
        {"model": "tree", "depth": 3, "seed": 0}, {"model": "tree", "depth": 3, "seed": 1},
    ]  # fmt: skip
    exclude = [{"C": [1, 100], "seed": 1}]
    written = json.dumps({"parameters": GRIDS, "exclude": exclude})
    for name, text in (("m.yaml", YAML), ("m.toml", TOML), ("m.json", written)):
        (tmp_path / name).write_text(text)
    declared: dict[str, Any] = {"parameters": GRIDS, "exclude": exclude}
    ways: list[Any] = [declared, Matrix(GRIDS, exclude=exclude), *sorted(tmp_path.iterdir())]
    for given_as in ways:
        assert plain(shown(Matrix.of(given_as))) == plain(expected)
        assert Matrix.of(given_as).warnings == ["exclude[0]: 'C' is never 100. Nearest: 10."]


def test_one_grid_in_a_list_is_that_grid() -> None:
    assert Matrix([{"a": [1, 2]}]).spec == Matrix({"a": [1, 2]}).spec
    assert shown(Matrix([{}])) == [{}]
    assert shown(Matrix([{"a": [1]}, {}])) == [{"a": 1}, {}]


def test_what_is_said_of_parameters_holds_in_every_grid_that_has_them() -> None:
    matrix = Matrix(
        [*GRIDS, {"model": ["svc", "tree"], "kernel": ["rbf", "linear"], "C": [5, 7]}],
        when={"kernel": {"model": "svc"}, "C": {"model": ["svc", "mlp"]}},
        defaults={"depth": 3},
        volatile=["seed"],
        exclude=[lambda c: c.get("C") == 10],
    )
    assert {(t["model"], t.get("kernel"), t.get("C")) for t in shown(matrix)} == {
        ("svc", None, 1), ("tree", None, None), ("svc", "rbf", 5), ("svc", "rbf", 7),
        ("svc", "linear", 5), ("svc", "linear", 7),
    }  # fmt: skip
    assert matrix.warnings == ["when['C']: 'model' is never 'mlp'. Values: 'svc', 'tree'."]
    assert (
        repr(matrix)
        == "Matrix([model: 1, C: 2, seed: 2], [model: 1, depth: 1, seed: 2], [model: 2, kernel: 2, C: 2])"
    )


def test_parameters_that_advance_together_do_so_in_each_grid() -> None:
    grids = [{"h": [1, 2], "lr": [3, 4]}, {"h": [5], "lr": [6]}, {"lr": [7, 8]}]
    assert shown(Matrix(grids, zip=[["h", "lr"]])) == [
        {"h": 1, "lr": 3}, {"h": 2, "lr": 4}, {"h": 5, "lr": 6}, {"lr": 7}, {"lr": 8},
    ]  # fmt: skip
    with pytest.raises(MatrixError, match=r"'h' has 1, 'lr' has 2 \(in parameters\[1\]\)"):
        Matrix([grids[0], {"h": [5], "lr": [6, 7]}], zip=[["h", "lr"]])


@pytest.mark.parametrize(
    ("exclude", "warnings"),
    [
        ([{"C": 1}], []),
        (
            [{"model": "tree", "C": 1}],
            ["exclude[0] matches nothing: its values never come together in a task."],
        ),
        ([{"C": 1, "depth": 3}], ["exclude[0] matches nothing: its values never come together in a task."]),
        ([{"depth": 4}], ["exclude[0] matches nothing: 'depth' is never 4. Values: 3."]),
        ([{"model": ["svc", "tre"], "seed": 1}], ["exclude[0]: 'model' is never 'tre'. Nearest: 'tree'."]),
        ([lambda c: c.get("depth") == 3], []),
        ([{"model": ["svc", "tree"], "seed": range(1, 2)}], []),
    ],
)
def test_a_rule_is_warned_where_it_matches_nothing_in_any_grid(
    exclude: list[Any], warnings: list[str]
) -> None:
    assert Matrix(GRIDS, exclude=exclude).warnings == warnings


def test_results_of_another_matrix_are_a_parameter_of_each_grid() -> None:
    matrix = Matrix(GRIDS, dependencies=["up"], exclude=[{"up": ["x", "z"], "model": "tree"}])
    grown = matrix.with_parameter("up", ["x", "y"])
    assert len(grown) == 4 * 2 + 2
    assert [t["up"] for t in shown(grown)][:2] == ["x", "y"]
    assert matrix.warnings == []
    assert shown(Matrix(dependencies=["up"]).with_parameter("up", [1, 2])) == [{"up": 1}, {"up": 2}]


def test_only_single_tasks_need_no_parameters(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("include:\n  - {a: 1}\n  - {a: 2, b: 3}\n  - {a: 1}\n")
    for matrix in (Matrix(include=[{"a": 1}, {"a": 2, "b": 3}, {"a": 1}]), Matrix.of(tmp_path / "m.yaml")):
        assert shown(matrix) == [{"a": 1}, {"a": 2, "b": 3}]
        assert matrix.warnings == ["include[2] (a=1) is the same as include[0]: it is left out."]
    with pytest.raises(MatrixError, match="must contain a 'parameters' key"):
        Matrix.of({"include": []})


def test_tasks_of_more_parameters_than_one_number_holds_are_told_apart() -> None:
    wide = {f"p{i}": [0, *range(2, 20)] if i < 3 else [i] for i in range(70)}
    matrix = Matrix([wide, {**wide, "p69": [69, 70]}])
    assert len(matrix) == 2 * 19**3
    assert np.array_equal(matrix.table().columns[: 19**3], Matrix(wide).table().columns)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([], "parameters: a dict is needed, got [] (list)."),
        ([{"a": [1]}, 3], "parameters: a dict is needed, got [{'a': [1]}, 3] (list)."),
        ([{"a": [1]}, {"a": "x"}], "parameters[1]['a']: a list of values is needed, got the str 'x'."),
        ([{"a": [1]}, {"a": []}], "parameters[1]['a']: the list is empty"),
        ([{"a": [1]}, {"settings": [1]}], "parameters[1]: 'settings' is a reserved parameter name"),
        ([{"a": 1, "b": 2}, {"a": 2, "b": 1}],
         "each of these dicts is a single task: no parameter has a list of values. Write {'include': [{"),
        ([{"a": [1]}, {"parameters": {"b": [1]}}], "Write Matrix.of(matrix)."),
    ],
)  # fmt: skip
def test_a_wrong_list_of_grids_says_what_would_be_right(parameters: list[Any], message: str) -> None:
    with pytest.raises(MatrixError) as told:
        Matrix(parameters)
    assert message in str(told.value)


def test_a_label_names_its_value_in_every_grid() -> None:
    grids: list[dict[str, Any]] = [
        {"size": [10, 20], "a": [1]},
        {"size": {"small": 10, "large": 1000}, "a": [1, 2]},
    ]
    matrix = Matrix(grids, exclude=[{"size": ["small", 20]}])
    assert shown(matrix) == [{"size": 1000, "a": 1}, {"size": 1000, "a": 2}]
    assert shown(Matrix(grids, exclude=[lambda c: c.a], include=[{"size": "large"}])) == [{"size": 1000}]
    with pytest.raises(MatrixError, match=r"parameters\['size'\]: 'small' is the label of two values"):
        Matrix([*grids, {"size": {"small": 11}}])
