"""Every place keeps what places promise: a folder, and one in memory that a test has written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memento.testing.place_contract import PlaceContract
from memento.values.places import Content, LocalFolder, Place, checked


class TestLocalFolder(PlaceContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return LocalFolder(tmp_path / "it's a folder\n")

    def reopen(self, place: Place) -> Place:
        assert isinstance(place, LocalFolder)
        return LocalFolder(place.root)


class Memory(Place):
    """A place that is gone with the process."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def where(self, name: str) -> str:
        return f"memory:{name}"

    def write(self, name: str, buffers: Sequence[Any]) -> None:
        self.contents[checked(name)] = b"".join(map(bytes, buffers))

    @contextmanager
    def open(self, name: str) -> Iterator[Content]:
        try:
            yield Held(self.contents[checked(name)])
        except KeyError:
            raise FileNotFoundError(name) from None

    def exists(self, name: str) -> bool:
        return checked(name) in self.contents

    def names(self, below: str = "") -> Iterator[str]:
        return (name for name in sorted(self.contents) if not below or name.startswith(f"{below}/"))

    def remove(self, name: str) -> None:
        self.contents.pop(checked(name), None)

    def rename(self, name: str, other: str) -> None:
        try:
            self.contents[checked(other)] = self.contents.pop(name)
        except KeyError:
            raise FileNotFoundError(name) from None


class Held(Content):
    def __init__(self, content: bytes) -> None:
        self.content, self.size = content, len(content)

    def read_into(self, memory: memoryview, at: int) -> int:
        part = self.content[at : at + len(memory)]
        memory[: len(part)] = part
        return len(part)


class TestMemory(PlaceContract):
    @pytest.fixture
    def place(self) -> Place:
        return Memory()

    def reopen(self, place: Place) -> Place:
        return place


def test_a_link_that_leads_out_of_a_folder_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    place = LocalFolder(tmp_path / "root")
    place.write("a", [b"x"])
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    assert [name for name in place.names() if "/" in name] == []
    assert list(LocalFolder(tmp_path / "link").names()) == []


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    place = LocalFolder(tmp_path)
    place.write("a", [b"x"])
    before = (tmp_path / "a").stat().st_ino
    place.write("a", [b"x"])
    assert (tmp_path / "a").stat().st_ino == before


def test_nobody_waits_for_a_pipe_that_has_the_name_of_a_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    place = LocalFolder(tmp_path)
    with pytest.raises(FileNotFoundError), place.open("pipe"):
        pass
    place.write("pipe", [b""])
    with place.open("pipe") as content:
        assert content.size == 0
