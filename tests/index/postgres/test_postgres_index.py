"""What only an index in PostgreSQL promises: its clock, several stores in a database, pools, words for what fails."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import NotAStore, StoreDamaged, StoreError, StoreTooNew, StoreUnwritable
from memento.index.postgres import connections
from memento.index.postgres.address import read_address
from memento.index.postgres.postgres_index import PostgresIndex
from memento.records import Series
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of
from tests.engines.postgres import Postgres
from tests.engines.postgres import address as address
from tests.engines.postgres import postgres as postgres

pytestmark = pytest.mark.engine


def opened(address: str, *, create: bool = True, clock: Clock = SYSTEM_CLOCK) -> PostgresIndex:
    """Open a store, for reading only where it is not made."""
    return PostgresIndex.open(address, create=create, readonly=not create, clock=clock)


class Wrong:
    """A host's clock that is wrong by so many seconds."""

    def __init__(self, by: float) -> None:
        self._by = by

    def now(self) -> float:
        """What it takes for UTC seconds."""
        return SYSTEM_CLOCK.now() + self._by

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return SYSTEM_CLOCK.monotonic() + 10 * self._by


@pytest.mark.parametrize("by", [3_600.0, -3_600.0])
def test_the_clock_of_a_host_that_is_an_hour_wrong_changes_nothing(address: str, by: float) -> None:
    far = info_of(boot_id="elsewhere", host="far")
    with opened(address) as right, opened(address, clock=Wrong(by)) as wrong:
        for index, other in ((right, wrong), (wrong, right)):
            owner = index.begin(far)
            owner.claim([key_of(1)])
            owner.heartbeat()
            assert other.begin(info_of()).claim([key_of(1)]).elsewhere == [key_of(1)]
            told = other.run(owner.id)
            assert told is not None
            assert told.status == "running"
            assert abs(told.started - SYSTEM_CLOCK.now()) < 60
            owner.finish("done", {})


def test_a_claim_ends_by_itself_whatever_its_run_says(postgres: Postgres, address: str) -> None:
    schema = read_address(address).schema
    with opened(address) as index:
        owner, other = index.begin(info_of(boot_id="elsewhere", host="far")), index.begin(info_of())
        owner.claim([key_of(1)])
        assert other.waiting([key_of(1)]) == [key_of(1)]
        postgres.all(f"UPDATE {schema}.claims SET expires = now() - interval '1 s'")
        assert other.waiting([key_of(1)]) == []
        assert other.claim([key_of(1)]).granted == [key_of(1)]


def test_ids_grow_in_the_order_of_commits(address: str) -> None:
    """What is new is what has a higher id: nothing appears below what was seen, whoever commits."""
    over = threading.Event()
    broken: list[str] = []

    def look() -> None:
        with opened(address, create=False) as index:
            seen: list[int] = []
            while not over.is_set():
                now = sorted(index.ids())
                if now[: len(seen)] != seen:
                    broken.append(f"{seen} -> {now}")
                seen = now

    def work(place: int) -> None:
        with opened(address) as index:
            run = index.begin(info_of())
            for number in range(place * 40, place * 40 + 40, 2):
                run.commit([row_of(number), row_of(number + 1)])

    opened(address).close()
    watch = threading.Thread(target=look)
    workers = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in (watch, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    over.set()
    watch.join()
    assert broken == []


def test_what_is_usual_on_a_server_changes_nothing(address: str) -> None:
    """A snapshot from before the lock would miss what was committed last, and grant its tasks again."""
    usual = "default_transaction_isolation=serializable default_transaction_read_only=on bytea_output=escape"
    usual += " synchronous_commit=off search_path=nowhere IntervalStyle=iso_8601 extra_float_digits=-15"
    options = "%20".join(f"-c%20{one.replace('=', '%3D')}" for one in usual.split())
    keys, granted, ready = [key_of(number) for number in range(100)], [], threading.Barrier(3)

    def work() -> None:
        with opened(f"{address}&options={options}") as index:
            run = index.begin(info_of())
            ready.wait(300)
            for start in range(0, len(keys), 4):
                claim = run.claim(keys[start : start + 4])
                granted.extend(claim.granted)
                run.commit([row_of(int.from_bytes(key[:2], "big"), runtime=0.1) for key in claim.granted])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(granted) == keys
    with opened(f"{address}&options={options}", create=False) as index:
        assert {(checked.fault, index.record(checked.id).runtime) for checked in index.check()} == {("", 0.1)}


def test_stores_of_one_database_know_nothing_of_each_other(postgres: Postgres) -> None:
    with opened(postgres.address("one")) as one, opened(postgres.address("two")) as two:
        run, other = one.begin(info_of()), two.begin(info_of())
        assert run.claim([key_of(1)]).granted == other.claim([key_of(1)]).granted == [key_of(1)]
        with one.exclusive():
            other.commit([row_of(1)])
        assert one.ids() == []
        assert PostgresIndex.exists(postgres.address("one"))
        assert not PostgresIndex.exists(postgres.address("three"))


def test_texts_that_the_database_cannot_keep_lose_no_commit(address: str) -> None:
    series = Series("a\0b", 1, 0.5, 0.5, float("nan"), bytes(16))
    row = row_of(1, metrics=(series,), worker="ho\udcffst\0/1")._replace(params='{"file": "\udcff"}')
    with opened(address) as index:
        run = index.begin(info_of(argv=("a\0b",)))
        run.tell("said", {"text": "a\0b\udcff"})
        (number,) = run.commit([row]).ids.values()
        assert index.record(number).worker == "ho\\udcffst\\x00/1"
        assert [name for piece in index.last_metrics([number]) for name in piece] == ["a\\x00b"]
        assert [checked.fault for checked in index.check()] == [""]
        assert index.events(run.id)[0].data == {"text": "a\0b\udcff"}


def test_a_row_that_is_not_what_was_written_is_told(postgres: Postgres, address: str) -> None:
    schema = read_address(address).schema
    with opened(address) as index:
        ids = list(index.begin(info_of()).commit([row_of(n) for n in range(4)]).ids.values())
        postgres.all(f"UPDATE {schema}.tasks SET params = '{{}}' WHERE id = {ids[0]}")
        postgres.all(f"UPDATE {schema}.tasks SET runtime = 9 WHERE id = {ids[1]}")
        postgres.all(f"INSERT INTO {schema}.metrics (task, name, count, data) VALUES (99, 'x', 0, '')")
        assert [bool(checked.fault) for checked in index.check()] == [True, True, False, False]
        assert (index.strays(), index.strays(remove=True), index.strays()) == (1, 1, 0)
        postgres.all(f"ALTER SEQUENCE {schema}.task_ids RESTART WITH 1")
        assert index.faults() == ["the counter of rows is wrong"]
        postgres.all(f"DROP TABLE {schema}.answers")
        assert index.faults() == ["the table answers is missing"]
    with pytest.raises(StoreDamaged, match="the table answers is missing"):
        opened(address)


# --- opening, and words for what fails -----------------------------------------------------------------


def test_a_store_that_is_not_there_is_told(postgres: Postgres, address: str) -> None:
    with pytest.raises(NotAStore, match="there is no store in the schema 'store_"):
        opened(address, create=False)
    with pytest.raises(NotAStore, match=r'database "nowhere" does not exist'):
        opened(address.replace("/postgres?", "/nowhere?"))
    with pytest.raises(NotAStore, match="cannot be reached"):
        opened("postgresql://test@/postgres?host=/nowhere")
    with pytest.raises(NotAStore, match="no name for the schema"):
        opened("postgresql://test@/postgres?schema=A-B")
    postgres.all("CREATE SCHEMA others; CREATE TABLE others.things (n int)")
    with pytest.raises(NotAStore, match=r"belongs to another program \(it has 'things'\)"):
        opened(postgres.address("others"))


def test_a_store_of_a_later_release_is_refused(postgres: Postgres, address: str) -> None:
    opened(address).close()
    postgres.all(f"UPDATE {read_address(address).schema}.about SET version = 99")
    with pytest.raises(StoreTooNew, match="format 99"):
        opened(address)


def test_a_user_without_rights_is_told_what_to_ask_for(postgres: Postgres, address: str) -> None:
    postgres.all("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    guest = address.replace("test@", "guest@")
    with pytest.raises(StoreUnwritable, match="GRANT CREATE ON DATABASE"):
        opened(guest)
    opened(address).close()
    with pytest.raises(StoreUnwritable, match="may not do that"):
        opened(guest)


def test_a_store_that_was_dropped_is_gone(postgres: Postgres, address: str) -> None:
    with opened(address) as index:
        run = index.begin(info_of())
        assert [index.is_gone] == [False]
        postgres.all(f"DROP SCHEMA {read_address(address).schema} CASCADE")
        assert [index.is_gone] == [True]
        with pytest.raises(StoreDamaged, match="Restore the database"):
            run.commit([row_of(1)])


def test_a_password_stands_in_no_message(
    postgres: Postgres, address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cret9"
    said: list[str] = []
    for where in (
        f"postgresql://test:{secret}@/nowhere?host={postgres.host}",
        f"postgresql://test:{secret}@127.0.0.1:1/x",
        f"postgresql://test:{secret}@[bad/x?a=%zz&schema=Q",
        f"postgresql://test:%zz{secret}@127.0.0.1:1/x",
        f"postgresql://test:a@{secret}@127.0.0.1:1/x",
        f"postgresql://test:a/{secret}@127.0.0.1:1/x",
        f"postgresql://test@127.0.0.1:1/x?password={secret}&nonsense=1",
    ):
        with pytest.raises(StoreError) as refused:
            opened(where)
        said += [repr(refused.value), str(refused.value), *map(str, refused.value.args)]
    with opened(address.replace("test@", f"test:{secret}@")) as index:
        said += [repr(index.database), str(vars(index.database)["location"])]
        monkeypatch.setattr(connections, "PATIENCE", 0.3)
        postgres.stop()
        try:
            with pytest.raises(StoreError) as refused:
                index.begin(info_of())
        finally:
            postgres.start()
        said += [repr(refused.value), str(refused.value), *index.notes]
    assert secret not in "".join([*said, caplog.text])


def test_a_server_that_does_not_answer_is_waited_for_told_once_and_given_up(
    postgres: Postgres, address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(address) as index:
        run = index.begin(info_of())
        run.claim([key_of(1)])
        over = threading.Event()

        def come_back() -> None:
            while not index.notes and not over.wait(0.01):
                pass
            postgres.start()

        postgres.stop()
        back = threading.Thread(target=come_back)
        back.start()
        try:
            assert list(run.commit([row_of(1)]).ids) == [key_of(1)]
        finally:
            over.set()
            back.join()
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == len(index.notes) == 1
        assert "does not answer" in told[0]
        assert "trying again until" in told[0]
        monkeypatch.setattr(connections, "PATIENCE", 0.2)
        postgres.stop()
        try:
            with pytest.raises(StoreUnwritable, match="What was told as done is kept"):
                run.commit([row_of(2)])
        finally:
            postgres.start()
        assert [known.key for known in index.known(EXPERIMENT)] == [key_of(1)]


def test_a_server_that_starts_again_while_a_store_is_opened_is_waited_for(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    connect = connections.Server.connect
    answers = ["FATAL: the database system is shutting down", "No such file or directory", "refused"]

    def once_more(self: connections.Server) -> object:
        if answers:
            raise psycopg.OperationalError(f"connection failed: {answers.pop(0)}")
        return connect(self)

    monkeypatch.setattr(connections.Server, "connect", once_more)
    opened(address).close()
    assert answers == []
    answers.append("No such file or directory")
    with pytest.raises(NotAStore, match="Nothing listens there"):
        opened(address)


def test_a_server_that_is_lost_after_a_long_time_is_waited_for_as_long_as_any(address: str) -> None:
    import psycopg

    class Passing(Wrong):
        passed = 0.0

        def monotonic(self) -> float:
            return SYSTEM_CLOCK.monotonic() + self.passed

    clock, lost = Passing(0.0), list[bool]()

    def body() -> str:
        if not lost:
            clock.passed += 3_600.0  # the machine was asleep
            lost.append(True)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return "done"

    with opened(address, clock=clock) as index:
        assert index.database.patiently(body) == "done"


def test_no_transaction_is_left_open(postgres: Postgres, address: str) -> None:
    idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'memento' AND state <> 'idle'"
    with opened(address) as index:
        run = index.begin(info_of())
        run.commit([row_of(1)])
        for _ in index.known(EXPERIMENT):
            assert postgres.all(idle) == [(0,)]
        run.claim([key_of(2)])
        assert postgres.all(idle) == [(0,)]


def test_who_waited_for_the_lock_in_vain_may_go_on(address: str) -> None:
    with opened(address) as index, opened(address) as other:
        index.database.lock = index.database.lock.replace("60s", "100ms")
        with other.exclusive(), pytest.raises(StoreUnwritable, match="has held the store's lock"):
            index.begin(info_of())
        assert index.ids() == []
        assert index.begin(info_of()).claim([key_of(1)]).granted == [key_of(1)]


def test_marks_of_transactions_do_not_pile_up(postgres: Postgres, address: str) -> None:
    with opened(address) as index:
        run = index.begin(info_of())
        for number in range(20):
            run.commit([row_of(number)])
    assert postgres.all(f"SELECT count(*) FROM {read_address(address).schema}.commits") == [(1,)]


def test_what_is_broken_off_is_undone(postgres: Postgres, address: str) -> None:
    with opened(address) as index:
        number = index.begin(info_of()).commit([row_of(1)]).ids[key_of(1)]

        def broken_off() -> None:
            with index.database.writing() as connection:
                connection.execute(index.sql.DROP_TASK[0], (number,))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            broken_off()
        assert index.has(number)
        assert postgres.all("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


# --- pools ---------------------------------------------------------------------------------------------


@pytest.fixture
def pooled(postgres: Postgres, address: str) -> Iterator[str]:
    """The same store through pgbouncer, which gives each transaction the connection that is free."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        pytest.skip("there is no pgbouncer: apt-get install pgbouncer brings it")
    with tempfile.TemporaryDirectory(prefix="mpb", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        (Path(folder) / "users").write_text('"test" ""\n')
        (Path(folder) / "ini").write_text(
            f"[databases]\n* = host={postgres.host}\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n"
            f"auth_file = {folder}/users\nunix_socket_dir = {folder}\nlisten_addr =\nlisten_port = 6432\n"
            f"default_pool_size = 2\nlogfile = {folder}/log\nserver_reset_query =\n"
            f"[databases]\npostgres = host={postgres.host} user=test\n"
        )
        as_nobody = postgres.run_as
        process = subprocess.Popen([*as_nobody, program, f"{folder}/ini"], cwd="/", stderr=subprocess.DEVNULL)
        try:
            while not (Path(folder) / ".s.PGSQL.6432").exists():
                assert process.poll() is None, Path(folder, "log").read_text()
                time.sleep(0.01)
            yield address.replace(postgres.host, folder).replace("@/", "@:6432/")
        finally:
            process.terminate()
            process.wait(300)


def test_a_pool_of_transactions_may_stand_between(pooled: str) -> None:
    opened(pooled).close()
    granted: list[bytes] = []
    keys = [key_of(number) for number in range(120)]
    ready = threading.Barrier(4)

    def work() -> None:
        with opened(pooled) as index:
            run = index.begin(info_of())
            ready.wait(300)
            for start in range(0, len(keys), 10):
                claim = run.claim(keys[start : start + 10])
                granted.extend(claim.granted)
                run.commit([row_of(int.from_bytes(key[:2], "big")) for key in claim.granted])
                run.heartbeat()
            run.finish("done", {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with opened(pooled) as index:
        assert sorted(granted) == keys
        assert index.experiments() == [(EXPERIMENT, len(keys), 0)]
        assert index.query("SELECT count(*) FROM tasks", 120.0).rows == [(len(keys),)]
