"""Run one program to its end: what it prints is passed on and read, whatever it started ends with it.

Knows: processes, their output. May not know: matrices, results.

Owners
    calling thread   the program, the read end of its output; kills the program's group before it returns or raises
    guard            a shell that waits for our word, and kills the group where we are gone without one: a thread or a
                     process that runs tasks may be killed at any moment, and nothing is to go on computing then
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.errors import CommandFailed

_LOOK = 0.1  # seconds between looks at the wish to stop, and at whether the program has ended
_INSIST = 30.0  # seconds between SIGTERM and SIGKILL; where tasks have less time, the worker is ended with all below it
_READ = 1 << 16  # bytes
_LEFT = 1 << 20  # bytes that are still read after the end: something that it started may go on printing
_LINE = 1 << 20  # bytes; a longer line is passed on and not read
_TAIL = 16_384  # bytes
_TAIL_LINES = 20
_GUARD = 'read -r word || kill -9 "-$0"'  # at the end of its input without a word

Record = Callable[[Mapping[str, float], "float | None"], None]


class Output:
    """What a program prints: passed on to where tasks print, its last lines kept, lines of JSON read.

    An object of numbers is a step of metrics; `found` is the last object of all.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.found: dict[str, Any] | None = None
        self._tail = b""
        self._line = b""  # what stands after the last line's end
        self._skips = False  # it is too long to be read
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.show(data)
        self._tail = (self._tail + data)[-_TAIL:]
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = self._line + lines[0]
            for line in lines[1:] if self._skips else lines:
                self._read(line)
            self._line, self._skips = b"", False
        if self._skips or len(self._line) + len(rest) > _LINE:
            self._line, self._skips = b"", True
        else:
            self._line += rest

    def end(self) -> None:
        """Read a last line that has no end."""
        self._read(self._line)
        if self._tail and not self._tail.endswith(b"\n"):
            self.show(b"\n")

    def show(self, data: bytes) -> None:
        """Print bytes as they are, where that is possible."""
        stream: Any = sys.stdout
        try:
            raw = getattr(stream, "buffer", None)
            if raw is None:  # a notebook's
                stream.write(self._decoder.decode(data))
            else:
                stream.flush()
                raw.write(data)
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, full, not there: no reason to fail a program
            return

    def last_lines(self) -> str:
        """Return the end of the output."""
        return "\n".join(self._tail.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])

    def _read(self, line: bytes) -> None:
        line = line.rstrip()
        if not line.endswith(b"}"):
            return
        line = line[line.find(b"{") :] if b"\r" in line else line.lstrip()  # a progress bar stands before it
        if not line.startswith(b"{"):
            return
        try:
            found = json.loads(line)
            values = {name: float(value) for name, value in found.items() if type(value) in (int, float)}
        except (ValueError, OverflowError, RecursionError):
            return
        self.found = found
        if len(values) == len(found):
            step = values.pop("step", None)
            if values:
                self._record(values, step)


def run_program(
    arguments: Sequence[str],
    cwd: str | None,
    env: Mapping[str, str],
    output: Output,
    stopping: Callable[[], bool],
) -> int | None:
    """Run a program to its end and return how it ended, as `subprocess` says it; None where it was told to stop."""
    try:
        # Its group is its own, so that what it starts can be ended with it, and Ctrl-C in a terminal does not reach it.
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            # Else a Python prints its lines at its end.
            env={"PYTHONUNBUFFERED": "1", **system.environment(), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CommandFailed(_not_started(arguments, cwd, env, error), shlex.join(arguments)) from None
    try:
        with _guarded(process.pid):
            try:
                stopped = _follow(process, output, stopping)
            finally:
                _end(process)
    finally:
        _end(process)
    output.end()
    return None if stopped else process.returncode


def _follow(process: subprocess.Popen[bytes], output: Output, stopping: Callable[[], bool]) -> bool:
    """Read until the program has ended; tell whether it was asked to stop before."""
    assert process.stdout is not None
    pipe, now = process.stdout.fileno(), SYSTEM_CLOCK.monotonic
    asked: float | None = None
    left = _LEFT
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        look, ended, is_open = now() + _LOOK, False, True
        while is_open or not ended:
            ready = is_open and bool(selector.select(_LOOK))
            if ready:
                data = os.read(pipe, _READ)
                output.feed(data)
                is_open = bool(data)
            if ended:
                left -= _READ
                if not ready or left <= 0:
                    break
            elif not is_open:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
            if now() < look and is_open:
                continue
            look = now() + _LOOK
            if not ended and process.poll() is not None:
                ended = True
                system.signal_group(process.pid, signal.SIGKILL)  # what it has left running
            elif not ended and asked is None and stopping():
                asked = now()
                system.signal_group(process.pid, signal.SIGTERM)  # once: a second one may mean more
            elif not ended and asked is not None and now() - asked > _INSIST:
                system.kill_tree(process.pid, signal.SIGKILL)
    return asked is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have nothing of a program left."""
    if process.poll() is None:
        system.kill_tree(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None and not process.stdout.closed:
        system.signal_group(process.pid, signal.SIGKILL)
        process.stdout.close()


@contextlib.contextmanager
def _guarded(group: int) -> Iterator[None]:
    """Have a group of processes killed if this process ends within the block."""
    try:
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # it lives on where our own group is ended
            bufsize=0,
        )
    except OSError:  # a container without a shell
        yield
        return
    assert guard.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody has killed it
            guard.stdin.write(b"\n")
        guard.stdin.close()
        guard.wait()


def _not_started(
    arguments: Sequence[str], cwd: str | None, env: Mapping[str, str], error: OSError | ValueError
) -> str:
    if cwd is not None and not os.path.isdir(cwd):
        return f"it cannot be started: there is no folder {cwd!r}"
    if isinstance(error, FileNotFoundError) and os.sep not in arguments[0]:
        path = env.get("PATH", os.environ.get("PATH", os.defpath))
        return f"it cannot be started: there is no program {arguments[0]!r} in PATH={path}"
    return f"it cannot be started: {getattr(error, 'strerror', None) or error}: {arguments[0]!r}"
