"""Look several times a second at what nobody tells: memory that runs out, logs that run over, who is suspended.

Knows: the workers, their logs, the board. May not know: the queue, how a worker is ended.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from memento.executors.processes import output
from memento.executors.processes.ends import Scarcity
from memento.executors.processes.limits import Limits
from memento.executors.processes.link import Link
from memento.executors.processes.slots import Slots
from memento.store.board import Board

EVERY = 0.25  # seconds


class Watch:
    """Looks at a run's workers from outside.

    Parameters
    ----------
    server : int
        The process that starts them.
    logs : str or None
        The folder of their logs, where these are kept.
    slots : Slots
        The memory shared with them.
    links : dict of int to Link
        The workers by slot; the supervisor's own table, which changes.
    limits : Limits
        What knows who is suspended.
    """

    def __init__(
        self, server: int, logs: str | None, slots: Slots, links: dict[int, Link], limits: Limits
    ) -> None:
        self._slots, self._links, self._limits = slots, links, limits
        self._next = 0.0
        self.follow(server)
        self._board: Board | None = None
        if logs is not None:
            with contextlib.suppress(OSError):  # it only serves those who look on
                self._board = Board(logs)

    def follow(self, server: int) -> None:
        """Watch the memory of those that this process starts."""
        self._scarcity = Scarcity(server)

    def struck(self) -> bool:
        """Tell whether the kernel has killed somebody for want of memory lately."""
        return self._scarcity.struck()

    def look(self, now: float) -> Iterator[str]:
        """Look, if it is time; yields what people should know."""
        if now < self._next:
            return
        self._next = now + EVERY
        self._scarcity.look(now)
        for link in self._limits.suspended(now):
            yield (
                f"worker {link.pid} is suspended (SIGSTOP), and its task with it; that time does not count towards"
                f" timeout. `kill -CONT {link.pid}` lets it go on, `kill -KILL {link.pid}` fails the task"
            )
        self._look_at_logs()

    def _look_at_logs(self) -> None:
        """Hold logs that run over; show those who look on what each worker is at, and what that has printed."""
        entries = []
        for link in self._links.values():
            slot = link.place.slot
            position, begun = self._slots.position(slot), self._slots.printed(slot)
            if link.place.log and position in link.in_flight:
                with contextlib.suppress(OSError):
                    end = os.stat(link.place.log).st_size
                    if position == self._slots.position(slot):  # so all of that is this task's
                        output.thin(link.place.log, begun, end)
                        entries.append((link.in_flight[position][0].key, begun, end, link.place.log_name))
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.show(entries)

    def close(self) -> None:
        """Let go of the board."""
        if self._board is not None:
            self._board.close()
