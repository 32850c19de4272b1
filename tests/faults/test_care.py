"""`gc`, `retry`, `ls` and `verify` at once with runs over one store; `gc` killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import memento
from memento.store.store import Store
from memento.values.payloads import checksum
from tests.faults.victims import Victim, until, value_of

# Each command again and again until told, each in processes of its own, as people and cron call them.
CARER = """
import json, os, subprocess, sys
command, store, over = sys.argv[1].split(), sys.argv[2], sys.argv[3]
times = 0
while not times or not os.path.exists(over):
    line = [sys.executable, "-m", "memento", *command, "--store", store]
    ended = subprocess.run(line, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{command} ended with {ended.returncode}: {ended.stdout} {ended.stderr}")
    times += 1
print("called", times)
"""
COMMANDS = ["gc", "gc --damaged --json", "retry", "ls --json", "verify", "verify --repair"]


def carers(victim: Victim, over: Path) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            [sys.executable, "-c", CARER, command, str(victim.store), str(over)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in COMMANDS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("coordinators", [1, 2])
def test_runs_and_gc_retry_ls_and_verify_at_once_do_every_task_once(
    coordinators: int, tmp_path: Path
) -> None:
    victim = Victim(tmp_path, tasks=120, executor="processes", SLOW="0.05")
    runs = [victim.start() for _ in range(coordinators)]
    assert until(lambda: victim.lines("told"))
    over = tmp_path / "over"
    others = carers(victim, over)
    ended = [victim.wait(run) for run in runs]
    over.touch()
    said = [other.communicate(timeout=300)[0] for other in others]
    for one in ended:
        assert one.complete, one.output
        assert "locked" not in one.output
    for text in said:
        assert text.startswith("called "), text
        assert int(text.split()[1]) > 0
    assert victim.starts() == dict.fromkeys(range(victim.tasks), 1)
    done = victim.done()
    assert set(done) == set(range(victim.tasks))
    memento.gc(victim.store)
    report = memento.verify(victim.store)
    assert (report.problems, report.tasks) == ([], victim.tasks)
    for n, value in victim.done().items():
        np.testing.assert_equal(value, value_of(n))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_gc_that_is_killed_at_random_and_runs_that_begin_meanwhile_lose_nothing(
    seed: int, tmp_path: Path
) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    victim = Victim(tmp_path, tasks=40, executor="serial")
    assert victim.run().complete
    with Store.open(victim.store) as store:
        forgotten = [record.key for record in store.index.recent()][::2]
    for _ in range(3):
        with Store.open(victim.store) as store:
            store.forget(forgotten)
            for n in range(400):  # garbage, so that it takes a while; written without waiting for the disk
                name = checksum([b"%d" % n]).hex()
                path = store.payloads.path(f"{name[:2]}/{name}.bin")
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"%d" % n)
        collecting = subprocess.Popen([sys.executable, "-m", "memento", "gc", "--store", str(victim.store)])
        time.sleep(draw.uniform(0.1, 0.6))  # when it is killed, and what runs begin in, is to differ
        run = victim.start()
        time.sleep(draw.uniform(0.0, 0.4))
        os.kill(collecting.pid, signal.SIGKILL)
        collecting.wait()
        ended = victim.wait(run)
        assert ended.complete, ended.output
        assert memento.verify(victim.store).problems == []
    memento.gc(victim.store)
    assert memento.verify(victim.store).problems == []
    calls = victim.starts()
    assert victim.run().complete
    assert victim.starts() == calls
    with Store.open(victim.store) as store:
        named = {
            record.value.ref
            for record in store.index.recent()
            if record.value is not None and record.value.ref
        }
        assert {ref for ref in store.payloads.refs() if not ref.startswith("classes/")} == named


@pytest.mark.slow
@pytest.mark.parametrize("point", ["merge.copied:1", "merge.inside:1", "merge.done:1", "run.finishing:1"])
def test_a_merge_that_is_killed_leaves_a_whole_store_and_the_next_one_completes_it(
    point: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    victim, other = Victim(tmp_path, tasks=3), Victim(tmp_path / "other", tasks=8)
    assert victim.run().complete
    assert other.run().complete
    with Store.open(other.store) as store:
        (named,) = [name for name, _, _ in store.index.experiments()]
    with Store.open(victim.store) as store:
        (wanted,) = [name for name, _, _ in store.index.experiments()]
    if named != wanted:
        memento_of("rename", named, wanted, "--store", str(other.store))
    line = ("merge", str(other.store), "--into", str(victim.store))
    assert memento_of(*line, MEMENTO_FAULTS=point).returncode == -signal.SIGKILL
    assert memento.verify(victim.store).problems == []
    memento.gc(victim.store)
    told = memento_of(*line)
    assert told.returncode == 0, told.stderr
    assert set(victim.done()) == set(range(8))
    for n, value in victim.done().items():
        np.testing.assert_equal(value, value_of(n))
    memento.gc(victim.store)
    assert memento.verify(victim.store).problems == []
    again = memento_of(*line)
    assert "there was nothing to take" in again.stdout


def memento_of(*line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memento", *line]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["gc.given_up:1", "gc.turn:1"])
def test_gc_that_is_killed_while_it_gives_up_results_leaves_a_whole_store(point: str, tmp_path: Path) -> None:
    victim = Victim(tmp_path, tasks=6)
    assert victim.run().complete
    line = [
        sys.executable,
        "-m",
        "memento",
        "gc",
        "--older-than",
        "0s",
        "--yes",
        "--store",
        str(victim.store),
    ]
    killed = subprocess.run(line, env={**os.environ, "MEMENTO_FAULTS": point}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert memento.verify(victim.store).problems == []
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert victim.done() == {}
    assert memento.sizes(victim.store).values == 0
    assert victim.run().complete
    assert memento.verify(victim.store).problems == []
