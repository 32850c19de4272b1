"""Hosts that run the same script over one PostgreSQL and one folder share a grid, whatever happens to one of them.

A host is a set of processes with a name and process numbers of its own (Linux namespaces): nobody on another can see
whether they live.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import defaultdict

import psutil
import pytest

from tests.e2e.workplace import COUNTING, Program, Workplace
from tests.engines.object_store import bucket, object_server
from tests.engines.postgres import Postgres, address, postgres

__all__ = ["address", "bucket", "object_server", "postgres"]

pytestmark = pytest.mark.engine

_SPACES = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
_SPACES += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]

GRID = (
    COUNTING
    + """
import socket

def load(part):
    note(part, "loaded")
    time.sleep(0.05)
    return [part] * 1000

def experiment(context, config):
    part = context.cached(load, config.x % 5)
    note(f"{config.x} {socket.gethostname()}", "begun")
    if config.x >= 200:
        wait_for("gate")  # nobody is through before all has happened that happens to hosts
    for epoch in range(context.restore() if context.checkpoint_exist() else 0, 3):
        time.sleep(0.01)
        context.checkpoint(epoch + 1)
    note(f"{config.x} {socket.gethostname()}", "computed")
    return config.x ** 2 if config.x % 10 else part * 500

if __name__ == "__main__":
    results = Memento(experiment, num_workers=1).run({"parameters": {"x": list(range(400))}})
    frame = results.to_frame()
    print(frame[["x", "status"]].to_csv().encode().hex()[-40:], len(frame))
    print("right", all(r.inner == (x ** 2 if x % 10 else [x % 5] * 500_000) for x, r in enumerate(results)))
"""
)


class Hosts:
    """Starts scripts on hosts of their own, over one database and one folder."""

    def __init__(self, place: Workplace, address: str) -> None:
        self.place, self.address = place, address
        place.environment |= {"MEMENTO_STORE": address, "MEMENTO_PAYLOADS": str(place.folder / "shared")}

    def start(self, name: str, *arguments: str) -> Program:
        """Start Python on a host that has only that to do."""
        become = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
        shell = ["sh", "-c", 'hostname "$0" && "$@"; exit $?', name]  # it stays: the host outlives its script
        return self.place.start("-c", become, *_SPACES, *shell, sys.executable, *arguments)

    def of_dead_hosts(self, postgres: Postgres, *names: str) -> None:
        """Let the time pass after which hosts that tell nothing count as dead."""
        schema = re.search(r"schema=(\w+)", self.address)
        assert schema
        hosts = ", ".join(f"'{name}'" for name in names)
        postgres.all(
            f"UPDATE {schema[1]}.claims SET expires = now() WHERE run IN"
            f" (SELECT id FROM {schema[1]}.runs WHERE host IN ({hosts}))"
        )
        postgres.all(f"UPDATE {schema[1]}.runs SET expires = now() WHERE host IN ({hosts})")


@pytest.fixture
def hosts(place: Workplace, address: str) -> Hosts:
    tried = subprocess.run([*_SPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(
            f"hosts are namespaces of Linux, which need root or user namespaces: {tried.stderr.strip()}"
        )
    return Hosts(place, address)


def _coordinator(program: Program) -> psutil.Process:
    """Return the process of a script within its host."""
    inside = psutil.Process(program.pid).children(recursive=True)
    return next(one for one in inside if one.cmdline()[1:2] == ["exp.py"])


def test_a_grid_of_four_hosts_survives_the_death_of_two_and_of_the_database(
    hosts: Hosts, postgres: Postgres
) -> None:
    place = hosts.place
    place.write("exp.py", GRID)
    programs = {name: hosts.start(name, "exp.py") for name in ("ada", "bob", "cyd", "dan")}
    place.until(lambda: len({line.split()[1] for line in place.lines("begun")}) == 4)
    place.until(lambda: len(place.lines("computed")) > 60)
    programs["ada"].send(signal.SIGKILL)  # the host loses its power
    _coordinator(programs["bob"]).kill()  # the program alone: its workers must end by themselves
    place.write("gate", "")
    for name in ("ada", "bob"):
        programs[name].wait(None)
    postgres.stop("immediate")
    postgres.start()
    hosts.of_dead_hosts(postgres, "ada", "bob")
    programs["bob again"] = hosts.start("bob-again", "exp.py")
    ended = [programs[name].wait() for name in ("cyd", "dan", "bob again")]
    ended.append(hosts.start("ada-again", "exp.py").wait())
    assert all("right True" in program.out for program in ended)
    assert len({program.out for program in ended}) == 1
    _check_attempts(place, postgres, hosts.address)
    assert place.counts("loaded") == {str(part): 1 for part in range(5)}


def _check_attempts(place: Workplace, postgres: Postgres, address: str) -> None:
    """Assert that no task was computed again that was done, and that each has one result."""
    schema = address.rpartition("schema=")[2]
    rows = postgres.all(
        f"SELECT tasks.params::json ->> 'x', runs.host FROM {schema}.tasks JOIN {schema}.runs ON runs.id = tasks.run"
    )
    assert len(rows) == len({x for x, _ in rows}) == 400
    computed = defaultdict(list)
    for line in place.lines("computed"):
        x, host = line.split()
        computed[x].append(host)
    for x, host in rows:
        # What a host had computed, and not committed when it died, is computed again; nothing else is.
        lost = [other for other in computed[x] if other != host]
        assert computed[x].count(host) == 1, (x, host, computed[x])
        assert set(lost) <= {"ada", "bob"}, (x, host, computed[x])
    assert sum(map(len, computed.values())) <= 400 + 40


TINY = (
    COUNTING
    + """
def experiment(context, config):
    note(config.x)
    return "x" * 100_000

if __name__ == "__main__":
    Memento(experiment, num_workers=1).run({"parameters": {"x": [1, 2]}})
"""
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("postgresql://locked:wr0ng-pw@/postgres?host={host}", "password authentication failed.*PGPASSWORD"),
        ("postgresql://test@no-such-host.invalid/grid", "no-such-host.invalid.*Check the host's name"),
        ("postgresql://test@/no_such_grid?host={host}", '"no_such_grid" does not exist.*createdb'),
        ("postgresql://test@127.0.0.1:9/grid", "refused.*start PostgreSQL, or check host and port"),
        ("postgresql://test:wr0ng-pw/x@127.0.0.1:9/grid", "writes / as %2F"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_at_once(
    place: Workplace, postgres: Postgres, given: str, said: str
) -> None:
    if "locked" in given:
        _lock_out(postgres, "locked")
    place.write("exp.py", TINY)
    place.environment |= {"MEMENTO_STORE": given.format(host=postgres.host)}
    for words in (["exp.py"], ["-m", "memento", "ls"]):
        ended = place.start(*words)
        ended.wait(None)
        assert ended.process.returncode
        assert re.search(said, ended.err, re.DOTALL), ended.err
        assert "wr0ng-pw" not in ended.err.replace(given, "")
    assert not place.lines("computed")
    assert not (place.folder / "memento-store").exists()


def _lock_out(postgres: Postgres, user: str) -> None:
    """Have a user need a password."""
    rules = os.path.join(postgres.folder, "data", "pg_hba.conf")
    with open(rules, encoding="utf-8") as file:
        before = file.read()
    if user not in before:
        with open(rules, "w", encoding="utf-8") as file:
            file.write(f"local all {user} scram-sha-256\n{before}")
        postgres.all(f"CREATE ROLE {user} LOGIN PASSWORD 'right'")
        postgres.all("SELECT pg_reload_conf()")


def test_a_missing_package_is_said_with_the_line_that_brings_it(place: Workplace, address: str) -> None:
    place.write("exp.py", "import sys; sys.modules['psycopg'] = None\n" + TINY)
    place.environment |= {"MEMENTO_STORE": address}
    ended = place.run("exp.py", code=1)
    assert "pip install 'memento-ml[postgres]'" in ended.err.splitlines()[-1]


def test_no_password_is_kept_or_shown(place: Workplace, postgres: Postgres, address: str) -> None:
    secret = address.replace("test@", "test:hunter2@")
    place.write("exp.py", TINY.replace("num_workers=1)", "num_workers=1, store=sys.argv[1])"))
    told = place.run("exp.py", secret)
    assert "fresh processes" not in told.err  # a connection of ours does not keep a program from being copied
    place.environment |= {"MEMENTO_STORE": secret}
    texts = [told.out, told.err]
    for words in (["status"], ["status", "--json"], ["ls"], ["doctor"], ["verify"], ["gc"], ["show", "x=1"]):
        ended = place.run("-m", "memento", *words, code=None)
        texts += [ended.out, ended.err]
    schema = address.rpartition("schema=")[2]
    for (table,) in postgres.all(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'"):
        texts.append(str(postgres.all(f"SELECT * FROM {schema}.{table}")))
    assert not [text for text in texts if "hunter2" in text]
    files = [path for path in (place.folder / "memento-store").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_store_goes_to_a_database_and_back_by_merge(place: Workplace, address: str) -> None:
    place.write("exp.py", TINY)
    place.run("exp.py", MEMENTO_STORE="first")
    place.run("-m", "memento", "merge", "first", "--into", address, "--payloads", "shared")
    assert "all cached" in place.run("exp.py", MEMENTO_STORE=address).err
    place.run("-m", "memento", "merge", address, "--into", address, code=2)
    place.run("-c", "import memento; from memento.store.store import Store; Store.open('back').close()")
    place.run("-m", "memento", "merge", address, "--into", "back")
    assert "all cached" in place.run("exp.py", MEMENTO_STORE="back").err
    assert place.counts("computed") == {"1": 1, "2": 1}
    ended = place.run("-c", f"import memento; print([len(r.inner) for r in memento.load({address!r})])")
    assert ended.out == "[100000, 100000]\n"


def test_failed_tasks_are_run_again_by_the_command(place: Workplace, address: str) -> None:
    place.write(
        "exp.py", TINY.replace("note(config.x)\n", 'note(config.x)\n    assert (HERE / "mended").exists()\n')
    )
    place.environment |= {"MEMENTO_STORE": address}
    place.run("exp.py", code=1)
    place.write("mended", "")
    ended = place.run("-m", "memento", "retry", "--run", "--store", address)
    assert "2 done" in ended.out


REOPENED = """
    from memento.store.store import Store
    with Store.open(os.environ["MEMENTO_STORE"], create=False) as one, Store.open(one.location, create=False) as again:
        print((one.root, one.location, one.far) == (again.root, again.location, again.far))
"""


def test_two_hosts_without_a_common_folder_share_an_object_store(
    place: Workplace, address: str, bucket: str
) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        *(n for n in os.environ if n.startswith("AWS_")),
    ):
        place.environment[name] = os.environ[name]
    place.environment |= {"MEMENTO_STORE": address, "HERE": str(place.folder)}
    for folder in ("ada", "bob"):  # each has a disk of its own
        place.write(f"{folder}/exp.py", TINY + "    print(len(memento.load()[0].inner))\n" + REOPENED)
        place.write(f"{folder}/pyproject.toml", "")
    script = place.folder / "ada" / "exp.py"
    script.write_text(script.read_text().replace("import os", "import memento, os"))
    (place.folder / "bob" / "exp.py").write_text(script.read_text())
    first = place.run("exp.py", cwd=place.folder / "ada", MEMENTO_PAYLOADS=bucket)
    second = place.run("exp.py", cwd=place.folder / "bob", MEMENTO_PAYLOADS=bucket)
    assert first.out == second.out == "100000\nTrue\n"
    assert "all cached" in second.err
    assert place.counts("computed") == {"1": 1, "2": 1}
