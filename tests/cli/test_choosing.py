"""Which tasks NAME=VALUE means: as `memento ls` shows values, whatever they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memento as library
from memento.cli.choosing import Wanted, choose, wanted
from memento.store.store import Store
from tests.cli.calling import memento


class Net:
    def __init__(self, n: int) -> None:
        self.n = n

    def __repr__(self) -> str:
        return f"Net({self.n})"


VALUES: dict[str, list[Any]] = {
    "a": [1, 1.0, True, "1", None, math.nan, 0.001, 10**30, "x=y", "é"],
    "model": [dict, json.JSONDecoder, Net(3)],
    "layers": [[64, 64], [32]],
    "opt": [{"a": 1}, {"C": 3}],
}


def experiment(context: Any, config: Any) -> dict[str, float]:
    if config.a == "x=y":
        raise ValueError("not this one")
    return {"acc": 0.912345678}


def run(store: Path, matrix: dict[str, Any], **more: Any) -> None:
    made = library.Memento(
        experiment,
        executor="serial",
        store=store,
        progress=False,
        on_error="return",
        log_output=False,
        **more,
    )
    made.run(matrix)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of all kinds of values; and tasks that take the results of others."""
    path = tmp_path_factory.mktemp("choosing") / "store"
    parameters = VALUES | {"C": [0.1, 1e-5]}
    run(
        path,
        {"parameters": parameters, "when": {"C": {"model": dict}}, "settings": {"n_fold": 5}, "repeats": 2},
    )

    def step(context: Any, config: Any) -> int:
        return 1

    made = library.Memento(step, executor="serial", store=path, progress=False)
    made.add_matrix({"id": "load", "parameters": {"dataset": ["wine", "iris"]}})
    made.add_matrix({"id": "clean", "dependencies": ["load"], "parameters": {"how": ["mean"]}})
    made.add_matrix({"id": "fit", "dependencies": ["clean"], "parameters": {"C": [10, 1]}})
    made.run_all()
    return path


def parameters(store: Path, *arguments: str) -> list[dict[str, Any]]:
    with Store.open(store, create=False, readonly=True) as opened:
        return [
            json.loads(record.params) | {"repeat": record.repeat}
            for record in choose(opened, wanted(arguments))
        ]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1", 1), ("1.0", 1.0), ("True", True), ("true", True), ("'1'", "1"), ("None", None), ("null", None),
        ("nan", "nan"), ("1e-3", 0.001), ("0.0010", 0.001), (str(10**30), str(10**30)), ("x=y", "x=y"), ("é", "é"),
    ],
)  # fmt: skip
def test_a_text_means_the_value_that_is_shown_so(store: Path, text: str, stored: Any) -> None:
    found = parameters(store, f"a={text}")
    assert len(found) == 32
    assert {(type(one["a"]), one["a"]) for one in found} == {(type(stored), stored)}


@pytest.mark.parametrize("text", ["dict", "builtins:dict"])
def test_a_class_is_found_by_its_short_name_and_by_its_module(store: Path, text: str) -> None:
    assert {one["model"] for one in parameters(store, f"model={text}")} == {"builtins:dict"}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["model=Net(3)"], 80),
        (["model=json.decoder:JSONDecoder", "model=Net(3)"], 160),
        (["model=[JSONDecoder, dict]"], 240),
        (["layers=[64,64]"], 160),
        (["layers=[64, 64]", "layers=[32]"], 320),
        (["opt={'C': 3}"], 160),
        (["opt={C: 3}", "a=1"], 16),
        (["repeat=1"], 160),
        (["settings.n_fold=5", "a=1"], 32),
        (["n_fold=5", "a=[1, 1.0]"], 64),
        (["C=1e-5"], 80),
        (["C=-", "a=1"], 16),
        (["C=[10, 0.1]", "repeat=0"], 42),
        (["clean.load.dataset=wine"], 2),
        (["load.dataset=iris"], 1),
        (["clean.how=mean", "C=10"], 2),
        (["clean=-"], 4),
    ],
)
def test_names_and_values_choose_what_they_say(store: Path, arguments: list[str], count: int) -> None:
    assert len(parameters(store, *arguments)) == count


@pytest.mark.parametrize(
    ("argument", "near"),
    [
        ("modle=dict", "Did you mean 'model'?"),
        ("model=dct", "Did you mean 'dict'?"),
        ("load.datset=wine", "Did you mean 'load.dataset'?"),
        ("layers=[64, 65]", "layers=64"),
        ("n_fold=6", "its values are: 5"),
        ("C=10.0", "10 is another value than 10.0"),
        ("a=\x1b[31m", "no task has a="),
    ],
)
def test_what_is_not_there_is_wrong_usage_and_names_what_is_near(
    store: Path, argument: str, near: str
) -> None:
    told = memento("ls", argument, "--store", store)
    assert (told.code, told.out) == (2, "")
    assert near in told.err
    assert "\x1b" not in told.err


def test_keys_and_parameters_narrow_each_other(store: Path) -> None:
    with Store.open(store, create=False, readonly=True) as opened:
        some = opened.index.recent(limit=8)
        keys = tuple(record.key.hex()[:12] for record in some)
        assert len(choose(opened, Wanted(keys))) == 8
        assert {record.params for record in choose(opened, Wanted(keys, (("C", "10"),)))} == {
            record.params for record in some if json.loads(record.params).get("C") == 10
        }


def test_a_parameter_is_found_where_the_store_has_lost_what_it_knew_of_its_values(tmp_path: Path) -> None:
    import sqlite3

    run(tmp_path / "store", {"parameters": {"a": [1, 2], "model": [json.JSONDecoder]}})
    with sqlite3.connect(tmp_path / "store" / "index.sqlite") as database:
        database.execute("DELETE FROM axes")
    database.close()
    assert len(parameters(tmp_path / "store", "a=1", "model=JSONDecoder")) == 1
    assert "Did you mean 'a'?" in memento("ls", "A=1", "--store", tmp_path / "store").err


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec="utf-8"), max_size=8)
)
VALUE = st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(st.text(max_size=3), PLAIN, max_size=2))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUE, min_size=1, max_size=6))
def test_whatever_a_value_is_its_text_in_a_table_finds_its_tasks(
    values: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("values") / "store"
    try:
        run(path, {"parameters": {"a": values}})
    except Exception:  # twice the same, or no value: not what is tested here
        return
    results = library.load(path)
    column = results.to_frame()["a"]
    for result, text in zip(results, column.map(str), strict=True):
        if not text.isprintable() or text != text.strip():
            continue
        if column.dtype.kind == "f" and not isinstance(result.config.a, float):
            continue  # among floats pandas makes 0.0 of 0, which is another value
        with Store.open(path, create=False, readonly=True) as opened:
            found = choose(opened, Wanted(parameters=(("a", text),)))
        assert result.key in {record.key.hex() for record in found}, (values, text)
        assert len(found) == 1
