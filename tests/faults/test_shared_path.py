"""A path that hosts share stalls and lies, writers die in the middle of a record: what is read is what was told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from memento import Memento
from memento.errors import StoreUnwritable
from memento.executors.pilots.charter import pilot_command
from memento.executors.pilots.streams import Reader, Silence, Writer
from tests.executors.pilots.local_engine import Local
from tests.faults.victims import PATIENCE, until

WRITE = """
import sys, time
from memento.executors.pilots.streams import Writer
path, count, pause, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
writer = Writer(path)
for number in range(count):
    writer.append(str(number).encode().ljust(1 + number * 7919 % size), durable=number % 10 == 0)
    time.sleep(pause)
"""

# A limit of the system cuts a write off at any byte, as a death does, or a disk that gets full.
CUT_OFF = """
import os, resource, signal, sys
from memento.errors import StoreUnwritable
from memento.executors.pilots.streams import Reader, Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = sys.argv[1]
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in range(0, 420):
    path = os.path.join(folder, str(limit))
    writer, reader, found = Writer(path), Reader(path), []
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    for record in (b"a" * 50, b"b" * 60, b"c" * 70):
        try:
            writer.append(record)
        except StoreUnwritable:
            pass
        found += reader.read()
    assert Reader(path).read() == found, limit  # who comes later, and finds the writer dead
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    writer.append()  # what it owes
    found += reader.read()
    assert found == [b"a" * 50, b"b" * 60, b"c" * 70], (limit, found)
"""


def test_a_write_that_is_cut_off_at_any_byte_is_completed_later_and_read_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CUT_OFF, str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_whenever_a_writer_is_killed_what_it_had_told_is_read_and_nothing_else(tmp_path: Path) -> None:
    path, random, ends = tmp_path / "from", Random(7), []
    for _ in range(12):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path), "100000", "0", "300000"])
        reader = Reader(path)
        assert until(path.exists)
        found = reader.read()
        time.sleep(random.random() * 0.2)
        found += reader.read()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(PATIENCE)
        while more := reader.read():
            found += more
        assert [int(record) for record in found] == list(range(len(found)))
        sizes = [max(len(str(n)), 1 + n * 7919 % 300_000) for n in range(len(found))]
        assert [len(record) for record in found] == sizes
        assert len(Reader(path).read()) <= len(found)
        ends.append(len(found))
    assert len(set(ends)) > 1


# -- disks of other hosts


class Host:
    """What one host sees of the share."""

    def __init__(self, folder: Path, root: Path, name: str, stale: float, delay: float) -> None:
        self.mount, self._orders = root / name, root / f"{name}.orders"
        self.mount.mkdir()
        command = [
            sys.executable,
            "-m",
            "tests.faults.shared_disk",
            folder,
            self.mount,
            self._orders,
            str(stale),
            str(delay),
        ]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[2], **quiet)  # type: ignore[call-overload]  # of a dict
        if not until(lambda: os.path.ismount(self.mount) or self.process.poll() is not None, 30):
            pytest.skip("this machine mounts no disk of ours (FUSE)")

    def fail(self, order: str) -> None:
        """Let an operation fail from now on; none with ""."""
        fresh = self._orders.with_suffix(".new")
        fresh.write_text(order, encoding="ascii")
        fresh.replace(self._orders)

    def close(self) -> None:
        """Unmount."""
        subprocess.run(["fusermount3", "-u", "-z", self.mount], capture_output=True, check=False)
        self.process.terminate()
        self.process.wait(300)


@contextmanager
def hosts(stale: float, delay: float = 0.0) -> Iterator[tuple[Host, Host]]:
    if shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this user may mount no disk of its own (FUSE)")
    with tempfile.TemporaryDirectory(prefix="memento-share-") as name, ExitStack() as stack:
        folder = Path(name, "folder")
        folder.mkdir()
        two = []
        for number in range(2):
            two.append(Host(folder, Path(name), f"host{number}", stale, delay))
            stack.callback(two[-1].close)
        yield two[0], two[1]


def an_hour_ahead(command: list[str]) -> list[str]:
    """Have a command's clock of the day an hour ahead."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not installed")
    return [faketime, "-f", "+3600s", *command]


def read_until(reader: Reader, count: int, silence: Silence, stale: float) -> list[bytes]:
    """Read so many records; what is heard meanwhile is never older than what the host believes."""
    found: list[bytes] = []

    def look() -> bool:
        new = reader.read()
        found.extend(new)
        assert silence.look(heard=bool(new)) < stale + 15
        return len(found) >= count

    assert until(look)
    return found


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("stale", "delay"), [(2.0, 0.01), (30.0, 0.0)])
def test_what_a_host_tells_that_is_an_hour_ahead_arrives_where_the_share_is_old_and_slow(
    stale: float, delay: float
) -> None:
    with hosts(stale, delay) as (here, there):
        reader, silence, count = Reader(here.mount / "from"), Silence(), 40
        if stale < 10:
            assert reader.read() == []  # from now on this host believes that there is no file
        command = [sys.executable, "-c", WRITE, str(there.mount / "from"), str(count), "0.1", "5000"]
        writer = subprocess.Popen(an_hour_ahead(command))
        assert until(
            lambda: ((there.mount / "from").exists() and (here.mount / "from").exists()) or stale < 10
        )
        found = read_until(reader, count, silence, stale)
        assert [int(record) for record in found] == list(range(count))
        assert writer.wait(PATIENCE) == 0
        # A newer instance begins: its stream is read from the start, and what is old does not come again.
        subprocess.run([*command[:4], "5", "0", "5000"], check=True, timeout=PATIENCE)
        if stale < 10:
            assert [int(record) for record in read_until(reader, 5, silence, stale)] == list(range(5))


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    "order", ["write ENOSPC 0", "write EIO 0", "open EIO 0", "fsync EIO 0", "open ESTALE 0"]
)
def test_what_a_share_refuses_is_said_and_arrives_once_it_works_again(order: str) -> None:
    with hosts(0.0) as (here, there):
        writer, reader = Writer(there.mount / "from"), Reader(here.mount / "from")
        writer.append(b"before")
        assert reader.read() == [b"before"]
        there.fail(order)
        for record in (b"one", b"two"):
            with pytest.raises(StoreUnwritable):
                writer.append(record * 1000, durable=True)
        found = reader.read()
        there.fail("")
        writer.append(b"three", durable=True)
        here.fail("read EIO 0")
        assert reader.read() == []
        assert "Input/output error" in reader.trouble
        here.fail("")
        found += reader.read()
        assert found == [b"one" * 1000, b"two" * 1000, b"three"]
        assert reader.trouble == ""


class Ahead(Local):
    """Starts pilots whose clock is an hour ahead."""

    def ask(self, count: int) -> list[str]:
        names = [self.new_pilot() for _ in range(count)]
        for name in names:
            folder = self.pilots[name].folder
            command = an_hour_ahead(list(pilot_command(folder.parent.parent, name)))
            with open(self.pilots[name].output, "ab") as log:
                self.processes[name] = subprocess.Popen(
                    command, stdout=log, stderr=log, start_new_session=True
                )
        return names


def double(context: object, config: object) -> int:
    return 2 * int(config.n)  # type: ignore[attr-defined]  # a Config


@pytest.mark.slow
def test_a_pilot_whose_clock_is_an_hour_ahead_works_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_ahead([])
    monkeypatch.chdir(tmp_path)
    results = Memento(double, executor=Ahead(1), progress=False).run({"parameters": {"n": list(range(6))}})
    assert results is not None
    assert [result.inner for result in results] == [0, 2, 4, 6, 8, 10]
    for result in results:
        assert result.runtime is not None
        assert 0 <= result.runtime.total_seconds() < 60
