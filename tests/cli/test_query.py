"""`memento query`: tables for people, JSON and CSV for scripts, errors that say what would be right."""

from __future__ import annotations

import csv
import io
import time

import pytest

from memento.cli.query import distinct
from tests.cli.calling import command, memento
from tests.cli.conftest import Project
from tests.cli.test_inspect import STEERING


def test_people_get_a_table(project: Project) -> None:
    told = project(
        "query", "SELECT params ->> 'x' AS x, count(*) AS n, avg(metrics ->> 'loss') FROM tasks GROUP BY 1"
    )
    assert (told.code, told.err) == (0, "")
    assert [line.split() for line in told.out.splitlines()] == [
        ["x", "n", "avg(metrics", "->>", "'loss')"],
        ["1", "2", "0.5"],
        ["2", "2", "1"],
        ["3", "2", "1.5"],
    ]


def test_scripts_get_objects_with_a_schema(project: Project) -> None:
    told = project(
        "query", "--json", "SELECT 1 AS a, 2 AS a, NULL AS b, 1e999 AS c, x'00ff' AS d, 0.1 AS e"
    ).json
    assert told == {
        "schema": "memento.query/1",
        "columns": ["a", "a_2", "b", "c", "d", "e"],
        "rows": [{"a": 1, "a_2": 2, "b": None, "c": None, "d": "00ff", "e": 0.1}],
        "more": False,
    }


def test_csv_is_read_back_as_it_was(project: Project) -> None:
    told = project("query", "--csv", "SELECT 'a,\"b\"\nc' AS x, 0.1 AS y, NULL AS z")
    assert list(csv.reader(io.StringIO(told.out))) == [["x", "y", "z"], ['a,"b"\nc', "0.1", ""]]


def test_a_list_for_people_ends_and_says_so(project: Project) -> None:
    told = project("query", "SELECT key FROM tasks", "--limit", "2")
    assert len(told.out.splitlines()) == 4
    assert "--limit 0 shows all" in told.out
    assert len(project("query", "SELECT key FROM tasks", "--limit", "0").out.splitlines()) == 7
    assert len(project("query", "--json", "SELECT key FROM tasks").json["rows"]) == 6


def test_without_a_question_it_says_what_there_is(project: Project) -> None:
    told = project("query")
    assert told.code == 0
    assert "tasks: every finished task" in told.out
    views = {view["name"]: view["columns"] for view in project("query", "--json").json["views"]}
    assert {"tasks", "failures", "attempts", "metrics", "runs", "experiments"} == set(views)
    assert "params" in views["tasks"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["DELETE FROM tasks"], "may only read"),
        (["SELECT loss FROM tasks"], "metrics ->> 'loss'"),
        (["SELECT 1", "--json", "--csv"], "give one of them"),
        (["SELECT 1", "--timeout", "soon"], "--timeout must be"),
        (["SELECT 1", "--timeout", "0"], "--timeout must be"),
        ([""], "asks for nothing"),
    ],
)
def test_what_is_wrong_is_wrong_usage(project: Project, arguments: list[str], said: str) -> None:
    told = project("query", *arguments)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


@pytest.mark.slow
def test_a_join_of_a_billion_rows_ends_within_the_time_given(project: Project) -> None:
    statement = "SELECT count(*) FROM " + ", ".join(f"tasks t{n}" for n in range(12))
    start = time.monotonic()
    told = command("query", statement, "--store", project.store, cwd=project.folder)
    assert told.code == 2
    assert "ended after 4 s" in told.err
    assert "--timeout 60s" in told.err
    assert time.monotonic() - start < 30


@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)])
def test_nothing_that_a_store_says_steers_the_terminal(hostile: Project, form: tuple[str, ...]) -> None:
    for view in ("tasks", "failures", "metrics", "runs", "experiments"):
        told = hostile("query", f"SELECT * FROM {view}", *form)
        assert told.code == 0, told.err
        assert not STEERING.search(told.out)
    told = hostile("query", "SELECT nope\x1b[31m FROM tasks")
    assert told.code == 2
    assert not STEERING.search(told.err)


def test_columns_are_told_apart() -> None:
    assert distinct(["a", "a", "a_2", "a"]) == ["a", "a_2", "a_2_2", "a_3"]


def test_no_store_is_wrong_usage() -> None:
    assert memento("query", "SELECT 1", "--store", "nowhere").code == 2
