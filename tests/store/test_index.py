"""The index keeps what it is told, says what is wrong, and can be read by anyone."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from memento import system
from memento.errors import (
    NotAStore,
    PayloadDamaged,
    StoreDamaged,
    StoreTooNew,
    StoreUnwritable,
    UntrustedStore,
)
from memento.index.sqlite import recovery
from memento.index.sqlite.database import error_code, explained
from memento.records import DONE, LogSlice, Series
from memento.store.store import Store
from memento.testing.index import EXPERIMENT, info_of, key_of, row_of
from memento.values.encoding import encode

HOSTILE = 'a store\'s "folder"\n?#%20 é'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / HOSTILE


def fill(root: Path, count: int = 3) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        run.commit([row_of(n) for n in range(count)])
        run.finish("done", {"done": count})


def test_a_new_store_has_its_folders_and_ignores_itself_for_git(root: Path) -> None:
    Store.open(root).close()
    names = {path.name for path in root.iterdir() if path.is_dir()}
    assert names == {"payloads", "checkpoints", "logs", "artifacts", "work", "steps"}
    assert (root / ".gitignore").read_text() == "*\n"


def test_a_store_can_be_moved(root: Path, tmp_path: Path) -> None:
    fill(root)
    os.rename(root, tmp_path / "moved")
    with Store.open(tmp_path / "moved") as store:
        assert store.index.experiments() == [(EXPERIMENT, 3, 0)]


def test_opening_without_create_makes_nothing(root: Path) -> None:
    with pytest.raises(NotAStore, match="no store here"):
        Store.open(root, create=False)
    assert not root.exists()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thing").write_text("mine")
    with pytest.raises(NotAStore, match="a file"):
        Store.open(tmp_path / "thing")
    assert (tmp_path / "thing").read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(NotAStore, match=r"thesis\.tex"):
        Store.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "index.sqlite")
    foreign.execute("CREATE TABLE theirs (a)")
    foreign.close()
    with pytest.raises(NotAStore, match="another program"):
        Store.open(tmp_path)


def test_a_later_releases_store_is_refused(root: Path) -> None:
    fill(root)
    index = sqlite3.connect(root / "index.sqlite")
    index.execute("PRAGMA user_version = 99")
    index.close()
    with pytest.raises(StoreTooNew, match="pip install -U memento-ml"):
        Store.open(root)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a place where nobody may write")
def test_a_place_that_cannot_be_written_says_so() -> None:
    with pytest.raises(StoreUnwritable, match="Choose another place"):
        Store.open("/proc/memento-store")


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


def test_a_store_that_is_open_for_reading_cannot_be_written(root: Path) -> None:
    fill(root)
    with Store.open(root, readonly=True) as store:
        assert len(list(store.index.known(EXPERIMENT))) == 3
        with pytest.raises(StoreUnwritable, match="reading only"):
            store.begin(info_of())


def test_a_reader_sees_what_a_run_commits_meanwhile(root: Path) -> None:
    with Store.open(root) as store, Store.open(root, readonly=True) as reader:
        run = store.begin(info_of())
        run.commit([row_of(1)])
        assert reader.index.experiments() == [(EXPERIMENT, 1, 0)]
        run.commit([row_of(2)])
        assert reader.index.experiments() == [(EXPERIMENT, 2, 0)]


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


def test_ids_may_be_numpy_integers(root: Path) -> None:
    fill(root, 50)
    with Store.open(root) as store:
        assert [record.id for record in store.index.records(np.array([1, 50, 2]))] == [1, 50, 2]


def test_ids_are_never_used_twice(root: Path) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        first = run.commit([row_of(1)]).ids[key_of(1)]
        store.forget([key_of(1)])
        assert run.commit([row_of(2)]).ids[key_of(2)] > first


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


def test_metrics_come_back_as_arrays(root: Path) -> None:
    x, y = np.arange(3.0), np.array([0.5, np.nan, 0.25])
    series = Series("loss", 3, float("nan"), 0.25, 0.5, np.concatenate([x, y]).astype("<f8").tobytes())
    with Store.open(root) as store:
        number = store.begin(info_of()).commit([row_of(1, metrics=(series,))]).ids[key_of(1)]
        ((name, (read_x, read_y)),) = store.index.metrics(store.index.record(number)).items()
        assert name == "loss"
        np.testing.assert_array_equal(read_x, x)
        np.testing.assert_array_equal(read_y, y)
        (lasts,) = store.index.last_metrics([number])
        assert np.isnan(lasts["loss"][1]).tolist() == [True]


def test_a_log_is_the_slice_that_the_task_printed(root: Path) -> None:
    with Store.open(root) as store:
        (root / "logs" / "w.log").write_bytes(b"before[mine]after")
        ids = store.begin(info_of()).commit([row_of(1, log=LogSlice("w.log", 6, 12)), row_of(2)]).ids
        assert store.log(store.index.record(ids[key_of(1)])) == b"[mine]"
        assert store.log(store.index.record(ids[key_of(2)])) == b""


def test_a_stranger_s_pickle_is_not_opened(root: Path) -> None:
    with Store.open(root) as store:
        value = encode({1, 2, 3}, store.payloads, 16_384)
        number = store.begin(info_of()).commit([_with_value(2, value)]).ids[key_of(2)]
        assert store.value(store.index.record(number)) == {1, 2, 3}
    with Store.open(root, trusted=False) as store, pytest.raises(UntrustedStore):
        store.value(store.index.record(number))


def test_a_discarded_value_is_set_aside_and_its_task_is_not_done(root: Path) -> None:
    with Store.open(root) as store:
        value = encode(np.arange(10_000), store.payloads, 100)
        assert value.ref is not None
        number = store.begin(info_of()).commit([_with_value(1, value)]).ids[key_of(1)]
        record = store.index.record(number)
        (root / "payloads" / value.ref).write_bytes(b"torn")
        with pytest.raises(PayloadDamaged) as caught:
            store.value(record)
        store.discard(record, str(caught.value))
        assert list(store.index.known(EXPERIMENT)) == []
        assert not (root / "payloads" / value.ref).exists()
        (why,) = (root / "payloads" / "damaged").glob("*.why")
        assert record.key.hex() in why.read_text(encoding="utf-8")


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
            thread.join(30)
    assert found == [3, 3, 3, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_use_the_store_and_harms_nothing(root: Path) -> None:
    program = """
import os, sys
from memento.store.store import Store
from memento.testing.index import EXPERIMENT, info_of, row_of
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
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")


def _with_value(number: int, value: Any) -> Any:
    row = row_of(number)
    return row._replace(outcome=row.outcome._replace(value=value))


def test_experiments_count_done_and_failed(root: Path) -> None:
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(1), row_of(2), row_of(3, failed="no")])
        store.begin(info_of("other:one"))
        assert store.index.experiments() == [(EXPERIMENT, 2, 1), ("other:one", 0, 0)]


def test_recent_tasks_are_the_newest_first(root: Path) -> None:
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(1), row_of(2, failed="no"), row_of(3)])
        store.begin(info_of("other:one")).commit([row_of(4)])
        assert [r.key for r in store.index.recent(limit=2)] == [key_of(4), key_of(3)]
        assert [r.key for r in store.index.recent(EXPERIMENT, status=DONE)] == [key_of(3), key_of(1)]
        assert store.index.recent("unknown") == []


def test_runtimes_are_those_of_done_tasks(root: Path) -> None:
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(1), row_of(2, failed="no"), row_of(3, runtime=2.0)])
        assert store.index.runtimes(EXPERIMENT, 10) == [('{"n": 3}', 2.0), ('{"n": 1}', 0.25)]


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
            thread.join(30)
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


# --- damage --------------------------------------------------------------------------------------------


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
    killed = subprocess.run(command, env=environment, timeout=60, check=False)
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


def test_opening_a_store_again_keeps_the_locks_that_this_process_has_on_it(root: Path) -> None:
    fill(root)
    with Store.open(root) as store:
        assert len(list(store.index.known(EXPERIMENT))) == 3
        Store.open(root).close()
        # Who closes the last connection removes this file; what is committed after that is lost.
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM tasks').fetchall()"
        subprocess.run([sys.executable, "-c", other, str(root / "index.sqlite")], check=True, timeout=60)
        assert (root / "index.sqlite-wal").exists()
