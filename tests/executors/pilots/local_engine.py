"""The smallest engine of pilots: each is a process of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping

import psutil

from memento.executors.pilots.charter import pilot_command
from memento.executors.pilots.executor import PilotExecutor
from memento.worker.failures import exit_name


class Local(PilotExecutor):
    """Starts pilots here."""

    name = "local pilots"
    beat = 0.2
    silence = 10.0
    idle = 10.0

    def __init__(self, num_workers: int | None = None) -> None:
        super().__init__(num_workers)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.adopted: dict[str, int] = {}  # pids of pilots that another coordinator had started

    def ask(self, count: int) -> Collection[str]:
        names = [self.new_pilot() for _ in range(count)]
        for name in names:
            folder = self.pilots[name].folder
            with open(self.pilots[name].output, "ab") as log:
                self.processes[name] = subprocess.Popen(
                    pilot_command(folder.parent.parent, name),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        return names

    def can_adopt(self, place: str) -> bool:
        return place.isdecimal() and _runs(int(place))

    def adopt(self, name: str, place: str) -> None:
        self.adopted[name] = int(place)

    def gone(self) -> Mapping[str, str]:
        codes = {name: process.poll() for name, process in self.processes.items() if name in self.pilots}
        gone = {
            name: f"{name} ended with {exit_name(code)}" for name, code in codes.items() if code is not None
        }
        adopted = {name: pid for name, pid in self.adopted.items() if name in self.pilots}
        return gone | {name: f"{name} has ended" for name, pid in adopted.items() if not _runs(pid)}

    def end(self, names: Collection[str]) -> None:
        for name in names:
            if name in self.adopted:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.adopted.pop(name), signal.SIGKILL)
            process = self.processes.pop(name, None)
            if process is not None:
                # It was told to leave, and ends its workers; killed, it would be gone before they are.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5.0)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _runs(pid: int) -> bool:
    """Tell whether a process runs: of one that was killed, nobody here may have taken the end yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
