"""Run a pilot below a worker that an engine has lent, and wait for its end: what Dask and Ray call there.

Knows: commands, processes, forkers. May not know: engines, streams, what a pilot does.

What is called there is sent by its code, so that also a worker without Memento can say what it lacks.
"""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from memento._version import __version__
from memento.worker.failures import tail

BLIND, BARE = "blind", "bare"  # kinds of `Ended`, beside the number of an exit code


class Ended(NamedTuple):
    """How a pilot's place ended."""

    kind: str
    host: str
    python: str

    def reason(self, name: str, folder: Path, output: Path) -> str:
        """Say so for people, with what to do."""
        if self.kind == BLIND:
            return (
                f"worker on {self.host} does not see {folder}: give a store on a path that all hosts share,"
                ' like Memento(..., store="/shared/store")'
            )
        if self.kind == BARE:
            return (
                f"{self.python} on {self.host} has no Memento: install it for the workers too"
                f" (pip install memento-ml=={__version__})"
            )
        return f"pilot {name} on {self.host} ended with exit code {self.kind}\n{tail(str(output))}".rstrip()

    @property
    def is_hopeless(self) -> bool:
        """Whether another try there would end the same."""
        return self.kind in (BLIND, BARE)


def by_value(func: Callable[..., Any], **more: Any) -> Callable[..., Any]:
    """Return a copy of a function that is pickled with its code, whatever is installed where it arrives.

    It uses nothing of its module but what is given as `more`.
    """
    name = "memento_sent"  # nobody can import that, so cloudpickle sends the code
    space = {"__builtins__": builtins, "__name__": name, **more}
    copy = types.FunctionType(func.__code__, space, func.__name__, func.__defaults__)
    copy.__kwdefaults__ = func.__kwdefaults__
    functools.update_wrapper(copy, func, ("__qualname__", "__doc__"), ())
    copy.__module__ = name
    del copy.__wrapped__  # type: ignore[attr-defined]  # it would be sent along
    return copy


def run_child(
    folder: str,
    command: list[str],
    output: str,
    place: str,
    is_over: Callable[[], bool] | None = None,
    *,
    keep: bool = False,
) -> tuple[str, str, str]:
    """Run a pilot here until it ends, or is not wanted any more; returns the fields of `Ended`.

    Sent by its code: it may use nothing of this file. The pilot ends with its standard input, whatever becomes of
    this process. With `keep` the forker that makes it stays for the next one.
    """
    import os
    import platform
    import select
    import subprocess
    import sys

    def told(kind: object) -> tuple[str, str, str]:
        return str(kind), platform.node(), sys.executable

    if not os.path.isdir(folder):
        return told("blind")
    environment = {**os.environ, "MEMENTO_PLACE": place}
    request = {"arguments": command[3:], "folder": folder, "environment": environment}
    read, write = os.pipe()
    try:
        with open(output, "ab") as log:
            streams = (read, log.fileno(), log.fileno())
            process, control, kept = start_forked([sys.executable, *command[1:3]], request, streams, is_over)
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    code = b""
    try:
        while control is not None and (is_over is None or not is_over()):
            if select.select([control], [], [], 0.2)[0]:
                code = control.recv(64)
                break
    finally:  # a task that is cancelled may end here by an exception
        os.close(write)
        if control is not None and not code and select.select([control], [], [], 5.0)[0]:
            code = control.recv(64)
        if code and keep:
            kept.append((process, control))
        else:
            if control is not None:
                control.close()
                if not code:  # what it has made ends with it
                    process.kill()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if code.strip() == b"0":
        return told(0)
    with open(output, "rb") as printed:
        said = printed.read()[-4096:]
    return told("bare" if b"No module named 'memento'" in said else int(code or process.returncode))


def start_forked(
    command: list[str],
    request: dict[str, Any],
    streams: tuple[int, int, int],
    is_over: Callable[[], bool] | None,
) -> tuple[Any, Any, list[Any]]:
    """Have a forker make a pilot: return its process, its socket, and the list of those that wait to make another.

    Sent by its code. The socket is None where there is no pilot: the forker has ended.
    """
    import json
    import select
    import socket
    import struct
    import subprocess
    import sys
    import types

    data = json.dumps(request).encode()
    # What is sent by its code has no module that stays; a call that begins meanwhile takes another forker.
    here: Any = sys.modules.setdefault("memento_forkers", types.ModuleType("memento_forkers"))
    kept = vars(here).setdefault(tuple(command), [])
    while True:
        try:
            process, control = kept.pop()
            is_new = False
        except IndexError:
            control, theirs = socket.socketpair()
            process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=streams[1],
                stderr=streams[2],
                start_new_session=True,
                cwd="/",
            )
            theirs.close()
            is_new = True
        try:
            socket.send_fds(control, [struct.pack("<Q", len(data))], list(streams))
            control.sendall(data)
            while not select.select([control], [], [], 0.2)[0]:
                if is_over is not None and is_over():
                    process.kill()
            begun = control.recv(1)
        except OSError:
            begun = b""
        if begun:
            return process, control, kept
        control.close()
        process.wait()
        if is_new:  # else it had ended while nobody needed it
            return process, None, kept


def sent(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of an engine, which calls `run_child`, as it is sent."""
    return by_value(func, run_child=by_value(run_child, start_forked=by_value(start_forked)))
