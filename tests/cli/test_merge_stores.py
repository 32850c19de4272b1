"""`memento merge`: what it says of what it took, and of what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of
from tests.cli.calling import memento


def store_with(folder: Path, *rows: object, code: int = 1) -> Path:
    with Store.open(folder) as store:
        run = store.begin(info_of("science.py:exp"))
        run.commit(list(rows))  # type: ignore[arg-type]
        run.finish("done", {})
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    here = store_with(tmp_path / "here", row_of(1), row_of(2, value=b"1", started=10.0), row_of(4))
    there = store_with(tmp_path / "there", row_of(1), row_of(2, value=b"2", started=20.0), row_of(3))
    return here, there


def test_it_says_what_was_taken_and_what_differs(two: tuple[Path, Path]) -> None:
    here, there = two
    told = memento("merge", there, "--into", here)
    assert told.code == 0
    assert "exp: 2 results taken" in told.out
    assert "1 task that both have" in told.out
    assert "conflict: 0002" in told.out
    assert "one version of the code gave two values; the other's is newer and stands" in told.out
    assert [
        task["value"]
        for task in memento("ls", "--json", "--store", here).json["tasks"]
        if task["parameters"] == {"n": 2}
    ] == [2]
    told = memento("merge", there, "--into", here)
    assert "there was nothing to take" in told.out


def test_scripts_are_told_the_same(two: tuple[Path, Path]) -> None:
    here, there = two
    told = memento("merge", there, "--into", here, "--json").json
    assert (told["results"], told["equal"]) == ({"science.py:exp": 2}, 1)
    (difference,) = told["differences"]
    assert (difference["newer"], difference["is_conflict"], difference["params"]) == (
        "there",
        True,
        '{"n": 2}',
    )


def test_what_is_no_store_or_the_same_is_wrong_usage(two: tuple[Path, Path], tmp_path: Path) -> None:
    here, there = two
    for line in ((tmp_path / "nothing", "--into", here), (here, "--into", tmp_path / "nothing")):
        told = memento("merge", *line)
        assert (told.code, "there is no store" in told.err) == (2, True)
        assert ("--store" in told.err) == (line[0] == here)  # which names the other one of the two
    told = memento("merge", here, "--into", here)
    assert (told.code, "is the store that it is to be joined to" in told.err) == (2, True)
    with Store.open(there) as store:
        store.begin(info_of())
        told = memento("merge", there, "--into", here)
    assert (told.code, "is at work" in told.err) == (2, True)


def test_status_says_which_store_was_merged(two: tuple[Path, Path]) -> None:
    here, there = two
    told = memento("merge", there, "--into", here)
    assert "1 task that both have" in told.out
    assert (
        f"exp, merged from {there}: what it had is taken over in " in memento("status", "--store", here).out
    )
    runs = memento("status", "--json", "--store", here).json["runs"]
    assert [run["merged_from"] for run in runs if run["merged_from"]] == [str(there)]


def test_a_task_that_stays_is_one(two: tuple[Path, Path]) -> None:
    here, there = two
    told = memento("merge", here, "--into", there)
    assert "1 task stays as it is here" in told.out
