"""Values that are files: frames and lists say what they are, and open none of them."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memento
from memento import Memento, Results
from memento.cli.choosing import Wanted
from memento.cli.ls import print_tasks
from memento.cli.show_task import print_task
from memento.records import Encoded
from memento.results.to_frame import value_columns
from memento.store.unreadable import Unreadable
from memento.values.describe import ITEMS, LargeValue, describe, is_scalar
from memento.values.places import LocalFolder

MADE: dict[str, Callable[[int], Any]] = {
    "array": lambda n: np.full(10_000, n),
    "dict of arrays": lambda n: {"acc": n / 10, "n": np.int64(n), "scores": np.full(10_000, n), "cm": [[n]]},
    "frame": lambda n: pd.DataFrame({"a": np.arange(10_000), "b": n}),
    "pickle": lambda n: {"acc": n / 10, "seen": set(range(10_000))},
    "text": lambda n: f"{n} " * 20_000,
    "json": lambda n: {"acc": n / 10, "history": [float(n)] * 9_000},
    "many keys": lambda n: {f"k{i}": i * n for i in range(3_000)},
}


def experiment(context: Any, config: Any) -> Any:
    return MADE[config.what](config.n)


def run(store: Path, what: str, count: int = 3) -> Results:
    made = Memento(experiment, store=store, executor="serial", progress=False, name="large")
    results = made.run({"parameters": {"what": [what], "n": list(range(count))}})
    assert results is not None
    return results


@contextmanager
def opened() -> Iterator[list[str]]:
    """Note which contents are opened."""
    names: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        true_open = LocalFolder.open

        def noted(self: LocalFolder, name: str) -> Any:
            names.append(name)
            return true_open(self, name)

        patch.setattr(LocalFolder, "open", noted)
        yield names


@pytest.mark.parametrize("what", MADE)
def test_to_show_large_values_opens_no_file(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "s", what)
    results = memento.load(tmp_path / "s")
    with opened() as names, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        frame = results.to_frame()
        shown = [repr(results), results._repr_html_(), repr(results[0]), repr(results.failures)]
        if "acc" in frame:
            assert results.best("acc").config.n == 2
            assert results.summary("n", "acc")["mean"].tolist() == [0.0, 0.1, 0.2]
            assert results.pivot("n", metric="acc")["acc"].tolist() == [0.0, 0.1, 0.2]
            assert frame["acc"].tolist() == [0.0, 0.1, 0.2]
        print_tasks(tmp_path / "s", Wanted(), limit=None, as_json=False)
        listed = capsys.readouterr().out
        print_tasks(tmp_path / "s", Wanted(), limit=None, as_json=True)
        (first, *_) = json.loads(capsys.readouterr().out)["tasks"]
    assert names == []
    assert first["value"] is None
    assert first["value_description"].get("items", {}).get("acc") == (0.2 if "acc" in frame else None)
    cell = frame["value"][0]
    assert cell.endswith("kB")
    assert f"<{cell}>" in shown[2]
    if "acc" in frame:  # it has a column of its own
        assert "acc" in listed.splitlines()[1].split()
        assert shown[0].splitlines()[1].split()[:3] == ["what", "n", "acc"]
    else:
        assert f"<{cell}"[:27] in listed
        assert f"<{cell}"[:27] in shown[0]
    with opened() as names:
        assert type(results[1].inner) is type(MADE[what](1))
    assert len(names) == 1


def test_a_very_large_value_is_shown_alone_without_being_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memento.cli.show_task._READ", 10_000)
    key = run(tmp_path / "s", "json", 1)[0].key
    with opened() as names:
        print_task(tmp_path / "s", [key], as_json=False)
        print_task(tmp_path / "s", [key], as_json=True)
    assert names == []
    assert "<dict of 2 keys, 45 kB>\n  acc: 0.0\n  history: list of 9,000 items\n" in capsys.readouterr().out


def test_who_asks_for_a_number_of_an_array_is_told_what_it_is(tmp_path: Path) -> None:
    results = run(tmp_path / "s", "array")
    for ask in (results.best, lambda: results.summary("n"), lambda: results.pivot("n")):
        with pytest.raises(ValueError, match=r"'value' holds array 10000 int64, 80\.1 kB, not numbers"):
            ask()


def test_what_is_left_out_of_a_comparison_is_said(tmp_path: Path) -> None:
    def some(context: Any, config: Any) -> Any:
        large = {f"k{i}": "x" * 200 for i in range(ITEMS + 1)} if config.n == 1 else {}
        return {"acc": config.n, **large}

    made = Memento(some, store=tmp_path / "s", executor="serial", progress=False)
    results = made.run({"parameters": {"n": [1, 2]}})
    assert results is not None
    with pytest.warns(UserWarning, match=r"1 of 2 values .*; they count for nothing in 'acc'\. One item"):
        assert results.best("acc", minimize=True).config.n == 2
    with pytest.warns(UserWarning, match=r"stand in the column 'value'\. One item"):
        results.to_frame()


def test_of_a_dict_of_too_many_items_that_is_at_hand_one_may_be_asked_for(tmp_path: Path) -> None:
    def many(context: Any, config: Any) -> Any:
        return {f"k{i}": i * config.n for i in range(ITEMS + 1)}

    made = Memento(many, store=tmp_path / "s", executor="serial", progress=False)
    results = made.run({"parameters": {"n": [1, 3, 2]}})
    assert results is not None
    with pytest.warns(
        UserWarning, match=r"3 of 3 values are dicts of too many items.*r\.inner\['NAME'\]"
    ) as told:
        assert list(results.to_frame())[:2] == ["n", "value"]
    assert len(told) == 1
    assert results.best("k7").config.n == 3
    assert results.pivot("n", metric="k1")["k1"].tolist() == [1, 3, 2]


# -- what is kept in memory


@pytest.mark.slow
def test_a_loop_over_large_values_holds_one_at_a_time(tmp_path: Path) -> None:
    results = run(tmp_path / "s", "array", 6)
    held = list(results)
    alive: list[Any] = []
    for result in held:
        value = result.inner
        assert result.inner is value
        alive.append(weakref.ref(value))
        del value
        gc.collect()
        assert sum(ref() is not None for ref in alive) == 1


@pytest.mark.parametrize("what", ["array", "dict of arrays"])
def test_a_large_value_is_one_while_it_is_asked_for(what: str, tmp_path: Path) -> None:
    results = run(tmp_path / "s", what)
    result = results[0]
    assert result.inner is result.inner
    kept = result.inner
    assert results[1].inner is not kept
    if what == "array":
        assert result.inner is kept
    with opened() as names:
        for _ in range(3):
            assert len(results[1].inner) > 1
    assert len(names) <= 1


def test_a_small_value_is_kept(tmp_path: Path) -> None:
    made = Memento(
        lambda context, config: [config.n], store=tmp_path / "s", executor="serial", progress=False
    )
    results = made.run({"parameters": {"n": [1, 2]}})
    assert results is not None
    first = results[0]
    first.inner.append(5)
    assert results[1].inner == [2]
    assert first.inner == [1, 5]


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_a_copy_that_travels_takes_its_value_along(travel: Callable[[Any], Any], tmp_path: Path) -> None:
    results = run(tmp_path / "s", "array")
    there = travel(results[2])
    for payload in (tmp_path / "s").glob("payloads/*/*.npy"):
        payload.unlink()
    assert there.inner.tolist() == [2] * 10_000


# -- frames against a model


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3)
OTHERS: st.SearchStrategy[Any] = st.lists(SCALARS, max_size=2) | st.just({}) | st.just({1: 0.5, "a": 1})
OTHERS |= st.integers(1, 3).map(lambda size: np.zeros(size))
NAMES = st.sampled_from(["a", "b", "a.b", "value", 1, ("d",)])


class Pair(NamedTuple):
    a: Any
    b: Any = None


@dataclass
class Scores:
    a: Any
    c: Any = 0.5


NESTED = st.recursive(
    SCALARS | OTHERS,
    lambda inner: (
        st.dictionaries(st.sampled_from(["a", "b", "b.c"]), inner, max_size=2)
        | st.tuples(inner, inner).map(lambda two: Pair(*two))
        | inner.map(Scores)
    ),
    max_leaves=4,
)
SMALL = st.dictionaries(NAMES, NESTED, max_size=4) | NESTED.map(Pair) | NESTED.map(Scores)
HUGE = st.integers(ITEMS - 1, ITEMS + 2).map(lambda count: {f"k{i}": i for i in range(count)})


def as_file(value: Any) -> LargeValue:
    return LargeValue.of(Encoded("pickle", None, "00/00.pickle", 10**6, "a:B", describe(value)))


DICTS = SMALL | SMALL.map(as_file) | HUGE | HUGE.map(as_file)
VALUES: st.SearchStrategy[Any] = (
    DICTS | SCALARS | OTHERS | st.integers(1, 3).map(lambda size: as_file(np.zeros(size)))
)
VALUES |= st.just(Unreadable("a:B", "gone"))


def known_items(value: Any) -> dict[Any, Any] | None:
    """Return what a value holds by name."""
    if isinstance(value, Pair):
        return value._asdict()
    if isinstance(value, Scores):
        return vars(value)
    return value.known.items if isinstance(value, LargeValue) else value if isinstance(value, dict) else None


def leaves(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield what a value holds by name, at any depth."""
    for name, item in (known_items(value) or {}).items():
        deeper = list(leaves(item)) if isinstance(name, str) else []
        if deeper and all(isinstance(inner, str) for path, _ in deeper for inner in path):
            yield from (((name, *path), inner) for path, inner in deeper)
        else:
            yield (name,), item


def model(values: list[Any]) -> tuple[dict[str, list[Any]], list[Any]]:
    """Return the columns that items make, and the cells of `value`."""
    rows = [dict(leaves(value)) for value in values]
    scalars = [
        {path: item for path, item in row.items() if isinstance(path[0], str) and is_scalar(type(item))}
        for row in rows
    ]
    paths = list(dict.fromkeys(path for row in scalars for path in row))
    if len(paths) > ITEMS:
        paths = [path for path in paths if len(path) == 1]
    if len(paths) > ITEMS:
        paths = []
    names = {path: path[0] for path in paths if len(path) == 1}
    for path in paths:
        if len(path) > 1:
            names[path] = ".".join(path)
            while list(names.values()).count(names[path]) > 1:
                names[path] = f"value.{names[path]}"
    columns = {names[path]: [row.get(path) for row in scalars] for path in paths}
    whole = [
        known_items(value) is not None and row == told and row.keys() <= names.keys() and bool(paths)
        for value, row, told in zip(values, rows, scalars, strict=True)
    ]
    return columns, [None if shown else value for shown, value in zip(whole, values, strict=True)]


@pytest.mark.slow
@given(values=st.lists(DICTS, max_size=6) | st.lists(VALUES, max_size=6))
def test_columns_are_those_of_a_model(values: list[Any]) -> None:
    cells = np.full(len(values) + 1, None, dtype=object)  # one task has failed
    for place, value in enumerate(values):
        cells[place] = value
    done = np.array([True] * len(values) + [False])
    expected, rest = model(values)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        columns = value_columns(cells, done)
    without = sum(value is not None and known_items(value) is None for value in rest)
    for name, column in expected.items():
        assert same(columns.pop(name), column)
    if columns:
        (shown,) = columns.values()
        name = "value"
        while name in expected:
            name = f"value.{name}"
        assert list(columns) == [name]
        assert all(one is two for one, two in zip(shown, rest, strict=False)) or same(shown, rest)
    else:
        assert expected
        assert rest == [None] * len(values)
    assert len(told) <= 1
    if told:
        assert "too many items" in str(told[0].message)
        assert without or not expected


def same(column: Any, expected: list[Any]) -> bool:
    """Say whether a column has these cells; pandas has nan for None where the others are numbers."""
    cells = pd.Series(column, dtype=object).tolist()[: len(expected)]
    return all(
        one is two or (two is None and pd.isna(one)) or bool(np.all(one == two))
        for one, two in zip(cells, expected, strict=True)
    )
