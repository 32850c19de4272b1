"""Azure's and Google's object stores on loopback: Azurite, and the requests of Google's that obstore makes.

Azurite is Microsoft's own (`npm install azurite`). Of Google's XML interface there is no server to install, so what
obstore asks of it is answered here as its reference says: generations, conditions, uploads in parts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import shutil
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape

import pytest

from tests.engines.object_store import wait_for_port
from tests.engines.ports import free_port

# The account that Azurite's documentation names, and everybody has.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[dict[str, str]]:
    """Run Azurite with an empty container "grid"; yield what leads programs there; skips where it is missing."""
    program = shutil.which("azurite-blob", path=f"{Path(sys.prefix)}/node_modules/.bin") or shutil.which(
        "azurite-blob"
    )
    if program is None:
        pytest.skip("Azure's object store cannot be tested here: npm install -g azurite")
    port, path = free_port(), folder / "azurite.log"
    command = [program, "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    command += ["--blobPort", str(port)]
    with path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_port(port, process, path)
        _make_container(port, "grid")
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
            "NO_PROXY": "127.0.0.1,localhost",
        }
    finally:
        process.kill()
        process.wait()


def _make_container(port: int, name: str) -> None:
    heads = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    told = "".join(f"{head}:{value}\n" for head, value in sorted(heads.items()))
    text = "PUT" + "\n" * 12 + told + f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    signed = base64.b64encode(hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest())
    heads |= {"Authorization": f"SharedKey {_ACCOUNT}:{signed.decode()}", "Content-Length": "0"}
    address = f"http://127.0.0.1:{port}/{_ACCOUNT}/{name}?restype=container"
    request = urllib.request.Request(address, method="PUT", headers=heads)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=300) as answer:
        assert answer.status == 201


@contextlib.contextmanager
def google(folder: Path) -> Iterator[dict[str, str]]:
    """Answer as Google's store does, with an empty bucket "grid"; yield what leads programs there."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("_Bucket", (_Google,), {"objects": {}, "uploads": {}})
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    account = {"gcs_base_url": address, "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    file = folder / "account.json"
    file.write_text(json.dumps(account))
    try:
        yield {
            "GOOGLE_SERVICE_ACCOUNT": str(file),
            "GOOGLE_BASE_URL": address,
            "NO_PROXY": "127.0.0.1,localhost",
        }
    finally:
        server.shutdown()
        server.server_close()


class _Google(BaseHTTPRequestHandler):
    """One bucket: names -> (content, generation)."""

    objects: ClassVar[dict[str, tuple[bytes, int]]]
    uploads: ClassVar[dict[str, dict[int, bytes]]]
    lock = threading.Lock()
    generation = 1_000
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def do_GET(self) -> None:
        name, asked = self._asked()
        if not name:
            self._list(asked.get("prefix", ""))
            return
        with self.lock:
            found = self.objects.get(name)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        content, generation = found
        wanted = self.headers.get("Range")
        if self.headers.get("If-Match", _tag(content)) != _tag(content):
            self._answer(412)
        elif wanted is None:
            self._answer(200, content, *self._told(content, generation))
        else:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            end = min(int(last), len(content) - 1) if last else len(content) - 1
            part = content[int(first) : end + 1]
            span = ("Content-Range", f"bytes {first}-{end}/{len(content)}")
            self._answer(206, part, span, *self._told(content, generation))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        name, asked = self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            if "uploadId" in asked:
                self.uploads[asked["uploadId"]][int(asked["partNumber"])] = body
                self._answer(200, b"", ("ETag", _tag(body)))
                return
            source = self.headers.get("x-goog-copy-source")
            if source is not None:
                found = self.objects.get(urllib.parse.unquote(source).partition("/")[2])
                if found is None:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                    return
                body = found[0]
            expected = self.headers.get("x-goog-if-generation-match")
            now = self.objects[name][1] if name in self.objects else 0
            if expected is not None and int(expected) != now:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            self._answer(200, b"", *self._told(body, self._keep(name, body)))

    def do_POST(self) -> None:
        name, asked = self._asked()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            if "uploadId" not in asked:
                number = str(len(self.uploads))
                self.uploads[number] = {}
                told = f"<UploadId>{number}</UploadId><Bucket>grid</Bucket><Key>x</Key>"
                self._answer(
                    200, f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>".encode()
                )
                return
            parts = self.uploads.pop(asked["uploadId"])
            body = b"".join(parts[number] for number in sorted(parts))
            told = f"<ETag>{escape(_tag(body))}</ETag>"
            self._answer(
                200,
                f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode(),
                *self._told(body, self._keep(name, body)),
            )

    def do_DELETE(self) -> None:
        name, _ = self._asked()
        with self.lock:
            found = self.objects.pop(name, None)
        self._answer(404 if found is None else 204)

    def _list(self, prefix: str) -> None:
        with self.lock:
            found = {name: one for name, one in sorted(self.objects.items()) if name.startswith(prefix)}
        told = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>{escape(_tag(content))}</ETag>"
            "<LastModified>2026-11-01T00:00:00.000Z</LastModified></Contents>"
            for name, (content, _) in found.items()
        )
        self._answer(200, f"<ListBucketResult>{told}</ListBucketResult>".encode())

    def _keep(self, name: str, content: bytes) -> int:
        type(self).generation += 1
        self.objects[name] = (content, self.generation)
        return self.generation

    def _asked(self) -> tuple[str, dict[str, str]]:
        path, _, query = self.path.partition("?")
        bucket, _, name = urllib.parse.unquote(path.lstrip("/")).partition("/")
        assert bucket == "grid", self.path
        return name, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def _told(self, content: bytes, generation: int) -> list[tuple[str, str]]:
        return [
            ("ETag", _tag(content)),
            ("x-goog-generation", str(generation)),
            ("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ]

    def _answer(self, status: int, body: bytes = b"", *heads: tuple[str, str]) -> None:
        self.send_response(status)
        for head, value in heads:
            self.send_header(head, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'
