"""Disks that are full, fail or may not be written: a clear word in time, what finished stays, the next run goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import memento
from memento import Config, Context, Memento
from memento.errors import StoreUnwritable
from memento.index.sqlite import database
from memento.index.tables.writer import TableRun
from memento.store.store import Store
from tests.faults.victims import PATIENCE, Ended, Victim, until, value_of


def _works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    return done.returncode == 0


@pytest.fixture(scope="session")
def own_mounts() -> None:
    if not _works("unshare", "-m", "mount", "-t", "tmpfs", "x", "/mnt"):
        pytest.skip("this user may not mount a small disk (unshare -m)")


@pytest.fixture(scope="session")
def traced() -> None:
    if not _works("strace", "-f", "-e", "inject=fsync:error=EIO", "true"):
        pytest.skip("strace is not here, or may not inject errors")


def on_a_disk(victim: Victim, options: str, then: str) -> list[Ended]:
    """Run a grid on a small disk, change the disk, and run it again."""
    victim.store.mkdir()
    store = str(victim.store)
    run = " ".join(victim.command)
    journal = str(victim.journal)
    script = (
        f"mount -t tmpfs -o {options} x '{store}' && {{ {run}; echo \"ended $?\"; }}"
        f" && cp -r '{store}' '{store}-first' && mv '{journal}' '{journal}-first'"
        f" && mount -o remount,{then} '{store}' && {{ {run}; echo \"ended $?\"; }}"
        f" && cp -r '{store}' '{store}-second'"
    )
    process = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=victim.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    assert not victim.left()
    parts = process.stdout.split("ended ")
    return [Ended(int(after.split()[0]), before) for before, after in pairwise(parts)]


def check_nothing_lost(victim: Victim) -> None:
    """What the first run kept was right, and the second did not compute it again."""
    again = set(victim.starts())
    victim.store = Path(f"{victim.store}-first")
    done = victim.done()
    for number, value in done.items():
        np.testing.assert_equal(value, value_of(number))
    assert not again & done.keys()


@pytest.mark.slow
@pytest.mark.usefixtures("own_mounts")
@pytest.mark.parametrize("executor", ["serial", "processes"])
@pytest.mark.parametrize("size", ["300k", "600k"])
def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_space(
    executor: str, size: str, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=150, executor=executor)
    full, enough = on_a_disk(victim, f"size={size}", "size=64m")
    assert full.code not in (0, -9)
    assert "StoreUnwritable" in full.output
    assert str(victim.store) in full.output
    assert "No space left" in full.output or "disk is full" in full.output
    assert enough.complete, enough.output
    check_nothing_lost(victim)


@pytest.mark.slow
@pytest.mark.usefixtures("own_mounts")
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_disk_without_room_for_more_files_ends_the_run_before_more_is_computed_in_vain(
    executor: str, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=60, executor=executor, SLOW="0.02")
    full, enough = on_a_disk(victim, "size=64m,nr_inodes=30", "nr_inodes=1000")
    assert full.code == 1
    assert "StoreUnwritable" in full.output
    assert "No space left" in full.output
    assert "run again" in full.output
    assert enough.complete, enough.output
    check_nothing_lost(victim)
    assert len(victim.done()) > 5
    assert len(victim.starts()) > 10  # the first run did not try them all


@pytest.mark.slow
@pytest.mark.usefixtures("own_mounts")
def test_a_disk_that_may_only_be_read_says_so_and_gives_what_it_has(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=5)
    first, second = on_a_disk(victim, "size=64m", "ro")
    assert first.complete, first.output
    assert "StoreUnwritable" in second.output or second.complete, second.output


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("call", "error"), [("fsync", "EIO"), ("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "EDQUOT")]
)
@pytest.mark.parametrize("when", [3, 40, 200])
def test_a_disk_that_fails_says_so_and_loses_nothing(
    call: str, error: str, when: int, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=60)
    inject = f"inject={call}:error={error}:when={when}+"
    failed = victim.run("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject)
    assert failed.complete or "StoreUnwritable" in failed.output, failed.output
    told, done = victim.told(), victim.done()
    assert told <= len(done)
    victim.forget_journal()
    assert victim.run().complete
    assert not set(victim.starts()) & done.keys()


# What Python imports first, in every process of the victim: a disk on which a user may write so many files of a store.
QUOTA = """
import errno, os
real, left = os.write, int(os.environ["FILES"])
def write(descriptor, data):
    global left
    if "/payloads/" in os.readlink(f"/proc/self/fd/{descriptor}"):
        left -= 1
        if left < 0:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    return real(descriptor, data)
os.write = write
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "threads", "processes"])
def test_a_quota_that_is_used_up_ends_the_run_and_the_next_goes_on(executor: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(QUOTA, encoding="utf-8")
    victim = Victim(tmp_path, tasks=60, executor=executor, SLOW="0.02", PYTHONPATH=str(tmp_path / "site"))
    ended = victim.run(FILES="4")
    assert ended.code == 1
    assert "StoreUnwritable" in ended.output
    assert "quota" in ended.output
    assert "run again" in ended.output
    done = victim.done()
    assert len(done) >= 4
    assert len(victim.starts()) < 50  # it did not try them all
    assert victim.told() <= len(done)
    victim.forget_journal()
    assert victim.run(FILES="1000").complete
    assert not set(victim.starts()) & done.keys()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not here")
@pytest.mark.parametrize("limit", ["--nofile=14", "--nofile=9", "--fsize=100000", "--fsize=30000"])
def test_a_limit_of_the_system_says_so_and_loses_nothing(limit: str, tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=60)
    failed = victim.run("prlimit", limit)
    assert failed.complete or "Error" in failed.output or "StoreUnwritable" in failed.output, failed.output
    told, done = victim.told(), victim.done()
    assert told <= len(done)
    victim.forget_journal()
    assert victim.run().complete
    assert not set(victim.starts()) & done.keys()


def nothing(context: Context, config: Config) -> int:
    return 1


def test_a_program_that_outlives_a_full_disk_may_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Memento(nothing, executor="serial", store="store", progress=False)
    matrix = {"parameters": {"n": [1, 2, 3]}}

    def full(*_: object) -> None:
        raise StoreUnwritable("store", "the disk is full.", "")

    with monkeypatch.context() as disk:
        disk.setattr(TableRun, "commit", full)
        disk.setattr(TableRun, "finish", full)
        with pytest.raises(StoreUnwritable):
            runs.run(matrix)
    results = runs.run(matrix)  # which waits for no claim of the first
    assert results is not None
    assert [result.inner for result in results] == [1, 1, 1]
    with Store.open("store") as store:
        assert [run.status for run in store.index.runs()] == ["done", "died"]


def test_an_index_that_stays_locked_ends_the_run_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    runs = Memento(nothing, executor="serial", store="store", progress=False)
    runs.run({"parameters": {"n": [1]}})
    with closing(sqlite3.connect("store/index.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnwritable, match=r"another process has held its lock.*then run again"):
            runs.run({"parameters": {"n": [1, 2]}})
        readable = memento.load("store")
        assert [result.inner for result in readable] == [1]
        other.execute("ROLLBACK")
    results = runs.run({"parameters": {"n": [1, 2]}})
    assert results is not None
    assert [result.was_cached for result in results] == [True, False]


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["long"] * 1_200)])
def test_a_path_that_is_too_long_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable, match=r"(?s)xxx|long.*Choose another place"):
        Memento(nothing, executor="serial", store=tmp_path / name, progress=False).run(
            {"parameters": {"n": [1]}}
        )


def test_a_name_with_a_zero_byte_is_no_place_for_a_store(tmp_path: Path) -> None:
    with pytest.raises((StoreUnwritable, ValueError)):
        Store.open(str(tmp_path / "a\0b"))


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_disk_that_is_slow_only_takes_longer(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=30, executor="processes")
    slow = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=100000"]
    ended = victim.run("strace", "-f", "-qq", "-o", os.devnull, *slow)
    assert ended.complete, ended.output
    assert all(count == 1 for count in victim.starts().values())


@pytest.mark.slow
def test_a_program_that_locks_the_index_for_seconds_only_holds_a_run_up(tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=60, executor="processes", SLOW="0.03")
    run = victim.start()
    assert until(lambda: victim.lines("told"))
    with closing(sqlite3.connect(victim.store / "index.sqlite", isolation_level=None, timeout=300)) as other:
        other.execute("BEGIN IMMEDIATE")
        ((done,),) = other.execute("SELECT count(*) FROM results WHERE status = 'done'").fetchall()
        assert until(lambda: victim.told() >= done)  # what was committed before is told
        assert not until(lambda: victim.told() > done, 2.0)
        other.execute("ROLLBACK")
    ended = victim.wait(run)
    assert ended.complete, ended.output
    assert all(count == 1 for count in victim.starts().values())
