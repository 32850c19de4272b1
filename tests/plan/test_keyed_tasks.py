"""Every task of a matrix gets the key that its own parameters, settings and repeat give it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import MatrixError, UnkeyableValue
from memento.keys.task_key import TaskKeys, part, repeat_part, task_digest
from memento.keys.value_digest import digest
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import Encoded
from memento.store.upstream import UpstreamValue


def keyed(**matrix: Any) -> KeyedTasks:
    return KeyedTasks(Matrix.of(matrix), "exp:train")


def keys_of(tasks: KeyedTasks) -> list[bytes]:
    return [tasks.key(number) for number in range(len(tasks))]


values = st.lists(
    st.one_of(st.integers(), st.text(max_size=3), st.floats(allow_nan=False)), min_size=1, max_size=4
)


@pytest.mark.slow
@given(
    parameters=st.dictionaries(st.sampled_from("abc"), values, min_size=1),
    settings=st.dictionaries(st.sampled_from("xyz"), st.integers(), max_size=2),
    repeats=st.integers(1, 3),
)
def test_a_key_is_what_its_parts_say_one_by_one(
    parameters: dict[str, list[Any]], settings: dict[str, int], repeats: int
) -> None:
    tasks = keyed(parameters=parameters, settings=settings, repeats=repeats)
    hasher = TaskKeys("exp:train", [part("s", name, digest(value)) for name, value in settings.items()])
    for number in range(len(tasks)):
        config = tasks.matrix.config(number)
        parts = [part("p", name, digest(config[name])) for name in sorted(config)]
        assert tasks.key(number) == hasher.keys([(*parts, repeat_part(config.repeat))])


@pytest.mark.slow
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    rules=st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1), max_size=3),
    zipped=st.booleans(),
    repeats=st.integers(1, 2),
    more=st.sampled_from([{}, {"when": {"b": {"a": 0}}}, {"include": [{"a": 9}]}]),
)
def test_keys_of_what_is_left_of_a_grid_are_what_their_parts_say_one_by_one(
    sizes: list[int], rules: list[dict[str, int]], zipped: bool, repeats: int, more: dict[str, Any]
) -> None:
    # Not in the order of their names, and with values that a volatile name and a default leave out of the key.
    parameters = {name: list(range(size)) for name, size in zip("dbca", sizes, strict=False)}
    parameters.setdefault("a", [0, 1])
    if zipped:
        parameters["b"] = [0, 0, *range(len(parameters["d"]))][: len(parameters["d"])]
    declared = {
        "parameters": parameters,
        "exclude": [rule for rule in rules if rule.keys() <= parameters.keys()],
        "zip": [["d", "b"]] if zipped else [],
        "defaults": {"a": 1},
        "volatile": ["c"] if "c" in parameters else [],
        "repeats": repeats,
        **more,
    }
    try:
        tasks = keyed(**declared)
    except MatrixError:  # nothing is left
        return
    hasher = TaskKeys("exp:train", [])
    parts_seen = set()
    for number in range(len(tasks)):
        config = tasks.matrix.config(number)
        parts = [
            part("p", n, digest(config[n])) for n in sorted(config) if n != "c" and (n, config[n]) != ("a", 1)
        ]
        assert tasks.key(number) == hasher.key(parts, config.repeat)
        parts_seen.add((*parts, config.repeat))
    assert list(tasks.each_key()) == keys_of(tasks)
    assert not tasks.distinct or len(parts_seen) == len(tasks)


@given(st.permutations(["a", "b", "c"]))
def test_the_order_in_which_parameters_are_written_changes_no_key(order: list[str]) -> None:
    parameters = {"a": [1, 2], "b": ["u", "v"], "c": [0.5]}
    first = keyed(parameters=parameters)
    second = keyed(parameters={name: parameters[name] for name in order})
    assert set(keys_of(first)) == set(keys_of(second))


def test_a_setting_and_a_parameter_of_one_name_and_value_have_different_keys() -> None:
    as_setting = keyed(parameters={"a": [1]}, settings={"lr": 0.1})
    as_parameter = keyed(parameters={"a": [1], "lr": [0.1]})
    assert as_setting.key(0) != as_parameter.key(0)


def test_a_new_parameter_at_its_default_keeps_the_old_keys() -> None:
    before = keyed(parameters={"a": [1, 2]})
    grown = keyed(parameters={"a": [1, 2], "dropout": [0.0, 0.5]}, defaults={"dropout": 0.0})
    assert set(keys_of(before)) < set(keys_of(grown))
    assert len(set(keys_of(grown))) == 4


def test_a_new_setting_at_its_default_keeps_the_old_keys() -> None:
    before = keyed(parameters={"a": [1]})
    grown = keyed(parameters={"a": [1]}, settings={"n_fold": 5}, defaults={"n_fold": 5})
    other = keyed(parameters={"a": [1]}, settings={"n_fold": 6}, defaults={"n_fold": 5})
    assert before.key(0) == grown.key(0) != other.key(0)


def test_a_default_is_compared_by_what_it_is_not_by_equality() -> None:
    before = keyed(parameters={"a": [1]})
    grown = keyed(parameters={"a": [1], "flag": [True]}, defaults={"flag": 1})
    assert before.key(0) != grown.key(0)


def test_volatile_names_are_no_part_of_the_key_and_need_no_identity() -> None:
    plain = keyed(parameters={"a": [1]})
    with_device = keyed(parameters={"a": [1]}, settings={"lock": object()}, volatile=["lock"])
    assert plain.key(0) == with_device.key(0)


def test_a_conditional_parameter_that_is_absent_contributes_nothing() -> None:
    tasks = keyed(parameters={"model": ["svc", "tree"], "C": [1, 10]}, when={"C": {"model": "svc"}})
    alone = keyed(parameters={"model": ["tree"]})
    assert len(tasks) == 3
    assert tasks.key(2) == alone.key(0)


def test_more_repeats_keep_the_keys_of_the_first_ones() -> None:
    once = keyed(parameters={"a": [1, 2]})
    thrice = keyed(parameters={"a": [1, 2]}, repeats=3)
    assert [thrice.key(0), thrice.key(3)] == keys_of(once)
    assert len(set(keys_of(thrice))) == 6


def test_an_upstream_result_is_keyed_by_its_task_not_by_its_value() -> None:
    def upstream(key: bytes, data: bytes) -> UpstreamValue:
        return UpstreamValue(key, "somewhere", Encoded("json", data, None, len(data), "builtins:int"))

    first = keyed(parameters={"up": [upstream(b"k" * 16, b"1")]})
    same_task = keyed(parameters={"up": [upstream(b"k" * 16, b"2")]})
    other_task = keyed(parameters={"up": [upstream(b"l" * 16, b"1")]})
    assert first.key(0) == same_task.key(0) != other_task.key(0)
    assert first.key(0) == TaskKeys("exp:train").key([part("p", "up", task_digest(b"k" * 16, "exp:train"))])


def test_a_value_without_identity_names_its_parameter() -> None:
    with pytest.raises(UnkeyableValue, match=r"parameters\['a'\]\[1\]"):
        keyed(parameters={"a": [1, object()]})


def test_parameters_are_kept_as_readable_json() -> None:
    tasks = keyed(parameters={"model": [dict], "lr": [0.1]})
    (text,) = tasks.params(tasks.places([0])[1])
    assert json.loads(text) == {"model": "builtins:dict", "lr": 0.1}


def test_values_are_numbered_across_parameters() -> None:
    tasks = keyed(parameters={"a": [1, 2], "b": ["u", "v"]})
    ((layout, numbers),) = zip(*tasks.places([3]), strict=False)
    assert tasks.layouts[layout] == ("a", "b")
    assert [tasks.value(number) for number in numbers] == [2, "v"]


@pytest.mark.parametrize(
    "told",
    [
        {"parameters": {"a": [1, 2, 3], "b": ["u", "v"]}, "exclude": [{"a": 2, "b": "v"}]},
        {"parameters": {"a": [1, 2, 3], "b": ["u", "v"]}, "repeats": 3},
        {"parameters": {"a,b": [[1, "u"], [2, "v"]], "c": [True]}},
        {"parameters": {"a": [1, 2], "b": [0.5]}, "include": [{"c": 7}]},
        {"parameters": {}, "repeats": 2},
    ],
    ids=["excluded", "repeats", "together", "included", "no parameters"],
)
def test_many_tasks_are_placed_where_each_one_is(told: dict[str, Any]) -> None:
    tasks = keyed(**told)
    numbers = [*reversed(range(len(tasks))), 0]
    placed = list(zip(*tasks.places(numbers), strict=False))
    assert placed == [next(zip(*tasks.places([number]), strict=False)) for number in numbers]
    assert tasks.keys_of(numbers) == [tasks.key(number) for number in numbers]
    for number, (layout, values) in zip(numbers, placed, strict=True):
        found = dict(zip(tasks.layouts[layout], map(tasks.value, values), strict=True))
        assert found == tasks.matrix.config(number).asdict()
