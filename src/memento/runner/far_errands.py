"""Do beside a run what its object store needs of the coordinator: send logs, remove checkpoints of tasks that are done.

Knows: the run's folder of logs, an object store. May not know: tasks, rows, the loop.

One thread, so that the loop never waits for a server. It begins once the workers are there: who has made a request may
not be copied to make workers. Logs go in pieces, ``logs/<run>/<file>/<where the piece begins>``, each some seconds'
output of a worker: a request for what many tasks have printed, not for each.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection
from contextlib import suppress
from queue import Empty, SimpleQueue

from memento.errors import StoreError
from memento.layout import BOARD, CHECKPOINTS, LOGS, Layout
from memento.store.leftovers import scan
from memento.store.task_folders import drop_state, keys_with_states, states_of
from memento.values.choose_place import far_place

log = logging.getLogger("memento.store")

_EVERY = 20.0  # seconds between two looks at logs
_END = 60.0  # seconds that the end of a run waits


class FarErrands:
    """The errands of one run; a context manager."""

    def __init__(self, root: str, run: str, payloads: str) -> None:
        self._root, self._run, self._payloads = root, run, payloads
        self._done: SimpleQueue[bytes | None] = SimpleQueue()
        self._sent: dict[str, int] = {}  # files -> how much of each is there
        self._thread = threading.Thread(target=self._go, name="memento-far-errands", daemon=True)

    def __enter__(self) -> FarErrands:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.put(None)
        self._thread.join(_END)
        if self._thread.is_alive():
            log.warning(
                "%s: logs were not all sent in %.0f s; they are in %s", self._payloads, _END, self._root
            )

    def drop(self, keys: Collection[bytes]) -> None:
        """Have the checkpoints of tasks removed whose results are durable."""
        if keys and states_of(self._root, keys):
            for key in keys_with_states(self._root).intersection(keys):
                self._done.put(key)

    def _go(self) -> None:
        logs = far_place(self._payloads, LOGS, for_tasks=True)
        while True:
            key: bytes | None = b""
            with suppress(Empty):
                key = self._done.get(timeout=_EVERY)
            try:
                if key:
                    drop_far_state(self._root, self._payloads, key)
                else:
                    for entry in scan(Layout(self._root).log(self._run)):
                        if entry.is_file(follow_symlinks=False) and entry.name != BOARD:
                            self._send(entry.name, entry.stat().st_size, logs)
            except (OSError, StoreError) as error:
                log.warning("%s; what was not sent of logs is in %s", error, self._root)
            if key is None:
                return

    def _send(self, name: str, size: int, logs: object) -> None:
        """Send what a log has more than is there."""
        from memento.values.object_store import ObjectStore

        assert isinstance(logs, ObjectStore)
        start = self._sent.get(name, 0)
        if size <= start:
            return
        with open(os.path.join(Layout(self._root).log(self._run), name), "rb") as file:
            file.seek(start)
            data = file.read(size - start)
        logs.write(f"{self._run}/{name}/{start:015d}", [data])
        self._sent[name] = start + len(data)


def drop_far_state(root: str, payloads: str, key: bytes) -> None:
    """Remove a task's checkpoints there, and then what says here that there are some."""
    place = far_place(payloads, CHECKPOINTS, for_tasks=True)
    for path, fence in states_of(root, {key}):
        place.clear(os.path.basename(path))
        with suppress(OSError):
            drop_state(path, fence)
