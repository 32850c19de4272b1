"""The values of parameters are kept once, in the matrix's order, each with readable JSON of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.index.declared_values import Declared, Item, items_of, joined, merged
from memento.keys.readable import json_fragment
from memento.keys.value_digest import digest
from memento.records import RunInfo
from memento.store.store import Store


def plain(*values: object) -> list[str]:
    return [json_fragment(value) for value in values]


def declare(
    path: Path, *axes: tuple[str, list[Any]], keys: bytes = b"", follows: bool = True
) -> list[list[str]]:
    with Store.open(path) as store:
        run = store.begin(RunInfo("exp:run", 1, "{}", "", "host", 1, "then", "boot", (), {}))
        given = [
            Declared(
                name,
                [value if isinstance(value, str) else value.fragment for value in values],
                {place: value for place, value in enumerate(values) if isinstance(value, Item)},
            )
            for name, values in axes
        ]
        fragments = [list(texts) for texts in run.declare(given, keys, follows)]
        run.finish("done", {})
    return fragments


def known(path: Path) -> dict[str, list[object]]:
    with Store.open(path, readonly=True) as store:
        return {name: [value for value, _ in values] for name, values in store.index.axes("exp:run")}


def test_values_and_names_stand_in_the_matrix_order(tmp_path: Path) -> None:
    declare(tmp_path / "s", ("model", plain("c", "a", "b")), ("k", plain(10, 1)))
    assert known(tmp_path / "s") == {"model": ["c", "a", "b"], "k": [10, 1]}
    assert list(known(tmp_path / "s")) == ["model", "k"]


def test_a_later_run_orders_what_it_has_and_keeps_the_rest(tmp_path: Path) -> None:
    declare(tmp_path / "s", ("model", plain("c", "a", "b")))
    declare(tmp_path / "s", ("lr", plain(0.1)), ("model", plain("b", "a", "d")))
    assert known(tmp_path / "s") == {"lr": [0.1], "model": ["c", "b", "a", "d"]}


def test_two_values_never_have_one_text(tmp_path: Path) -> None:
    first, second = Item('"f()"', "f()", "m", b"1" * 16), Item('"f()"', "f()", "m", b"2" * 16)
    assert declare(tmp_path / "s", ("p", [first])) == [['"f()"']]
    assert declare(tmp_path / "s", ("p", [second, first])) == [['"f() #32323232"', '"f()"']]
    assert declare(tmp_path / "s", ("p", [second])) == [['"f() #32323232"']]
    (mark,) = declare(tmp_path / "s", ("p", plain("f()")))[0]
    assert mark == f'"f() #{digest("f()").hex()[:8]}"'
    assert known(tmp_path / "s") == {"p": ["f() #32323232", "f()", json.loads(mark)]}


def test_an_order_is_kept_only_where_values_do_not_tell_it(tmp_path: Path) -> None:
    keys = [bytes([i]) * 16 for i in range(4)]

    def order() -> bytes:
        with Store.open(tmp_path / "s", readonly=True) as store:
            return store.index.order("exp:run")

    declare(tmp_path / "s", keys=keys[1] + keys[0], follows=False)
    assert order() == keys[1][:8] + keys[0][:8]
    declare(tmp_path / "s", keys=keys[2] + keys[3])
    assert order() == keys[1][:8] + keys[0][:8]
    declare(tmp_path / "s", keys=keys[0] + keys[1])
    assert order() == b""


LISTS = st.lists(st.integers(0, 9), unique=True)


@given(LISTS, LISTS)
def test_merging_keeps_all_and_the_newer_order(old: list[int], new: list[int]) -> None:
    both = merged(old, new)
    assert sorted(both) == sorted({*old, *new})
    assert [one for one in both if one in new] == new
    only_old = [one for one in old if one not in new]
    assert [one for one in both if one in only_old] == only_old
    assert merged(both, new) == both


ITEMS = st.dictionaries(st.integers(0, 5), st.sampled_from(["", "a", "b", "c"]), max_size=5)


@given(ITEMS, ITEMS, st.booleans())
def test_a_label_has_one_value_and_the_latest_word(
    before: dict[int, str], now: dict[int, str], says_labels: bool
) -> None:
    def axis(labels: dict[int, str], says: bool) -> Declared:
        told = {place: Item(str(n), label=label) for place, (n, label) in enumerate(labels.items()) if label}
        return Declared("p", [str(n) for n in labels], told, says)

    rows = joined([], [axis(before, True)])[1]
    (_, text) = joined(rows, [axis(now, says_labels)])[1][0]
    items = items_of(text)
    labels = [item.label for item in items if item.label]
    assert len(set(labels)) == len(labels)
    assert sorted(int(item.fragment) for item in items) == sorted({*before, *now})
    found = {item.fragment: item.label for item in items if item.label}
    first = dict(reversed([(label, n) for n, label in (now if says_labels else before).items() if label]))
    assert {label: n for n, label in found.items()}.items() >= {
        label: str(n) for label, n in first.items()
    }.items()
    if says_labels:
        assert all(now[n] == found.get(str(n), "") for n in now if now[n] == "" or first.get(now[n]) == n)


@pytest.mark.parametrize(
    "text",
    ["", "x", "[[1]]", "{}", "[[1, 2, 3, 4]]", '{"labels": {"a": 1}, "values": [1]}', '{"labels": 1}', "7"],
)
def test_a_row_that_makes_no_sense_tells_nothing(text: str) -> None:
    assert items_of(text) == []
