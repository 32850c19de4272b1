"""Memory that files are written from and read into: every byte comes, and who looks for damage sees each."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import signal
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import PayloadDamaged
from memento.values import places
from memento.values.buffers import PIECE, flat, joined, new_memory
from memento.values.checkpoints import CheckpointDir
from memento.values.payloads import PayloadDir, checksum
from memento.values.places import Content, LocalFolder

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="the system reads at no place of its own")

READ = 16_384
CONTENT = random.Random(0).randbytes(40 * READ)
LENGTHS = [5 * READ, 100, 14 * READ + 4_000, 0, 21 * READ - 4_100]  # most pieces begin within a page


@pytest.fixture(autouse=True)
def many_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kilobytes read as gigabytes are."""
    monkeypatch.setattr(places, "PIECE", READ)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


def read(path: Path, lengths: list[int] = LENGTHS) -> tuple[list[bytes], bytes]:
    seen = xxhash.xxh3_128()
    with opened(path) as content:
        pieces = content.read(lengths, seen.update)
    return [bytes(piece) for piece in pieces], seen.digest()


def opened(path: Path) -> AbstractContextManager[Content]:
    return LocalFolder(path.parent).open(path.name)


def patched(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Call something before each read, with the number of the read."""
    numbers, whole = iter(range(10**9)), os.preadv

    def preadv(descriptor: int, buffers: Any, at: int) -> int:
        before(next(numbers))
        return whole(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)


class TimeUp(Exception):
    """What the handler of a signal raises."""


def eio() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def failing(number: int) -> None:
    """Fail at one of the reads of parts."""
    if number == 8:
        eio()


@given(
    cuts=st.lists(
        st.integers(0, len(CONTENT)) | st.sampled_from([READ, 4096, 4097, 5 * READ - 1]), max_size=8
    ),
    there=st.just(len(CONTENT)) | st.integers(0, len(CONTENT)),
)
@settings(max_examples=60)
def test_pieces_and_digest_are_those_of_the_content_however_it_is_cut(
    cuts: list[int], there: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "content"
    path.write_bytes(CONTENT[:there])
    filled = CONTENT[:there] + bytes(len(CONTENT) - there)
    places = list(pairwise([0, *sorted(cuts), len(CONTENT)]))
    pieces, found = read(path, [end - start for start, end in places])
    assert pieces == [filled[start:end] for start, end in places]
    assert found == checksum([filled])


def test_a_bit_that_flips_in_any_part_is_noticed(file: Path) -> None:
    _, sound = read(file)
    places = [0, *accumulate(LENGTHS), *range(READ, len(CONTENT), READ)]
    for at in sorted(
        {min(max(place + step, 0), len(CONTENT) - 1) for place in places for step in (-1, 0, 700)}
    ):
        file.write_bytes(CONTENT[:at] + bytes([CONTENT[at] ^ 1 << at % 8]) + CONTENT[at + 1 :])
        assert read(file)[1] != sound, at


def test_a_file_that_is_cut_short_while_it_is_read_is_damaged_and_no_crash(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched(monkeypatch, lambda number: os.truncate(file, 10_000) if number == 7 else None)
    pieces, found = read(file)
    assert found != checksum([CONTENT])
    assert found == checksum(pieces)
    assert pieces[-1][-READ:] == bytes(READ)


@pytest.mark.slow
def test_memory_goes_with_the_error_that_kept_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[memoryview]] = []

    def noted(size: int) -> memoryview:
        memory = new_memory(size)
        made.append(weakref.ref(memory))
        return memory

    monkeypatch.setattr(places, "new_memory", noted)
    patched(monkeypatch, failing)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(OSError):
            read(file)
        assert len(made) == len(LENGTHS)
        assert [memory() for memory in made] == [None] * len(made)
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no alarms")
def test_signals_whose_handler_raises_end_the_reading(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C does, and the alarm of a task that runs in this process."""

    def ring(*_: object) -> None:
        raise TimeUp

    def rings(number: int) -> None:
        if number == 5:
            os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, ring)
    patched(monkeypatch, rings)
    try:
        with pytest.raises(TimeUp):
            read(file)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_is_not_verified_is_read_all_the_same(file: Path) -> None:
    with opened(file) as content:
        assert b"".join(content.read(LENGTHS)) == CONTENT


def test_what_is_not_verified_and_cut_short_is_an_error(file: Path) -> None:
    os.truncate(file, len(CONTENT) - 1)
    with opened(file) as content, pytest.raises(OSError, match="cut short"):
        content.read(LENGTHS)


def test_what_is_read_in_passing_has_the_same_checksum(file: Path) -> None:
    for size in (0, 1, len(CONTENT) - 1, len(CONTENT)):
        seen = xxhash.xxh3_128()
        with opened(file) as content:
            content.pass_through(size, seen.update)
        assert seen.digest() == checksum([CONTENT[:size]])


@pytest.mark.parametrize("harm", ["flip", "cut", "disk"])
def test_a_damaged_payload_is_told(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = PayloadDir(tmp_path)
    ref = payloads.write([CONTENT], ".bin")
    assert payloads.read(ref) == CONTENT
    if harm == "flip":
        payloads.path(ref).write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    elif harm == "cut":
        os.truncate(payloads.path(ref), len(CONTENT) - 1)
    else:
        patched(monkeypatch, failing)
    with pytest.raises(PayloadDamaged):
        payloads.read(ref)


@pytest.mark.parametrize("harm", ["flip", "cut", "disk"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = CheckpointDir(tmp_path / "checkpoints", "00")
    checkpoints.save((1, np.zeros(500)))
    checkpoints.save((2, np.frombuffer(CONTENT, np.uint8), np.ones(40_000)))
    path = checkpoints.folder / "b.checkpoint"
    data = bytearray(path.read_bytes())
    assert CheckpointDir(tmp_path / "checkpoints", "00").load()[0][1].tobytes() == CONTENT
    if harm == "flip":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif harm == "cut":
        # From within: the end, which tells the file's size and digest, is there.
        path.write_bytes(data[: len(data) // 2] + data[-32:])
    else:
        patched(monkeypatch, failing)
    assert CheckpointDir(tmp_path / "checkpoints", "00").load()[0][0] == 1


def test_large_values_come_back_whole_on_this_machine_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    array = np.arange(6_000_000.0)
    checkpoints = CheckpointDir(tmp_path / "checkpoints", "00")
    checkpoints.save((array, array[:300_000] + 1))
    (one, two), _ = checkpoints.load()
    assert np.array_equal(one, array)
    assert np.array_equal(two, array[:300_000] + 1)


@pytest.mark.slow
@given(
    st.lists(st.sampled_from([0, 1, 63, 5_000, PIECE // 16 - 1, PIECE // 16, PIECE, PIECE + 1]), max_size=40)
)
def test_joined_views_have_every_byte_in_order(sizes: list[int]) -> None:
    views = [flat(bytes([i % 251]) * size) for i, size in enumerate(sizes)]
    assert b"".join(bytes(v) for v in joined(views)) == b"".join(bytes(v) for v in views)


def test_small_neighbours_cost_few_calls_and_large_ones_are_not_copied() -> None:
    large = flat(bytearray(PIECE))
    views = [flat(bytes(100))] * 5_000 + [large] + [flat(bytes(100))] * 5_000
    given_out = list(map(id, joined(views)))
    assert len(given_out) == 3
    assert given_out[1] == id(large)


def test_memory_of_any_size_can_be_written_to() -> None:
    for size in (0, 1, 65_535, 65_536, 1 << 20, 3_000_001, (32 << 20) - 1, 32 << 20):
        view = new_memory(size)
        assert (view.nbytes, view.readonly) == (size, False)
        if size:
            view[-1] = 7
            assert view[-1] == 7
