"""What a worker leaves of an attempt is whole or nothing, and runs nothing when it is read."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from memento.keys.project_files import Script
from memento.records import DIED, DONE, Encoded, Failure, LogSlice, Outcome, Piece, Series
from memento.worker import handover
from memento.worker.portable import Portable
from memento.worker.work import Task, Work

TASK = Task(7, bytes(range(16)), 0, (), 0, 2, 0.0)
OUTCOME = Outcome(
    7, DONE, 2, 1.0, 2.0, 3.0, 4, 5, "host/1", Encoded("json", b"1", None, 1, "builtins:int"),
    (Series("loss", 1, 0.5, 0.5, 0.5, bytes(16)),), ("model.bin",), LogSlice("run/0001.log", 0, 9),
    Failure(DIED, "SIGKILL", "it died", "", "", b"x", ""), None,
    (Piece("run", 1, 0.0, 1.0, None, None, "host/1", None),), (b"code",),
)  # fmt: skip


@pytest.fixture
def work(tmp_path: Path) -> Work:
    script = Script("script.py", "script", (str(tmp_path),), "")
    return Work(
        "run-1", "exp:f", Portable(len, "f"), Portable({}, "settings"), [()], [], str(tmp_path), script, [], "", 1,
        codes=((b"version", b"older"),),
    )  # fmt: skip


def left(work: Work) -> Path:
    (path,) = handover.outcomes_of(work.store, work.run)
    return path


def test_what_is_left_is_read_as_it_was(work: Work) -> None:
    handover.leave(work, TASK, OUTCOME)
    found = handover.read(left(work))
    assert found == ("run-1", "exp:f", TASK.key, b"version", OUTCOME)
    assert type(found.outcome) is Outcome
    assert left(work).name == f"{TASK.key.hex()}-2"
    assert handover.left_of(work, TASK._replace(number=3)) == OUTCOME._replace(number=3)
    assert handover.left_of(work, TASK._replace(attempt=3)) is None
    assert handover.runs_with_outcomes(work.store) == ["run-1"]


@pytest.mark.parametrize("size", [0, 5, 30, 100, -1])
def test_a_torn_one_is_none(work: Work, size: int) -> None:
    handover.leave(work, TASK, OUTCOME)
    left(work).write_bytes(left(work).read_bytes()[:size])
    assert handover.read(left(work)) is None


def test_a_flipped_bit_anywhere_is_noticed(work: Work) -> None:
    handover.leave(work, TASK, OUTCOME)
    data = left(work).read_bytes()
    for place in range(0, len(data), 7):
        left(work).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert handover.read(left(work)) is None


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def test_reading_a_strangers_runs_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.store)
    handover.leave(work, TASK, OUTCOME)
    magic = left(work).read_bytes().partition(b"\n")[0] + b"\n"
    for content in (
        pickle.dumps(Evil()),
        pickle.dumps([1]),
        b"no pickle",
        pickle.dumps(("r", "e", b"k", b"c", 1)),
    ):
        digest = hashlib.blake2b(content, digest_size=16).digest()
        left(work).write_bytes(magic + digest + content)
        assert handover.read(left(work)) is None
    assert not Path("evil").exists()
