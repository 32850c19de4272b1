"""What tasks print is kept, whole or at its head and tail, whatever it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.executors.processes import output
from memento.records import DONE
from memento.testing.driving import Drive


def log_of(drive: Drive, number: int) -> bytes:
    log = drive.outcomes[number].log
    if log is None:
        return b""
    return (drive.store / "logs" / log.file).read_bytes()[log.start : log.end]


def flood(context: Any, config: Any) -> None:
    if config.x is not None:
        print("the very first line", flush=True)
        line = ("ä" * 49 + "\n").encode() * 10_000
        for _ in range(config.x // len(line)):
            os.write(1, line)
        print("the very last line", flush=True)
        if config.settings.get("die"):
            os._exit(9)
    else:
        print("a neighbour")


@pytest.mark.slow
@pytest.mark.parametrize("die", [False, True])
def test_a_flood_of_output_is_kept_at_its_head_and_tail(drive: Drive, die: bool) -> None:
    drive.start(flood, settings={"die": die}, num_workers=1)
    drive.run([drive.task(0, None), drive.task(1, 40_000_000), drive.task(2, None)])
    log = log_of(drive, 1)
    assert len(log) < output.LIMIT + 10_000
    assert log.startswith(b"the very first line\n")
    assert log.endswith(b"the very last line\n")
    head, said, _ = log.partition(b" bytes left out ...]\n")
    assert said
    assert 20_000_000 < int(head.rpartition(b"[... ")[2].replace(b",", b"")) < 40_000_000
    log.decode()  # no character was cut in two
    assert log_of(drive, 0) == log_of(drive, 2) == b"a neighbour\n"
    if die:
        failure = drive.outcomes[1].failure
        assert failure is not None
        assert "the very last line" in failure.output


@pytest.mark.slow
@pytest.mark.skipif(not system.LINUX, reason="other systems wait for the task's end")
def test_while_a_flood_goes_on_it_takes_little_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a neighbour's\n" + b"x" * (100 << 20))
    size = path.stat().st_size
    output.thin(str(path), 14, size)
    assert path.stat().st_size == size
    if path.stat().st_blocks * 512 > 50 << 20:
        pytest.skip("this file system frees no parts of files")
    assert path.read_bytes()[: 14 + 1] == b"a neighbour's\nx"
    assert output.shorten_path(str(path), 14, size) == path.stat().st_size < 14 + output.LIMIT + 100
    kept = path.read_bytes()[14:]
    assert set(kept.replace(b"\n", b"")) <= set(b"x[... ,0123456789bytes left out]"), "a hole was kept"


@pytest.mark.slow
def test_a_gigabyte_of_output_harms_nobody(drive: Drive) -> None:
    drive.start(flood)
    drive.run([drive.task(0, 1_000_000_000), *(drive.task(i, None) for i in range(1, 20))])
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}
    assert len(log_of(drive, 0)) < output.LIMIT + 10_000
    assert sum(path.stat().st_size for path in (drive.store / "logs").rglob("*.log")) < 40_000_000


def test_output_of_any_bytes_is_kept_and_can_be_shown(drive: Drive) -> None:
    garbage = bytes(range(256)) * 10 + "ä".encode()[:1]

    def spit(context: Any, config: Any) -> None:
        os.write(1, config.x)
        raise ValueError

    drive.start(spit, num_workers=1)
    outcomes = drive.run([drive.task(0, garbage), drive.task(1, garbage)])
    assert log_of(drive, 0) == log_of(drive, 1) == garbage
    failure = outcomes[1].failure
    assert failure is not None
    failure.output.encode()
