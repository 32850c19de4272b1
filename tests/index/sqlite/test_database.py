"""Threads, processes, disks and forks use one index file, and errors say what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from memento import system
from memento.errors import (
    StoreDamaged,
    StoreUnwritable,
)
from memento.index.sqlite.database import Database, error_code, explained
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


def test_a_full_disk_keeps_what_was_committed_and_says_so(root: Path) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        run.claim([key_of(n) for n in range(6)])
        run.commit([row_of(1)])
        connection = cast(Any, store.index).database.connection()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        big = b'"' + b"x" * 100_000 + b'"'
        with pytest.raises(StoreUnwritable, match="disk is full"):
            run.commit([row_of(2, value=big)])
        connection.execute("PRAGMA max_page_count = 1000000")
        assert list(run.commit([row_of(2, value=big)]).ids) == [key_of(2)]
        assert store.index.experiments() == [(EXPERIMENT, 2, 0)]


@pytest.mark.parametrize("gone", ["removed", "replaced"])
def test_nothing_is_told_as_done_in_a_file_that_nobody_will_find(
    root: Path, tmp_path: Path, gone: str
) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        run.commit([row_of(0)])
        if gone == "removed":
            shutil.rmtree(root)
        else:
            shutil.copyfile(root / "index.sqlite", tmp_path / "rebuilt")
            (tmp_path / "rebuilt").replace(root / "index.sqlite")
        with pytest.raises(StoreDamaged, match="removed or replaced"):
            run.commit([row_of(1)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_a_child_does_not_take_over_what_its_parent_had_open(root: Path) -> None:
    fill(root)
    code = """
import os, sqlite3, sys
from memento.store.store import Store
store = Store.open(sys.argv[1])
connection = store.index.database.connection()
if os.fork() == 0:
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:  # closed: SQLite knows nothing of the parent's locks here
        with Store.open(sys.argv[1]) as again:
            os._exit(len(list(again.index.recent())))
    os._exit(100)
print(os.waitstatus_to_exitcode(os.wait()[1]), len(list(store.index.recent())))
"""
    told = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["3", "3"]


def test_a_scan_that_is_half_read_holds_up_no_writer(root: Path) -> None:
    fill(root, 10)
    with Store.open(root) as store, Store.open(root) as writer:
        scan = store.index.known(EXPERIMENT)
        next(scan)
        run = writer.begin(info_of())
        run.commit([row_of(20)])
        assert (
            cast(Any, writer.index)
            .database.connection()
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetchone()[0]
            == 0
        )
        assert {known.key for known in scan} >= {key_of(n) for n in range(1, 10)}


def test_a_folder_that_nobody_may_write_can_be_read_with_what_waits_in_its_log(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(1)])
        copy = tmp_path / "burnt"
        copy.mkdir()
        for name in ("index.sqlite", "index.sqlite-wal"):
            (copy / name).write_bytes((root / name).read_bytes())
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def refuse(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        # What SQLite answers where it may not make its shared memory; root, who runs tests in containers, may.
        if "burnt" in str(database) and "immutable" not in str(database):
            return connect("file:/nowhere/at/all?mode=ro", uri=True)
        return connect(database, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    before = sorted(path.name for path in copy.iterdir())
    with Store.open(copy, readonly=True, create=False) as store:
        assert store.index.experiments() == [(EXPERIMENT, 1, 0)]
    assert sorted(path.name for path in copy.iterdir()) == before


def test_people_can_read_results_with_plain_sqlite(root: Path) -> None:
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(1), row_of(2, failed="broken")])
    rows = sqlite3.connect(root / "index.sqlite")
    found = rows.execute(
        "SELECT key, experiment, params, status, started, value, error FROM results"
    ).fetchall()
    rows.close()
    assert found == [
        (key_of(1).hex(), EXPERIMENT, '{"n": 1}', "done", "2023-11-14T22:13:21.000Z", "1.5", None),
        (key_of(2).hex(), EXPERIMENT, '{"n": 2}', "failed", "2023-11-14T22:13:22.000Z", None, "ValueError"),
    ]


def test_text_that_is_no_unicode_loses_no_commit(root: Path) -> None:
    with Store.open(root) as store:
        row = row_of(1, worker="h\udcff/1")._replace(params='{"p": "\ud800"}')
        number = store.begin(info_of()).commit([row, row_of(2)]).ids[key_of(1)]
        assert store.index.record(number).params == '{"p": "\\ud800"}'
        assert store.index.experiments() == [(EXPERIMENT, 2, 0)]


def test_ids_may_be_numpy_integers(root: Path) -> None:
    fill(root, 50)
    with Store.open(root) as store:
        assert [record.id for record in store.index.records(np.array([1, 50, 2]))] == [1, 50, 2]


def test_threads_have_connections_of_their_own(root: Path) -> None:
    fill(root)
    found: list[int] = []
    with Store.open(root) as store:
        threads = [
            threading.Thread(target=lambda: found.append(len(list(store.index.known(EXPERIMENT)))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
    assert found == [3, 3, 3, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_use_the_store_and_harms_nothing(root: Path) -> None:
    program = """
import os, sys
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, row_of
store = Store.open(sys.argv[1])
run = store.begin(info_of())
run.commit([row_of(1)])
child = os.fork()
if child == 0:
    store.begin(info_of()).commit([row_of(2)])
    store.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
run.commit([row_of(3)])
print(len(list(store.index.known(EXPERIMENT))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def test_a_store_on_a_network_disk_does_without_shared_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode(store: Store) -> str:
        return str(cast(Any, store.index).database.connection().execute("PRAGMA journal_mode").fetchone()[0])

    monkeypatch.setattr(system, "is_network_path", lambda path: True)
    with Store.open(root) as store:
        assert mode(store) == "delete"
        store.begin(info_of()).commit([row_of(1)])
    monkeypatch.undo()
    with Store.open(root) as store:  # the folder came home
        assert mode(store) == "wal"
        assert store.index.experiments() == [(EXPERIMENT, 1, 0)]


def test_a_connection_ends_with_its_thread(root: Path) -> None:
    fill(root)
    with Store.open(root) as store:
        for _ in range(5):
            thread = threading.Thread(target=store.index.experiments)
            thread.start()
            thread.join(300)
        assert len(cast(Any, store.index).database._opened) == 1


@pytest.mark.parametrize(
    ("code", "error", "word"),
    [
        (8, StoreUnwritable, "permissions"),
        (5, StoreUnwritable, "60 seconds"),
        (10, StoreUnwritable, "disk failed"),
        (11, StoreDamaged, "rebuilds"),
        (14, StoreUnwritable, "cannot be opened"),
    ],
)
def test_each_fault_of_sqlite_says_what_to_do(code: int, error: type[Exception], word: str) -> None:
    fault = sqlite3.OperationalError("some text")
    vars(fault)["sqlite_errorcode"] = code | 0x100
    ours = explained(fault, Path("index.sqlite"))
    assert isinstance(ours, error)
    assert word in str(ours)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("database is locked", 5),
        ("attempt to write a readonly database", 8),
        ("database disk image is malformed", 11),
    ],
)
def test_python_3_10_tells_faults_by_their_text(text: str, code: int) -> None:
    assert error_code(sqlite3.OperationalError(text)) == code


def test_opening_a_store_again_keeps_the_locks_that_this_process_has_on_it(root: Path) -> None:
    fill(root)
    with Store.open(root) as store:
        assert len(list(store.index.known(EXPERIMENT))) == 3
        Store.open(root).close()
        # Who closes the last connection removes this file; what is committed after that is lost.
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM tasks').fetchall()"
        subprocess.run([sys.executable, "-c", other, str(root / "index.sqlite")], check=True, timeout=300)
        assert (root / "index.sqlite-wal").exists()


def test_a_failing_disk_is_told_although_it_has_ended_the_look_at_one_moment(tmp_path: Path) -> None:
    """SQLite undoes a transaction by itself then, and would complain of a second undoing."""
    database = Database(tmp_path / "index.sqlite")

    def look() -> None:
        with database.snapshot() as connection:
            connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreUnwritable, match="the disk failed"):
        look()
    database.close()
