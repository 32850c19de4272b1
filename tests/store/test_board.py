"""The board of a run: what each worker is at."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.store.board import NAME, Entry, Working, read_board

KEY, OTHER = bytes(range(16)), bytes(range(16, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def entry(folder: Path, file: str, slot: int) -> Entry:
    return Entry(str(folder / "run" / file), slot)


def test_each_worker_has_one_place_that_it_overwrites(folder: Path) -> None:
    first, second = entry(folder, "0001.log", 0), entry(folder, "0002.log", 2)
    first.write(KEY, 0)
    second.write(OTHER, 7)
    first.write(KEY, 1 << 40)
    assert read_board(folder, "run", 3) == [
        Working(KEY, 3, "run/0001.log", 1 << 40),
        Working(OTHER, 3, "run/0002.log", 7),
    ]


def test_a_worker_at_rest_is_not_listed(folder: Path) -> None:
    worker = entry(folder, "0001.log", 1)
    worker.write(KEY, 0)
    worker.clear()
    assert read_board(folder, "run", 1) == []


def test_a_new_worker_takes_the_place_of_one_that_died(folder: Path) -> None:
    entry(folder, "0001.log", 0).write(KEY, 5)
    entry(folder, "0009.log", 0)
    assert read_board(folder, "run", 1) == []


def test_a_run_without_a_board_is_at_nothing(folder: Path) -> None:
    assert read_board(folder, "run", 1) == []
    assert read_board(folder, "other", 1) == []


def test_a_torn_entry_is_left_out(folder: Path) -> None:
    entry(folder, "0001.log", 0).write(KEY, 5)
    whole = (folder / "run" / NAME).read_bytes()
    (folder / "run" / NAME).write_bytes(whole + whole[:20])
    assert [working.key for working in read_board(folder, "run", 1)] == [KEY]
