"""An S3 server on loopback: moto, as a process of its own, behind a door that can be shut.

What it has is gone with it, so it goes away behind the door: `away()` refuses connections and cuts those that are open.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.ports import free_port

_UP = 300.0  # seconds in which it starts


class ObjectServer:
    """A server and its door."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("wb")
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self.path = log
        self.door = Door(self.port)

    @property
    def endpoint(self) -> str:
        """Where programs ask."""
        return f"http://127.0.0.1:{self.door.port}"

    def environment(self) -> dict[str, str]:
        """What leads a program there."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "never-shown",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for_port(self.port, self._process, self.path)

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        import urllib.request

        who = "Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        head = {"Authorization": f"AWS4-HMAC-SHA256 {who}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{name}", method="PUT", headers=head)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_UP) as answer:
            assert answer.status == 200

    def requests(self) -> list[str]:
        """Return what was asked of it so far: "PUT /bucket/name"."""
        asked = re.findall(r"(GET|PUT|POST|HEAD|DELETE) (\S+) HTTP/", self.path.read_text(errors="replace"))
        return [" ".join(one) for one in asked]

    def stall(self) -> None:
        """Have it accept connections, and answer none."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End that."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self.door.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


class Door:
    """Passes connections on, while it is open."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = free_port()
        self._listening: socket.socket | None = None
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.open()

    def open(self) -> None:
        """Take connections; nothing happens where it does."""
        if self._listening is not None:
            return
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(64)
        self._listening = listening
        threading.Thread(target=self._take, args=(listening,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and cut those that are open."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            for pair in self._pairs:
                for one in pair:
                    with contextlib.suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)

    close = shut

    def _take(self, listening: socket.socket) -> None:
        while True:
            try:
                ours, _ = listening.accept()
            except OSError:
                return
            if self._listening is not listening:
                ours.close()
                return
            try:
                theirs = socket.create_connection(("127.0.0.1", self._to), _UP)
            except OSError:
                ours.close()
                continue
            theirs.settimeout(None)
            threading.Thread(target=self._carry, args=(listening, ours, theirs), daemon=True).start()

    def _carry(self, listening: socket.socket, ours: socket.socket, theirs: socket.socket) -> None:
        pair = (ours, theirs)
        with self._lock:
            self._pairs.add(pair)
        with contextlib.suppress(OSError), selectors.DefaultSelector() as ready:
            if self._listening is not listening:  # it was shut meanwhile, and this pair not cut
                raise OSError
            ready.register(ours, selectors.EVENT_READ, theirs)
            ready.register(theirs, selectors.EVENT_READ, ours)
            while True:
                for key, _ in ready.select():
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(1 << 16)
                    if not data:
                        raise OSError
                    key.data.sendall(data)
        with self._lock:
            self._pairs.discard(pair)
        for one in pair:
            one.close()


@pytest.fixture(scope="module")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A server with an empty bucket "grid"; skips where obstore or moto is missing."""
    for package, what in (("obstore", "'memento-ml[object-store]'"), ("moto", "'moto[server]'")):
        if not _is_installed(package):
            pytest.skip(f"no object store can be tested here: pip install {what}")
    server = ObjectServer(tmp_path_factory.mktemp("s3") / "requests.log")
    try:
        server.wait()
        server.make_bucket("grid")
        yield server
    finally:
        server.close()


@pytest.fixture
def bucket(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty prefix of the bucket, for this process and those that it starts: "s3://grid/..."."""
    for name, value in object_server.environment().items():
        monkeypatch.setenv(name, value)
    yield f"s3://grid/{os.urandom(4).hex()}"
    object_server.go_on()
    object_server.door.open()


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server takes connections."""
    until = time.monotonic() + _UP
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"it does not start: {log.read_text()}")
