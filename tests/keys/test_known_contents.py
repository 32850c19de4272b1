"""What is remembered of large arrays' hashes: a content is hashed once, and nothing that is damaged is believed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.keys import encode_numpy, known_contents
from memento.keys.value_digest import digest

BASE = np.random.default_rng(0).standard_normal((400, 1003))


class Counted:
    """Counts how often an array is read for its key."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.times, self.file = 0, file
        self._exact = encode_numpy._exact
        monkeypatch.setattr(encode_numpy, "_exact", self._count)
        self.forget()

    def _count(self, value: Any, np: Any) -> bytes:
        self.times += 1
        return self._exact(value, np)

    def forget(self) -> None:
        """Be a new process."""
        known_contents._known.clear()
        known_contents.keep_in(str(self.file))
        self.times = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Counted]:
    yield Counted(monkeypatch, tmp_path / "known contents")
    known_contents._known.clear()
    known_contents.keep_in("")


@pytest.mark.parametrize(
    "value", [BASE, BASE.T, BASE.astype("c8"), BASE.astype("U4"), BASE.astype("M8[s]"), [BASE, {"a": BASE}]]
)
def test_a_content_is_hashed_once_in_all_processes_and_its_digest_is_the_same(
    counted: Counted, value: Any
) -> None:
    exact = digest(value)
    assert (digest(value), counted.times) == (exact, 1)
    counted.forget()
    assert (digest(value), counted.times) == (exact, 0)
    counted.file.unlink()
    counted.forget()
    assert (digest(value), counted.times) == (exact, 1)


def test_what_is_changed_in_place_is_hashed_anew(counted: Counted) -> None:
    array = BASE.copy()
    before = digest(array)
    array[-1, -1] += 1
    assert digest(array) != before
    assert counted.times == 2
    array[-1, -1] -= 1
    array[-1, -1] = BASE[-1, -1]
    assert digest(array) == before
    assert counted.times == 2


def test_what_another_thread_writes_to_meanwhile_is_not_remembered(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, plain = BASE.copy(), encode_numpy._exact

    def disturbed(value: Any, np: Any) -> bytes:
        array[0, 0] += 1
        return plain(value, np)

    monkeypatch.setattr(encode_numpy, "_exact", disturbed)
    digest(array)
    monkeypatch.setattr(encode_numpy, "_exact", plain)
    exact = digest(BASE)
    counted.file.unlink(missing_ok=True)
    counted.forget()
    assert digest(BASE) == exact


def test_equal_memory_of_another_type_or_shape_is_another_content(counted: Counted) -> None:
    alike = [BASE, BASE.view("i8"), BASE.reshape(-1), BASE.T, BASE.view("M8[s]")]
    assert len({digest(array) for array in alike}) == counted.times == len(alike)


@pytest.mark.parametrize("cut", [1, 20, 60, 90])
def test_a_line_that_is_damaged_or_cut_short_is_none(counted: Counted, cut: int) -> None:
    exact, other = digest(BASE), digest(BASE + 1)
    whole = counted.file.read_bytes()
    first, second = (line for line in whole.splitlines() if line)
    swapped = bytes(first[:cut][::-1] + first[cut:])
    counted.file.write_bytes(b"\n" + swapped + b"\n\xff\x00\n" + second[:cut])
    counted.forget()
    assert (digest(BASE), digest(BASE + 1)) == (exact, other)
    if swapped != first:
        assert counted.times == 2
    counted.forget()
    assert (digest(BASE), digest(BASE + 1), counted.times) == (exact, other, 0)


def test_a_hash_that_belongs_to_another_content_is_not_believed(counted: Counted) -> None:
    exact, other = digest(BASE), digest(BASE + 1)
    one, two = (line.split() for line in counted.file.read_text().splitlines() if line)
    counted.file.write_text(f"{one[0]} {two[1]} {two[2]}\n{two[0]} {one[1]} {two[2]}\n")
    counted.forget()
    assert (digest(BASE), digest(BASE + 1)) == (exact, other)


@pytest.mark.parametrize("place", ["gone/known", ""])
def test_where_nothing_can_be_kept_the_digest_is_the_same(counted: Counted, place: str) -> None:
    exact = digest(BASE)
    counted.file = counted.file.parent / place  # a folder that is not there, or a folder
    counted.forget()
    assert (digest(BASE), counted.times) == (exact, 1)


def test_what_another_process_has_hashed_meanwhile_is_known(counted: Counted) -> None:
    digest(BASE)
    code = (
        "import sys, numpy as np; from memento.keys import known_contents, value_digest;"
        f"known_contents.keep_in({str(counted.file)!r});"
        "value_digest.digest(np.arange(1 << 18))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    counted.times = 0
    digest(np.arange(1 << 18))
    assert counted.times == 0
