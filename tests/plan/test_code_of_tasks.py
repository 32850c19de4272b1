"""A task is of the version of the experiment's code and of its own values' code, and of nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.keys.code_versions import CodeVersion, combined
from memento.matrix.matrix import Matrix
from memento.plan import code_of_tasks as module
from memento.plan.code_of_tasks import TaskVersions, task_versions
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import Past, make_plan


class Coded:
    """A value that brings code, of which the test says the version."""

    def __init__(self, name: str, version: int = 1) -> None:
        self.name, self.version = name, version

    def __memento_key__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coded) and self.__memento_key__() == other.__memento_key__()

    def __hash__(self) -> int:
        return hash(self.name)


def code(name: str, version: int) -> CodeVersion:
    return CodeVersion({f"project:{name}": {str(version): f"def {name}(): return {version}"}})


def value_code(value: Any) -> CodeVersion | None:
    return code(value.name, value.version) if isinstance(value, Coded) else None


@pytest.fixture(autouse=True, scope="module")
def told_code() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "value_code", value_code)
        patch.setattr(module, "code_version", lambda _: code("experiment", 1))
        yield


def experiment(context: Any, config: Any) -> None: ...


PLAIN = st.integers(0, 5)
NAMES = "abc"


@st.composite
def grids(draw: st.DrawFn) -> dict[str, Any]:
    """Grids whose parameters have plain values, values with code, or both; with conditions and repeats."""
    parameters: dict[str, list[Any]] = {}
    for name in NAMES[: draw(st.integers(1, 3))]:
        plain: list[Any] = draw(st.lists(PLAIN, unique=True, max_size=3))
        coded: list[Any] = [Coded(f"{name}{i}") for i in range(draw(st.integers(0, 3)))]
        shared = [Coded("shared")] if draw(st.booleans()) else []
        parameters[name] = draw(st.permutations([*plain, *coded, *shared] or [0]))
    declared: dict[str, Any] = {"parameters": parameters, "repeats": draw(st.integers(1, 2))}
    if len(parameters) > 1 and draw(st.booleans()):
        declared["when"] = {"b": {"a": parameters["a"][0]}}
    if draw(st.booleans()):
        declared["settings"] = {"s": Coded("setting")}
    return declared


def place(found: TaskVersions, number: int) -> int:
    return found.of[number] if found.of is not None else 0


def versions_of(declared: dict[str, Any]) -> tuple[KeyedTasks, TaskVersions]:
    tasks = KeyedTasks(Matrix.of(declared), "exp:train")
    return tasks, task_versions(tasks, experiment)


def by_key(declared: dict[str, Any]) -> dict[bytes, bytes]:
    tasks, found = versions_of(declared)
    return {tasks.key(n): found.versions[place(found, n)].digest for n in range(len(tasks))}


def changed(declared: dict[str, Any], change: Callable[[list[Any]], list[Any]]) -> dict[str, Any]:
    return declared | {"parameters": {n: change(list(v)) for n, v in declared["parameters"].items()}}


def holds(value: Any, config: Any) -> bool:
    return any(isinstance(v, Coded) and v.name == value for v in config._dict.values())


@pytest.mark.slow
@given(grids())
def test_a_tasks_version_is_the_experiments_combined_with_those_of_its_values(
    declared: dict[str, Any],
) -> None:
    tasks, found = versions_of(declared)
    settings = [code("setting", 1)] if "settings" in declared else []
    for number in range(len(tasks)):
        codes = [c for v in tasks.matrix.config(number)._dict.values() if (c := value_code(v)) is not None]
        expected = combined([code("experiment", 1), *settings, *codes])
        version, parts = found.versions[place(found, number)], found.parts[place(found, number)]
        assert version == expected
        assert combined(parts) == expected


@pytest.mark.slow
@given(grids(), st.data())
def test_an_edit_to_one_values_code_changes_the_tasks_that_hold_it_and_no_others(
    declared: dict[str, Any], data: st.DataObject
) -> None:
    coded = [v for values in declared["parameters"].values() for v in values if isinstance(v, Coded)]
    if not coded:
        return
    edited = data.draw(st.sampled_from(coded)).name
    later = changed(declared, lambda values: [Coded(edited, 2) if repr(v) == edited else v for v in values])
    before, after = by_key(declared), by_key(later)
    tasks, _ = versions_of(declared)
    assert before.keys() == after.keys()
    for number in range(len(tasks)):
        key = tasks.key(number)
        assert (before[key] != after[key]) == holds(edited, tasks.matrix.config(number))


@pytest.mark.slow
@given(grids(), st.data())
def test_values_that_come_and_go_change_no_other_tasks_version(
    declared: dict[str, Any], data: st.DataObject
) -> None:
    def change(values: list[Any]) -> list[Any]:
        more = [*values, *data.draw(st.lists(st.sampled_from([Coded("new"), 7, "text"]), max_size=2))]
        kept = data.draw(st.lists(st.sampled_from(more), min_size=1, unique_by=repr))
        # A condition names the first value; the order of the others is free.
        return [values[0], *(v for v in kept if v is not values[0])]

    before, after = by_key(declared), by_key(changed(declared, change))
    assert all(after[key] == digest for key, digest in before.items() if key in after)


@pytest.mark.slow
@given(grids(), st.data())
def test_a_plan_sees_of_each_task_whether_its_row_is_of_its_own_version(
    declared: dict[str, Any], data: st.DataObject
) -> None:
    tasks, found = versions_of(declared)
    current = [{10 * v, 10 * v + 1} for v in range(len(found.versions))]
    ids = [data.draw(st.integers(0, 10 * len(current))) for _ in range(len(tasks))]
    past = Past([([tasks.key(n)], [n + 1], [True], [ids[n]]) for n in range(len(tasks))])
    latest = {tasks.key(n): ids[n] for n in range(len(tasks))}
    plan = make_plan(tasks, past, current=current, versions=found.of, rerun_changed=True)
    stale = [n for n in range(len(tasks)) if latest[tasks.key(n)] not in current[place(found, n)]]
    assert [n for n in range(len(tasks)) if not plan.cached[n]] == stale
    assert sum(plan.stale_codes.values()) == len(stale)
    assert set(plan.stale_codes) == {(latest[tasks.key(n)], place(found, n)) for n in stale}


def test_a_plain_grid_has_one_version_and_no_number_a_task() -> None:
    tasks = KeyedTasks(Matrix.of({"parameters": {"a": list(range(10)), "b": ["x", None]}}), "exp:train")
    assert task_versions(tasks, experiment).of is None


@pytest.mark.parametrize("value", [np.float64(0.5), np.int8(1), np.str_("a"), np.datetime64("2026-01-01"), Path("a"),
                                   Decimal(1), date(2026, 1, 1)])  # fmt: skip
def test_the_code_of_values_that_can_hold_none_is_not_looked_for(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "value_code", None)
    assert versions_of({"parameters": {"a": [value, 1]}, "settings": {"s": value}})[1].of is None


def test_values_that_bring_the_same_code_are_of_one_version() -> None:
    class Same(Coded):
        def __memento_key__(self) -> str:
            return f"{self.name}{id(self)}"

    _, found = versions_of({"parameters": {"a": [Same("model") for _ in range(50)], "b": [1, 2]}})
    assert len(found.versions) == 1


def test_code_that_the_experiment_has_anyway_makes_no_version_of_its_own() -> None:
    _, found = versions_of({"parameters": {"a": [Coded("experiment"), 1]}})
    assert len(found.versions) == 1


def test_the_code_of_volatile_values_counts_as_little_as_the_values() -> None:
    declared = {"parameters": {"a": [1], "device": [Coded("gpu"), Coded("cpu")]}, "volatile": ["device"]}
    _, found = versions_of(declared)
    assert [version.digest for version in found.versions] == [code("experiment", 1).digest]
