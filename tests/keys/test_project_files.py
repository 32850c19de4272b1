"""Where source files lie is found out without looking at the disk for each of those that cannot be the user's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import memento.records
from memento.keys import project_files


@pytest.mark.parametrize("file", [os.__file__, json.__file__, pytest.__file__, memento.records.__file__])
def test_links_of_a_librarys_file_are_not_followed(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    project_files.is_project_file(file)  # what is found out once for all
    project_files._place.cache_clear()
    monkeypatch.setattr(os.path, "realpath", lambda path: pytest.fail(f"followed {path}"))
    assert not project_files.is_project_file(file)


def test_a_link_to_a_librarys_file_is_a_librarys_file(tmp_path: Path) -> None:
    link = tmp_path / "linked.py"
    link.symlink_to(json.__file__)
    assert not project_files.is_project_file(str(link))
