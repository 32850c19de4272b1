"""A mail server with STARTTLS and login, and a webhook: real, on loopback."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.notify.fakes import Mails, MailServer, Webhook


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that only its own file vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("there is no openssl command here to make a certificate with")
    return certificate, key


@pytest.fixture
def trust(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


def _controller(mails: Mails, **options: Any) -> Controller:
    # aiosmtpd cannot be given port 0: another process may take a free port between its finding and its use.
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        controller = Controller(mails, hostname="127.0.0.1", port=port, **options)
        try:
            controller.start()
        except OSError:
            continue
        return controller
    raise RuntimeError("found no free port in 20 tries")


@pytest.fixture
def mail_server(certificate: tuple[Path, Path]) -> Iterator[MailServer]:
    """Takes mail only over TLS and from the user "u" with the password "sesame"."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and data.login == b"u" and data.password == b"sesame"
        return AuthResult(success=known, handled=False)

    mails = Mails()
    controller = _controller(
        mails, tls_context=context, require_starttls=True, auth_required=True, authenticator=login
    )
    yield MailServer("localhost", controller.port, mails.taken)
    controller.stop()


@pytest.fixture
def open_mail_server() -> Iterator[MailServer]:
    """Takes mail from everybody and offers no TLS."""
    mails = Mails()
    controller = _controller(mails)
    yield MailServer("localhost", controller.port, mails.taken)
    controller.stop()


@pytest.fixture
def hanging_port() -> Iterator[int]:
    """Accepts connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Takes JSON at /ok; answers 503 at /busy."""
    posts: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            busy = self.path.startswith("/busy")
            if not busy:
                posts.append(json.loads(body))
            self.send_response(503 if busy else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Webhook(server.server_port, posts)
        server.shutdown()
        thread.join()
