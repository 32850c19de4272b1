"""Promises about a table's columns: none is two, none hides another, each has a type that holds all of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.exchange.exported_tasks import Exported
from memento.exchange.table_columns import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    TEXT,
    StoreChanged,
    Table,
    table_of_points,
    table_of_tasks,
)
from memento.values.describe import ITEMS, LargeValue, describe
from tests.exchange.making import task

NAMES = st.sampled_from(
    ["value", "key", "metric", "loss", "metric.loss", "value.loss", "status", "settings.n", "repeat", "a.b"]
)
PLAIN = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3)


def named(*tasks: Exported) -> list[dict[str, Any]]:
    table = table_of_tasks(tasks)
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.lists(texts=False)]


def kinds(*values: Any) -> str:
    columns = table_of_tasks([task(number, value) for number, value in enumerate(values)]).columns
    return {column.name: column.kind for column in columns}["value"]


def test_a_row_says_what_a_task_was_and_came_to() -> None:
    (row,) = named(
        task(1, {"acc": 0.5, "n": 3}, parameters={"lr": 0.1}, settings={"folds": 5}, metrics={"loss": 0.2})
    )
    assert list(row) == [
        "key", "experiment", "lr", "settings.folds", "status", "acc", "n", "loss",
        "runtime", "cpu_time", "memory", "start_time", "attempts", "error",
    ]  # fmt: skip
    assert (row["lr"], row["settings.folds"], row["acc"], row["n"], row["loss"]) == (0.1, 5, 0.5, 3, 0.2)
    assert row["start_time"].isoformat() == "2023-11-14T22:13:20.250000+00:00"


def test_a_name_that_is_taken_gets_its_kind_in_front() -> None:
    (row,) = named(
        task(
            1,
            {"loss": 1, "lr": 2, "key": 3},
            parameters={"lr": 0.1, "status": "x"},
            metrics={"loss": 0.2, "lr": 9.0},
        )
    )
    assert (row["lr"], row["metric.lr"], row["value.lr"]) == (0.1, 9.0, 2)
    assert (row["loss"], row["value.loss"]) == (0.2, 1)
    assert (row["status"], row["result.status"]) == ("x", "done")
    assert (row["key"], row["result.key"]) == (3, task(1).key)


def test_rows_of_several_experiments_stand_in_one_table() -> None:
    first, second = named(
        task(1, 0.5, experiment="a", parameters={"x": 1}), task(2, {"x": 2}, experiment="b")
    )
    assert (first["experiment"], first["x"], first["value"], first["value.x"]) == ("a", 1, 0.5, None)
    assert (second["experiment"], second["x"], second["value"], second["value.x"]) == ("b", None, None, 2)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.dictionaries(NAMES, PLAIN, max_size=3),
            st.dictionaries(NAMES, PLAIN, max_size=3),
            st.dictionaries(NAMES, st.floats(), max_size=3),
            st.recursive(PLAIN, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_two_columns_have_one_name_and_no_value_is_lost(made: list[Any]) -> None:
    tasks = [
        task(number, value, parameters=parameters, settings=settings, metrics=metrics)
        for number, (parameters, settings, metrics, value) in enumerate(made)
    ]
    table = table_of_tasks(tasks)
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    for one, row in zip(tasks, table.lists(texts=False), strict=True):
        told = [repr(cell) for cell in row]
        scalars = [*one.parameters.values(), *one.settings.values(), *one.metrics.values()]
        for scalar in scalars:
            told.remove(repr(scalar))
        if not isinstance(one.value, dict):
            assert repr(one.value) in told


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, None, 2**63 - 1), INTEGER),
        ((1, 0.5), NUMBER),
        ((2**53, 0.5), NUMBER),
        ((2**53 + 1, 0.5), TEXT),
        ((10**400, 0.5), TEXT),
        ((2**63,), TEXT),
        ((True, None, False), BOOLEAN),
        ((True, 1), TEXT),
        ((1, "1"), TEXT),
        (([1],), TEXT),
    ],
)
def test_the_type_of_a_column_holds_all_of_it(values: tuple[Any, ...], kind: str) -> None:
    assert kinds(*values) == kind


def test_a_value_that_items_do_not_show_whole_stands_there_too() -> None:
    (row,) = named(task(1, {"acc": 0.5, "scores": [1, 2], "test": {"f1": 0.7}}))
    assert (row["acc"], row["test.f1"]) == (0.5, 0.7)
    assert row["value"] == {"acc": 0.5, "scores": [1, 2], "test": {"f1": 0.7}}


@pytest.mark.parametrize("items", [ITEMS, ITEMS + 1])
def test_dicts_of_too_many_items_are_cells(items: int) -> None:
    value = {f"n{i}": i for i in range(items)}
    assert table_of_tasks([task(1, value)]).too_many_items == (items > ITEMS)
    table = table_of_tasks([task(1, value), task(2, {"other": 1})])
    assert table.too_many_items
    (row, _) = named(task(1, value), task(2, {"other": 1}))
    assert row["value"] == value
    assert "n0" not in row


def test_where_deep_items_are_too_many_the_others_are_columns() -> None:
    value = {"acc": 0.5, "of": {f"n{i}": i for i in range(ITEMS - 1)}, "in": {"a": 1, "b": 2}}
    (row,) = named(task(1, value))
    assert row["acc"] == 0.5
    assert row["value"] == value
    assert "of.n0" not in row


def test_a_large_value_is_told_by_its_description() -> None:
    from memento.records import Encoded

    shown = describe({"acc": 0.5, "weights": [0.0] * 10})
    large = LargeValue.of(Encoded("pickle", None, "ab.pkl", 20_000, "builtins:dict", shown))
    (row,) = named(task(1, large))
    assert row["acc"] == 0.5
    assert row["value"] == "{acc: 0.5, weights: list of 10 items}, dict of 2 keys, 20 kB"


def test_what_comes_in_between_the_passes_is_not_left_out_silently() -> None:
    rows: list[Any] = [[task(1, {"a": 1})], [task(1, {"b": 1})]]

    class Changing:
        def __iter__(self) -> Any:
            return iter(rows.pop(0))

    table = table_of_tasks(Changing())
    with pytest.raises(StoreChanged, match="nothing was written"):
        list(table.lists(texts=True))


def test_metrics_over_time_have_a_row_a_point() -> None:
    import numpy as np

    one = task(1, parameters={"lr": 0.1, "metric": "acc"}, settings={"n": 5}, repeat=2)
    series = {
        "loss": (np.array([0.0, 1.0]), np.array([0.5, 0.25])),
        "acc": (np.array([1.0]), np.array([2.0])),
    }
    table: Table = table_of_points(lambda: [(one, series)])
    assert [column.name for column in table.columns] == [
        "key", "experiment", "lr", "metric", "repeat", "result.metric", "x", "y",
    ]  # fmt: skip
    assert [row[-3:] for row in table.lists(texts=False)] == [
        ["loss", 0, 0.5],
        ["loss", 1, 0.25],
        ["acc", 1, 2],
    ]


def test_repeats_are_columns_where_there_are_some() -> None:
    assert named(task(1, repeat=0))[0]["repeat"] == 0
    assert "repeat" not in named(task(1))[0]
