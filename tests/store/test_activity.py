"""The board of a run: what each worker is at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.layout import BOARD
from memento.store.activity import ActivityFile, Working, read_activity

KEY, OTHER = bytes(range(16)), bytes(range(16, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def board(folder: Path) -> Iterator[ActivityFile]:
    board = ActivityFile(folder / "run")
    yield board
    board.close()


def test_what_is_shown_replaces_what_was_shown_before(folder: Path, board: ActivityFile) -> None:
    board.show([(KEY, 5, 9, "0001.log"), (OTHER, 0, 0, "0003.log")])
    board.show([(KEY, 1 << 40, 1 << 41, "0001.log"), (OTHER, 7, 7, "0002.log")])
    assert read_activity(folder, "run", 3) == [
        Working(KEY, 3, "run/0001.log", 1 << 40, 1 << 41),
        Working(OTHER, 3, "run/0002.log", 7, 7),
    ]


def test_a_worker_at_rest_is_not_listed(folder: Path, board: ActivityFile) -> None:
    board.show([(KEY, 5, 9, "0001.log"), (OTHER, 0, 0, "0003.log")])
    board.show([(OTHER, 0, 0, "0003.log")])
    assert [working.key for working in read_activity(folder, "run", 1)] == [OTHER]
    board.show([])
    assert read_activity(folder, "run", 1) == []


def test_a_run_without_a_board_is_at_nothing(folder: Path) -> None:
    assert read_activity(folder, "run", 1) == []
    assert read_activity(folder, "other", 1) == []


def test_a_torn_entry_is_left_out(folder: Path, board: ActivityFile) -> None:
    board.show([(KEY, 5, 9, "0001.log")])
    whole = (folder / "run" / BOARD).read_bytes()
    (folder / "run" / BOARD).write_bytes(whole + whole[:20])
    assert [working.key for working in read_activity(folder, "run", 1)] == [KEY]


def test_a_run_that_ended_leaves_no_board(folder: Path) -> None:
    board = ActivityFile(folder / "run")
    board.show([(KEY, 5, 9, "0001.log")])
    board.close()
    assert not list((folder / "run").iterdir())
    assert read_activity(folder, "run", 1) == []
