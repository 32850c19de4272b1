"""An engine as somebody else would write one: a process for each batch, which outlives the coordinator."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import threading
from collections.abc import Hashable, Iterator
from contextlib import suppress
from pathlib import Path

from memento.executors.batches import BatchExecutor, Death, worker_command
from memento.records import Outcome
from memento.worker.batch_runner import Batch
from memento.worker.failures import exit_name, tail


class Ended(Exception):
    """A batch's process ended without outcomes."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(code, log)
        self.code, self.log = code, log


class Toy(BatchExecutor):
    """Starts a process for each batch."""

    name = "toy"
    isolates = True
    outlives = True

    def __init__(self, num_workers: int | None = None) -> None:
        super().__init__(num_workers)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._over: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def _file(self, batch: int, kind: str) -> Path:
        return self._folder / f"{kind}-{batch}"

    def send(self, batch: Batch) -> int:
        told, outcomes = self._file(batch.number, "batch"), self._file(batch.number, "results")
        told.write_bytes(pickle.dumps(batch))
        with open(self._file(batch.number, "log"), "wb") as log:
            process = subprocess.Popen(
                worker_command(self._work, told, outcomes), stdout=log, stderr=log, start_new_session=True
            )
        self.processes[batch.number] = process

        def wait() -> None:
            process.wait()
            self._over.put(batch.number)

        threading.Thread(target=wait, daemon=True).start()
        return batch.number

    def receive(self, timeout: float) -> Iterator[tuple[Hashable, list[Outcome] | BaseException]]:
        with suppress(queue.Empty):
            while True:
                batch = self._over.get(timeout=timeout) if timeout > 0 else self._over.get_nowait()
                timeout = 0.0
                if batch is not None:
                    code = self.processes.pop(batch).wait()
                    log = str(self._file(batch, "log"))
                    results = self._file(batch, "results")
                    yield batch, Ended(code, log) if code else pickle.loads(results.read_bytes())

    def withdraw(self, call: Hashable) -> bool:
        return False  # it has begun

    def why_ended(self, error: BaseException) -> Death | str | None:
        if not isinstance(error, Ended):
            return None
        if error.code == -signal.SIGTERM:  # how this engine takes a place away
            return "its process was taken away"
        name = exit_name(error.code)
        return Death(name, f"its process ended with {name} while it ran", tail(error.log))

    def wake(self) -> None:
        self._over.put(None)

    def close(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()
        super().close()
