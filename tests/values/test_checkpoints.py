"""A crash leaves the old checkpoint or the new one, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.errors import PayloadDamaged, StoreError, UnsavableResult
from memento.values.checkpoints import CheckpointDir, Origin, is_whole, saved_by

KEY = "00ff" * 8


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointDir:
    return CheckpointDir(tmp_path / "check points", KEY)


def newest(checkpoints: CheckpointDir) -> Path:
    return max(checkpoints.folder.iterdir(), key=lambda p: p.read_bytes()[-24:-16][::-1])


def test_state_and_what_goes_with_it_come_back(checkpoints: CheckpointDir) -> None:
    checkpoints.save(({"w": np.arange(10_000.0)}, "b"), {"metrics": {"loss": b"x"}})
    state, extra = checkpoints.load()
    assert (state[0]["w"] == np.arange(10_000.0)).all()
    assert state[1] == "b"
    assert extra == {"metrics": {"loss": b"x"}}


def test_arrays_that_come_back_can_be_trained_on(checkpoints: CheckpointDir) -> None:
    checkpoints.save((np.zeros(10_000),))
    (array,), _ = checkpoints.load()
    array += 1
    assert array.sum() == 10_000


def test_the_newest_of_many_is_loaded_and_two_are_kept(checkpoints: CheckpointDir) -> None:
    for i in range(5):
        checkpoints.save((i,))
    assert checkpoints.load()[0] == (4,)
    assert len(list(checkpoints.folder.iterdir())) == 2


def test_a_new_process_goes_on_counting(checkpoints: CheckpointDir, tmp_path: Path) -> None:
    for i in range(3):
        CheckpointDir(tmp_path / "check points", KEY).save((i,))
    assert checkpoints.load()[0] == (2,)


@pytest.mark.parametrize("harm", ["cut", "flip", "zero", "empty"])
def test_a_torn_checkpoint_gives_way_to_the_one_before(
    harm: str, checkpoints: CheckpointDir, tmp_path: Path
) -> None:
    checkpoints.save((1, np.zeros(100_000)))
    checkpoints.save((2, np.ones(100_000)))
    path = newest(checkpoints)
    data = bytearray(path.read_bytes())
    if harm == "cut":
        del data[5000:]
    elif harm == "flip":
        data[len(data) // 2] ^= 4
    elif harm == "zero":
        data[-4096:] = bytes(4096)
    else:
        data.clear()
    path.write_bytes(data)
    assert checkpoints.load()[0][0] == 1
    again = CheckpointDir(tmp_path / "check points", KEY)
    again.save((3,))  # goes where the torn one stood, never over the one that is whole
    assert again.load()[0] == (3,)


def test_a_bit_that_flips_anywhere_is_noticed(checkpoints: CheckpointDir) -> None:
    checkpoints.save((np.arange(5), "old"))
    checkpoints.save((np.arange(5), "new"))
    newest = checkpoints.folder / "b.checkpoint"
    data = newest.read_bytes()
    for at in range(len(data)):
        newest.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        (numbers, which), _ = CheckpointDir(checkpoints.folder.parent, checkpoints.folder.name).load()
        assert (list(numbers), which) == ([0, 1, 2, 3, 4], "old"), at


@pytest.mark.parametrize("use", ["load", "exists", "save"])
def test_a_checkpoint_that_cannot_be_read_now_is_not_thrown_away(
    checkpoints: CheckpointDir, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    checkpoints.save(("state",))

    def too_many(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    again = CheckpointDir(checkpoints.folder.parent, checkpoints.folder.name)
    with monkeypatch.context() as limited:
        limited.setattr("builtins.open", too_many)
        with pytest.raises(StoreError, match=r"Too many open files.*It is kept"):
            again.save(("other",)) if use == "save" else getattr(again, use)()
    assert CheckpointDir(checkpoints.folder.parent, checkpoints.folder.name).load() == (("state",), {})


def test_the_save_after_a_load_leaves_the_one_that_was_loaded(
    checkpoints: CheckpointDir, tmp_path: Path
) -> None:
    for i in range(3):
        checkpoints.save((i, np.zeros(100_000)))
    newest(checkpoints).write_bytes(b"torn, and of the latest generation")
    again = CheckpointDir(tmp_path / "check points", KEY)
    assert again.load()[0][0] == 1
    again.save((3, np.zeros(100_000)))
    newest(again).write_bytes(b"torn once more")
    assert CheckpointDir(tmp_path / "check points", KEY).load()[0][0] == 1


def test_what_is_looked_at_only_is_not_held_in_memory(checkpoints: CheckpointDir, tmp_path: Path) -> None:
    checkpoints.save((1, np.zeros(4_000_000)))
    (path,) = checkpoints.folder.iterdir()
    tracemalloc.start()
    try:
        assert is_whole(path)
        CheckpointDir(tmp_path / "check points", KEY).save((2,))  # finds out which one it may write over
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_without_a_whole_one_the_error_says_so(checkpoints: CheckpointDir) -> None:
    checkpoints.save((1,))
    newest(checkpoints).write_bytes(b"torn")
    with pytest.raises(PayloadDamaged, match="no checkpoint of this task is whole"):
        checkpoints.load()


def test_without_any_there_is_a_key_error(checkpoints: CheckpointDir) -> None:
    assert not checkpoints.exists()
    with pytest.raises(KeyError, match="checkpoint_exist"):
        checkpoints.load()


def test_dropping_leaves_nothing(checkpoints: CheckpointDir) -> None:
    checkpoints.save((1,))
    checkpoints.drop()
    assert not checkpoints.exists()
    assert not checkpoints.folder.exists()


def test_what_cannot_be_saved_is_named_and_the_old_state_stays(checkpoints: CheckpointDir) -> None:
    checkpoints.save((1,))
    with pytest.raises(UnsavableResult, match=r"the checkpoint's state\['lock'\]"):
        checkpoints.save(({"lock": threading.Lock()},))
    assert checkpoints.load()[0] == (1,)


def test_a_fitted_model_comes_back(checkpoints: CheckpointDir) -> None:
    linear: Any = pytest.importorskip("sklearn.linear_model")
    x = np.random.default_rng(0).random((200, 5))
    model = linear.LinearRegression().fit(x, x.sum(axis=1))
    checkpoints.save((model,))
    assert (checkpoints.load()[0][0].predict(x) == model.predict(x)).all()


SAVER = """
import sys
import numpy as np
from memento.values.checkpoints import CheckpointDir, is_whole
checkpoints = CheckpointDir(sys.argv[1], sys.argv[2])
for i in range(10**9):
    checkpoints.save((i, np.full(300_000, i)))
    print(i, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint_no_older_than_the_last_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        command = [sys.executable, "-c", SAVER, str(tmp_path / "checkpoints"), KEY]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
            assert saver.stdout is not None
            told = -1
            for _ in range(int(rng.integers(1, 12))):
                told = int(saver.stdout.readline())
            saver.send_signal(signal.SIGKILL)
            rest = saver.stdout.read().split()
        told = int(rest[-1]) if rest else told
        (number, array), _ = CheckpointDir(tmp_path / "checkpoints", KEY).load()
        assert number in (told, told + 1)
        assert (array == number).all()


def code(letter: str) -> bytes:
    return letter.encode() * 16


def opened(folder: Path, policy: str, *codes: bytes) -> tuple[CheckpointDir, Origin]:
    origin = Origin(codes, policy)
    return CheckpointDir(folder, KEY, origin), origin


@pytest.mark.parametrize("policy", ["warn", "ignore", "rerun"])
def test_a_checkpoint_of_ones_own_code_comes_back(policy: str, tmp_path: Path) -> None:
    opened(tmp_path, policy, code("a"))[0].save((1,))
    again, origin = opened(tmp_path, policy, code("a"))
    assert again.exists()
    assert again.load()[0] == (1,)
    assert origin.older == ()


def test_a_checkpoint_of_code_that_counts_as_ones_own_comes_back(tmp_path: Path) -> None:
    opened(tmp_path, "rerun", code("a"))[0].save((1,))
    again, origin = opened(tmp_path, "rerun", code("b"), code("a"))
    assert again.exists()
    assert again.load()[0] == (1,)
    assert origin.older == ()


def test_a_checkpoint_of_older_code_comes_back_and_is_remembered_in_all_later_ones(tmp_path: Path) -> None:
    opened(tmp_path, "warn", code("a"))[0].save((1,))
    again, origin = opened(tmp_path, "warn", code("b"))
    assert again.load()[0] == (1,)
    assert origin.older == (code("a"),)
    again.save((2,))
    assert saved_by(tmp_path / KEY) == (code("b"), code("a"))
    third, origin = opened(tmp_path, "warn", code("c"))
    assert third.load()[0] == (2,)
    assert origin.older == (code("b"), code("a"))


def test_a_checkpoint_that_was_not_asked_for_leaves_no_trace_in_the_next(tmp_path: Path) -> None:
    opened(tmp_path, "warn", code("a"))[0].save((1,))
    again, origin = opened(tmp_path, "warn", code("b"))
    again.save((2,))
    assert origin.older == ()
    assert saved_by(tmp_path / KEY) == (code("b"),)


def test_where_changed_code_computes_anew_an_older_checkpoint_is_as_none(tmp_path: Path) -> None:
    opened(tmp_path, "rerun", code("a"))[0].save((1,))
    again, _ = opened(tmp_path, "rerun", code("b"))
    assert not again.exists()
    with pytest.raises(KeyError):
        again.load()
    assert opened(tmp_path, "rerun", code("a"))[0].load()[0] == (1,)  # it was only left alone
    again.save((2,))
    assert again.load()[0] == (2,)
    assert opened(tmp_path, "rerun", code("b"))[0].load()[0] == (2,)


def test_a_torn_checkpoint_does_not_give_way_to_one_of_older_code(tmp_path: Path) -> None:
    opened(tmp_path, "rerun", code("a"))[0].save((1,))
    again, _ = opened(tmp_path, "rerun", code("b"))
    assert not again.exists()
    again.save((2,))
    newest(again).write_bytes(b"torn")
    assert not opened(tmp_path, "rerun", code("b"))[0].exists()


def test_the_versions_of_a_tasks_states_are_those_of_its_loops_too(tmp_path: Path) -> None:
    assert saved_by(tmp_path / KEY) is None
    CheckpointDir(tmp_path, f"{KEY}/loops", Origin([code("a")], "warn")).save((1,))
    assert saved_by(tmp_path / KEY) == (code("a"),)
    opened(tmp_path, "warn", code("b"))[0].save((1,))
    assert saved_by(tmp_path / KEY) == (code("b"), code("a"))
    CheckpointDir(tmp_path, "other").save((1,))
    assert saved_by(tmp_path / "other") == ()
