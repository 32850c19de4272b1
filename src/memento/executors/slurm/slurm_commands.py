"""Call Slurm's commands, each for a limited time and without waiting for it; read what they say.

Knows: Slurm's commands: how they are called, what they print. May not know: pilots, tasks.

A command that hangs, fails or prints nonsense is an `Answer` like any other: who asked decides.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

from memento.clock import Clock
from memento.errors import WorkerStartError

LIMIT = 60.0  # seconds for a command: "Socket timed out" comes after 20 to 60
_LAST = 4_096  # bytes of what a command says on its standard error

# sbatch and its kin say so where the site or its controller is busy or full: it is to be tried again, later.
_LIMITS = (
    "qosmaxsubmitjob", "qosgrpsubmitjobs", "assocmaxsubmitjob", "assocgrpsubmitjobs", "maxsubmitjobsperaccount",
    "job violates accounting/qos policy", "too many jobs", "maxjobcount",
)  # fmt: skip
_BUSY = (
    *_LIMITS, "socket timed out", "temporarily unable to accept job",
    "resource temporarily unavailable", "unable to contact slurm controller", "connection refused",
    "connection timed out",
    "connection reset", "communication connection failure", "slurm backup controller in standby",
    "zero bytes were transmitted", "message receive failure", "message send failure",
    "slurm database", "rate limit", "rpc limit", "transport endpoint", "unexpected message received",
    "protocol authentication error", "insane message length", "controller is unavailable", "not responding",
)  # fmt: skip
# ... and so where it will never be taken.
_WRONG = (
    "invalid partition", "invalid account", "invalid qos", "node configuration is not available",
    "invalid generic resource", "invalid feature", "invalid constraint", "invalid node name", "invalid reservation",
    "requested reservation", "unrecognized option", "unknown option", "invalid option", "invalid time limit",
    "invalid --", "memory specification can not be satisfied", "more processors requested", "invalid job array",
    "requested time limit is invalid", "time limit specification", "user's group not permitted", "invalid user",
    "access/permission denied", "job submit plugin", "invalid wckey", "cluster is disabled", "invalid gres",
    "invalid directive", "option requires an argument", "duplicated option", "not permitted to use this partition",
)  # fmt: skip


class Answer(NamedTuple):
    """What a command said."""

    code: int | None  # how it ended; None: it did not, in its time
    out: str
    error: str

    @property
    def is_busy(self) -> bool:
        """Whether Slurm says that it cannot now."""
        said = self.error.lower()
        return self.code is None or any(text in said for text in _BUSY)

    @property
    def is_limit(self) -> bool:
        """Whether Slurm says that there are as many jobs as there may be."""
        said = self.error.lower()
        return bool(self.code) and any(text in said for text in _LIMITS)

    @property
    def is_wrong(self) -> bool:
        """Whether Slurm says that it never will."""
        said = self.error.lower()
        return bool(self.code) and not self.is_busy and any(text in said for text in _WRONG)

    @property
    def why(self) -> str:
        """What it said, in one line for people."""
        if self.code is None:
            return "it did not answer in time"
        lines = [line.strip() for line in (self.error or self.out).splitlines() if line.strip()]
        return "; ".join(dict.fromkeys(lines[-3:])) or f"it ended with exit code {self.code}"


class Call:
    """One command that was started; `end` it, or ask for its `answer` until there is one."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], clock: Clock, limit: float
    ) -> None:
        self.arguments = list(arguments)
        self._clock, self._until = clock, clock.monotonic() + limit
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the answer
        self._error: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the answer
        try:
            self._process = subprocess.Popen(
                self.arguments,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._error,
                start_new_session=True,  # Ctrl-C is for the program, which ends it as it thinks right
            )
        except OSError as exc:
            self._out.close()
            self._error.close()
            raise WorkerStartError(
                f"Slurm's command {self.arguments[0]} cannot be started ({exc.strerror}): run this where Slurm's"
                " commands are, on a login node or in a job; or use executor='processes'."
            ) from exc

    def answer(self, wait: float = 0.0) -> Answer | None:
        """Return what it said, waiting up to so many seconds; None while it runs. Not to be asked again after that."""
        try:
            code: int | None = self._process.wait(wait) if wait else self._process.poll()
        except subprocess.TimeoutExpired:
            code = None
        if code is None and self._clock.monotonic() < self._until:
            return None
        if code is None:
            self._kill()
        self._out.seek(0)
        size = self._error.seek(0, os.SEEK_END)
        self._error.seek(max(size - _LAST, 0))
        said = Answer(
            code, self._out.read().decode(errors="replace"), self._error.read().decode(errors="replace")
        )
        self._out.close()
        self._error.close()
        return said

    def end(self) -> None:
        """End it, whatever it was doing."""
        if self._process.poll() is None:
            self._kill()
        self._out.close()
        self._error.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Commands:
    """Calls Slurm's commands, one at a time; keeps count of them."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self.environment, self._clock = environment, clock
        self.calls: list[float] = []  # when each of the last ten minutes was started, monotonic

    def start(self, *arguments: str, limit: float = LIMIT) -> Call:
        """Start a command."""
        now = self._clock.monotonic()
        self.calls = [at for at in self.calls if now - at < 600.0] + [now]
        return Call(arguments, self.environment, self._clock, limit)

    def run(self, *arguments: str, limit: float = LIMIT) -> Answer:
        """Run a command, and wait for it."""
        call = self.start(*arguments, limit=limit)
        try:
            answer = call.answer(limit)
            while answer is None:
                answer = call.answer(0.05)
            return answer
        except BaseException:
            call.end()
            raise


def job_id(out: str) -> str:
    """Read the id that `sbatch --parsable` prints; "" where it prints none.

    >>> job_id("4711\\n"), job_id("a greeting of the site\\n4711;cluster\\n"), job_id("nonsense")
    ('4711', '4711', '')
    """
    for line in reversed(out.splitlines()):
        number = line.strip().partition(";")[0]
        if number.isdecimal():
            return number
    return ""


def partitions(out: str) -> list[str]:
    """Read what `sinfo -h -o '%R|%l|%a'` prints: each partition with its longest time.

    >>> partitions("main|infinite|up\\nshort|30:00|up\\nold|1:00|down\\n")
    ['main', 'short (30:00)']
    """
    found = []
    for line in out.splitlines():
        parts = line.strip().split("|")
        if len(parts) == 3 and parts[2] == "up":
            found.append(parts[0] + (f" ({parts[1]})" if parts[1] not in ("infinite", "n/a") else ""))
    return list(dict.fromkeys(found))


def largest_memory(out: str) -> int | None:
    """Read the bytes of the largest node from what `sinfo -h -e -o %m` prints; None where it prints no number.

    >>> largest_memory("4000 64000"), largest_memory("nonsense")
    (67108864000, None)
    """
    sizes = [int(line) << 20 for line in out.split() if line.isdecimal()]
    return max(sizes, default=None)
