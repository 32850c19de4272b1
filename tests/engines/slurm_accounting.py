"""A real Slurm with accounting: limits of users and accounts, as sites have them, and a `sacct` that answers.

Knows: slurmdbd, MariaDB. May not know: what Memento does.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.ports import free_ports
from tests.engines.slurm import Cluster, require_slurm, wait_until

HOW_TO_GET_IT = (
    "Slurm's accounting is not installed: apt-get install --no-install-recommends slurmdbd mariadb-server"
)
PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")
ACCOUNT = "lab"

_DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=loopback
StorageLoc=slurm
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""
_DATABASE = """\
CREATE DATABASE slurm;
CREATE USER slurm@'%' IDENTIFIED BY 'loopback';
GRANT ALL ON slurm.* TO slurm@'%';
"""


class AccountingCluster(Cluster):
    """One Slurm that enforces limits."""

    def __init__(self, folder: Path) -> None:
        self.ports = free_ports(2)
        options = {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "localhost",
            "AccountingStoragePort": str(self.ports[0]),
            "AccountingStoragePass": f"{folder}/munge.sock",
            "AccountingStorageEnforce": "limits,qos,associations",
        }
        super().__init__(folder, options=options)
        self._database: subprocess.Popen[bytes] | None = None

    def before_controller(self) -> None:
        self._start_database()
        conf = self.folder / "slurmdbd.conf"
        conf.touch(mode=0o600)
        port, storage = self.ports
        conf.write_text(_DBD.format(folder=self.folder, port=port, storage=storage, user=getpass.getuser()))
        self.run("slurmdbd")
        wait_until(
            lambda: "Cluster" in self.run("sacctmgr", "show", "cluster", check=False), "slurmdbd answers"
        )
        self.account("add", "cluster", "loop")
        self.account("add", "account", ACCOUNT, "Cluster=loop", "Description=x", "Organization=x")
        user = getpass.getuser()
        self.account("add", "user", user, f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}", "Cluster=loop")

    def account(self, *command: str) -> str:
        """Have sacctmgr change something; what is so already is fine."""
        return self.run("sacctmgr", "-i", *command, check=False)

    def limit(self, **limits: int) -> None:
        """Limit what the user may have, like ``MaxSubmitJobs=2``; -1: no limit."""
        words = [f"{name}={value}" for name, value in limits.items()]
        self.account("modify", "user", getpass.getuser(), "set", *words)

    def down(self) -> None:
        super().down()
        self.end("slurmdbd")
        if self._database is not None:
            self._database.terminate()
            self._database.wait(300)

    def _start_database(self) -> None:
        data, user = self.folder / "db", getpass.getuser()
        self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )  # fmt: skip
        socket = self.folder / "db.sock"
        command = [
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", f"--socket={socket}",
            f"--port={self.ports[1]}", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-lock-wait-timeout=900", "--innodb-buffer-pool-size=32M",
        ]  # fmt: skip
        with (self.folder / "log" / "mariadbd.log").open("wb") as log:
            self._database = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        wait_until(socket.exists, "the database answers")
        self.run("mariadb", "--no-defaults", "-S", str(socket), "-u", "root", "-e", _DATABASE)


@pytest.fixture(scope="session")
def accounting_cluster() -> Iterator[AccountingCluster]:
    """Start a Slurm with accounting for the session."""
    require_slurm()
    path = AccountingCluster(Path("/")).environment["PATH"]
    if any(shutil.which(program, path=path) is None for program in PROGRAMS):
        pytest.skip(HOW_TO_GET_IT)
    folder = Path(tempfile.mkdtemp(prefix="ma", dir="/tmp"))
    cluster = AccountingCluster(folder)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def accounting(
    accounting_cluster: AccountingCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AccountingCluster]:
    """Have Slurm's commands speak to that Slurm; its queue is empty and nothing limited before and after."""
    for name, value in accounting_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield accounting_cluster
    accounting_cluster.clear()
    accounting_cluster.limit(MaxSubmitJobs=-1, MaxJobs=-1, GrpJobs=-1)
