"""How two values are told apart, and how it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.cli.differences import MADE_WITH, Difference, circumstances, entries, lines, results, same
from tests.cli.test_inspect import STEERING

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DICTS = st.dictionaries(st.text(max_size=3), PLAIN, max_size=4)


@given(PLAIN)
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert same(value, value)
    assert list(results((True, value), (True, value))) == []


@pytest.mark.slow
@given(DICTS, DICTS)
def test_two_dicts_are_the_same_where_no_entry_differs(a: dict[str, Any], b: dict[str, Any]) -> None:
    found = list(entries("result", a, b))
    assert (not found) == same(a, b)
    assert {one.name for one in found} == {
        n for n in a.keys() | b.keys() if n not in a or n not in b or not same(a[n], b[n])
    }


@pytest.mark.slow
@given(DICTS, DICTS)
def test_the_other_way_round_the_same_things_differ(a: dict[str, Any], b: dict[str, Any]) -> None:
    there, back = (sorted(one.name for one in entries("", *pair)) for pair in ((a, b), (b, a)))
    assert there == back


@given(PLAIN, PLAIN)
def test_every_difference_is_one_line(a: Any, b: Any) -> None:
    for one in results((True, a), (True, b)):
        assert not STEERING.search(one.text)
        assert "\n" not in one.text


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (0.1, 0.2, "lr: 0.1 -> 0.2 (+0.1, +100 %)"),
        (-2, -1, "lr: -2 -> -1 (+1, +50 %)"),
        (0, 3, "lr: 0 -> 3 (+3)"),
        (1.0, math.nan, "lr: 1 -> nan"),
        (True, False, "lr: true -> false"),
        ("a\x1b[31m", "b\nc", "lr: a -> b c"),
        (1.0, 1.0 + 1e-12, "lr: 1 -> another one"),
        (None, "x", "lr: null -> x"),
    ],
)
def test_a_difference_reads_well(a: Any, b: Any, told: str) -> None:
    assert Difference("parameters", "lr", a, b).text == told


def test_what_only_one_side_has_is_said_so() -> None:
    assert [one.text for one in entries("", {"a": 1}, {"b": 2})] == ["a: 1 only in A", "b: 2 only in B"]


def test_packages_commit_and_python_are_compared_and_secrets_of_a_diff_are_not_shown() -> None:
    one = {
        "python": "3.11.1 (x)",
        "packages": {"numpy": "1", "a": "1"},
        "git": {"commit": "c1", "diff": "secret"},
    }
    other = {
        "python": "3.11.1 (y)",
        "packages": {"numpy": "2", "a": "1"},
        "git": {"commit": "c2", "diff": "token"},
    }
    found = list(circumstances(one, other))
    assert {one.name for one in found} == {"git commit", "git uncommitted changes", "package numpy"}
    assert {one.part for one in found} == {MADE_WITH}
    assert "secret" not in str(found)


def test_of_many_packages_the_first_are_listed() -> None:
    packages = [{f"p{n}": str(version) for n in range(50)} for version in (1, 2)]
    told = lines(circumstances({"packages": packages[0]}, {"packages": packages[1]}))
    assert len(told) == 14
    assert "38 packages more" in told[-1]
