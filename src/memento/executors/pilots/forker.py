"""The forker: a process of a lent worker that has imported what a pilot needs, and copies itself for each.

Knows: its socket, how a process becomes another. May not know: engines, streams, what a pilot does.

    lent worker ──(what a pilot is given, three descriptors)──> forker ──fork──> pilot
    lent worker <──(b"+": it runs; then its exit code)───────── forker

To start Python and to import takes a fifth of a second, more than a short run. A worker keeps its forker between runs,
where it is another's (`lent_worker.run_child`), for a while. It has one thread and nothing of anybody's code, so that a
copy of it is as good as a process just started. It makes one pilot at a time, and ends with the worker.
"""

from __future__ import annotations

import gc
import json
import logging  # noqa: F401  # as `code_snapshot`
import os
import select
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

import cloudpickle  # noqa: F401  # as `code_snapshot`

from memento import system
from memento.context import reach  # noqa: F401  # here and below: what its workers import, whatever they run
from memento.executors.pilots import pilot
from memento.keys import code_versions, data_digest, encode_object  # noqa: F401
from memento.worker import code_snapshot  # noqa: F401

_PATIENCE = 300.0  # seconds without a pilot to make after which it ends
_LENGTH = struct.Struct("<Q")  # of the request behind it


def serve(be_pilot: Callable[[], object]) -> None:
    """Make a pilot of each request until there are no more; the socket is the standard input."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    gc.freeze()  # the collector of a copy would touch, and so copy, every page
    while select.select([control], [], [], _PATIENCE)[0]:
        request, streams = _received(control)
        if request is None:
            return
        for number in range(3):  # what it had to say until now went where its worker looks for that
            os.dup2(null, number)
        forker = os.getpid()
        child = os.fork()
        if child == 0:
            control.close()
            os.close(null)
            _become(be_pilot, request, streams, forker)
        for stream in streams:
            os.close(stream)
        control.sendall(b"+")
        _, status = os.waitpid(child, 0)
        control.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _received(control: socket.socket) -> tuple[Any, list[int]]:
    """Return a request with its descriptors; None at the end."""
    try:
        head, streams, _, _ = socket.recv_fds(control, _LENGTH.size, 3)
        if not head:
            return None, []
        while len(head) < _LENGTH.size:
            head += control.recv(_LENGTH.size - len(head))
        length, data = _LENGTH.unpack(head)[0], bytearray()
        while len(data) < length:
            piece = control.recv(length - len(data))
            if not piece:
                return None, []
            data += piece
    except OSError:  # reset: the worker was killed
        return None, []
    return json.loads(data), list(streams)


def _become(be_pilot: Callable[[], object], request: Any, streams: list[int], forker: int) -> None:
    """Be the pilot, in the copy; never returns."""
    code = 1
    try:
        os.setsid()
        system.die_with(forker)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv[1:] = request["arguments"]
        be_pilot()
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Be a forker."""
    serve(pilot.main)
