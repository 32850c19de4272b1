"""What the readable text of values promises."""

from __future__ import annotations

import collections
import enum
import functools
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.keys.readable import described, json_fragment, outline

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


class Color(enum.Enum):
    RED = 1


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.slow
@given(anything, st.integers(40, 3000))
def test_it_is_valid_json_within_its_limit(value: Any, limit: int) -> None:
    text = json_fragment(value, limit)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(text) <= limit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (3, "3"), (0.5, "0.5"), ("naïve", '"naïve"'), (float("nan"), '"nan"'),
        (float("-inf"), '"-inf"'), ([1, (2,)], "[1, [2]]"), ({"a": {1: 2}}, '{"a": {"1": 2}}'),
        (np.float64(0.1), "0.1"), (np.int64(3), "3"), (np.bool_(True), "true"), (dict, '"builtins:dict"'),
        (len, '"builtins:len"'),
        (collections.OrderedDict, '"collections:OrderedDict"'), (json.dumps, '"json:dumps"'),
        (pathlib.PurePosixPath("a/b"), '"a/b"'), (Color.RED, '"tests/keys/test_readable.py:Color.RED"'),
        (functools.partial(json.dumps, indent=2), '"json:dumps(indent=2)"'),
    ],
)  # fmt: skip
def test_plain_values_show_as_themselves_and_names_as_names(value: Any, text: str) -> None:
    assert json_fragment(value) == text


def test_arrays_and_frames_show_their_shape_and_are_told_apart() -> None:
    one, two = json_fragment(np.zeros((3, 4))), json_fragment(np.ones((3, 4)))
    assert one.startswith('"array float64 (3, 4) #')
    assert one != two
    assert json_fragment(pd.DataFrame({"a": [1]})).startswith('"DataFrame (1, 1) #')


def test_estimators_show_their_parameters() -> None:
    pytest.importorskip("sklearn")
    from sklearn.svm import SVC

    assert json_fragment(SVC(C=10)) == '"SVC(C=10)"'


def test_values_whose_text_is_cut_off_are_still_told_apart() -> None:
    assert json_fragment(list(range(1000))) != json_fragment([*range(999), 0])
    assert json_fragment(lambda: 1) != json_fragment(lambda: 2)
    assert json_fragment("x" * 5000) != json_fragment("x" * 4999 + "y")


@pytest.mark.parametrize("value", [Rude(), [Rude()], object(), "\ud800", 10**400, {(1, 2): Rude}])
def test_nothing_raises(value: Any) -> None:
    json.loads(json_fragment(value))


def test_a_value_is_called_by_its_name_and_that_of_its_module() -> None:
    assert described(collections.OrderedDict) == ("OrderedDict", "collections")
    assert described((64, 64)) == ("(64, 64)", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(3), "array([0, 1, 2])"),
        (np.zeros((1000, 2)), "array 1000x2 float64"),
        ((np.zeros((1000, 2)), np.arange(1000)), "(array 1000x2 float64, array 1000 int64)"),
        ({"X": [np.zeros(10)], "n": 2}, "{X: [array 10 float64], n: 2}"),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), "DataFrame 2x2"),
        (np.zeros((1000, 2), np.float32)[:, :0], "array([], shape=(1000, 0), dtype=float32)"),
    ],
)
def test_data_are_called_by_their_shape(value: Any, text: str) -> None:
    assert described(value).text == text


def test_what_raises_when_it_is_looked_at_has_a_name_all_the_same() -> None:
    class Odd(dict[str, int]):
        def items(self) -> Any:
            raise ValueError

        @property
        def shape(self) -> Any:
            raise ValueError

    assert described(Odd()).text == "{}"


def test_one_line_tells_whether_all_of_a_value_is_there() -> None:
    assert outline({"lr": [0.1, len]}) == ("{'lr': [0.1, builtins:len]}", True)
    assert outline(list(range(1000)))[1] is False
