"""Streams between a coordinator and its pilots: what is whole is read once, in order; the rest is waited for."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import StoreUnwritable, StreamDamaged
from memento.executors.pilots import streams
from memento.executors.pilots.streams import Reader, Silence, Writer, checked_name

PAYLOADS = st.lists(st.one_of(st.binary(max_size=40), st.just(bytes(30)), st.just(b"x" * 5000)), max_size=6)


class Clock:
    """A steady clock that tests turn."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "to"


def test_what_is_appended_is_read_once_and_in_order(path: Path) -> None:
    writer, reader = Writer(path), Reader(path)
    assert reader.read() == []
    writer.append(b"one", b"")
    assert reader.read() == [b"one", b""]
    assert reader.read() == []
    writer.append(b"two", durable=True)
    assert reader.read() == [b"two"]
    assert Reader(path).read() == [b"one", b"", b"two"]
    assert reader.identity == writer.identity


def test_a_record_may_be_large(path: Path) -> None:
    data = os.urandom(1 << 20) * 80
    Writer(path).append(b"before", data, b"after")
    assert Reader(path).read() == [b"before", data, b"after"]


def test_who_has_been_away_gets_what_there_is_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_AT_ONCE", 100)
    Writer(path).append(*[bytes([n]) * 30 for n in range(10)])
    reader = Reader(path)
    parts = [reader.read() for _ in range(10)]
    assert [part for part in parts if part] == parts[:5]
    assert b"".join(record for part in parts for record in part) == b"".join(
        bytes([n]) * 30 for n in range(10)
    )


@pytest.mark.slow
@settings(max_examples=120)
@given(payloads=PAYLOADS, data=st.data())
def test_a_torn_end_is_waited_for_wherever_it_is_torn(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: Any
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    Writer(folder / "whole").append(*payloads)
    whole = (folder / "whole").read_bytes()
    clock = Clock()
    reader, found = Reader(folder / "seen", clock), []
    steps = [*sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6))), len(whole)]
    for size in steps:
        zeros = data.draw(st.sampled_from([0, 0, 1, 5000]))  # what a power cut, or pages in any order, leave
        (folder / "seen").write_bytes(whole[:size] + bytes(min(zeros, len(whole) - size)))
        for _ in range(2):
            found += reader.read()
            clock.time += 1000.0
        assert found == payloads[: len(found)]
    assert found == payloads


@pytest.mark.slow
@settings(max_examples=120)
@given(payloads=PAYLOADS, data=st.data())
def test_altered_bytes_never_count_and_are_told_where_more_is_behind_them(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: Any
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "to"
    Writer(path).append(*payloads)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    clock = Clock()
    reader, found, told = Reader(path, clock), [], ""
    for _ in range(10):
        clock.time += 20.0
        try:
            found += reader.read()
        except StreamDamaged as error:
            told = str(error)
    assert not told or str(path) in told
    assert found == payloads[: len(found)]
    assert len(found) < len(payloads) or not payloads
    ends = 32
    for payload in payloads[: len(found)]:
        ends += 40 + len(payload)
    last = len(found) == len(payloads) - 1  # nothing is behind it: it may still arrive
    assert told or last or at < 32 or not any(whole[ends + 40 :])


def test_a_wrong_record_is_forgiven_if_it_gets_right_in_time(path: Path) -> None:
    Writer(path).append(b"first" * 100, b"second" * 100)
    whole = path.read_bytes()
    clock = Clock()
    reader = Reader(path, clock)
    path.write_bytes(whole[:100] + bytes(200) + whole[300:])
    for _ in range(80):
        clock.time += 1.0
        assert reader.read() == []
    path.write_bytes(whole)
    assert reader.read() == [b"first" * 100, b"second" * 100]


def test_a_file_that_is_shorter_than_it_was_is_waited_for(path: Path) -> None:
    writer, reader = Writer(path), Reader(path)
    writer.append(b"one")
    assert reader.read() == [b"one"]
    writer.append(b"two")
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    assert reader.read() == []
    path.write_bytes(whole)
    assert reader.read() == [b"two"]


def test_a_file_that_goes_and_comes_back_is_read_on(path: Path) -> None:
    writer, reader = Writer(path), Reader(path)
    writer.append(b"one")
    assert reader.read() == [b"one"]
    path.rename(path.with_name("away"))
    assert reader.read() == []
    with pytest.raises(StoreUnwritable):
        writer.append(b"two")
    path.with_name("away").rename(path)
    assert reader.read() == []
    writer.append(b"three")
    assert reader.read() == [b"two", b"three"]


def test_a_newer_writer_takes_over_and_the_older_one_is_told(path: Path) -> None:
    old, reader = Writer(path), Reader(path)
    old.append(b"one")
    assert reader.read() == [b"one"]
    new = Writer(path)
    new.append(b"new one")
    with pytest.raises(StoreUnwritable, match="another writer"):
        old.append(b"late")
    assert reader.read() == [b"new one"]
    assert reader.identity == new.identity
    new.append(b"new two")
    assert reader.read() == [b"new two"]


def test_a_folder_that_shows_an_older_file_again_repeats_nothing(path: Path) -> None:
    Writer(path).append(b"old")
    old = path.read_bytes()
    reader = Reader(path)
    assert reader.read() == [b"old"]
    Writer(path).append(b"new")
    new = path.read_bytes()
    assert reader.read() == [b"new"]
    path.write_bytes(old)
    assert reader.read() == []
    path.write_bytes(new)
    assert reader.read() == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "pwritev", "fsync", "close", "replace"])
@pytest.mark.parametrize("after", [0, 1])
def test_what_a_disk_refuses_is_said_owed_and_written_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int, after: int
) -> None:
    writer, reader = Writer(path), Reader(path)
    if after:
        writer.append(b"before")
    true, failing, here = getattr(os, call), True, threading.get_ident()

    def fails(*args: Any, **kwargs: Any) -> Any:
        if failing and threading.get_ident() == here:  # other threads of this process call it too
            if call == "close":
                true(*args)
            if call == "pwritev":  # half of it, as a disk that gets full does
                true(args[0], [args[1][0]], args[2])
            raise OSError(error, os.strerror(error))
        return true(*args, **kwargs)

    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        if after and call == "replace":  # the file has its name
            writer.append(b"one", b"two", durable=True)
        else:
            with pytest.raises(StoreUnwritable, match=os.strerror(error)):
                writer.append(b"one", b"two", durable=True)
            assert writer.owes > 6
        failing = False
        seen += reader.read()
    writer.append(b"three", durable=True)
    assert writer.owes == 0
    seen += reader.read()
    assert seen == [b"before"] * after + [b"one", b"two", b"three"]


def test_a_path_that_cannot_be_read_says_why_and_is_no_silence(path: Path) -> None:
    path.parent.joinpath("file").write_bytes(b"")
    reader = Reader(path.parent / "file" / "to")
    assert reader.read() == []
    assert "Not a directory" in reader.trouble
    path.mkdir()
    assert Reader(path).read() == []


def test_nobody_waits_for_a_pipe(path: Path) -> None:
    os.mkfifo(path)
    assert Reader(path).read() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", ".hidden", "a\0", "a\n", "x" * 101, "ä", "a b"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        checked_name(name)


def test_a_stream_is_for_its_owner_to_write(path: Path) -> None:
    before = os.umask(0)
    try:
        Writer(path).append(b"one")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o022 == 0


def test_silence_is_counted_by_looks_and_a_pause_of_who_looks_proves_nothing() -> None:
    clock = Clock()
    silence = Silence(clock)
    for _ in range(10):
        clock.time += 5.0
        silence.look(heard=False)
    assert silence.look(heard=False) == 50.0
    clock.time += 3600.0  # this process was suspended
    assert silence.look(heard=False) == 80.0
    clock.time += 20.0
    assert silence.look(heard=False, blind=True) == 80.0
    clock.time += 1.0
    assert silence.look(heard=False) == 81.0
    assert silence.look(heard=True) == 0.0
