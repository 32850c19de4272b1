"""Start a real PostgreSQL for tests: a server of its own on a socket in a short folder, a schema for each test.

Import the fixtures where they are used: ``from tests.engines.postgres import postgres, address``. ``PGFSYNC=on`` makes
it wait for the disk, as a user's does.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

HOW = "apt-get install postgresql, and pip install 'psycopg[binary]', bring it"
_NOBODY = "nobody"  # initdb and postgres refuse to be root


def binaries() -> str | None:
    """Return the folder of PostgreSQL's programs; None where there is none."""
    found = shutil.which("pg_ctl")
    if found and shutil.which("initdb"):
        return os.path.dirname(found)
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda place: int(place.split("/")[-2]))
    return next((place for place in reversed(places) if os.path.exists(place + "/initdb")), None)


class Postgres:
    """A server that can be stopped, killed and started again."""

    def __init__(self, folder: str, programs: str) -> None:
        self.folder, self._programs = folder, programs
        self.host = os.path.join(folder, "sock")
        self.run_as = ["runuser", "-u", _NOBODY, "--"] if os.geteuid() == 0 else []
        self._numbers = itertools.count(1)

    def make(self) -> None:
        """Make an empty cluster."""
        os.makedirs(self.host)
        os.chmod(self.folder, 0o755)  # nobody must be able to go through it
        if self.run_as:
            shutil.chown(self.folder, _NOBODY)
            shutil.chown(self.host, _NOBODY)
        self._run("initdb", "-U", "test", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        """Start, or start again."""
        settings = f"-c listen_addresses= -k {self.host} -c fsync={os.environ.get('PGFSYNC', 'off')}"
        settings += " -c max_connections=100 -c shared_buffers=32MB -c log_min_messages=warning"
        self._run("pg_ctl", "-s", "-w", "-t", "280", "-l", self.folder + "/log", "-o", settings, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; `immediate` is a crash: what is not on the disk is lost."""
        self._run("pg_ctl", "-s", "-w", "-t", "280", "-m", mode, "stop")

    def crash(self) -> None:
        """Lose the power, and come back."""
        self.stop("immediate")
        self.start()

    def address(self, schema: str | None = None) -> str:
        """Return the address of a store; of one that nobody has used where none is named."""
        schema = schema or f"store_{os.getpid()}_{next(self._numbers)}"
        return f"postgresql://test@/postgres?host={self.host}&schema={schema}"

    def connect(self, **more: Any) -> Any:
        """Return a connection of psycopg, for what the tests themselves ask."""
        import psycopg

        return psycopg.connect(host=self.host, user="test", dbname="postgres", autocommit=True, **more)

    def all(self, statement: str) -> list[Any]:
        """Return the rows that a statement finds."""
        with self.connect() as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [
            *self.run_as,
            os.path.join(self._programs, program),
            "-D",
            self.folder + "/data",
            *arguments,
        ]
        # Its output goes to no pipe: the server inherits it and would keep the pipe open.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(command, cwd="/", stdout=said, stderr=said, timeout=300, check=False)
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read().decode(errors='replace')}")


@functools.cache
def _server() -> Postgres | str:
    """Start the server of this process, once; or say why there is none."""
    if not sys.platform.startswith(("linux", "darwin")):
        return f"PostgreSQL is started on Linux and macOS only: {HOW}"
    programs = binaries()
    if programs is None:
        return f"there is no PostgreSQL: {HOW}"
    folder = tempfile.mkdtemp(prefix="mpg", dir="/tmp")  # a socket's path has 107 bytes at most
    server = Postgres(folder, programs)
    server.make()
    server.start()
    return server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process."""
    pytest.importorskip("psycopg", reason=HOW)
    server = _server()
    if isinstance(server, str):
        pytest.skip(server)
    yield server
    with contextlib.suppress(RuntimeError):  # a test stopped it
        server.stop("immediate")
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def address(postgres: Postgres) -> str:
    """The address of a store that is new for each test."""
    return postgres.address()
