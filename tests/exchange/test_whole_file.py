"""Promises about written files: each is there whole or not at all, and none is replaced unasked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from memento.exchange.whole_file import OutputError, whole_file


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    with whole_file(tmp_path / "out.csv") as path:
        path.write_text("half")
        assert not (tmp_path / "out.csv").exists()
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("replace", [False, True])
def test_after_an_error_there_is_what_was_there(tmp_path: Path, replace: bool) -> None:
    out = tmp_path / "out.csv"
    if replace:
        out.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(out, replace=replace) as path:
        print(path.write_text("half") / 0)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == (
        [("out.csv", "old")] if replace else []
    )


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(OutputError, match="--force"), whole_file(tmp_path / "out.csv"):
        raise AssertionError("nothing is to be written")
    assert (tmp_path / "out.csv").read_text() == "old"


def test_what_somebody_else_wrote_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(OutputError, match="--force"), whole_file(out) as path:
        assert path.write_text("mine") < out.write_text("theirs")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out.csv", "theirs")]


def test_a_folder_and_a_file_in_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), whole_file(tmp_path, replace=True):
        pass
    with pytest.raises(OutputError, match="no folder"), whole_file(tmp_path / "absent" / "out.csv"):
        pass


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: No space left"), whole_file(tmp_path / "o"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
