"""Caches of functions: what is remembered, where, and that nobody else's folder is touched."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from memento import Cache, FileSystemCacheProvider, FileSystemCheckpointing, MemoryCacheProvider

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.clear()


def double(x: int) -> int:
    CALLS.append(x)
    return x * 2


def identity(x: Any) -> Any:
    CALLS.append(x)
    return x


def count() -> int:
    CALLS.append(None)
    return len(CALLS)


def test_a_cache_calls_its_function_once_for_each_call() -> None:
    cached = Cache(double, MemoryCacheProvider())
    assert [cached(1), cached(1), cached(2)] == [2, 2, 4]
    assert CALLS == [1, 2]


@pytest.mark.parametrize("value", [False, None, 0, "", []])
@pytest.mark.parametrize("place", [MemoryCacheProvider, FileSystemCacheProvider])
def test_a_value_that_is_false_is_remembered(value: Any, place: Any) -> None:
    provider = place()
    cached = Cache(identity, provider)
    assert [cached(value), cached(value)] == [value, value]
    assert [value] == CALLS
    assert provider.make_key(identity, value) in provider


def test_a_forced_call_is_remembered_anew() -> None:
    cached = Cache(count, MemoryCacheProvider())
    assert [cached(), cached(), cached(force_run=True), cached()] == [1, 1, 2, 2]


def test_both_forces_together_are_a_miss() -> None:
    cached = Cache(lambda: 1, MemoryCacheProvider())
    cached()
    with pytest.raises(KeyError):
        cached(force_run=True, force_cache=True)


def test_a_key_error_of_the_function_itself_is_the_callers() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Cache(fail, MemoryCacheProvider())()


def test_a_cached_function_keeps_its_name_and_docstring() -> None:
    def documented() -> None:
        """Say it."""

    cached: Any = Cache(documented)
    assert (cached.__name__, cached.__doc__) == ("documented", "Say it.")


def test_a_cache_on_disk_makes_no_folder_in_the_current_one() -> None:
    place = FileSystemCacheProvider()
    place["a"] = 1
    Cache(lambda: 2)()
    assert not list(Path.cwd().iterdir())


def test_a_cache_on_disk_is_read_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # 1.2.0 kept its values under ./memento_cache of the folder that it was in.
    FileSystemCacheProvider(filepath="calls.sqlite")["a"] = [1]
    path = Path("calls.sqlite").absolute()
    monkeypatch.chdir(tmp_path)
    assert FileSystemCacheProvider(filepath=path)["a"] == [1]


def test_a_cache_on_disk_is_shared_by_processes() -> None:
    code = (
        "from memento import FileSystemCacheProvider as P;"
        "p = P(filepath='calls.sqlite'); print(p['here']); p['there'] = {'b': 2}"
    )
    provider = FileSystemCacheProvider(filepath="calls.sqlite")
    provider["here"] = {"a": 1}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert told.stdout == "{'a': 1}\n"
    assert provider["there"] == {"b": 2}


def test_a_cache_that_1_2_0_wrote_is_read() -> None:
    folder = Path("memento_cache")
    folder.mkdir()
    (folder / "ab.pkl").write_bytes(cloudpickle.dumps([1, 2]))
    provider = FileSystemCacheProvider(filepath="old.sqlite")
    with sqlite3.connect("old.sqlite") as database:
        database.execute("INSERT INTO cache(key, value) VALUES ('k', 'memento_cache/ab.pkl')")
    database.close()
    assert provider["k"] == [1, 2]


@pytest.mark.parametrize("table", ["my table", 'quoted"name', "order", "x; DROP TABLE cache"])
def test_any_table_name_serves(table: str) -> None:
    provider = FileSystemCacheProvider(filepath="calls.sqlite", table_name=table)
    provider["a"] = 1
    assert provider["a"] == 1


def test_tables_of_one_file_are_apart() -> None:
    first = FileSystemCacheProvider(filepath="calls.sqlite", table_name="first")
    second = FileSystemCacheProvider(filepath="calls.sqlite", table_name="second")
    first["a"] = 1
    assert "a" not in second


def test_a_provider_gives_its_database_for_sql_of_ones_own() -> None:
    provider = FileSystemCacheProvider(filepath="calls.sqlite")
    provider["a"] = 1
    with provider as database:
        assert database.execute("SELECT key FROM cache").fetchall() == [("a",)]
    with pytest.raises(sqlite3.ProgrammingError):
        database.execute("SELECT 1")


def test_a_supplied_connection_is_used_and_left_open() -> None:
    connection = sqlite3.connect(":memory:")
    provider = FileSystemCacheProvider(connection)
    provider["a"] = 1
    with provider as database:
        assert database is connection
    assert connection.execute("SELECT count(*) FROM cache").fetchone() == (1,)
    connection.close()


def test_a_missing_key_is_a_key_error_that_names_it() -> None:
    for get in (FileSystemCacheProvider().get, FileSystemCheckpointing().get):
        with pytest.raises(KeyError, match="nowhere"):
            get("nowhere")


def test_several_values_of_a_checkpoint_come_back_together() -> None:
    checkpoints = FileSystemCheckpointing("checkpoints.sqlite")
    checkpoints.set("one", ([1],))
    checkpoints.set("two", (1, 2))
    assert checkpoints.get("one") == [1]
    assert checkpoints.get("two") == (1, 2)


def test_a_checkpoint_that_is_removed_twice_is_gone() -> None:
    checkpoints = FileSystemCheckpointing()
    checkpoints.set("a", (1,))
    checkpoints.remove("a")
    checkpoints.remove("a")
    assert not checkpoints.contains("a")


def test_checkpoints_and_caches_may_share_a_file() -> None:
    # 1.2.0's own Memento kept both in memento.sqlite.
    FileSystemCacheProvider(filepath="memento.sqlite")["k"] = "value"
    FileSystemCheckpointing("memento.sqlite").set("k", ("state",))
    assert FileSystemCacheProvider(filepath="memento.sqlite")["k"] == "value"
    assert FileSystemCheckpointing("memento.sqlite").get("k") == "state"
