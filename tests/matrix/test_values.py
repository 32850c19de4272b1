"""What rules promise: values are one where keys take them for one, whatever `==` says."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memento import Matrix
from memento.matrix.values import Values, equal


class Name(str, enum.Enum):
    A = "a"


class SaysYes:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Raises:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")


ONE: list[tuple[Any, Any]] = [
    (1, np.int8(1)), (0.5, np.float32(0.5)), (True, np.bool_(True)), ("a", np.str_("a")),
    (float("nan"), np.float64("nan")), (None, None),
    (np.arange(3), np.arange(3)), (pd.Series([1]), pd.Series([1])), ([np.arange(2)], [np.arange(2)]),
    ({"a": {1, 2}}, {"a": {2, 1}}), (Raises(), Raises()), (Name.A, Name.A), (dict, dict),
]  # fmt: skip
TWO: list[tuple[Any, Any]] = [
    (1, 1.0), (1, True), (0, False), (0.0, False), (0.0, -0.0), ("a", Name.A), ("1", 1), (None, 0), ((1,), [1]),
    (np.arange(3), [0, 1, 2]), (np.arange(3), np.arange(3.0)), (1, SaysYes()), (SaysYes(), 1), (Raises(), 1),
    (b"a", "a"), ([1], [True]), ({"a": 1}, {"a": 1.0}), (pd.Series([1]), pd.Series([2])), (object(), object()),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), ONE, ids=range(len(ONE)))
def test_what_is_one_value_to_keys_is_one_to_rules(a: Any, b: Any) -> None:
    assert equal(a, b)
    assert Values([b, "other"]).slots(a) == [0]
    assert Values([b, b]).slots(a) == [0, 1]


@pytest.mark.parametrize(("a", "b"), TWO, ids=range(len(TWO)))
def test_what_are_two_values_to_keys_are_two_to_rules(a: Any, b: Any) -> None:
    assert not equal(a, b)
    assert Values([b]).slots(a) == []
    assert Values([b, "other"]).slots(a) == []


def test_what_cannot_be_keyed_equals_itself() -> None:
    value = object()
    assert Values([object(), value]).slots(value) == [1]


@pytest.mark.parametrize("wanted", [0, 0.0, False])
def test_numbers_of_three_kinds_are_told_apart_by_every_rule(wanted: Any) -> None:
    values = [0, 0.0, False, np.int64(0), np.float64(0), np.bool_(False)]
    kept = [type(config.x) for config in Matrix({"x": values}, exclude=[{"x": wanted}]).configs]
    assert [kind for kind in kept if kind is type(wanted)] == []
    assert len(kept) == 4
    varied = Matrix({"x": values[:3], "y": [1, 2]}, when={"y": {"x": wanted}})
    assert [type(config.x) for config in varied.configs if "y" in config] == [type(wanted)] * 2


def test_included_tasks_are_compared_as_keys_are() -> None:
    matrix = Matrix({"x": [1]}, include=[{"x": True}, {"x": 1.0}, {"x": np.int8(1)}])
    assert [config.x for config in matrix.configs] == [1, True, 1.0]
    assert len(matrix.warnings) == 1


def test_a_number_of_numpy_that_is_listed_beside_its_like_is_noted() -> None:
    assert "twice" in Matrix({"x": [0, np.int64(0)]}).warnings[0]


def test_members_of_a_zip_group_may_share_a_condition_on_an_array() -> None:
    condition = {"w": np.arange(3)}
    matrix = Matrix(
        {"w": [np.arange(3), np.zeros(3)], "a": [1, 2], "b": [3, 4]},
        zip=[["a", "b"]],
        when={"a": condition, "b": {"w": np.arange(3)}},
    )
    assert len(matrix) == 3


def test_a_label_means_all_that_is_its_value() -> None:
    values = Values([1, 2, 1], ["one", "two", "uno"])
    assert [values.slots(name) for name in ("one", "uno", "two", 1)] == [[0, 2], [0, 2], [1], [0, 2]]
