"""A damaged index is rebuilt from what can be read, and nothing is lost that can be saved."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from memento.errors import (
    StoreDamaged,
)
from memento.index.sqlite import recovery
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of

HOSTILE = 'a store\'s "folder"\n?#%20 é'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / HOSTILE


def fill(root: Path, count: int = 3) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        run.commit([row_of(n) for n in range(count)])
        run.finish("done", {"done": count})


def tear(index: Path, page: int) -> None:
    with open(index, "r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)


def test_a_torn_page_costs_its_rows_only(root: Path) -> None:
    fill(root, 2000)
    index = root / "index.sqlite"
    pages = index.stat().st_size // 4096  # all but the first few hold tasks
    assert pages > 60
    tear(index, pages // 2)
    with Store.open(root) as store, pytest.raises(StoreDamaged, match="Run again"):
        list(store.index.records(range(1, 2001)))
    with Store.open(root) as store:
        left = {known.id for known in store.index.known(EXPERIMENT)}
        assert 1900 < len(left) < 2000
        assert {1, 2000} <= left
        assert "tasks could not be read" in store.notes[0]
        assert len(list(store.index.records(sorted(left)))) == len(left)
        run = store.begin(info_of())
        assert run.commit([row_of(5000)]).ids[key_of(5000)] > 2000
    assert (root / "index.damaged-1.sqlite").is_file()
    with Store.open(root) as store:
        assert store.notes == []


@pytest.mark.parametrize(
    ("declared", "read"),
    [
        (b"experiments (id INTEGER", b"experiments (id INTEFER"),
        (b"tasks (\n    id INTEGER", b"tasks (\n    id INTEGEB"),
        (b"INDEX metrics_by_task", b"INDEX metrics_by_tasj"),
        (b"NULL, n INTEGER", b"NUL\xcc, n INTEGER"),
        (b"memory INTEGER,                 -- b", b"memorx INTEGER,                 -- b"),
    ],
)
def test_a_flipped_bit_in_a_declaration_is_found_and_costs_nothing(
    root: Path, declared: bytes, read: bytes
) -> None:
    fill(root)
    index = root / "index.sqlite"
    data = index.read_bytes()
    assert data.count(declared) == 1
    index.write_bytes(data.replace(declared, read))
    with pytest.raises(StoreDamaged, match="Run again"):
        Store.open(root, readonly=True, create=False)
    with Store.open(root) as store:
        assert "has been rebuilt" in store.notes[0]
        assert store.index.experiments() == [(EXPERIMENT, 3, 0)]
        assert len(list(store.index.known(EXPERIMENT))) == 3


def test_what_a_run_commits_while_its_index_is_rebuilt_is_not_lost(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root)
    told: list[bytes] = []

    def commit() -> None:
        with suppress(StoreDamaged):
            told.extend(run.commit([row_of(9)]).ids)

    complete = recovery._complete

    def interfere(target: sqlite3.Connection) -> None:
        complete(target)
        writer.start()
        writer.join(0.3)  # time to commit, were it not kept waiting

    with Store.open(root) as store:
        run = store.begin(info_of())
        writer = threading.Thread(target=commit)
        monkeypatch.setattr(recovery, "_complete", interfere)
        recovery.rebuild(root / "index.sqlite", certain=True)
        writer.join()
    with Store.open(root) as store:
        assert set(told) <= {known.key for known in store.index.known(EXPERIMENT)}
        assert store.index.experiments() == [(EXPERIMENT, 3, 0)]


def test_a_run_that_was_killed_while_it_rebuilt_has_not_undone_what_others_committed_since(
    root: Path,
) -> None:
    fill(root)
    opening = (
        "import sys; from memento.index.sqlite.recovery import *; rebuild(Path(sys.argv[1]), certain=True)"
    )
    index = root / "index.sqlite"
    environment = {**os.environ, "MEMENTO_FAULTS": "rebuild.ready"}
    command = [sys.executable, "-c", opening, str(index)]
    killed = subprocess.run(command, env=environment, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(index)) as connection, connection:  # a run that had it open all the time
        connection.execute("UPDATE experiments SET name = 'changed'")
    with Store.open(root) as store:
        assert store.index.experiments() == [("changed", 3, 0)]


def test_an_index_of_noise_is_replaced_and_kept(root: Path) -> None:
    fill(root)
    (root / "index.sqlite").write_bytes(b"noise" * 5000)
    with pytest.raises(StoreDamaged):
        Store.open(root, readonly=True, create=False)
    with Store.open(root) as store:
        assert list(store.index.known(EXPERIMENT)) == []
        assert "0 tasks were saved" in store.notes[0]
    assert (root / "index.damaged-1.sqlite").read_bytes() == b"noise" * 5000


def test_an_index_that_was_only_begun_is_completed(root: Path) -> None:
    root.mkdir()
    (root / "index.sqlite").touch()
    with Store.open(root) as store:
        assert store.index.experiments() == []
