"""Ports for servers of tests.

Of those that a system gives to whoever asks for any, another program may get one before the server has it, or while
that is away: so these are others.
"""

from __future__ import annotations

import contextlib
import secrets
import socket

_FIRST, _COUNT = 20_000, 12_000  # Linux gives those from 32768 on, macOS from 49152


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        ports = list[int]()
        while len(ports) < count:
            one, port = held.enter_context(socket.socket()), _FIRST + secrets.randbelow(_COUNT)
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                ports.append(port)
    return ports
